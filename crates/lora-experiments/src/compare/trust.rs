//! How far to trust what a comparison advises: its test rows, counted.

use lora_eval::CrossedInterval;
use lora_pipeline::error::Result;

use super::preset::CommonestLabel;
use crate::report::against::LEVEL;
use crate::report::choice::SelectedConfiguration;

/// Confidence from which on a prediction counts as sure.
const SURE: f64 = 0.9;

/// For each seed confidence and correctness of the test rows, of which there are some.
pub(super) struct TestRows(Vec<Vec<(f64, bool)>>);

impl TestRows {
    /// Of what was chosen; none for numbers.
    pub fn of(selected: &SelectedConfiguration<'_>, is_scaled: bool) -> Option<Self> {
        let results = selected.configuration(is_scaled)?.results();
        let rows = results.filter_map(|result| result.test_rows.get(is_scaled));
        let seeds: Vec<Vec<(f64, bool)>> = rows.map(|rows| rows.confidences().collect()).collect();
        seeds.iter().any(|rows| !rows.is_empty()).then_some(Self(seeds))
    }

    /// That it is right no more often than whoever always says the commonest label, as far as test rows and seeds tell; none where it is.
    pub fn hardly_learned(&self, commonest: &CommonestLabel) -> Result<Option<String>> {
        let right = each(&self.0, is_right);
        let guess: Vec<Vec<f64>> = right
            .iter()
            .map(|rows| vec![commonest.share; rows.len()])
            .collect();
        let gain = CrossedInterval::of(&right, &guess, LEVEL)?;
        let [points, low, high] = [gain.difference, gain.lower, gain.upper].map(|share| 100.0 * share);
        Ok((gain.lower <= 0.0).then(|| {
            format!(
                "Hardly anything was learned, as far as being right tells: what is advised below is right {points:+.1} points more often than whoever always says `{}` \
                 (95 % interval {low:+.1} to {high:+.1}). So which method is best is not settled by these rows; check the labels and the \
                 text column, label more rows, or try more epochs (--num-train-epochs) or a larger --model.",
                commonest.name
            )
        }))
    }

    /// How often it is right where it is sure.
    pub fn how_far(&self) -> Result<String> {
        let rows = self.0.concat();
        let sure: Vec<(f64, bool)> = rows
            .iter()
            .copied()
            .filter(|(confidence, _)| *confidence >= SURE)
            .collect();
        let mean = rows.iter().map(|(confidence, _)| confidence).sum::<f64>() / rows.len() as f64;
        let right = |rows: &[(f64, bool)]| {
            rows.iter().filter(|(_, is_right)| *is_right).count() as f64 / rows.len().max(1) as f64
        };
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
        Ok(format!(
            "How far to trust it: its mean confidence is {:.0} % and it is right in {:.0} % of the test rows{}. {where_sure} This holds \
             for texts like these; for texts of another kind, score some with lora eval.",
            100.0 * mean,
            100.0 * right(&rows),
            on_confidence(&self.0)?
        ))
    }
}

/// One number of each row, by seed.
fn each(seeds: &[Vec<(f64, bool)>], value: fn(&(f64, bool)) -> f64) -> Vec<Vec<f64>> {
    seeds
        .iter()
        .map(|rows| rows.iter().map(value).collect())
        .collect()
}

/// 1 where a row is right.
fn is_right((_, is_correct): &(f64, bool)) -> f64 {
    f64::from(u8::from(*is_correct))
}

/// How much surer it is than it is right, and whether the choice of test rows and seeds explains that. For each seed confidence and
/// correctness of the same rows.
fn on_confidence(seeds: &[Vec<(f64, bool)>]) -> Result<String> {
    let confidence = each(seeds, |(confidence, _)| *confidence);
    let right = each(seeds, is_right);
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
    fn little_more_than_the_commonest_label_is_said_to_be_little() {
        let commonest = CommonestLabel {
            name: "bad".to_owned(),
            share: 0.6,
        };
        let said = |right: usize| {
            let rows = (0..100).map(|row| (0.7, row < right)).collect();
            TestRows(vec![rows])
                .hardly_learned(&commonest)
                .expect("rows of one length")
        };
        // The standard error of a share of 0.6 of 100 is 0.05.
        for right in [50, 60, 66] {
            let said = said(right).unwrap_or_default();
            assert!(
                said.contains("always says `bad`") && said.contains("--num-train-epochs"),
                "{right}: {said}"
            );
        }
        assert_eq!(said(80), None);
    }
}
