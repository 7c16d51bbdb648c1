//! Loss by epoch: methods on test and on training rows, and a method's masks over their probability.

use lora_report::{Figure, Panel, Series, panel_chart};

use super::{by_name, is_ensemble, is_mean, mask_probability, reference_configuration, values};
use crate::report::figures::MOST_LINES;
use crate::report::results::{Configuration, Trainings};
use crate::report::tables::TaskComparison;
use crate::sweep::inference_method::InferenceMethod;
use crate::sweep::record::{CurvePoint, CurveScore, CurveScores};

/// All pictures of a task; none without scores on the way.
pub fn of_study(judged: &TaskComparison<'_>, trainings: &Trainings) -> Vec<Figure> {
    let loss = if judged.is_regression() {
        "MSE"
    } else {
        "NLL, nats"
    };
    let methods = test_and_train(judged, trainings).map(|panels| {
        let svg = panel_chart("Loss by epoch", "epoch", loss, &panels);
        let caption =
            "Settings as chosen by validation rows; mean over the seeds that were scored on the way.";
        Figure::new(svg, caption).named("loss by epoch")
    });
    let masks = by_probability(judged, trainings)
        .into_iter()
        .map(|(method, panels)| {
            let title = format!("Test loss by epoch, {method}");
            let svg = panel_chart(&title, "epoch", loss, &panels);
            let caption = "Test rows. p 0 is the same training without masks, where there is one.";
            Figure::new(svg, caption).named(format!("test loss by epoch over p, {method}"))
        });
    methods.into_iter().chain(masks).collect()
}

/// Loss by epoch on test rows and on training rows, mean over the seeds that were scored on the way; none without such scores.
pub fn test_and_train(judged: &TaskComparison<'_>, trainings: &Trainings) -> Option<[Panel; 2]> {
    let panel = |title: &str, of: fn(&CurveScores) -> CurveScore| {
        let series = judged.selected.iter().filter_map(|selected| {
            let points = curve_of(selected.configuration(false)?, trainings, of)?;
            Some(Series::new(selected.method.name(), points))
        });
        Panel {
            title: title.to_owned(),
            series: series.take(MOST_LINES).collect(),
        }
    };
    let panels = [
        panel("test rows", |scores| scores.test),
        panel("training rows", |scores| scores.train),
    ];
    (!panels[0].series.is_empty()).then_some(panels)
}

/// Epoch and mean loss; none for ways to predict that a curve does not have.
fn curve_of(
    configuration: &Configuration<'_>,
    trainings: &Trainings,
    of: fn(&CurveScores) -> CurveScore,
) -> Option<Vec<[f64; 2]>> {
    let scores = |point: &CurvePoint| match configuration.prediction {
        InferenceMethod::Mean => Some(of(&point.mean)),
        InferenceMethod::Ensemble { masks: None, .. } => point.ensemble.as_ref().map(of),
        _ => None,
    };
    let trained = configuration
        .trials
        .iter()
        .filter_map(|(trial, _)| trainings.get(trial.trainings.first()?));
    let curves: Vec<&Vec<CurvePoint>> = trained
        .map(|training| &training.curve)
        .filter(|curve| !curve.is_empty())
        .collect();
    let points = curves.iter().map(|curve| curve.len()).min()?;
    (0..points)
        .map(|place| {
            let losses = curves.iter().map(|curve| Some(scores(&curve[place])?.loss));
            let losses: Option<Vec<f64>> = losses.collect();
            let losses = losses?;
            let mean = losses.iter().sum::<f64>() / losses.len() as f64;
            Some([curves[0][place].epoch as f64, mean])
        })
        .collect()
}

/// For each method whose masks have several probabilities: test loss by epoch for each of them, of the mean pass and of the ensemble.
/// Plain trainings, the first method without masks, stand as p 0.
fn by_probability(judged: &TaskComparison<'_>, trainings: &Trainings) -> Vec<(String, [Panel; 2])> {
    let plain = reference_configuration(judged, &judged.reference);
    let found = by_name(judged).filter_map(|(method, own)| {
        let probability = mask_probability(&own);
        let probabilities = values(&own, &probability);
        if probabilities.len() < 2 {
            return None;
        }
        let test: fn(&CurveScores) -> CurveScore = |scores| scores.test;
        let panel = |title: &str, is_asked: fn(&Configuration<'_>) -> bool| {
            let line = |at: &f64| {
                let here = own.iter().find(|configuration| {
                    is_asked(configuration) && probability(configuration) == Some(*at)
                })?;
                Some(Series::new(format!("p {at}"), curve_of(here, trainings, test)?))
            };
            let level = plain.filter(|_| !probabilities.contains(&0.0));
            let level = level.and_then(|plain| Some(Series::new("p 0", curve_of(plain, trainings, test)?)));
            Panel {
                title: title.to_owned(),
                series: level
                    .into_iter()
                    .chain(probabilities.iter().filter_map(line))
                    .collect(),
            }
        };
        let panels = [panel("mean pass", is_mean), panel("ensemble", is_ensemble)];
        panels
            .iter()
            .all(|panel| panel.series.len() > 1)
            .then(|| (method.to_owned(), panels))
    });
    found.collect()
}
