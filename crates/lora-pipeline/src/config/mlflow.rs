//! Where an MLflow server is.

use super::{Origins, ReportTo, Resolved, RunConfig};
use crate::error::Result;

impl Resolved {
    /// What the settings leave open is taken from these, which a program has from `MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME`. Then
    /// there must be a server if events go to one.
    ///
    /// # Errors
    ///
    /// If there is none, or its address is none.
    pub fn with_mlflow_server(mut self, address: Option<String>, experiment: Option<String>) -> Result<Self> {
        let config = &mut self.config;
        if config.report_to != ReportTo::MlFlow {
            return Ok(self);
        }
        config.mlflow_tracking_uri = config.mlflow_tracking_uri.take().or(address);
        config.mlflow_experiment_name = config.mlflow_experiment_name.take().or(experiment);
        if config.mlflow_tracking_uri.is_none() {
            let message = "report_to is mlflow, but no server is given; give mlflow_tracking_uri, such as http://127.0.0.1:5000, or set \
                           MLFLOW_TRACKING_URI";
            return Err(self.origins.at("report_to", message));
        }
        check_mlflow(&self.config, &self.origins)?;
        Ok(self)
    }
}

/// A server that nothing is sent to, or an address that is none.
pub(super) fn check_mlflow(config: &RunConfig, origins: &Origins) -> Result<()> {
    // Who says report_to: none beside a server has switched it off.
    let is_forgotten = config.report_to != ReportTo::MlFlow && origins.of("report_to").is_none();
    for (key, value) in [
        ("mlflow_tracking_uri", &config.mlflow_tracking_uri),
        ("mlflow_experiment_name", &config.mlflow_experiment_name),
    ] {
        if is_forgotten && value.is_some() {
            let message = format!(
                "{key} is given, but nothing goes to MLflow; give report_to: mlflow, or remove {key}"
            );
            return Err(origins.at(key, message));
        }
    }
    let Some(address) = &config.mlflow_tracking_uri else {
        return Ok(());
    };
    let host = ["http://", "https://"]
        .iter()
        .find_map(|scheme| address.strip_prefix(scheme));
    let Some(host) = host.filter(|host| !host.is_empty()) else {
        let message = format!(
            "mlflow_tracking_uri is `{address}`: expected the address of a server (mlflow server), such as http://127.0.0.1:5000"
        );
        return Err(origins.at("mlflow_tracking_uri", message));
    };
    if host.split('/').next().is_some_and(|host| host.contains('@')) {
        // Not repeated: it holds a password.
        let message = "mlflow_tracking_uri holds a name or a password, which would be written into the run's files; give the address \
                       alone, and a token in MLFLOW_TRACKING_TOKEN";
        return Err(origins.at("mlflow_tracking_uri", message));
    }
    Ok(())
}
