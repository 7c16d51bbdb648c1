//! MLflow's REST API, as far as a training needs it: an experiment by name, a run, its parameters, values and end.

use std::time::Duration;

use serde_json::{Value, json};
use thiserror::Error;

/// How long a server may take to be there, and to answer. Nobody waits for it but the end of the training.
const CONNECT: Duration = Duration::from_secs(5);
const ANSWER: Duration = Duration::from_secs(10);

/// A request that did what it should not.
#[derive(Debug, Error)]
pub(super) enum MlflowError {
    /// No answer.
    #[error("no answer: {0}")]
    Unreachable(Box<ureq::Transport>),
    /// An answer that is no success.
    #[error("{path} is answered by {status}{}", said(message))]
    Refused {
        path: &'static str,
        status: u16,
        message: String,
    },
    /// A success without what it should hold.
    #[error("the answer to {path} holds no {expected}; is this the address of an MLflow server?")]
    Answer {
        path: &'static str,
        expected: &'static str,
    },
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(" ({message})")
    }
}

impl MlflowError {
    /// Whether the same request may work later.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { status, .. } => *status >= 500 || [408, 429].contains(status),
            Self::Answer { .. } => false,
        }
    }

    fn is_status(&self, expected: u16) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == expected)
    }
}

/// How a run ended, in MLflow's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunStatus {
    Finished,
    Failed,
    Killed,
}

impl RunStatus {
    fn word(self) -> &'static str {
        match self {
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }
}

pub(super) struct MlflowClient {
    agent: ureq::Agent,
    address: String,
    authorization: Option<String>,
}

impl MlflowClient {
    /// Of the server at this address; `token` is sent as bearer token.
    pub fn new(address: &str, token: Option<&str>) -> Self {
        let agent = ureq::AgentBuilder::new().timeout_connect(CONNECT).timeout(ANSWER);
        Self {
            agent: agent.build(),
            address: address.trim_end_matches('/').to_owned(),
            authorization: token.map(|token| format!("Bearer {token}")),
        }
    }

    /// The id of the experiment with this name, which is made if there is none.
    pub fn experiment(&self, name: &str) -> Result<String, MlflowError> {
        const GET: &str = "experiments/get-by-name";
        const CREATE: &str = "experiments/create";
        let get = || {
            let found = self.request("GET", GET).query("experiment_name", name).call();
            let found = answer(GET, found)?;
            text(GET, &found["experiment"]["experiment_id"], "experiment_id")
        };
        let is_there = get();
        if !is_there.as_ref().is_err_and(|error| error.is_status(404)) {
            return is_there;
        }
        match self.post(CREATE, &json!({ "name": name })) {
            Ok(made) => text(CREATE, &made["experiment_id"], "experiment_id"),
            // Somebody else made it in between.
            Err(error) if error.is_status(400) => get().map_err(|_| error),
            Err(error) => Err(error),
        }
    }

    /// The id of a new run.
    pub fn begin(&self, experiment: &str, name: &str, time: u64) -> Result<String, MlflowError> {
        const PATH: &str = "runs/create";
        let body = json!({"experiment_id": experiment, "run_name": name, "start_time": time});
        let made = self.post(PATH, &body)?;
        text(PATH, &made["run"]["info"]["run_id"], "run_id")
    }

    /// Parameters (at most 100) and values (at most 1000) of a run.
    pub fn log(&self, run: &str, params: &[Value], metrics: &[Value]) -> Result<(), MlflowError> {
        let body = json!({"run_id": run, "params": params, "metrics": metrics});
        self.post("runs/log-batch", &body).map(|_| ())
    }

    pub fn end(&self, run: &str, status: RunStatus, time: u64) -> Result<(), MlflowError> {
        let body = json!({"run_id": run, "status": status.word(), "end_time": time});
        self.post("runs/update", &body).map(|_| ())
    }

    /// Where people look at a run.
    pub fn page(&self, experiment: &str, run: &str) -> String {
        format!("{}/#/experiments/{experiment}/runs/{run}", self.address)
    }

    fn post(&self, path: &'static str, body: &Value) -> Result<Value, MlflowError> {
        answer(path, self.request("POST", path).send_json(body))
    }

    fn request(&self, method: &str, path: &str) -> ureq::Request {
        let request = self
            .agent
            .request(method, &format!("{}/api/2.0/mlflow/{path}", self.address));
        match &self.authorization {
            Some(authorization) => request.set("Authorization", authorization),
            None => request,
        }
    }
}

fn answer(path: &'static str, answered: Result<ureq::Response, ureq::Error>) -> Result<Value, MlflowError> {
    match answered {
        // Of some requests the answer is empty.
        Ok(answer) => Ok(answer.into_json().unwrap_or_default()),
        Err(ureq::Error::Status(status, answer)) => {
            let body: Value = answer.into_json().unwrap_or_default();
            let message = body["message"].as_str().unwrap_or_default().to_owned();
            Err(MlflowError::Refused {
                path,
                status,
                message,
            })
        }
        Err(ureq::Error::Transport(error)) => Err(MlflowError::Unreachable(Box::new(error))),
    }
}

fn text(path: &'static str, value: &Value, expected: &'static str) -> Result<String, MlflowError> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or(MlflowError::Answer { path, expected })
}
