//! Why a server does not start, and why a request is not answered.

use std::io;
use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use thiserror::Error;

/// A server that cannot run.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Others would reach it without a token.
    #[error(
        "{host} is reached from other machines, and there is no token; give one with --token-file, or say --allow-without-token where \
         something else keeps strangers out"
    )]
    NoToken {
        /// The address.
        host: IpAddr,
    },
    /// A token that no header can hold.
    #[error(
        "the token is empty or has characters other than visible ASCII; give one word, such as 32 random letters and digits"
    )]
    Token,
    /// A limit that leaves no room.
    #[error("{name} is {value}; expected {expected}")]
    Setting {
        /// Its name.
        name: &'static str,
        /// What was given.
        value: usize,
        /// What is expected.
        expected: &'static str,
    },
    /// A name that no path can hold, or none where a folder gives none.
    #[error("`{given}` gives no name for the adapter; choose one of letters, digits, `-`, `_` and `.`")]
    Name {
        /// What was given.
        given: String,
    },
    /// A name that is taken.
    #[error("there is an adapter named `{name}` already; give another name, or drop that one first")]
    Taken {
        /// The name.
        name: String,
    },
    /// An adapter that cannot be served.
    #[error("adapter `{name}`")]
    Adapter {
        /// Its name.
        name: String,
        /// Why.
        source: Box<lora_pipeline::Error>,
    },
    /// An address that cannot be listened at.
    #[error("cannot listen at {address}; give another --host or --port, or end what listens there")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A thread or socket that the system does not give.
    #[error("the system gives no {what}")]
    System {
        /// What.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// A request that is not answered: with the part of it that is wrong, and why.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}{reason}", field.as_ref().map(|field| format!("{field}: ")).unwrap_or_default())]
pub struct CallError {
    /// Of the answer.
    pub status: StatusCode,
    /// As in `texts[3]`; none where it is no part of the body.
    pub field: Option<String>,
    /// Why.
    pub reason: String,
}

impl CallError {
    pub(crate) fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            field: None,
            reason: reason.into(),
        }
    }

    /// A part of the body that cannot be used.
    pub(crate) fn field(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, reason)
        }
    }
}

/// Seconds until a client that was turned away may come back: a full queue is worked off in less.
const RETRY_SECONDS: &str = "1";

impl IntoResponse for CallError {
    fn into_response(self) -> Response {
        let mut error = json!({"status": self.status.as_u16(), "reason": self.reason});
        if let Some(field) = self.field {
            error["field"] = field.into();
        }
        let mut response = (self.status, Json(json!({"error": error}))).into_response();
        let header = match self.status {
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                Some((RETRY_AFTER, RETRY_SECONDS))
            }
            StatusCode::UNAUTHORIZED => Some((WWW_AUTHENTICATE, "Bearer")),
            _ => None,
        };
        if let Some((name, value)) = header {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
