//! The paper's four variants over the probability of the masks: masks in training or not, at test or not.

use lora_core::Rescale;

use super::{
    Curve, Line, by_name, is_ensemble, is_mean, kept, mask_probability, members, reference_configuration,
    sets_masks, values,
};
use crate::report::choice::Method;
use crate::report::results::Configuration;
use crate::report::tables::TaskComparison;
use crate::sweep::inference_method::InferenceMethod;

/// For each method whose masks have several probabilities the four variants, as far as they were computed, and the forgotten
/// factor of plain masks.
pub(super) fn curves<'a>(judged: &TaskComparison<'a>, reference: &Method) -> Vec<Curve<'a>> {
    let curves = by_name(judged).filter_map(|(method, own)| {
        let trained = mask_probability(&own);
        let probabilities = values(&own, &trained);
        if probabilities.len() < 2 {
            return None;
        }
        let with_masks = own
            .iter()
            .find(|configuration| trained(configuration) > Some(0.0));
        let rescale = with_masks.map(|configuration| rescale_of(configuration))?;
        let others = kept(
            &judged.task.configurations,
            |configuration| matches!(at_test(configuration), Some((_, at)) if at == rescale),
        );
        let of = |keep: fn(&Configuration<'_>) -> bool| kept(own.iter().copied(), keep);
        let ensembles = of(is_ensemble);
        let sizes = values(&ensembles, |configuration| Some(members(configuration)));
        // As many members as Drop_test has, so that the two differ in the training alone.
        let wanted = others.first().map(|configuration| members(configuration));
        let size = wanted
            .filter(|size| sizes.contains(size))
            .or(sizes.last().copied());
        let of_size = kept(ensembles, |configuration| Some(members(configuration)) == size);
        let size = size.unwrap_or(1.0);
        let drop_test = Line::of(drop_test_name(&others), &others, |configuration| {
            Some(at_test(configuration)?.0)
        });
        let lines = [
            reference_configuration(judged, reference).map(|configuration| {
                Line::level(
                    format!("NoDrop: {}", reference.name()),
                    configuration,
                    &probabilities,
                )
            }),
            Line::of("Drop_train: mean pass", &of(is_mean), &trained),
            Line::of(format!("Drop: ensemble of {size}"), &of_size, &trained),
            drop_test,
            Line::of("whole update, a mistake", &of(is_full_update), &trained),
        ];
        Some(Curve {
            title: format!("{method}: the variants over the probability of the masks"),
            axis: "p of the masks",
            lines: lines.into_iter().flatten().collect(),
        })
    });
    curves.filter(|curve| curve.lines.len() > 1).collect()
}

fn drop_test_name(configurations: &[&Configuration<'_>]) -> String {
    let Some(first) = configurations.first() else {
        return String::new();
    };
    format!(
        "Drop_test: {}, ensemble of {}",
        first.method,
        first.prediction.members()
    )
}

/// p and rescaling of masks that only the prediction has.
fn at_test(configuration: &Configuration<'_>) -> Option<(f64, Rescale)> {
    match configuration.prediction {
        InferenceMethod::Ensemble {
            masks: Some(masks), ..
        } if !sets_masks(configuration) => Some((masks.probability, masks.rescale)),
        _ => None,
    }
}

fn rescale_of(configuration: &Configuration<'_>) -> Rescale {
    match configuration
        .settings
        .get("mask_rescale")
        .and_then(|value| value.as_str())
    {
        Some("rescaled") => Rescale::Rescaled,
        _ => Rescale::Plain,
    }
}

fn is_full_update(configuration: &Configuration<'_>) -> bool {
    *configuration.prediction == InferenceMethod::FullUpdate
}
