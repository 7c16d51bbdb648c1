//! `lora serve`: trained classifiers as an HTTP service.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use lora_pipeline::predict::ensemble::EnsembleChoice;
use lora_pipeline::saved::adapter::AdapterOptions;
use lora_serve::{BatchLimits, BearerToken, NamedFolder, OpenOptions, RequestLimits, ServeSettings, Server};
use tracing_subscriber::filter::LevelFilter;

use crate::interrupt::INTERRUPTED;
use crate::predict::InferenceArg;
use crate::shared_args::{BaseArgs, DeviceArgs, PrecisionArgs, positive};
use crate::terminal::Terminal;

/// Environment variable that holds the token.
pub const TOKEN_VARIABLE: &str = "LORA_SERVE_TOKEN";

/// Arguments of `lora serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Adapter folders, each under its own name or as NAME=DIR; those on the same base model share it in memory.
    #[arg(value_name = "ADAPTER", required = true)]
    adapters: Vec<String>,
    #[command(flatten)]
    base: BaseArgs,
    /// Longest text in tokens [as in training, else 128].
    #[arg(long, value_name = "TOKENS")]
    max_seq_length: Option<usize>,
    #[command(flatten)]
    device: DeviceArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
    /// Predict by the mean pass or by the ensemble [the one that was better on the validation rows of the training, else the ensemble].
    #[arg(long, value_enum)]
    inference: Option<InferenceArg>,
    /// Passes of the ensemble, each with masks of its own; 0 for none [as in training].
    #[arg(long, value_name = "N")]
    members: Option<u64>,
    /// Address to listen at; one that other machines reach needs a token.
    #[arg(long, default_value = "127.0.0.1", value_parser = host)]
    host: IpAddr,
    /// Port to listen at; 0 for a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// File with the token that requests must carry (Authorization: Bearer …); the variable `LORA_SERVE_TOKEN` does the same.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Let other machines ask without a token, because something else keeps strangers out.
    #[arg(long)]
    allow_without_token: bool,
    /// Texts of a batch, at most.
    #[arg(long, value_name = "N", default_value_t = BatchLimits::default().texts, value_parser = positive)]
    max_batch_size: usize,
    /// How long a text waits for others to share its batch, at most.
    #[arg(long, value_name = "MS", default_value_t = BatchLimits::default().wait.as_secs_f64() * 1000.0, value_parser = milliseconds)]
    max_wait_ms: f64,
    /// Texts that wait, at most; further ones are turned away (429).
    #[arg(long, value_name = "N", default_value_t = BatchLimits::default().queue, value_parser = positive)]
    max_queue: usize,
    /// Texts of a request, at most.
    #[arg(long, value_name = "N", default_value_t = RequestLimits::default().texts, value_parser = positive)]
    max_texts: usize,
    /// Bytes of a request, at most.
    #[arg(long, value_name = "N", default_value_t = RequestLimits::default().body, value_parser = positive)]
    max_body_bytes: usize,
    /// Seconds that a request may take; at the end open ones are waited for as long.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// Batches that are computed side by side, each on its share of the processor's threads.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    workers: usize,
    /// Write a line to the log for every request, without its texts.
    #[arg(long)]
    log_requests: bool,
}

/// Serves until Ctrl-C or SIGTERM, then answers what was accepted.
///
/// # Errors
///
/// If an input is wrong, the address is taken, or the socket fails.
pub fn run(args: &ServeArgs, terminal: &Terminal) -> Result<()> {
    start_log(args.log_requests, terminal);
    let adapters = args.adapters.iter().map(|given| given.parse::<NamedFolder>());
    let adapters = adapters.collect::<Result<Vec<_>, _>>()?;
    let server = Server::start(args.settings()?, args.options(), &adapters)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the system gives no sockets")?;
    runtime.block_on(async {
        let mut stop = StopSignal::listen().context("cannot listen to Ctrl-C")?;
        let address = server.address();
        if terminal.json() {
            terminal.raw(&serde_json::json!({"url": format!("http://{address}")}).to_string())?;
        } else {
            terminal.say(format!("http://{address}"))?;
        }
        let stopped = async move {
            stop.next().await;
            // The second one ends the program at once.
            tokio::spawn(async move {
                stop.next().await;
                std::process::exit(INTERRUPTED.into());
            });
        };
        Ok(server.run(stopped).await?)
    })
}

impl ServeArgs {
    fn settings(&self) -> Result<ServeSettings> {
        let token = match &self.token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                Some(text.with_context(|| format!("cannot read --token-file `{}`", path.display()))?)
            }
            None => std::env::var(TOKEN_VARIABLE).ok(),
        };
        let token = token.map(|token| BearerToken::new(&token)).transpose();
        Ok(ServeSettings {
            address: SocketAddr::new(self.host, self.port),
            token: token.context("--token-file, or LORA_SERVE_TOKEN")?,
            allow_without_token: self.allow_without_token,
            batches: BatchLimits {
                texts: self.max_batch_size,
                wait: Duration::from_secs_f64(self.max_wait_ms / 1000.0),
                queue: self.max_queue,
            },
            requests: RequestLimits {
                texts: self.max_texts,
                body: self.max_body_bytes,
                time: Duration::from_secs(self.timeout),
            },
            workers: self.workers,
        })
    }

    fn options(&self) -> OpenOptions {
        OpenOptions {
            adapter: AdapterOptions {
                adapter: PathBuf::new(),
                base: self.base.base.clone(),
                revision: self.base.revision.clone(),
                labels: None,
                max_seq_length: self.max_seq_length,
                device: self.device.device,
                dtype: self.precision.dtype,
                fp32_precision: self.precision.fp32_precision,
            },
            ensemble: EnsembleChoice {
                members: self.members,
                ..EnsembleChoice::default()
            },
            inference: self.inference.map(InferenceArg::kind),
        }
    }
}

/// The log goes to stderr: as lines, with `--json` as JSON.
fn start_log(of_requests: bool, terminal: &Terminal) {
    let level = match (terminal.quiet(), of_requests) {
        (_, true) => LevelFilter::DEBUG,
        (true, false) => LevelFilter::WARN,
        (false, false) => LevelFilter::INFO,
    };
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        // A closed stderr is nothing to fail about.
        .log_internal_errors(false)
        .with_max_level(level);
    // A log that somebody else began stays.
    let _ = if terminal.json() {
        log.json().flatten_event(true).try_init()
    } else {
        log.try_init()
    };
}

/// Ctrl-C, and SIGTERM.
struct StopSignal {
    #[cfg(unix)]
    signals: [tokio::signal::unix::Signal; 2],
}

impl StopSignal {
    #[cfg(unix)]
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let signals = [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?];
        Ok(Self { signals })
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        let [interrupt, terminate] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    #[expect(clippy::unnecessary_wraps, reason = "it can fail elsewhere")]
    fn listen() -> io::Result<Self> {
        Ok(Self {})
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        // Without a handler nothing tells the end, and the system ends the program.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn host(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    text.parse()
        .map_err(|_| "expected an address such as 127.0.0.1, or 0.0.0.0 for all of this machine's".to_owned())
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let number = text.parse().ok();
    number
        .filter(|number| (0.0..=60_000.0).contains(number))
        .ok_or_else(|| "expected milliseconds from 0 to 60000".to_owned())
}
