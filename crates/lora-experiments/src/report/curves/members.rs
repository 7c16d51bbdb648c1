//! Curves over N, the members of an ensemble: one line for each p, and one for each way to average.

use lora_eval::Average;

use super::{Curve, Line, changed, distinct, members, reference_variant, values};
use crate::report::choice::{Family, choose};
use crate::report::results::Variant;
use crate::report::tables::Judged;
use crate::sweep::prediction::Prediction;

/// Lines for values of p, at most: more cannot be told apart.
const MOST: usize = 4;

/// For each kind of ensemble with several sizes.
pub(super) fn curves<'a>(judged: &Judged<'a>, reference: &Family) -> Vec<Curve<'a>> {
    let variants = &judged.study.variants;
    let families = distinct(variants.iter().map(Family::of));
    let mut curves = Vec::new();
    for family in families {
        let kin: Vec<&Variant<'a>> = variants
            .iter()
            .filter(|variant| Family::of(variant) == family && average(variant).is_some())
            .collect();
        let sizes = values(&kin, |variant| Some(members(variant)));
        if sizes.len() < 2 {
            continue;
        }
        let level = || {
            reference_variant(judged, reference).map(|variant| Line::level(reference.name(), variant, &sizes))
        };
        let of_average = |wanted: Average| -> Vec<&Variant<'a>> {
            let of = kin.iter().filter(|variant| average(variant) == Some(wanted));
            of.copied().collect()
        };
        let usual = of_average(Average::Probabilities);
        let lines = level().into_iter().chain(by_probability(&usual));
        curves.push(Curve {
            title: format!("{}: the number of members", family.name()),
            axis: "N, members",
            lines: lines.collect(),
        });
        let logits = of_average(Average::Logits);
        // One p for both, so that they differ in the average alone.
        let chosen = choose(&kin, false).and_then(probability);
        let both = [("averaged probabilities", usual), ("averaged logits", logits)];
        let both: Vec<Line<'a>> = both
            .into_iter()
            .filter_map(|(name, mut variants)| {
                variants.retain(|variant| probability(variant) == chosen);
                Line::of(name, &variants, |variant| Some(members(variant)))
            })
            .collect();
        if both.len() == 2 {
            let p = chosen.map(|p| format!(", p {p}")).unwrap_or_default();
            curves.push(Curve {
                title: format!("{}{p}: what is averaged", family.name()),
                axis: "N, members",
                lines: both,
            });
        }
    }
    curves.retain(|curve| curve.lines.iter().any(|line| !line.is_level));
    curves
}

/// A line for each probability of masks or of input dropout; the settings that validation rows choose where there are too many.
fn by_probability<'a>(kin: &[&Variant<'a>]) -> Vec<Line<'a>> {
    let all = values(kin, probability);
    if all.len() < 2 || all.len() > MOST {
        let name = all.first().filter(|_| all.len() == 1);
        let name = name.map_or("p chosen".to_owned(), |p| format!("p {p}"));
        return Line::of(name, kin, |variant| Some(members(variant)))
            .into_iter()
            .collect();
    }
    let line = |p: f64| {
        let here = kin.iter().filter(|variant| probability(variant) == Some(p));
        let here: Vec<&Variant<'a>> = here.copied().collect();
        Line::of(format!("p {p}"), &here, |variant| Some(members(variant)))
    };
    all.into_iter().filter_map(line).collect()
}

/// p of its masks, or of its input dropout.
fn probability(variant: &Variant<'_>) -> Option<f64> {
    match variant.prediction {
        Prediction::Ensemble {
            masks: Some(masks), ..
        } => Some(masks.probability),
        _ => changed(variant, "mask_probability").or_else(|| changed(variant, "lora_dropout")),
    }
}

fn average(variant: &Variant<'_>) -> Option<Average> {
    match variant.prediction {
        Prediction::Mean | Prediction::FullUpdate => None,
        several => Some(several.average()),
    }
}
