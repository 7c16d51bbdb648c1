//! What the demo's numbers say, in sentences that follow from them.

use lora_pipeline::counted::counted;
use lora_pipeline::error::{Context, Result};

use super::arms::{AS_TRAINED, Arms, ENSEMBLE, PLAIN, PROTOCOLS, Protocol};
use crate::report::against::Verdict;
use crate::report::measure::Measure;

/// When a user should reach for the method.
const WHEN: &str = "Reach for LoRA Dropout when you train for a fixed number of epochs on little data and act on the probabilities; if you have \
    labelled rows to spare, try early stopping and a temperature first: they cost nothing at prediction.";

/// The result, and when to use the method.
///
/// # Errors
///
/// If a score is missing.
pub fn first(arms: &Arms<'_>) -> Result<Vec<String>> {
    let mut sentences = Vec::new();
    if arms.is_fast {
        sentences.push(format!(
            "This was --fast: one seed, {} training rows and {} test rows, too few epochs to overfit. It shows the program, and says nothing \
             about the methods; `lora demo` does.",
            arms.sizes.train, arms.sizes.test
        ));
    }
    sentences.push(result(arms)?);
    if !arms.is_fast {
        sentences.push(WHEN.to_owned());
    }
    Ok(sentences)
}

/// The ensemble against plain LoRA after all epochs.
fn result(arms: &Arms<'_>) -> Result<String> {
    let of = |arm, measure| {
        let value = arms.mean(arm, AS_TRAINED, measure);
        value.with_context(|| format!("{} lacks a score", super::arms::Arm::name(arm)))
    };
    let both = |measure| -> Result<String> {
        Ok(format!(
            "{:.3} and {:.3}",
            of(PLAIN, measure)?,
            of(ENSEMBLE, measure)?
        ))
    };
    Ok(format!(
        "After {} on {} movie reviews plain LoRA has a loss of {:.3} on the rows that it learned and of {:.3} on test rows; the ensemble of \
         LoRA Dropout has {:.3} on test rows{}. In the same order, calibration error: {}; accuracy: {}.",
        counted(arms.sizes.epochs as usize, "epoch"),
        arms.sizes.train,
        of(PLAIN, Measure::Loss)? - of(PLAIN, Measure::LossGap)?,
        of(PLAIN, Measure::Loss)?,
        of(ENSEMBLE, Measure::Loss)?,
        difference(arms, AS_TRAINED),
        both(Measure::Ece)?,
        both(Measure::Accuracy)?,
    ))
}

/// In brackets: the difference to plain LoRA with its interval. A quick look has none.
fn difference(arms: &Arms<'_>, protocol: Protocol) -> String {
    let comparison = arms.comparison(ENSEMBLE, protocol).filter(|_| !arms.is_fast);
    comparison.map_or_else(String::new, |comparison| {
        let interval = &comparison.interval;
        format!(
            " (difference {}, 95 % interval {} to {})",
            signed(interval.difference),
            signed(interval.lower),
            signed(interval.upper)
        )
    })
}

fn signed(value: f64) -> String {
    format!("{value:+.3}").replace('-', "\u{2212}")
}

/// What is left of the difference under each of the other rules; of a quick look nothing can be said.
///
/// # Errors
///
/// If the ensemble was not compared.
pub fn careful(arms: &Arms<'_>) -> Result<Option<String>> {
    if arms.is_fast {
        return Ok(None);
    }
    let rest = PROTOCOLS.into_iter().filter(|protocol| *protocol != AS_TRAINED);
    let parts = rest.map(|protocol| {
        let comparison = arms
            .comparison(ENSEMBLE, protocol)
            .context("the ensemble was not compared")?;
        let what = match comparison.verdict {
            Verdict::Wins => "the ensemble stays lower",
            Verdict::Ties => "no difference beyond chance",
            Verdict::Loses => "the ensemble is higher",
        };
        Ok(format!(
            "{}: {what}{}",
            protocol.name(),
            difference(arms, protocol)
        ))
    });
    Ok(Some(format!(
        "The same trainings for a careful user, NLL against plain LoRA under the same rule: {}.",
        parts.collect::<Result<Vec<_>>>()?.join("; ")
    )))
}
