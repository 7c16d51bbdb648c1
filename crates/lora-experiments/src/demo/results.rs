//! What the demo found, as it goes to results.json.

use serde::{Deserialize, Serialize};

use super::base_rates::BaseRates;
use super::plan::{Method, Plan};
use super::study::MethodRun;

/// Settings and every run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DemoResults {
    /// Sizes and settings.
    pub plan: Plan,
    /// Every method with every seed.
    pub runs: Vec<MethodRun>,
    /// A model that reads nothing, with every seed.
    pub base_rates: Vec<BaseRates>,
    /// Of the whole demo.
    pub seconds: f64,
}

impl DemoResults {
    /// Settings and runs.
    pub fn new(plan: Plan, runs: Vec<MethodRun>, base_rates: Vec<BaseRates>, seconds: f64) -> Self {
        Self {
            plan,
            runs,
            base_rates,
            seconds,
        }
    }

    /// The runs of a method, in the order of the seeds.
    pub fn of(&self, method: Method) -> impl Iterator<Item = &MethodRun> + Clone {
        self.runs.iter().filter(move |run| run.method == method)
    }
}
