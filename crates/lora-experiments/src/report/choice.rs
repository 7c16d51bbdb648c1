//! Which settings stand for a method: those with the smallest loss on validation rows. Test rows have no say.

use std::collections::BTreeSet;

use itertools::Itertools as _;

use super::measure::Measure;
use super::results::{Configuration, Results, TaskResults};
use crate::sweep::inference_method::InferenceMethod;
use crate::sweep::settings;

/// A method with a kind of prediction: what is compared once its settings are chosen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Method {
    /// Name of the method.
    pub method: String,
    /// Kind of the prediction.
    pub kind: &'static str,
}

impl Method {
    /// The method of a configuration.
    pub fn of(configuration: &Configuration<'_>) -> Self {
        Self {
            method: configuration.method.to_owned(),
            kind: configuration.prediction.kind(),
        }
    }

    /// In words.
    pub fn name(&self) -> String {
        if self.kind == InferenceMethod::Mean.kind() {
            self.method.clone()
        } else {
            format!("{}, {}", self.method, self.kind)
        }
    }
}

/// A method on one task, with the settings that the validation rows chose.
#[derive(Clone, Debug)]
pub struct SelectedConfiguration<'a> {
    /// Which method.
    pub method: Method,
    /// The choice where no temperature is used, and where it is; the latter is none for a regression, and where the validation
    /// rows of a seed determine no temperature.
    pub chosen: [Option<Configuration<'a>>; 2],
    /// Settings that there were to choose from.
    pub candidates: usize,
}

impl<'a> SelectedConfiguration<'a> {
    /// The choice without or with temperature.
    pub fn configuration(&self, is_scaled: bool) -> Option<&Configuration<'a>> {
        self.chosen[usize::from(is_scaled)].as_ref()
    }
}

/// The methods of all tasks, in the order of the files.
pub fn methods(results: &Results) -> Vec<Method> {
    let tasks = results.tasks();
    let all = tasks.iter().flat_map(|task| &task.configurations);
    all.map(Method::of).unique().collect()
}

/// The configurations of a method on a task.
pub fn of_method<'c, 'a>(task: &'c TaskResults<'a>, method: &Method) -> Vec<&'c Configuration<'a>> {
    let all = task.configurations.iter();
    all.filter(|configuration| Method::of(configuration) == *method)
        .collect()
}

/// The methods of a task, each with its choice.
pub fn selected<'a>(task: &TaskResults<'a>) -> Vec<SelectedConfiguration<'a>> {
    let methods = task.configurations.iter().map(Method::of).unique();
    let selected = methods.map(|method| {
        let candidates = of_method(task, &method);
        SelectedConfiguration {
            chosen: [false, true].map(|is_scaled| choose(&candidates, is_scaled).cloned()),
            candidates: candidates.len(),
            method,
        }
    });
    selected.collect()
}

/// The configuration with the smallest mean loss on validation rows, among those that have all seeds; the first one of equals.
pub fn choose<'v, 'a>(
    candidates: &[&'v Configuration<'a>],
    is_scaled: bool,
) -> Option<&'v Configuration<'a>> {
    let most = candidates
        .iter()
        .map(|configuration| configuration.trials.len())
        .max()?;
    let complete = candidates
        .iter()
        .filter(|configuration| configuration.trials.len() == most);
    let with_loss = complete.filter_map(|configuration| {
        Some((
            *configuration,
            Measure::ValidationLoss.mean(configuration, is_scaled)?,
        ))
    });
    let best = with_loss.min_by(|left, right| left.1.total_cmp(&right.1))?;
    Some(best.0)
}

/// Settings in which configurations of a task differ: what a reader must be told about a choice.
pub fn varied(configurations: &[&Configuration<'_>]) -> BTreeSet<String> {
    settings::varied(configurations.iter().map(|configuration| configuration.settings))
}
