//! `cargo xtask wheel`: the program as a Python wheel, tried in a fresh virtual environment.
//!
//! maturin runs `cargo rustc --profile release --manifest-path crates/lora-cli/Cargo.toml --bin lora -- -C strip=symbols`: the
//! features and the target folder of `cargo build --release --package lora-cli`. After that only the program itself is linked anew.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;

#[derive(Args)]
pub(crate) struct Options {
    /// A Python that has maturin and venv
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    /// Take the wheel that was built before
    #[arg(long)]
    no_build: bool,
}

/// Rows of texts of their own are enough to see that a training runs.
fn rows() -> String {
    let pairs = (1..=12).map(|part| format!("a gripping part {part},good\npart {part} is dull,bad\n"));
    format!("text,label\n{}", pairs.collect::<Vec<_>>().concat())
}

pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let wheels = root.join("target/wheels");
    if !options.no_build {
        // What was built before would be taken for this one.
        if wheels.is_dir() {
            fs::remove_dir_all(&wheels).context("target/wheels")?;
        }
        let maturin = ["-m", "maturin", "build", "--release", "--out"].map(OsStr::new);
        let mut build = Command::new(&options.python);
        build.args(maturin).arg(&wheels).current_dir(root);
        let status = build
            .status()
            .with_context(|| format!("cannot start {}", options.python.display()))?;
        ensure!(
            status.success(),
            "maturin ended with {status}; --python names a Python that has it"
        );
    }
    let wheel = only_wheel(&wheels)?;
    let bytes = fs::metadata(&wheel).context("the size of the wheel")?.len();
    println!(
        "{}: {:.1} MB",
        wheel.strip_prefix(root).unwrap_or(&wheel).display(),
        bytes as f64 / 1e6
    );
    try_out(&options.python, &wheel)
}

fn only_wheel(folder: &Path) -> Result<PathBuf> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("{}: no wheel was built", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path()));
    let mut wheels = paths.collect::<Result<Vec<_>>>()?;
    wheels.retain(|path| path.extension() == Some(OsStr::new("whl")));
    match wheels.pop() {
        Some(wheel) if wheels.is_empty() => Ok(wheel),
        found => bail!(
            "{}: one wheel is expected, found {}",
            folder.display(),
            wheels.len() + usize::from(found.is_some())
        ),
    }
}

/// Installs the wheel where nothing else is, and does what a newcomer does.
fn try_out(python: &Path, wheel: &Path) -> Result<()> {
    let name = format!("lora-wheel-{}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    fs::create_dir(&folder).context("a temporary folder")?;
    let outcome = try_out_in(&folder, python, wheel);
    let removed = fs::remove_dir_all(&folder).context("cannot remove the temporary folder");
    outcome.and(removed)
}

fn try_out_in(folder: &Path, python: &Path, wheel: &Path) -> Result<()> {
    let environment = folder.join("environment");
    let of_environment = |program: &str| {
        if cfg!(windows) {
            environment.join("Scripts").join(format!("{program}.exe"))
        } else {
            environment.join("bin").join(program)
        }
    };
    finish(Command::new(python).args(["-m", "venv"]).arg(&environment))?;
    let pip = ["-m", "pip", "install", "--no-index", "--no-deps", "--quiet"];
    finish(Command::new(of_environment("python")).args(pip).arg(wheel))?;
    let lora = |arguments: &[&str]| {
        let mut command = Command::new(of_environment("lora"));
        command.args(arguments).current_dir(folder);
        // Neither a checkout nor a cache helps.
        command.env("HF_HUB_OFFLINE", "1").env("HF_HOME", folder);
        let output = finish(&mut command)?;
        println!("passed: lora {}", arguments.join(" "));
        String::from_utf8(output.stdout).context("what lora said")
    };
    let version = lora(&["--version"])?;
    let expected = format!("lora {}", env!("CARGO_PKG_VERSION"));
    ensure!(
        version.trim().starts_with(&expected),
        "`lora --version` says {version:?}, not {expected:?}"
    );
    lora(&["demo", "--fast", "--output", "demo", "--quiet"])?;
    fs::write(folder.join("rows.csv"), rows()).context("rows.csv")?;
    let train = "train --model minilm-l6 --data rows.csv --output run --learning-rate 2e-3 --num-train-epochs 1 \
                 --per-device-train-batch-size 4 --quiet";
    lora(&train.split_whitespace().collect::<Vec<_>>())?;
    ensure!(
        folder.join("run/README.md").is_file(),
        "the training wrote no model card"
    );
    let predicted = lora(&["predict", "--adapter", "run", "--json", "a gripping film"])?;
    ensure!(
        predicted.contains("\"probabilities\""),
        "`lora predict` says {predicted:?}"
    );
    let mut server = Command::new(of_environment("lora"));
    server
        .args(["serve", "run", "--port", "0", "--quiet"])
        .current_dir(folder);
    server.env("HF_HUB_OFFLINE", "1").env("HF_HOME", folder);
    let mut server = server
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start lora serve")?;
    let answered = ask(&mut server);
    server.kill().context("cannot end lora serve")?;
    server.wait().context("lora serve")?;
    let answer = answered?;
    ensure!(
        answer.contains("\"probabilities\""),
        "`lora serve` answers {answer:?}"
    );
    println!("passed: lora serve run");
    Ok(())
}

/// What a server answers that has told its address.
fn ask(server: &mut Child) -> Result<String> {
    let mut address = String::new();
    let stdout = server.stdout.take().context("what lora serve says")?;
    BufReader::new(stdout)
        .read_line(&mut address)
        .context("what lora serve says")?;
    let host = address
        .trim()
        .strip_prefix("http://")
        .context("lora serve tells no address")?;
    let body = "{\"text\": \"a gripping film\"}";
    let mut stream = TcpStream::connect(host).with_context(|| format!("cannot connect to {host}"))?;
    write!(
        stream,
        "POST /predict HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .context("the answer of lora serve")?;
    Ok(answer)
}

/// Runs a command to its end; what it said is shown if it fails.
fn finish(command: &mut Command) -> Result<Output> {
    let shown = format!("{command:?}");
    let output = command
        .output()
        .with_context(|| format!("cannot start {shown}"))?;
    ensure!(
        output.status.success(),
        "{shown} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output)
}
