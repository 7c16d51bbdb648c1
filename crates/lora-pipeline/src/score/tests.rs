//! From outputs to scores, computed by hand.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_core::peft::EnsembleSettings;

use super::*;

const PLAIN: DecisionRule = DecisionRule {
    average: Average::Probabilities,
    temperature: 1.0,
    threshold: None,
};

/// One pass over rows with these logits.
fn outputs(outputs: usize, values: Vec<f32>) -> ModelOutputs {
    ModelOutputs {
        members: 1,
        examples: values.len() / outputs,
        outputs,
        values,
    }
}

fn near(found: f64, expected: f64) {
    assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
}

#[test]
fn classes_are_scored_by_their_probability_at_a_temperature() {
    // Probabilities 3/4 and 1/2 of the true classes; at temperature 1/2 the first is 9/10.
    let logits = outputs(2, vec![3.0_f32.ln(), 0.0, 0.0, 0.0]);
    let truth = Targets::Classes(vec![0, 1]);
    let score = |rule| score_rows(&logits, &RowDetail::Texts, &truth, rule).unwrap();
    let plain = score(PLAIN);
    near(plain.scores.loss(), -(0.75_f64.ln() + 0.5_f64.ln()) / 2.0);
    near(plain.row_losses[1], -0.5_f64.ln());
    let sharper = score(DecisionRule {
        temperature: 0.5,
        ..PLAIN
    });
    near(sharper.scores.loss(), -(0.9_f64.ln() + 0.5_f64.ln()) / 2.0);
    assert_eq!(plain.reliability.iter().map(|bin| bin.count).sum::<u64>(), 2);
}

#[test]
fn each_label_of_a_row_is_a_decision() {
    // The first row has label 1 of two, the second has none; all logits are 0.
    let logits = outputs(2, vec![0.0; 4]);
    let truth = Targets::Labels(vec![vec![1], Vec::new()]);
    let found = score_rows(&logits, &RowDetail::Texts, &truth, PLAIN).unwrap();
    near(found.scores.loss(), 2.0_f64.ln());
    near(found.row_losses[0], 2.0_f64.ln());
    assert_eq!(found.reliability.iter().map(|bin| bin.count).sum::<u64>(), 4);
}

#[test]
fn numbers_are_scored_by_their_squared_error() {
    let found = score_rows(
        &outputs(1, vec![1.0, 3.0, 2.0]),
        &RowDetail::Texts,
        &Targets::Values(vec![0.0, 3.0, 4.0]),
        PLAIN,
    )
    .unwrap();
    near(found.scores.loss(), 5.0 / 3.0);
    assert_eq!(found.row_losses, [1.0, 0.0, 4.0]);
    assert_eq!((found.scores.loss_name(), found.scores.ece()), ("MSE", None));
}

#[test]
fn rows_without_truth_are_refused() {
    let error = score_rows(
        &outputs(2, vec![0.0; 2]),
        &RowDetail::Texts,
        &Targets::None,
        PLAIN,
    );
    assert!(error.is_err_and(|error| error.to_string().contains("no labels to score against")));
}

#[test]
fn every_way_to_predict_is_scored_without_and_with_its_temperature() {
    let both = MethodOutputs {
        mean: 1.0,
        ensemble: Some((EnsembleSettings::new(3, 7), 2.0)),
    };
    let rules = FittedRules {
        temperature: FittedValues {
            mean: Some(2.0),
            ensemble: None,
        },
        ..FittedRules::default()
    };
    let methods = score_each(&both, rules, |outputs, rule| {
        Ok(FoundScores {
            scores: TaskScores::Regression(RegressionScores::of(&[0.0, 1.0], &[0.0, 2.0])?),
            reliability: Vec::new(),
            row_losses: vec![outputs / rule.temperature],
            answers: Vec::new(),
        })
    })
    .unwrap();
    let found: Vec<(&str, u64, bool, f64)> = methods
        .iter()
        .map(|method| {
            (
                method.method.as_str(),
                method.members,
                method.is_scaled,
                method.row_losses[0],
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("mean pass", 1, false, 1.0),
            ("mean pass, T = 2.000", 1, true, 0.5),
            ("ensemble of 3", 3, false, 2.0),
        ]
    );
}

#[test]
fn the_ensemble_is_fitted_for_itself() {
    let both = MethodOutputs {
        mean: 1.5,
        ensemble: Some((EnsembleSettings::new(3, 7), 2.5)),
    };
    let found = fit_each(&both, |_, outputs, _| Ok(Some(*outputs))).unwrap();
    assert_eq!((found.mean, found.ensemble), (Some(1.5), Some(2.5)));
    let alone = MethodOutputs {
        ensemble: None,
        ..both
    };
    assert_eq!(
        fit_each(&alone, |_, outputs, _| Ok(Some(*outputs)))
            .unwrap()
            .ensemble,
        None
    );
}
