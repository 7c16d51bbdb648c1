//! What the results say, in sentences that follow from them.

use super::against::Verdict;
use super::choice::Family;
use super::results::Results;
use super::tables::Judged;
use crate::sweep::prediction::Prediction;
use crate::terminal::counted;

/// What was compared and how; then for each family where it wins, ties and loses; then what a reader must not overlook.
pub fn summary(
    results: &Results,
    judged: &[Judged<'_>],
    families: &[Family],
    reference: &Family,
) -> Vec<String> {
    let mut sentences = vec![setting(results, judged, reference)];
    for family in families.iter().filter(|family| *family != reference) {
        sentences.extend(outcome(judged, family, reference));
    }
    if !results.failed.is_empty() {
        sentences.push(format!(
            "{} failed and are in no table; the results file says why.",
            counted(results.failed.len(), "cell")
        ));
    }
    if shares_members(results) {
        sentences.push(
            "The deep ensembles of different seeds have members in common, so their spread over seeds is smaller than that of \
             independent ones."
                .to_owned(),
        );
    }
    sentences
}

fn setting(results: &Results, judged: &[Judged<'_>], reference: &Family) -> String {
    let mut seeds: Vec<u64> = results.cells.iter().map(|cell| cell.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    format!(
        "{} on {}, {}. Settings (p, N and so on) were chosen by the loss of validation rows, never by test rows. Every method is \
         compared with {} (mean pass) on the same test rows and seeds; a difference counts when a 95 % interval over rows and seeds \
         leaves out zero.",
        counted(results.cells.len(), "result"),
        counted(judged.len(), "combination") + " of task and number of training rows",
        counted(seeds.len(), "seed"),
        reference.name(),
    )
}

/// One sentence without temperature, one with; none where nothing was compared.
fn outcome(judged: &[Judged<'_>], family: &Family, reference: &Family) -> Vec<String> {
    let of = |is_scaled: usize| {
        let names = |verdict: Verdict| {
            let found = judged.iter().filter(|judged| {
                let found = judged
                    .find(family)
                    .and_then(|(_, comparisons)| comparisons[is_scaled].as_ref());
                found.is_some_and(|comparison| comparison.verdict == verdict)
            });
            found.map(|judged| judged.study.short()).collect::<Vec<String>>()
        };
        let parts: Vec<String> = [
            (Verdict::Wins, "lower loss on"),
            (Verdict::Loses, "higher loss on"),
            (Verdict::Ties, "no clear difference on"),
        ]
        .into_iter()
        .map(|(verdict, words)| (words, names(verdict)))
        .filter(|(_, names)| !names.is_empty())
        .map(|(words, names)| format!("{words} {}", names.join(", ")))
        .collect();
        let subject = match is_scaled {
            0 => format!("{} against {}", family.name(), reference.name()),
            _ => "With a temperature for both".to_owned(),
        };
        (!parts.is_empty()).then(|| format!("{subject}: {}.", parts.join("; ")))
    };
    match (of(0), of(1)) {
        (Some(plain), Some(scaled)) => vec![format!("{plain} {scaled}")],
        (plain, scaled) => plain.into_iter().chain(scaled).collect(),
    }
}

fn shares_members(results: &Results) -> bool {
    let deep: Vec<_> = results
        .cells
        .iter()
        .filter(|cell| matches!(cell.prediction, Prediction::DeepEnsemble { .. }))
        .collect();
    deep.iter().enumerate().any(|(index, cell)| {
        deep[..index].iter().any(|other| {
            other.prediction == cell.prediction
                && other.trainings != cell.trainings
                && other
                    .trainings
                    .iter()
                    .any(|training| cell.trainings.contains(training))
        })
    })
}
