//! What the demo's numbers say, and what they do not, in sentences that follow from them.

use lora_eval::{Bootstrap, BootstrapInterval, MeanStd};
use lora_pipeline::error::Result;

use super::base_rates::BaseRates;
use super::plan::Method;
use super::results::DemoResults;
use super::study::{MethodRun, PartScores};

/// The scores of one domain in a run.
pub type Part = fn(&MethodRun) -> &PartScores;
/// The two domains as sentences call them, with their scores.
pub const DOMAINS: [(&str, Part); 2] = [("movie reviews", |run| &run.test), ("tweets", |run| &run.shifted)];

/// A difference in nats below this is none that anybody would notice, however certain it is.
const LEAST: f64 = 0.005;

/// Whether it was a look at the program only; then for each domain the differences to plain LoRA that are more than chance, or
/// that there is none; then how far plain LoRA is above a model that reads nothing.
///
/// # Errors
///
/// If a score is not finite.
pub fn summary(results: &DemoResults) -> Result<Vec<String>> {
    let mut sentences = Vec::new();
    if results.plan.fast {
        sentences.push(format!(
            "This was --fast: one seed, {} training rows and {} test rows. It shows the program, and says nothing about the \
             methods.",
            results.plan.train, results.plan.test
        ));
    }
    for (domain, part) in DOMAINS {
        sentences.push(differences(results, domain, part)?);
    }
    for ((domain, part), rates) in DOMAINS.into_iter().zip([of_test, of_shifted]) {
        sentences.push(against_base_rates(results, domain, part, rates)?);
    }
    Ok(sentences)
}

fn of_test(rates: &BaseRates) -> [f64; 2] {
    [rates.test.accuracy, rates.test.nll]
}

fn of_shifted(rates: &BaseRates) -> [f64; 2] {
    [rates.shifted.accuracy, rates.shifted.nll]
}

/// The paired bootstrap interval of the difference to plain LoRA in NLL: rows are drawn, seeds averaged for each row.
///
/// # Errors
///
/// If a loss is not finite.
pub fn difference(results: &DemoResults, method: Method, part: Part) -> Result<BootstrapInterval> {
    let (ours, plain) = (
        row_means(results, method, part),
        row_means(results, Method::Lora, part),
    );
    Ok(Bootstrap::default().paired_means(&ours, &plain)?)
}

fn row_means(results: &DemoResults, method: Method, part: Part) -> Vec<f64> {
    let runs: Vec<&Vec<f64>> = results.of(method).map(|run| &part(run).row_nll).collect();
    let rows = runs.first().map_or(0, |run| run.len());
    (0..rows)
        .map(|row| runs.iter().map(|run| run[row]).sum::<f64>() / runs.len() as f64)
        .collect()
}

fn differences(results: &DemoResults, domain: &str, part: Part) -> Result<String> {
    let mut clear = Vec::new();
    for method in Method::ALL.into_iter().filter(|method| *method != Method::Lora) {
        let interval = difference(results, method, part)?;
        if interval.excludes_zero() && interval.difference.abs() >= LEAST {
            let which = if interval.difference < 0.0 {
                "lower"
            } else {
                "higher"
            };
            clear.push(format!(
                "{} by {:.3} {which}",
                method.name(),
                interval.difference.abs()
            ));
        }
    }
    Ok(if clear.is_empty() {
        format!(
            "On {domain} no method differs from plain LoRA in NLL by {LEAST} or more and beyond what the choice of test rows explains \
             (95 % intervals)."
        )
    } else {
        format!(
            "On {domain} the NLL differs from plain LoRA's by more than the choice of test rows explains (95 % intervals): {}.",
            clear.join("; ")
        )
    })
}

fn against_base_rates(
    results: &DemoResults,
    domain: &str,
    part: Part,
    rates: fn(&BaseRates) -> [f64; 2],
) -> Result<String> {
    let mean = |values: Vec<f64>| -> Result<f64> { Ok(MeanStd::of(&values)?.mean) };
    let of_rates = |which: usize| mean(results.base_rates.iter().map(|seed| rates(seed)[which]).collect());
    let lora = |of: fn(&PartScores) -> f64| mean(results.of(Method::Lora).map(|run| of(part(run))).collect());
    let (accuracy, nll) = (
        lora(|scores| scores.plain.accuracy)?,
        lora(|scores| scores.plain.nll)?,
    );
    let (rate_accuracy, rate_nll) = (of_rates(0)?, of_rates(1)?);
    let verdict = if accuracy > rate_accuracy && nll < rate_nll {
        ""
    } else {
        ", so it has learned next to nothing that helps there"
    };
    Ok(format!(
        "On {domain} plain LoRA has accuracy {accuracy:.3} and NLL {nll:.3}; a model that reads no text and answers with the \
         class frequencies of the training rows has {rate_accuracy:.3} and {rate_nll:.3}{verdict}."
    ))
}
