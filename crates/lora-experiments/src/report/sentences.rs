//! What the results say, in sentences that follow from them.

use itertools::Itertools as _;
use lora_pipeline::counted::counted;

use super::against::{Verdict, pooled};
use super::choice::Method;
use super::over_tasks::{comparisons, tasks_with};
use super::results::{Configuration, Results};
use super::tables::TaskComparison;
use crate::sweep::inference_method::InferenceMethod;

/// How methods were compared.
pub const HOW_COMPARED: &str = "Settings (p, N and so on) were chosen by the loss of validation rows, never by test rows. Every method is \
    compared with the mean pass of the reference on the same test rows and seeds; a difference counts when a 95 % interval over rows and \
    seeds leaves out zero, and when it is large enough to notice. Which of several methods has the lowest loss is read off the same test \
    rows, so the best one looks a little better than it is.";

/// How much was compared.
pub fn subtitle<'r>(parts: impl Iterator<Item = (&'r str, &'r Results)>) -> String {
    let parts: Vec<String> = parts
        .map(|(name, results)| {
            let trials = results.trials.iter();
            let seeds = trials.clone().map(|trial| trial.seed).unique().count();
            let tasks = trials.map(|trial| &trial.task).unique().count();
            let colon = if name.is_empty() { "" } else { ": " };
            format!(
                "{name}{colon}{} on {} with {}",
                counted(results.trials.len(), "result"),
                counted(tasks, "task"),
                counted(seeds, "seed")
            )
        })
        .collect();
    parts.join("; ") + "."
}

/// Per cents with their sign, as it is printed.
fn signed(value: f64) -> String {
    format!("{value:+.1}").replace('-', "\u{2212}")
}

/// Which method has the lowest loss over all tasks, in one paragraph; none where nothing was compared.
pub fn leads(judged: &[TaskComparison<'_>], methods: &[Method], reference: &Method) -> Option<String> {
    let leads = [false, true].map(|is_scaled| lead(judged, methods, reference, is_scaled));
    let leads: Vec<String> = leads.into_iter().flatten().collect();
    (!leads.is_empty()).then(|| leads.join(" "))
}

/// What a reader must not overlook.
pub fn caveats(results: &Results) -> Vec<String> {
    let mut sentences = Vec::new();
    if !results.failed.is_empty() {
        sentences.push(format!(
            "{} failed and are in no table, so their methods are compared on the other seeds alone; the results file says why, and \
             `lora sweep --retry-failed` computes them again.",
            counted(results.failed.len(), "trial")
        ));
    }
    if results.replaced > 0 {
        sentences.push(format!(
            "{} of earlier calls with other rows are left out: the same seeds were computed again.",
            counted(results.replaced, "result")
        ));
    }
    sentences.extend(unfinished(results));
    if shares_members(results) {
        sentences.push(
            "The deep ensembles of different seeds have members in common, so their spread over seeds is smaller than that of \
             independent ones, and their intervals are somewhat too narrow."
                .to_owned(),
        );
    }
    sentences
}

/// The method with the lowest mean loss, whether it is lower than the reference's beyond chance, and where it wins, ties and
/// loses. None where nothing was compared.
fn lead(
    judged: &[TaskComparison<'_>],
    methods: &[Method],
    reference: &Method,
    is_scaled: bool,
) -> Option<String> {
    let most = methods
        .iter()
        .map(|method| comparisons(judged, method, is_scaled).len());
    let most = most.max()?;
    let changes = methods.iter().filter_map(|method| {
        let found = comparisons(judged, method, is_scaled);
        let (mean, interval) = pooled(found.iter().map(|(_, comparison)| *comparison))?;
        // A mean over fewer tasks is another mean.
        (found.len() == most).then_some((mean, interval, method, found))
    });
    let mut changes: Vec<_> = changes.collect();
    changes.sort_by(|left, right| left.0.total_cmp(&right.0));
    // Who is below the reference beyond chance comes first, though another may have a lower mean that chance explains.
    let certain = changes.iter().position(|(_, [_, upper], ..)| *upper < 0.0);
    let (lowest, ..) = changes.first()?;
    let lower_by_chance = certain.is_some_and(|place| place > 0).then(|| {
        let method: &Method = changes[0].2;
        format!(
            "; lower still is {}, {} %, but no more than chance explains",
            method.name(),
            signed(*lowest)
        )
    });
    let (mean, [lower, upper], method, found) = &changes[certain.unwrap_or(0)];
    let (mean, lower, upper) = (*mean, *lower, *upper);
    let count = |verdict: Verdict| tasks_with(found, verdict).len();
    let numbers = format!(
        "{} % (95 % interval {} to {}) over {}: it wins on {}, ties on {}, loses on {}",
        signed(mean),
        signed(lower),
        signed(upper),
        counted(found.len(), "task"),
        count(Verdict::Wins),
        count(Verdict::Ties),
        count(Verdict::Loses),
    );
    let (name, against) = (method.name(), reference.name());
    let nearest = if mean < 0.0 {
        "the lowest has"
    } else {
        "the nearest is"
    };
    Some(match (is_scaled, upper < 0.0) {
        (false, true) if lower_by_chance.is_none() => {
            format!("{name} has the lowest test loss: against {against} {numbers}.")
        }
        (false, true) => format!(
            "{name} has a test loss below that of {against} beyond chance: {numbers}{}.",
            lower_by_chance.unwrap_or_default()
        ),
        (false, false) => format!(
            "No method has a test loss below that of {against} beyond chance; {nearest} {name}, {numbers}."
        ),
        (true, true) => format!(
            "With temperature scaling for all: {name}, {numbers}{}.",
            lower_by_chance.unwrap_or_default()
        ),
        (true, false) => format!(
            "With temperature scaling for all, none is lower beyond chance; {nearest} {name}, {numbers}."
        ),
    })
}

/// For each method where it wins, ties and loses.
pub fn outcomes(judged: &[TaskComparison<'_>], methods: &[Method], reference: &Method) -> Vec<String> {
    let others = methods.iter().filter(|method| *method != reference);
    others
        .flat_map(|method| outcome(judged, method, reference))
        .collect()
}

/// One sentence without temperature, one with; none where nothing was compared.
fn outcome(judged: &[TaskComparison<'_>], method: &Method, reference: &Method) -> Vec<String> {
    let of = |is_scaled: bool| {
        let found = comparisons(judged, method, is_scaled);
        let parts: Vec<String> = [
            (Verdict::Wins, "lower loss on"),
            (Verdict::Loses, "higher loss on"),
            (Verdict::Ties, "no clear difference on"),
        ]
        .into_iter()
        .map(|(verdict, words)| (words, tasks_with(&found, verdict)))
        .filter(|(_, names)| !names.is_empty())
        .map(|(words, names)| format!("{words} {}", names.join(", ")))
        .collect();
        let subject = if is_scaled {
            "With a temperature for both".to_owned()
        } else {
            format!("{} against {}", method.name(), reference.name())
        };
        (!parts.is_empty()).then(|| format!("{subject}: {}.", parts.join("; ")))
    };
    match (of(false), of(true)) {
        (Some(plain), Some(scaled)) => vec![format!("{plain} {scaled}")],
        (plain, scaled) => plain.into_iter().chain(scaled).collect(),
    }
}

fn shares_members(results: &Results) -> bool {
    let deep: Vec<_> = results
        .trials
        .iter()
        .filter(|trial| matches!(trial.prediction, InferenceMethod::DeepEnsemble { .. }))
        .collect();
    deep.iter().enumerate().any(|(index, trial)| {
        deep[..index].iter().any(|other| {
            other.prediction == trial.prediction
                && other.trainings != trial.trainings
                && other
                    .trainings
                    .iter()
                    .any(|training| trial.trainings.contains(training))
        })
    })
}

/// That some have fewer seeds than others of their task, which the means do not show.
fn unfinished(results: &Results) -> Option<String> {
    let mut behind = Vec::new();
    for task in results.tasks() {
        let seeds = |configuration: &Configuration<'_>| configuration.trials.len();
        let most = task.configurations.iter().map(seeds).max().unwrap_or(0);
        let fewer = task
            .configurations
            .iter()
            .filter(|configuration| seeds(configuration) < most);
        behind.extend(fewer.map(|configuration| {
            let name = Method::of(configuration).name();
            format!("{name} on {} ({} of {most})", task.short(), seeds(configuration))
        }));
    }
    let first = behind.first()?;
    Some(format!(
        "Not finished: {} with fewer seeds than others of the task, the first of them {first}; `lora sweep` computes what did not fail.",
        counted(behind.len(), "variant")
    ))
}
