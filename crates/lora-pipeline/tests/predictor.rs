//! The front door on the embedded model: trained, calibrated, saved, loaded.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::path::Path;

use lora_core::{Fp32Precision, LoraConfig, Rescale, TargetModules};
use lora_data::{Dataset, Example, LabelNames, Target, Task};
use lora_pipeline::predict::PredictedLabel;
use lora_pipeline::progress::Silent;
use lora_pipeline::{Ensemble, FitSettings, Predictor};
use lora_train::TrainConfig;

fn base() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/minilm-l6");
    folder.display().to_string()
}

fn adapters() -> LoraConfig {
    LoraConfig::new(2, 5.0, TargetModules::names(["query", "value"])).with_dropout(0.3, Rescale::Rescaled)
}

fn settings(validation_fraction: f64) -> FitSettings {
    let train = TrainConfig {
        seed: 7,
        ..TrainConfig::new(2e-3, 1.0, 4)
    };
    FitSettings {
        validation_fraction,
        max_seq_length: 12,
        ..FitSettings::new(train)
    }
}

fn example(text: &str, target: Target) -> Example {
    Example {
        text: text.to_owned(),
        text_pair: None,
        target: Some(target),
    }
}

/// Two classes; every fourth row is labelled against its text, so that a temperature is determined.
fn reviews() -> Dataset {
    let row = |row: usize| {
        let text = ["a gripping film", "dull and far too long"][row % 2];
        let is_wrong = row % 8 == 3;
        example(
            &format!("{text}, number {row}"),
            Target::Class((row + usize::from(is_wrong)) % 2),
        )
    };
    let labels = LabelNames::new(["good", "bad"]).unwrap();
    Dataset {
        examples: (0..40).map(row).collect(),
        task: Task::Classification { labels },
    }
}

#[test]
fn what_is_saved_predicts_the_same_to_the_last_bit() {
    let fitted = Predictor::open(&base())
        .unwrap()
        .lora(adapters())
        .fit(&reviews(), &settings(0.25), &Silent)
        .unwrap();
    assert_eq!(
        fitted.history().unwrap().steps.len(),
        8,
        "30 rows in batches of 4"
    );
    let ensemble = fitted.calibrated_ensemble().unwrap();
    assert_eq!((ensemble.members, ensemble.seed), (8, 7));
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("runs/reviews");
    fitted.save(&output).unwrap();
    assert!(fitted.save(&output).is_err(), "what is there is never replaced");
    let loaded = Predictor::load(&output).unwrap();
    let texts = ["a gripping film", "dull"];
    for ensemble in [None, Some(ensemble), Some(Ensemble::new(3, 5))] {
        let predictions = fitted.predict(&texts, ensemble).unwrap();
        assert_eq!(loaded.predict(&texts, ensemble).unwrap(), predictions);
        for prediction in &predictions {
            let PredictedLabel::Class {
                probabilities,
                mutual_information,
                ..
            } = &prediction.label
            else {
                panic!("a class is predicted");
            };
            let sum: f64 = probabilities.iter().map(|(_, probability)| probability).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{sum}");
            assert_eq!(mutual_information.is_some(), ensemble.is_some());
        }
    }
    let scores = loaded.score(&reviews(), Ensemble::new(8, 7)).unwrap();
    assert!(scores.iter().any(|method| method.members == 8));
}

/// Rounding to bf16 is 2⁻⁹ of a number; a dozen of them are allowed for.
#[test]
fn a_predictor_in_bf16_is_near_f32_and_the_same_to_the_bit_in_bf16() {
    let settings = FitSettings {
        fp32_precision: Fp32Precision::Bf16,
        ..settings(0.25)
    };
    let fitted = Predictor::open(&base())
        .unwrap()
        .lora(adapters())
        .fit(&reviews(), &settings, &Silent)
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("reviews");
    fitted.save(&output).unwrap();
    let texts = ["a gripping film", "dull"];
    let said = |predictor: &Predictor| predictor.predict(&texts, None).unwrap();
    let expected = said(&fitted);
    assert_eq!(
        said(&Predictor::load_in(&output, Fp32Precision::Bf16).unwrap()),
        expected
    );
    let in_f32 = said(&Predictor::load(&output).unwrap());
    assert_ne!(in_f32, expected);
    for (found, expected) in in_f32.iter().zip(&expected) {
        let [found, expected] = [found, expected].map(|prediction| match &prediction.label {
            PredictedLabel::Class { probabilities, .. } => probabilities[0].1,
            other => panic!("a class is predicted, not {other:?}"),
        });
        assert!((found - expected).abs() < 12.0 / 512.0, "{found} and {expected}");
    }
}

#[test]
fn numbers_are_predicted_with_their_standard_deviation() {
    let row = |row: usize| example(&format!("film number {row}"), Target::Value(row as f32 / 4.0));
    let dataset = Dataset {
        examples: (0..10).map(row).collect(),
        task: Task::Regression,
    };
    let fitted = Predictor::open("minilm-l6")
        .unwrap()
        .lora(adapters())
        .fit(&dataset, &settings(0.0), &Silent)
        .unwrap();
    let predictions = fitted.predict(&["film"], Ensemble::new(4, 1)).unwrap();
    let PredictedLabel::Value { value, deviation } = &predictions[0].label else {
        panic!("a number is predicted");
    };
    assert!(value.is_finite() && deviation.is_some_and(|deviation| deviation > 0.0));
}

#[test]
fn an_ensemble_needs_masks() {
    let plain = LoraConfig::new(2, 5.0, TargetModules::names(["query"]));
    let fitted = Predictor::open("minilm-l6")
        .unwrap()
        .lora(plain)
        .fit(&reviews(), &settings(0.0), &Silent)
        .unwrap();
    assert_eq!(fitted.calibrated_ensemble(), None);
    assert!(fitted.predict(&["film"], None).is_ok());
    let error = fitted.predict(&["film"], Ensemble::new(8, 1)).unwrap_err();
    assert!(error.to_string().contains("without LoRA Dropout"), "{error}");
}
