//! Start, run, end.

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::sync::watch;

use crate::adapters::{NamedFolder, OpenOptions, ServedAdapters};
use crate::error::ServeError;
use crate::metrics::ServerMetrics;
use crate::question::QueuedText;
use crate::queue::BatchQueue;
use crate::router::router;
use crate::settings::ServeSettings;
use crate::worker::start_workers;

/// What answers requests.
#[derive(Debug)]
pub(crate) struct Service {
    pub settings: ServeSettings,
    pub adapters: ServedAdapters,
    pub queue: Arc<BatchQueue<QueuedText>>,
    pub metrics: Arc<ServerMetrics>,
    is_ending: AtomicBool,
    /// Requests that were admitted and are not answered.
    under_way: watch::Sender<usize>,
}

/// A request that the server waits for before it ends.
pub(crate) struct Admitted<'a>(&'a Service);

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.0.under_way.send_modify(|count| *count -= 1);
    }
}

impl Service {
    pub fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::SeqCst)
    }

    /// Counts a request; none while the server ends.
    pub fn admit(&self) -> Option<Admitted<'_>> {
        // Counted first: whoever ends the server either sees it, or is seen here.
        self.under_way.send_modify(|count| *count += 1);
        let admitted = Admitted(self);
        (!self.is_ending()).then_some(admitted)
    }

    /// Admits nothing more, and waits until what was admitted is answered.
    async fn drain(&self) {
        self.is_ending.store(true, Ordering::SeqCst);
        self.queue.hurry();
        // The sender lives as long as the service.
        let _ = self.under_way.subscribe().wait_for(|count| *count == 0).await;
    }
}

/// A server that listens, with its adapters in memory.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    service: Arc<Service>,
    workers: Vec<JoinHandle<()>>,
}

impl Server {
    /// Loads the adapters and listens; requests are answered once it runs.
    ///
    /// # Errors
    ///
    /// [`ServeError`]: a setting, an adapter, or an address that does not work.
    pub fn start(
        settings: ServeSettings,
        options: OpenOptions,
        adapters: &[NamedFolder],
    ) -> Result<Self, ServeError> {
        settings.check()?;
        // Before minutes of loading.
        let address = settings.address;
        let bind = |source| ServeError::Bind { address, source };
        let listener = TcpListener::bind(address).map_err(bind)?;
        listener.set_nonblocking(true).map_err(bind)?;
        let bound = listener.local_addr().map_err(bind)?;
        let service = Service {
            adapters: ServedAdapters::new(options),
            queue: Arc::new(BatchQueue::new(settings.batches)),
            metrics: Arc::new(ServerMetrics::new()),
            is_ending: AtomicBool::new(false),
            under_way: watch::Sender::new(0),
            settings,
        };
        for adapter in adapters {
            service.adapters.load(adapter)?;
            tracing::info!(adapter = adapter.name, "loaded");
        }
        let workers = start_workers(service.settings.workers, &service.queue, &service.metrics)?;
        Ok(Self {
            listener,
            address: bound,
            service: Arc::new(service),
            workers,
        })
    }

    /// Where it listens: with the port that the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The routes, to be asked without a socket. They answer as long as the server lives.
    pub fn router(&self) -> Router {
        router(Arc::clone(&self.service))
    }

    /// Answers requests until `stop` comes. Then what was accepted is answered, while new requests are told that the server ends (503);
    /// after that no connection is taken any more, and the workers end. A client that neither finishes its request nor goes away is
    /// waited for as long as a request may take.
    ///
    /// # Errors
    ///
    /// [`ServeError::System`] if the socket fails.
    pub async fn run(mut self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let system = |source| ServeError::System {
            what: "socket",
            source,
        };
        let listener = self
            .listener
            .try_clone()
            .and_then(tokio::net::TcpListener::from_std);
        let listener = listener.map_err(system)?;
        let (service, routes) = (Arc::clone(&self.service), self.router());
        tracing::info!(address = %self.address, "listening");
        let (ended, ending) = tokio::sync::oneshot::channel::<()>();
        let stopped = async move {
            stop.await;
            tracing::info!(
                waiting = service.queue.len(),
                "ending: answering what was accepted"
            );
            drop(ended);
            service.drain().await;
        };
        let limit = self.service.settings.requests.time;
        let too_late = async move {
            let _ = ending.await;
            tokio::time::sleep(limit).await;
        };
        // An answer is one small packet: nothing is won by holding it back.
        let listener = listener.tap_io(|socket| {
            let _ = socket.set_nodelay(true);
        });
        let serving = axum::serve(listener, routes).with_graceful_shutdown(stopped);
        let outcome = tokio::select! {
            outcome = serving => outcome.map_err(system),
            () = too_late => {
                tracing::warn!("a client kept its connection open; it is cut");
                Ok(())
            }
        };
        self.end();
        tracing::info!("ended");
        outcome
    }

    /// The workers finish what is in the queue, and end.
    fn end(&mut self) {
        self.service.queue.close();
        for worker in self.workers.drain(..) {
            // Panics of the model are caught; of another one there is nothing to rescue.
            let _ = worker.join();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
