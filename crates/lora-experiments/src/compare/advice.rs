//! Which method to use on one's own text, and how far to trust it: sentences that follow from the results.

use lora_eval::{CrossedInterval, MeanStd};
use lora_pipeline::config::keys::Key;
use lora_pipeline::error::Result;

use super::CompareOptions;
use super::preset::{DROPOUT, base};
use crate::report::against::{LEVEL, Verdict};
use crate::report::choice::{Contender, Family};
use crate::report::measure::Measure;
use crate::report::page::judge;
use crate::report::results::Results;
use crate::report::tables::{Judged, choice_words};
use crate::sweep::prediction::Prediction;

/// Confidence from which on a prediction counts as sure.
const SURE: f64 = 0.9;

/// What is said at the end of a comparison.
#[derive(Debug, Default)]
pub(super) struct Advice {
    /// What to use, how good it is, how far to trust it.
    pub sentences: Vec<String>,
    /// What trains it, as a shell takes it.
    pub command: Option<String>,
}

pub(super) fn advice(results: &Results, args: &CompareOptions) -> Result<Advice> {
    let (judged, _, reference) = judge(results)?;
    let Some(judged) = judged.first() else {
        return Ok(Advice::default());
    };
    let Some((loss, contender, is_scaled)) = chosen(judged, is_one_adapter) else {
        return Ok(Advice {
            sentences: vec![
                "No method has all of its seeds, so nothing can be said; run the same command again."
                    .to_owned(),
            ],
            command: None,
        });
    };
    let mut sentences = vec![which(judged, contender, is_scaled, &reference)];
    sentences.extend(how_good(contender, is_scaled)?);
    sentences.extend(how_far(contender, is_scaled)?);
    if let Some((ensemble_loss, ensemble, _)) =
        chosen(judged, |contender| !is_one_adapter(contender)).filter(|(other, ..)| *other < loss)
    {
        sentences.push(format!(
            "{} has a lower loss on the validation rows still ({ensemble_loss:.3} against {loss:.3}). It takes several adapters, and \
             lora predict takes one, so it is not proposed here.",
            ensemble.family.name()
        ));
    }
    if args.seeds == 1 {
        sentences.push(
            "There was one seed, so the intervals know nothing of what another training would have given; --seeds 3 tells more.".to_owned(),
        );
    }
    Ok(Advice {
        sentences,
        command: command(contender, is_scaled, args),
    })
}

/// Whether one adapter predicts, with or without masks.
fn is_one_adapter(contender: &Contender<'_>) -> bool {
    contender.family.kind != Prediction::DEEP_ENSEMBLE
}

/// Among some contenders the one with the smallest validation loss: with a temperature for all, which is fitted on the same rows and so
/// would look better than none; without where there is none. Test rows have no say.
fn chosen<'j, 'a>(
    judged: &'j Judged<'a>,
    is_eligible: impl Fn(&Contender<'_>) -> bool,
) -> Option<(f64, &'j Contender<'a>, bool)> {
    [true, false].into_iter().find_map(|is_scaled| {
        let eligible = judged
            .contenders
            .iter()
            .filter(|contender| is_eligible(contender));
        let with_loss = eligible.filter_map(|contender| {
            let variant = contender.variant(is_scaled)?;
            Some((Measure::ValidationLoss.mean(variant, is_scaled)?, contender))
        });
        let (loss, best) = with_loss.min_by(|left, right| left.0.total_cmp(&right.0))?;
        Some((loss, best, is_scaled))
    })
}

fn which(judged: &Judged<'_>, contender: &Contender<'_>, is_scaled: bool, reference: &Family) -> String {
    let temperature = if is_scaled {
        " with temperature scaling"
    } else {
        ""
    };
    let settings = contender
        .variant(is_scaled)
        .map(|variant| choice_words(&judged.study, variant))
        .unwrap_or_default();
    let comparison = judged
        .find(&contender.family)
        .and_then(|(_, both)| both[usize::from(is_scaled)].clone());
    let against = match comparison {
        None => "it is also the simplest: nothing here that takes one adapter beats it on validation rows"
            .to_owned(),
        Some(comparison) => {
            let interval = comparison.interval;
            let numbers = format!(
                "by {:.3} in loss (95 % interval {:.3} to {:.3})",
                -interval.difference, -interval.upper, -interval.lower
            );
            match comparison.verdict {
                Verdict::Wins => format!("on the test rows it beats {} {numbers}", reference.name()),
                Verdict::Ties => format!(
                    "on the test rows its loss differs from that of {} by {:+.3} (95 % interval {:+.3} to {:+.3}), no more than chance \
                     explains: {0}, which is simpler, is worse by {:.3} at most",
                    reference.name(),
                    interval.difference,
                    interval.lower,
                    interval.upper,
                    (-interval.lower).max(0.0)
                ),
                Verdict::Loses => format!(
                    "but on the test rows its loss is higher than that of {} by {:.3} (95 % interval {:.3} to {:.3}), so the validation \
                     rows were too few to choose by: label more of them before you rely on either",
                    reference.name(),
                    interval.difference,
                    interval.lower,
                    interval.upper
                ),
            }
        }
    };
    format!(
        "Use {}{temperature} ({settings}), which the validation rows chose; {against}.",
        contender.family.name()
    )
}

fn how_good(contender: &Contender<'_>, is_scaled: bool) -> Result<Option<String>> {
    let Some(variant) = contender.variant(is_scaled) else {
        return Ok(None);
    };
    let words = |measure: Measure| -> Result<Option<String>> {
        let Some(values) = measure.over_seeds(variant, is_scaled) else {
            return Ok(None);
        };
        let of = MeanStd::of(&values)?;
        Ok(Some(match of.std {
            Some(std) => format!("{:.3} ± {std:.3}", of.mean),
            None => format!("{:.3}", of.mean),
        }))
    };
    let score = words(Measure::Metric)?;
    let (loss, ece) = (words(Measure::Loss)?, words(Measure::Ece)?);
    let parts: Vec<String> = [("score", score), ("loss", loss), ("calibration error", ece)]
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name} {}", value?)))
        .collect();
    let without = Measure::Loss.mean(variant, false).filter(|_| is_scaled);
    let without = without.map(|loss| format!(" Without its temperature the loss is {loss:.3}."));
    Ok(Some(format!(
        "On test rows, mean ± std over seeds: {}.{}",
        parts.join(", "),
        without.unwrap_or_default()
    )))
}

/// How often it is right where it is sure, counted on test rows of all seeds.
fn how_far(contender: &Contender<'_>, is_scaled: bool) -> Result<Option<String>> {
    let Some(variant) = contender.variant(is_scaled) else {
        return Ok(None);
    };
    let seeds: Vec<Vec<(f64, bool)>> = variant
        .results()
        .filter_map(|result| result.test_rows.get(is_scaled))
        .map(|rows| rows.confidences().collect())
        .collect();
    let rows = seeds.concat();
    if rows.is_empty() {
        return Ok(None);
    }
    let sure: Vec<bool> = rows
        .iter()
        .filter(|(confidence, _)| *confidence >= SURE)
        .map(|(_, is_correct)| *is_correct)
        .collect();
    let mean = rows.iter().map(|(confidence, _)| confidence).sum::<f64>() / rows.len() as f64;
    let right =
        |rows: &[bool]| rows.iter().filter(|is_right| **is_right).count() as f64 / rows.len().max(1) as f64;
    let all: Vec<bool> = rows.iter().map(|(_, is_correct)| *is_correct).collect();
    let where_sure = if sure.is_empty() {
        format!("It is never {:.0} % sure.", SURE * 100.0)
    } else {
        format!(
            "Where it is at least {:.0} % sure, on {:.0} % of the rows, it is right in {:.0} %.",
            SURE * 100.0,
            100.0 * sure.len() as f64 / rows.len() as f64,
            100.0 * right(&sure)
        )
    };
    Ok(Some(format!(
        "How far to trust it: its mean confidence is {:.0} % and it is right in {:.0} % of the test rows{}. {where_sure} This holds \
         for texts like these; for texts of another kind, score some with lora eval.",
        100.0 * mean,
        100.0 * right(&all),
        on_confidence(&seeds)?
    )))
}

/// How much surer it is than it is right, and whether the choice of test rows and seeds explains that. For each seed confidence and
/// correctness of the same rows.
fn on_confidence(seeds: &[Vec<(f64, bool)>]) -> Result<String> {
    let each = |value: fn(&(f64, bool)) -> f64| -> Vec<Vec<f64>> {
        let of_seed = |rows: &Vec<(f64, bool)>| rows.iter().map(value).collect();
        seeds.iter().map(of_seed).collect()
    };
    let confidence = each(|(confidence, _)| *confidence);
    let right = each(|(_, is_correct)| f64::from(u8::from(*is_correct)));
    let excess = CrossedInterval::of(&confidence, &right, LEVEL)?;
    let side = if excess.difference < 0.0 {
        "less sure than it could be"
    } else {
        "surer than it should be"
    };
    let [points, low, high] = [excess.difference, excess.lower, excess.upper].map(|share| 100.0 * share);
    let verdict = if excess.excludes_zero() {
        format!("so it is {side}")
    } else {
        format!("so it may be {side}, but these rows and seeds do not settle it")
    };
    Ok(format!(
        ", {points:+.1} points between the two (95 % interval {low:+.1} to {high:+.1}), {verdict}"
    ))
}

fn command(contender: &Contender<'_>, is_scaled: bool, args: &CompareOptions) -> Option<String> {
    let variant = contender.variant(is_scaled)?;
    let mut words = vec![
        "lora train".to_owned(),
        format!("--data {}", quoted(&args.file.display().to_string())),
        "--output runs/mine".to_owned(),
    ];
    for (flag, column) in [
        ("--text-column", &args.text),
        ("--text-pair-column", &args.text_pair),
        ("--label-column", &args.label),
    ] {
        words.extend(column.as_ref().map(|column| format!("{flag} {}", quoted(column))));
    }
    words.extend(
        args.problem_type
            .map(|problem| format!("--problem-type {}", problem.name())),
    );
    let mut settings = base(&args.model);
    if contender.family.method == DROPOUT {
        settings["mask_probability"] = variant.settings["mask_probability"].clone();
        settings["mask_rescale"] = "rescaled".into();
        settings["mask_grouping"] = "example".into();
        settings["ensemble_members"] = match variant.prediction {
            Prediction::Ensemble { members, .. } => (*members).into(),
            _ => 0.into(),
        };
    }
    for (key, value) in settings.as_object().into_iter().flatten() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let flag = Key::named(key).map_or(key.as_str(), |key| key.flag());
        words.push(format!("--{flag} {}", quoted(&value)));
    }
    Some(words.join(" "))
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_alphanumeric() || "-_./:,=+@%".contains(letter);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_is_held_against_what_was_right() {
        // 100 rows of which the first so many are right.
        let rows = |confidence: f64, right: usize| -> Vec<(f64, bool)> {
            (0..100).map(|row| (confidence, row < right)).collect()
        };
        let said = |seeds: &[Vec<(f64, bool)>]| on_confidence(seeds).expect("rows of one length");
        // The standard error of a share of 0.9 of 100 is 0.03.
        assert!(said(&[rows(0.94, 90)]).contains("may be surer"));
        let sure = said(&[rows(0.97, 90)]);
        assert!(
            sure.contains("+7.0 points") && sure.contains("so it is surer"),
            "{sure}"
        );
        assert!(said(&[rows(0.83, 90)]).contains("so it is less sure"));
        // A seed that is far off the other says that seeds matter, not that confidence does.
        assert!(said(&[rows(0.97, 90), rows(0.97, 96)]).contains("may be surer"));
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_break_them() {
        assert_eq!(quoted("a b.csv"), "'a b.csv'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("runs/a.csv"), "runs/a.csv");
    }
}
