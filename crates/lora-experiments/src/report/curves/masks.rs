//! The paper's four variants over the probability of the masks: masks in training or not, at test or not.

use lora_core::Rescale;

use super::{
    Curve, Line, changed, distinct, is_ensemble, is_mean, mask_probability, members, reference_variant,
    values,
};
use crate::report::choice::Family;
use crate::report::results::Variant;
use crate::report::tables::Judged;
use crate::sweep::prediction::Prediction;

/// For each method whose masks have several probabilities the four variants, as far as they were computed, and the forgotten
/// factor of plain masks.
pub(super) fn curves<'a>(judged: &Judged<'a>, reference: &Family) -> Vec<Curve<'a>> {
    let variants: Vec<&Variant<'a>> = judged.study.variants.iter().collect();
    let methods = distinct(variants.iter().map(|variant| variant.method));
    let curves = methods.into_iter().filter_map(|method| {
        let own: Vec<&Variant<'a>> = variants
            .iter()
            .filter(|variant| variant.method == method)
            .copied()
            .collect();
        let trained = mask_probability(&own);
        let probabilities = values(&own, &trained);
        if probabilities.len() < 2 {
            return None;
        }
        let with_masks = own.iter().find(|variant| trained(variant) > Some(0.0));
        let rescale = with_masks.map(|variant| rescale_of(variant))?;
        let others: Vec<&Variant<'a>> = variants
            .iter()
            .filter(|variant| matches!(at_test(variant), Some((_, at)) if at == rescale))
            .copied()
            .collect();
        let ensembles: Vec<&Variant<'a>> = own
            .iter()
            .filter(|variant| is_ensemble(variant))
            .copied()
            .collect();
        let sizes = values(&ensembles, |variant| Some(members(variant)));
        // As many members as Drop_test has, so that the two differ in the training alone.
        let wanted = others.first().map(|variant| members(variant));
        let size = wanted
            .filter(|size| sizes.contains(size))
            .or(sizes.last().copied());
        let of = |keep: fn(&Variant<'_>) -> bool| -> Vec<&Variant<'a>> {
            own.iter().filter(|variant| keep(variant)).copied().collect()
        };
        let of_size: Vec<&Variant<'a>> = ensembles
            .into_iter()
            .filter(|variant| Some(members(variant)) == size)
            .collect();
        let size = size.unwrap_or(1.0);
        let drop_test = || {
            Line::of(drop_test_name(&others), &others, |variant| {
                Some(at_test(variant)?.0)
            })
        };
        let lines = [
            reference_variant(judged, reference)
                .map(|variant| Line::level(format!("NoDrop: {}", reference.name()), variant, &probabilities)),
            Line::of("Drop_train: mean pass", &of(is_mean), &trained),
            Line::of(format!("Drop: ensemble of {size}"), &of_size, &trained),
            drop_test(),
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

fn drop_test_name(variants: &[&Variant<'_>]) -> String {
    let Some(first) = variants.first() else {
        return String::new();
    };
    format!(
        "Drop_test: {}, ensemble of {}",
        first.method,
        first.prediction.members()
    )
}

/// p and rescaling of masks that only the prediction has.
fn at_test(variant: &Variant<'_>) -> Option<(f64, Rescale)> {
    match variant.prediction {
        Prediction::Ensemble {
            masks: Some(masks), ..
        } if changed(variant, "mask_probability").is_none() => Some((masks.probability, masks.rescale)),
        _ => None,
    }
}

fn rescale_of(variant: &Variant<'_>) -> Rescale {
    match variant
        .settings
        .get("mask_rescale")
        .and_then(|value| value.as_str())
    {
        Some("rescaled") => Rescale::Rescaled,
        _ => Rescale::Plain,
    }
}

fn is_full_update(variant: &Variant<'_>) -> bool {
    *variant.prediction == Prediction::FullUpdate
}
