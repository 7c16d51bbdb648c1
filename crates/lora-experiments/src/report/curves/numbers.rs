//! Curves over any other numeric setting that a grid varies, such as the rank, with what does not vary it as level lines.

use itertools::Itertools as _;

use super::{Curve, Line};
use crate::report::choice::{Method, choose, of_method, varied};
use crate::report::figures::MOST_LINES;
use crate::report::results::Configuration;
use crate::report::tables::TaskComparison;

/// Settings with curves of their own.
const ELSEWHERE: [&str; 1] = ["mask_probability"];

/// For each setting all methods in one chart; a chart for each kind of prediction where these are too many lines.
pub(super) fn curves<'a>(judged: &TaskComparison<'a>) -> Vec<Curve<'a>> {
    let methods: Vec<Method> = judged
        .task
        .configurations
        .iter()
        .map(Method::of)
        .unique()
        .collect();
    let kin = |method: &Method| of_method(&judged.task, method);
    let keys = methods.iter().flat_map(|method| varied(&kin(method))).unique();
    let mut curves = Vec::new();
    for key in keys.filter(|key| !ELSEWHERE.contains(&key.as_str())) {
        let value = |configuration: &Configuration<'_>| configuration.setting(&key)?.as_f64();
        let curve_of = |method: &Method| Line::of(method.name(), &kin(method), value);
        let curves_of_families: Vec<_> = methods.iter().map(|method| (method, curve_of(method))).collect();
        // A level line is as long as the curves beside it.
        let mut at: Vec<f64> = curves_of_families
            .iter()
            .flat_map(|(_, curve)| curve.iter().flat_map(|curve| &curve.points))
            .map(|(at, _)| *at)
            .collect();
        at.sort_by(f64::total_cmp);
        at.dedup();
        let mut lines = Vec::new();
        for (method, curve) in curves_of_families {
            let level = || {
                choose(&kin(method), false)
                    .map(|configuration| Line::level(method.name(), configuration, &at))
            };
            lines.extend(curve.or_else(level).map(|line| (method.kind, line)));
        }
        if lines.iter().all(|(_, line)| line.is_level) {
            continue;
        }
        let kinds = if lines.len() > MOST_LINES {
            lines.iter().map(|(kind, _)| Some(*kind)).unique().collect()
        } else {
            vec![None]
        };
        for kind in kinds {
            let (here, rest): (Vec<_>, Vec<_>) = lines
                .into_iter()
                .partition(|(of, _)| kind.is_none_or(|kind| kind == *of));
            lines = rest;
            let mut here: Vec<Line<'a>> = here.into_iter().map(|(_, line)| line).collect();
            here.truncate(MOST_LINES);
            if here.iter().any(|line| !line.is_level) {
                let of = kind.map(|kind| format!(", {kind}")).unwrap_or_default();
                curves.push(Curve {
                    title: format!("{}{of}", words(&key)),
                    axis: axis(&key),
                    lines: here,
                });
            }
        }
    }
    curves
}

fn words(key: &str) -> String {
    match key {
        "r" => "The rank of the adapters".to_owned(),
        "masks_per_step" => {
            "Masks a step, each a pass of its own, against one pass with several masks".to_owned()
        }
        "lora_dropout" => "The probability of input dropout".to_owned(),
        other => other.to_owned(),
    }
}

fn axis(key: &str) -> &'static str {
    match key {
        "r" => "rank r",
        "masks_per_step" => "masks a step",
        "lora_dropout" => "p of the input dropout",
        _ => "value of the setting",
    }
}
