//! MLflow's REST API, as far as a training needs it: an experiment by name, a run, its parameters, values and end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http::{HttpError, JsonServer, text};

/// Nobody waits for an answer but the end of the training.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

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

pub(super) struct MlflowClient(JsonServer);

impl MlflowClient {
    /// Of the server at this address; `token` is sent as bearer token.
    pub fn new(address: &str, token: Option<&str>) -> Self {
        Self(JsonServer::new(address, token, LONGEST_WAIT))
    }

    /// The id of the experiment with this name, which is made if there is none.
    pub fn experiment(&self, name: &str) -> Result<String, HttpError> {
        const GET: &str = "/api/2.0/mlflow/experiments/get-by-name";
        const CREATE: &str = "/api/2.0/mlflow/experiments/create";
        let get = || {
            let found = self.0.get(GET, ("experiment_name", name))?;
            text(GET, &found["experiment"]["experiment_id"], "experiment_id")
        };
        match get() {
            Err(error) if error.is_status(404) => {}
            found => return found,
        }
        match self.0.post(CREATE, &json!({ "name": name })) {
            Ok(made) => text(CREATE, &made["experiment_id"], "experiment_id"),
            // Somebody else may have made it in between.
            Err(error) if error.is_status(400) => get().map_err(|_| error),
            Err(error) => Err(error),
        }
    }

    /// The id of a new run.
    pub fn begin(&self, experiment: &str, name: &str, time: u64) -> Result<String, HttpError> {
        const PATH: &str = "/api/2.0/mlflow/runs/create";
        let body = json!({"experiment_id": experiment, "run_name": name, "start_time": time});
        let made = self.0.post(PATH, &body)?;
        text(PATH, &made["run"]["info"]["run_id"], "run_id")
    }

    /// Parameters (at most 100) and values (at most 1000) of a run.
    pub fn log(&self, run: &str, params: &[Value], metrics: &[Value]) -> Result<(), HttpError> {
        let body = json!({"run_id": run, "params": params, "metrics": metrics});
        self.0.post("/api/2.0/mlflow/runs/log-batch", &body).map(|_| ())
    }

    pub fn end(&self, run: &str, status: RunStatus, time: u64) -> Result<(), HttpError> {
        let body = json!({"run_id": run, "status": status.word(), "end_time": time});
        self.0.post("/api/2.0/mlflow/runs/update", &body).map(|_| ())
    }

    /// Where people look at a run.
    pub fn page(&self, experiment: &str, run: &str) -> String {
        format!("{}/#/experiments/{experiment}/runs/{run}", self.0.address)
    }
}
