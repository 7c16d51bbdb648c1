//! Curves over N, the members of an ensemble: one line for each p, and one for each way to average.

use itertools::Itertools as _;
use lora_eval::Average;

use super::{Curve, Line, changed, kept, members, reference_configuration, values};
use crate::report::choice::{Method, choose, of_method};
use crate::report::results::Configuration;
use crate::report::tables::TaskComparison;
use crate::sweep::inference_method::InferenceMethod;

/// Lines for values of p, at most: more cannot be told apart.
const MOST: usize = 4;

/// For each kind of ensemble with several sizes.
pub(super) fn curves<'a>(judged: &TaskComparison<'a>, reference: &Method) -> Vec<Curve<'a>> {
    let methods = judged.task.configurations.iter().map(Method::of).unique();
    let mut curves = Vec::new();
    for method in methods {
        let kin = kept(of_method(&judged.task, &method), |configuration| {
            average(configuration).is_some()
        });
        let sizes = values(&kin, |configuration| Some(members(configuration)));
        if sizes.len() < 2 {
            continue;
        }
        let level = reference_configuration(judged, reference)
            .map(|configuration| Line::level(reference.name(), configuration, &sizes));
        let of_average = |wanted: Average| {
            kept(kin.iter().copied(), |configuration| {
                average(configuration) == Some(wanted)
            })
        };
        let default = of_average(Average::Probabilities);
        let lines = level.into_iter().chain(by_probability(&default));
        curves.push(Curve {
            title: format!("{}: the number of members", method.name()),
            axis: "N, members",
            lines: lines.collect(),
        });
        let logits = of_average(Average::Logits);
        // One p for both, so that they differ in the average alone.
        let chosen = choose(&kin, false).and_then(probability);
        let both = [("averaged probabilities", default), ("averaged logits", logits)];
        let both: Vec<Line<'a>> = both
            .into_iter()
            .filter_map(|(name, mut configurations)| {
                configurations.retain(|configuration| probability(configuration) == chosen);
                Line::over_members(name, &configurations)
            })
            .collect();
        if both.len() == 2 {
            let p = chosen.map(|p| format!(", p {p}")).unwrap_or_default();
            curves.push(Curve {
                title: format!("{}{p}: what is averaged", method.name()),
                axis: "N, members",
                lines: both,
            });
        }
    }
    curves.retain(|curve| curve.lines.iter().any(|line| !line.is_level));
    curves
}

/// A line for each probability of masks or of input dropout; the settings that validation rows choose where there are too many.
fn by_probability<'a>(kin: &[&Configuration<'a>]) -> Vec<Line<'a>> {
    let all = values(kin, probability);
    if all.len() < 2 || all.len() > MOST {
        let name = all.first().filter(|_| all.len() == 1);
        let name = name.map_or("p chosen".to_owned(), |p| format!("p {p}"));
        return Line::over_members(name, kin).into_iter().collect();
    }
    let line = |p: f64| {
        let here = kept(kin.iter().copied(), |configuration| {
            probability(configuration) == Some(p)
        });
        Line::over_members(format!("p {p}"), &here)
    };
    all.into_iter().filter_map(line).collect()
}

/// p of its masks, or of its input dropout.
fn probability(configuration: &Configuration<'_>) -> Option<f64> {
    match configuration.prediction {
        InferenceMethod::Ensemble {
            masks: Some(masks), ..
        } => Some(masks.probability),
        _ => changed(configuration, "mask_probability").or_else(|| changed(configuration, "lora_dropout")),
    }
}

fn average(configuration: &Configuration<'_>) -> Option<Average> {
    match configuration.prediction {
        InferenceMethod::Mean | InferenceMethod::FullUpdate => None,
        several => Some(several.average()),
    }
}
