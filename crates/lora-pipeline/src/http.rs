//! Requests with JSON to a server: MLflow's, the hub's. The client is the one that `hf-hub` brings.

use std::time::Duration;

use serde_json::Value;
use thiserror::Error;

/// How long a server may take to be there.
const CONNECT: Duration = Duration::from_secs(5);
/// Characters of what a server says that are worth repeating.
const LONGEST_QUOTE: usize = 200;

/// A request that did what it should not.
#[derive(Debug, Error)]
pub enum HttpError {
    /// No answer.
    #[error("{what}: no answer: {source}")]
    Unreachable {
        /// What was asked.
        what: String,
        /// Why there is none.
        source: Box<ureq::Transport>,
    },
    /// An answer that is no success.
    #[error("{what} is answered by {status}{}", quoted(message))]
    Refused {
        /// What was asked.
        what: String,
        /// The number of the answer.
        status: u16,
        /// What the server says.
        message: String,
    },
    /// A success without what it should hold.
    #[error("the answer to {what} holds no {expected}; is this the address of such a server?")]
    Answer {
        /// What was asked.
        what: String,
        /// What was looked for.
        expected: &'static str,
    },
}

fn quoted(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(" ({message})")
    }
}

impl HttpError {
    /// An answer to this without what it should hold.
    pub(crate) fn missing(what: &str, expected: &'static str) -> Self {
        Self::Answer {
            what: what.to_owned(),
            expected,
        }
    }

    /// Whether the same request may work later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || [408, 429].contains(status),
            Self::Answer { .. } => false,
        }
    }

    /// Whether the server answered so.
    pub(crate) fn is_status(&self, expected: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == expected)
    }
}

/// A server.
pub(crate) struct JsonServer {
    agent: ureq::Agent,
    /// Without a slash at its end.
    pub address: String,
    authorization: Option<String>,
}

impl JsonServer {
    /// At this address; `token` is sent as bearer token. Connection apart, an answer may take so long.
    pub fn new(address: &str, token: Option<&str>, answer: Duration) -> Self {
        let agent = ureq::AgentBuilder::new().timeout_connect(CONNECT);
        Self {
            agent: agent.timeout(answer).build(),
            address: address.trim_end_matches('/').to_owned(),
            authorization: token.map(|token| format!("Bearer {token}")),
        }
    }

    /// Asks for what is at a path with a query of one pair.
    pub fn get(&self, path: &str, (key, value): (&str, &str)) -> Result<Value, HttpError> {
        let request = self.request("GET", path).query(key, value);
        answer(path, request.call())
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value, HttpError> {
        answer(path, self.request("POST", path).send_json(body))
    }

    /// As [`JsonServer::post`], with a body of this kind.
    pub fn post_as(&self, path: &str, kind: &str, body: &str) -> Result<Value, HttpError> {
        let request = self
            .request("POST", path)
            .set("content-type", kind)
            .set("accept", kind);
        answer(path, request.send_string(body))
    }

    /// Sends bytes to another server, which takes them without knowing who sends them.
    pub fn put(&self, address: &str, bytes: &[u8]) -> Result<(), HttpError> {
        // The query is a signature.
        let host = address.split('?').next().unwrap_or(address);
        answer(host, self.agent.put(address).send_bytes(bytes)).map(|_| ())
    }

    /// Of a path here, or of a whole address. Another server is not told who asks.
    fn request(&self, method: &str, path: &str) -> ureq::Request {
        let here = path.strip_prefix(&self.address).unwrap_or(path);
        if !here.starts_with('/') {
            return self.agent.request(method, path);
        }
        let request = self.agent.request(method, &format!("{}{here}", self.address));
        match &self.authorization {
            Some(authorization) => request.set("authorization", authorization),
            None => request,
        }
    }
}

fn answer(what: &str, answered: Result<ureq::Response, ureq::Error>) -> Result<Value, HttpError> {
    let what = what.to_owned();
    match answered {
        // Of some requests the answer is empty.
        Ok(answer) => Ok(answer.into_json().unwrap_or_default()),
        Err(ureq::Error::Status(status, answer)) => {
            let body: Value = answer.into_json().unwrap_or_default();
            let message = ["message", "error"].iter().find_map(|key| body[key].as_str());
            let message = message.unwrap_or_default().chars().take(LONGEST_QUOTE).collect();
            Err(HttpError::Refused {
                what,
                status,
                message,
            })
        }
        Err(ureq::Error::Transport(source)) => Err(HttpError::Unreachable {
            what,
            source: Box::new(source),
        }),
    }
}

/// A text of an answer.
pub(crate) fn text(what: &str, value: &Value, expected: &'static str) -> Result<String, HttpError> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| HttpError::missing(what, expected))
}
