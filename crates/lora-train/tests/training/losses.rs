//! Weights of classes, smoothed labels and focal loss: equal to PyTorch, torchvision and scikit-learn.

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};
use lora_data::{Encoded, EncodedDataset, LabelNames, Targets, Task};
use lora_train::{ClassWeights, Criterion, TrainConfig, TrainError};
use serde::Deserialize;

use crate::toy::device;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    balanced: Vec<Balanced>,
}

#[derive(Deserialize)]
struct Case {
    kind: String,
    #[serde(default)]
    labels: Vec<usize>,
    #[serde(default)]
    held: Vec<Vec<usize>>,
    weights: Option<Vec<f32>>,
    smoothing: f64,
    gamma: f64,
    outputs: Vec<f32>,
    shape: [usize; 2],
    loss: f32,
    gradient: Vec<f32>,
}

#[derive(Deserialize)]
struct Balanced {
    labels: Vec<usize>,
    weights: BTreeMap<usize, f64>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/losses.json")).unwrap()
}

#[test]
fn losses_and_gradients_are_those_of_pytorch() {
    let cases = golden().cases;
    assert_eq!(cases.len(), 18);
    for case in cases {
        let config = TrainConfig {
            label_smoothing_factor: case.smoothing,
            focal_loss_gamma: case.gamma,
            ..TrainConfig::new(1e-3, 1.0, 8)
        };
        let mut criterion = Criterion::new(&config);
        if let Some(weights) = case.weights {
            criterion = criterion.with_class_weights(weights);
        }
        let targets = match case.kind.as_str() {
            "classes" => Targets::Classes(case.labels),
            _ => Targets::Labels(case.held),
        };
        let outputs = TensorData::new(case.outputs, case.shape);
        let outputs = Tensor::<2>::from_data(outputs, &device().autodiff()).require_grad();
        let loss = criterion.loss(outputs.clone(), &targets);
        let found = loss.clone().into_scalar::<f32>();
        let what = format!("{} ε = {} γ = {}", case.kind, case.smoothing, case.gamma);
        assert!(
            (found - case.loss).abs() < 1e-5 * case.loss.abs().max(1.0),
            "{what}: {found}, not {}",
            case.loss
        );
        let gradient = outputs.grad(&loss.backward()).unwrap();
        let found = gradient.into_data().try_to_vec::<f32>().unwrap();
        for (found, expected) in found.iter().zip(&case.gradient) {
            assert!((found - expected).abs() < 1e-6, "{what}: {found}, not {expected}");
        }
    }
}

fn data(targets: Targets, names: &[&str]) -> EncodedDataset {
    EncodedDataset {
        encoded: vec![Encoded::default()],
        targets,
        task: Some(Task::Classification {
            labels: LabelNames::new(names.iter().copied()).unwrap(),
        }),
        truncated: 0,
    }
}

#[test]
fn balanced_weights_are_those_of_scikit_learn() {
    for case in golden().balanced {
        let data = data(Targets::Classes(case.labels), &["a", "b", "c", "d"]);
        let found = ClassWeights::Balanced.of(&data).unwrap();
        for (class, found) in found.iter().enumerate() {
            // scikit-learn knows the classes of the rows alone; of another nothing depends on its weight.
            let expected = case.weights.get(&class).copied().unwrap_or(1.0);
            assert!(
                (f64::from(*found) - expected).abs() < 1e-6,
                "class {class}: {found}"
            );
        }
    }
}

#[test]
fn weights_by_label_are_1_where_none_is_given_and_refuse_unknown_labels() {
    let data = data(Targets::Classes(vec![0, 1]), &["ham", "spam"]);
    let weights: ClassWeights = serde_json::from_str(r#"{"spam": 4}"#).unwrap();
    assert_eq!(weights.of(&data).unwrap(), [1.0, 4.0]);
    let wrong: ClassWeights = serde_json::from_str(r#"{"scam": 4}"#).unwrap();
    let error = wrong.of(&data).unwrap_err().to_string();
    assert!(error.contains("`scam`") && error.contains("ham, spam"), "{error}");
    assert_eq!(
        serde_json::from_str::<ClassWeights>("\"balanced\"").unwrap(),
        ClassWeights::Balanced
    );
}

#[test]
fn weights_for_numbers_are_refused() {
    let numbers = EncodedDataset {
        task: Some(Task::Regression),
        ..data(Targets::Values(vec![0.5]), &["a", "b"])
    };
    assert_eq!(
        ClassWeights::Balanced.of(&numbers),
        Err(TrainError::ClassWeightsTask)
    );
}
