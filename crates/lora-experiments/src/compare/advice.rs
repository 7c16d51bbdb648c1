//! Which method to use on one's own text, and how far to trust it: sentences that follow from the results.

use lora_eval::selection::{self, LossDifference, select};
use lora_pipeline::error::Result;
use lora_pipeline::train::verdict::still_falls;

use super::CompareOptions;
use super::preset::CommonestLabel;
use super::trust::TestRows;
use crate::report::against::{Verdict, compare};
use crate::report::choice::{Method, SelectedConfiguration};
use crate::report::measure::{Measure, metric_name};
use crate::report::page::judge;
use crate::report::results::{Configuration, Results, Trainings};
use crate::report::tables::{TaskComparison, choice_words, over_seeds};
use crate::sweep::inference_method::InferenceMethod;
use crate::sweep::record::{SetRecord, TrainingRecord, TrialResult};

/// What is said at the end of a comparison.
#[derive(Debug, Default)]
pub(super) struct Advice<'a> {
    /// What to use, how good it is, how far to trust it.
    pub sentences: Vec<String>,
    /// What is advised.
    pub configuration: Option<Configuration<'a>>,
}

pub(super) fn advice<'a>(
    results: &'a Results,
    args: &CompareOptions,
    commonest: Option<&CommonestLabel>,
) -> Result<Advice<'a>> {
    let (judged, _, reference) = judge(results)?;
    let Some(judged) = judged.first() else {
        return Ok(Advice::default());
    };
    let Some(Choice {
        selected,
        is_scaled,
        against_simplest,
    }) = chosen(judged)?
    else {
        return Ok(Advice {
            sentences: vec![
                "No method has all of its seeds with the losses of validation rows, so nothing can be said; run the same command again, \
                 in a new folder if its results are of an older version."
                    .to_owned(),
            ],
            configuration: None,
        });
    };
    let mut sentences = vec![which(judged, &selected, is_scaled, against_simplest, &reference)?];
    sentences.extend(how_good(&selected, is_scaled)?);
    let trusted = TestRows::of(&selected, is_scaled);
    sentences.extend(trusted.as_ref().map(TestRows::how_far).transpose()?);
    sentences.extend(sets(&selected, is_scaled));
    sentences.extend(several_adapters(judged, &selected, is_scaled)?);
    if let (Some(rows), Some(commonest)) = (&trusted, commonest) {
        // Whoever reads no further should have read this.
        let hardly = rows.hardly_learned(commonest)?;
        sentences.splice(0..0, hardly);
    }
    let configuration = selected.configuration(is_scaled).cloned();
    let too_short = configuration.as_ref();
    sentences
        .extend(too_short.and_then(|configuration| underfit(configuration, &results.trainings, args.epochs)));
    if args.seeds == 1 {
        sentences.push(
            "There was one seed, so the intervals know nothing of what another training would have given; --seeds 3 tells more.".to_owned(),
        );
    }
    Ok(Advice {
        sentences,
        configuration,
    })
}

/// What is advised.
struct Choice<'a> {
    selected: SelectedConfiguration<'a>,
    /// Whether there are temperatures: not for numbers.
    is_scaled: bool,
    /// Its validation loss minus that of the simplest; none if it is the simplest.
    against_simplest: Option<LossDifference>,
}

/// The simplest of the ways that take one adapter, unless another has a lower loss beyond chance on validation rows, each with the
/// temperature that training would give it, cross-fitted. Test rows have no say.
fn chosen<'a>(judged: &TaskComparison<'a>) -> Result<Option<Choice<'a>>> {
    let most = judged.seeds();
    let mut eligible: Vec<(&Configuration<'a>, Vec<Vec<f64>>)> = judged
        .task
        .configurations
        .iter()
        .filter(|configuration| is_one_adapter(configuration) && configuration.trials.len() == most)
        .filter_map(|configuration| Some((configuration, validation_losses(configuration)?)))
        .collect();
    // From the simplest: one pass before many, in the order of the methods.
    eligible.sort_by_key(|(configuration, _)| *configuration.prediction != InferenceMethod::Mean);
    if eligible.is_empty() {
        return Ok(None);
    }
    let losses: Vec<Vec<Vec<f64>>> = eligible.iter().map(|(_, losses)| losses.clone()).collect();
    let selection = select(&losses)?;
    let (configuration, _) = &eligible[selection.chosen];
    Ok(Some(Choice {
        selected: SelectedConfiguration {
            method: Method::of(configuration),
            chosen: [Some((*configuration).clone()), Some((*configuration).clone())],
            candidates: eligible.len(),
        },
        is_scaled: configuration.results().all(|result| result.test.scaled.is_some()),
        against_simplest: (selection.chosen > 0).then(|| selection.against_first[selection.chosen]),
    }))
}

/// Whether one adapter predicts, with or without masks.
fn is_one_adapter(configuration: &Configuration<'_>) -> bool {
    configuration.prediction.kind() != InferenceMethod::DEEP_ENSEMBLE
}

/// `[seeds][rows]`; none unless every seed has them.
fn validation_losses(configuration: &Configuration<'_>) -> Option<Vec<Vec<f64>>> {
    let of_seed = |result: &TrialResult| Some(result.validation_rows.as_ref()?.row_losses());
    configuration.results().map(of_seed).collect()
}

/// Whether the recipe, the same for all methods, is too short: in half of the trainings the last evaluation was the best one, and the loss
/// still fell.
fn underfit(configuration: &Configuration<'_>, trainings: &Trainings, epochs: u32) -> Option<String> {
    let keys = configuration
        .trials
        .iter()
        .flat_map(|(trial, _)| &trial.trainings);
    let all: Vec<&TrainingRecord> = keys.filter_map(|key| trainings.get(key)).collect();
    let is_short = |training: &&&TrainingRecord| {
        let losses: Vec<f64> = training.evaluations.iter().map(|[_, loss]| *loss).collect();
        let last = training.evaluations.last().map(|[step, _]| *step);
        last == training.best_step.map(|step| step as f64) && still_falls(&losses, None)
    };
    let short = all.iter().filter(is_short).count();
    (short > 0 && 2 * short >= all.len()).then(|| {
        format!(
            "The recipe is too short for this data: in {short} of {} trainings the validation loss still fell at the end, after {epochs} \
             epochs. Scores, calibration and the choice may change with more; compare again with a larger --num-train-epochs and an --output of its own.",
            all.len()
        )
    })
}

/// What is better still and takes several adapters.
fn several_adapters(
    judged: &TaskComparison<'_>,
    selected: &SelectedConfiguration<'_>,
    is_scaled: bool,
) -> Result<Option<String>> {
    let Some(ours) = selected.configuration(is_scaled).and_then(validation_losses) else {
        return Ok(None);
    };
    for configuration in judged
        .task
        .configurations
        .iter()
        .filter(|configuration| !is_one_adapter(configuration))
    {
        let Some(theirs) = validation_losses(configuration).filter(|theirs| theirs.len() == ours.len())
        else {
            continue;
        };
        let difference = LossDifference::of(&theirs, &ours, selection::LEVEL)?;
        if difference.is_lower() {
            return Ok(Some(format!(
                "{} has a lower loss on the validation rows still, by {:.3} (90 % interval {:.3} to {:.3}). It takes several adapters, \
                 and lora predict takes one, so it is not proposed here.",
                Method::of(configuration).name(),
                -difference.difference,
                -difference.upper,
                -difference.lower
            )));
        }
    }
    Ok(None)
}

fn which(
    judged: &TaskComparison<'_>,
    selected: &SelectedConfiguration<'_>,
    is_scaled: bool,
    against_simplest: Option<LossDifference>,
    reference: &Method,
) -> Result<String> {
    let configuration = selected.configuration(is_scaled);
    let settings = configuration
        .map(|configuration| choice_words(&judged.task, configuration))
        .unwrap_or_default();
    let temperature = configuration.map(temperature_words).unwrap_or_default();
    let name = selected.method.name();
    let Some(LossDifference {
        difference,
        lower,
        upper,
    }) = against_simplest
    else {
        return Ok(format!(
            "Use {name} ({settings}){temperature}. It is the simplest here: with early stopping, which every method has, nothing else that takes \
             one adapter has a lower loss on the validation rows beyond chance."
        ));
    };
    let (gain, least, most) = (-difference, -upper, -lower);
    let on_validation = format!(
        "on the validation rows its loss is lower than that of {} by {gain:.3} (90 % interval {least:.3} to {most:.3}), beyond chance",
        reference.name()
    );
    let of_reference = judged.find(reference).map(|(selected, _)| selected);
    let comparison = match of_reference {
        Some(of_reference) => compare(selected, of_reference, is_scaled)?,
        None => None,
    };
    let on_test = comparison.map_or_else(String::new, |comparison| {
        let interval = comparison.interval;
        let verdict = match comparison.verdict {
            Verdict::Wins => "which agrees",
            Verdict::Ties => "no more than chance explains",
            Verdict::Loses => "which contradicts: label more rows before you rely on either",
        };
        format!(
            "; on the test rows it differs by {:+.3} (95 % interval {:+.3} to {:+.3}), {verdict}",
            interval.difference, interval.lower, interval.upper
        )
    });
    Ok(format!(
        "Use {name} ({settings}){temperature}: {on_validation}{on_test}."
    ))
}

/// The temperatures of the seeds in which one was offered: 1 is written where none was.
fn offered_temperatures(configuration: &Configuration<'_>) -> impl Iterator<Item = f64> {
    let temperatures = configuration.results().filter_map(|result| result.temperature);
    temperatures.filter(|temperature| (temperature - 1.0).abs() > f64::EPSILON)
}

/// The temperatures of the seeds.
fn temperature_words(configuration: &Configuration<'_>) -> String {
    let trainings = configuration
        .results()
        .filter(|result| result.temperature.is_some())
        .count();
    if trainings == 0 {
        return String::new();
    }
    let offered: Vec<String> = offered_temperatures(configuration)
        .map(|temperature| format!("{temperature:.2}"))
        .collect();
    if offered.is_empty() {
        return ", without a temperature, because none lowered the loss beyond chance".to_owned();
    }
    format!(
        ", with temperature scaling, which helped beyond chance in {} of {} trainings (T = {})",
        offered.len(),
        trainings,
        offered.join(", ")
    )
}

fn how_good(selected: &SelectedConfiguration<'_>, is_scaled: bool) -> Result<Option<String>> {
    let Some(configuration) = selected.configuration(is_scaled) else {
        return Ok(None);
    };
    let words = |measure: Measure| -> Result<Option<String>> {
        let of = measure.mean_std(configuration, is_scaled)?;
        Ok(of.map(|of| match of.std {
            Some(std) => format!("{:.3} ± {std:.3}", of.mean),
            None => format!("{:.3}", of.mean),
        }))
    };
    let score = words(Measure::Metric)?;
    let first = configuration.trials.first();
    let metric = first.map_or("score", |(_, result)| metric_name(result.metric));
    let (loss, ece) = (words(Measure::Loss)?, words(Measure::Ece)?);
    let parts: Vec<String> = [(metric, score), ("loss", loss), ("calibration error", ece)]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", value?)))
        .collect();
    let has_one = is_scaled && offered_temperatures(configuration).next().is_some();
    let without = Measure::Loss.mean(configuration, false).filter(|_| has_one);
    let without = without.map(|loss| format!(" Without its temperature the loss is {loss:.3}."));
    Ok(Some(format!(
        "On test rows, {}: {}.{}",
        over_seeds(configuration.trials.len()),
        parts.join(", "),
        without.unwrap_or_default()
    )))
}

/// What sets of classes hold, and how many classes that takes.
fn sets(selected: &SelectedConfiguration<'_>, is_scaled: bool) -> Option<String> {
    let configuration = selected.configuration(is_scaled)?;
    let coverage = Measure::SetCoverage.mean(configuration, is_scaled)?;
    let size = Measure::SetSize.mean(configuration, is_scaled)?;
    let promised = SetRecord::PROMISED;
    Some(format!(
        "Where one answer is too little: sets that promise the label in {:.0} % of the rows held it in {:.0} % of the test rows, with {size:.2} \
         classes on average (lora predict --coverage {promised}).",
        100.0 * promised,
        100.0 * coverage
    ))
}
