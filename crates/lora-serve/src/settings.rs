//! Where the server listens, and its limits.

use std::net::SocketAddr;
use std::time::Duration;

use crate::access::BearerToken;
use crate::error::ServeError;

/// More workers than a processor has cores.
const MOST_WORKERS: usize = 1024;

/// How a server runs.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// Where it listens; port 0 for a free one.
    pub address: SocketAddr,
    /// What requests must carry; none: whoever reaches the address may ask.
    pub token: Option<BearerToken>,
    /// Whether others than this machine may ask without a token.
    pub allow_without_token: bool,
    /// What becomes a batch.
    pub batches: BatchLimits,
    /// What a request may hold.
    pub requests: RequestLimits,
    /// Batches that are computed side by side, each on its share of the threads.
    pub workers: usize,
}

/// What becomes a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchLimits {
    /// Texts of a batch, at most.
    pub texts: usize,
    /// How long a text waits for others to share its batch, at most.
    pub wait: Duration,
    /// Texts that wait, at most.
    pub queue: usize,
}

/// What a request may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// Texts, at most.
    pub texts: usize,
    /// Bytes of the body, at most.
    pub body: usize,
    /// How long it may take, from its head to its answer.
    pub time: Duration,
}

impl ServeSettings {
    /// The defaults at an address: without token, so for this machine alone.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            token: None,
            allow_without_token: false,
            batches: BatchLimits::default(),
            requests: RequestLimits::default(),
            workers: 1,
        }
    }

    /// Refuses what cannot work, and an address that others reach without a token.
    ///
    /// # Errors
    ///
    /// [`ServeError::NoToken`], [`ServeError::Setting`].
    pub fn check(&self) -> Result<(), ServeError> {
        if self.token.is_none() && !self.allow_without_token && !self.is_local() {
            return Err(ServeError::NoToken {
                host: self.address.ip(),
            });
        }
        let positive = [
            ("--max-batch-size", self.batches.texts),
            ("--max-texts", self.requests.texts),
            ("--max-body-bytes", self.requests.body),
            ("--workers", self.workers),
        ];
        for (name, value) in positive {
            if value == 0 {
                return Err(ServeError::Setting {
                    name,
                    value,
                    expected: "at least 1",
                });
            }
        }
        if self.workers > MOST_WORKERS {
            return Err(ServeError::Setting {
                name: "--workers",
                value: self.workers,
                expected: "at most 1024: each has threads of its own, and more than the processor has cores make nothing faster",
            });
        }
        if self.batches.queue < self.requests.texts {
            return Err(ServeError::Setting {
                name: "--max-queue",
                value: self.batches.queue,
                expected: "at least --max-texts, else a full request never finds room",
            });
        }
        Ok(())
    }

    /// Whether only this machine reaches the address.
    pub fn is_local(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }
}

impl Default for BatchLimits {
    fn default() -> Self {
        Self {
            texts: 32,
            wait: Duration::from_millis(2),
            queue: 1024,
        }
    }
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self {
            texts: 256,
            body: 1 << 20,
            time: Duration::from_secs(30),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(address: &str) -> ServeSettings {
        ServeSettings::new(address.parse().expect("an address"))
    }

    #[test]
    fn an_address_for_others_needs_a_token_or_a_word() {
        for local in ["127.0.0.1:0", "127.8.0.1:0", "[::1]:0", "[::ffff:127.0.0.1]:0"] {
            assert!(at(local).check().is_ok(), "{local}");
        }
        for open in ["0.0.0.0:0", "192.168.1.7:0", "[::]:0"] {
            let error = at(open).check().expect_err(open);
            assert!(error.to_string().contains("--token-file"), "{error}");
            let token = BearerToken::new("a-secret-word").ok();
            assert!(ServeSettings { token, ..at(open) }.check().is_ok(), "{open}");
            let allowed = ServeSettings {
                allow_without_token: true,
                ..at(open)
            };
            assert!(allowed.check().is_ok(), "{open}");
        }
    }

    #[test]
    fn no_more_workers_are_started_than_any_processor_has_cores() {
        let with = |workers| ServeSettings {
            workers,
            ..at("127.0.0.1:0")
        };
        assert!(with(MOST_WORKERS).check().is_ok());
        let error = with(MOST_WORKERS + 1).check().expect_err("too many");
        assert!(error.to_string().contains("--workers is 1025"), "{error}");
    }

    #[test]
    fn a_queue_holds_at_least_one_full_request() {
        let mut settings = at("127.0.0.1:0");
        settings.batches.queue = settings.requests.texts - 1;
        let error = settings.check().expect_err("too short");
        assert!(error.to_string().contains("--max-queue"), "{error}");
    }
}
