//! Every calibration method on a whole transformer: from a trained adapter to the members of an ensemble.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::path::Path;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use lora_core::adapter::Adapter;
use lora_core::random::seeded_normal;
use lora_core::tensors::HostTensor;
use lora_core::vector::{Part, Posterior, VectorLayout};
use lora_core::{Adapted, Linears, LoraConfig, Model, Pass, TargetModules};
use lora_data::{Batch, Encoded, EncodedDataset, LabelNames, Padding, Targets, Task};
use lora_eval::laplace::{Laplace, LaplaceSettings, LastLayerFeatures, Observed, Structure};
use lora_eval::softmax::softmax;
use lora_eval::{Average, ModelOutputs, Predictions, predict_posterior};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};
use lora_train::fit::fit_variational;
use lora_train::gradients::named_gradients;
use lora_train::schedule::Schedule;
use lora_train::swag::{SWAG_SCALE, SwagCollector, SwagSettings};
use lora_train::variational::VariationalSettings;
use lora_train::{Event, FitData, Flow, TrainConfig, fit};

const CLASSES: usize = 3;
const EXAMPLES: usize = 10;

/// A tiny BERT with LoRA of rank 2 and alpha 5 on query, value and the feed-forward blocks, its head trained in full.
fn adapted() -> Adapted<Transformer> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/golden/training/tiny_bert_full/base");
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let head = HeadOptions {
        kind: HeadKind::SequenceClassification { outputs: CLASSES },
        seed: 0,
    };
    let (model, _) = Transformer::load(&checkpoint, head, &Device::flex()).unwrap();
    let targets = TargetModules::names(["query", "value", "intermediate.dense"]);
    let config = LoraConfig::new(2, 5.0, targets).with_modules_to_save(["classifier"]);
    let (mut adapted, _) = Adapted::attach(model, config, 7).unwrap();
    adapted.model.visit_linears_mut(&mut |linear| {
        let name = format!("{}.b", linear.path());
        if let Some(Adapter::LowRank(factors)) = &mut linear.adapter {
            let shape = factors.b.dims();
            let values = seeded_normal(2, &name, shape[0] * shape[1], 0.3);
            let b = HostTensor {
                shape: shape.to_vec(),
                values,
            };
            factors.b = factors.b.clone().map(|_| b.on::<2>(&Device::flex()));
        }
    });
    adapted
}

/// Rows of 3 to 6 tokens, so that batches have padding; a class each.
fn dataset() -> EncodedDataset {
    let encoded = |row: usize| {
        let length = 3 + row % 4;
        Encoded {
            input_ids: (0..length)
                .map(|place| ((row * 11 + place * 5) % 29 + 2) as u32)
                .collect(),
            token_type_ids: vec![0; length],
        }
    };
    let labels = LabelNames::new(["low", "middle", "high"].map(String::from).to_vec()).unwrap();
    EncodedDataset {
        encoded: (0..EXAMPLES).map(encoded).collect(),
        targets: Targets::Classes((0..EXAMPLES).map(|row| row % CLASSES).collect()),
        task: Some(Task::Classification { labels }),
        truncated: 0,
    }
}

fn batches() -> Vec<Batch> {
    let rows: Vec<usize> = (0..EXAMPLES).collect();
    let padding = Padding::with(0);
    rows.chunks(4)
        .map(|rows| dataset().batch(rows, padding))
        .collect()
}

fn rows(batches: &[Batch]) -> impl Iterator<Item = (&Batch, &[usize])> + Clone {
    batches.iter().map(|batch| (batch, batch.rows.as_slice()))
}

fn labels() -> Vec<usize> {
    (0..EXAMPLES).map(|row| row % CLASSES).collect()
}

#[test]
fn the_curvature_of_a_transformer_with_padding_is_that_of_gradients_taken_one_by_one() {
    let adapted = adapted();
    let layout = VectorLayout::of(&adapted, Part::Trained);
    let training = adapted.clone().map(Module::train);
    let mut curvature = vec![0.0; layout.len()];
    for batch in batches() {
        for row in 0..batch.batch {
            let alone = batch.slice(row..row + 1);
            let of_classes: Vec<(f64, Vec<f64>)> = (0..CLASSES)
                .map(|class| {
                    let logit = training
                        .model
                        .forward(&alone, &Pass::Mean)
                        .narrow(1, class, 1)
                        .sum();
                    let value = f64::from(logit.clone().into_scalar::<f32>());
                    let gradients = GradientsParams::from_grads(logit.backward(), &training.model);
                    let gradients = named_gradients(&training, &gradients);
                    let slots = layout.slots().iter();
                    let values = slots.flat_map(|slot| gradients[&slot.name].values.iter());
                    (value, values.map(|value| f64::from(*value)).collect())
                })
                .collect();
            let logits: Vec<f64> = of_classes.iter().map(|(logit, _)| *logit).collect();
            let p = softmax(&logits);
            for (place, sum) in curvature.iter_mut().enumerate() {
                // jᵀ (diag(p) − p pᵀ) j.
                let j = || of_classes.iter().map(|(_, gradient)| gradient[place]).zip(&p);
                let mean: f64 = j().map(|(j, p)| j * p).sum();
                *sum += j().map(|(j, p)| j * j * p).sum::<f64>() - mean * mean;
            }
        }
    }
    let labels = labels();
    let settings = LaplaceSettings {
        structure: Structure::Diagonal,
        prior_precision: 1e-6,
        ..LaplaceSettings::default()
    };
    let observed = Observed::Classes(&labels);
    let batches = batches();
    let laplace = Laplace::fit(&adapted, rows(&batches), &observed, &settings, &mut |_| ()).unwrap();
    let largest = curvature.iter().copied().fold(0.0, f64::max);
    for (place, expected) in curvature.into_iter().enumerate() {
        let mut unit = vec![0.0; layout.len()];
        unit[place] = 1.0;
        let found = 1.0 / laplace.variance(&unit) - 1e-6;
        // Gradients in f32, summed in another order: 1e-4 of each, or of a millionth of the largest.
        assert!(
            (found - expected).abs() < 1e-4 * expected + 1e-6 * largest,
            "{place}: {found}, expected {expected}"
        );
    }
}

fn config() -> TrainConfig {
    TrainConfig {
        lr_scheduler_type: Schedule::Constant,
        ..TrainConfig::new(5e-3, 4.0, 4)
    }
}

fn go_on(_: &Event) -> Flow {
    Flow::Continue
}

/// Holds that members differ from each other and are probabilities of every example.
fn assert_members(outputs: ModelOutputs, members: usize) -> Predictions {
    let predictions = outputs.into_predictions().unwrap();
    assert_eq!(
        (
            predictions.members(),
            predictions.examples(),
            predictions.classes()
        ),
        (members, EXAMPLES, CLASSES)
    );
    let logits = predictions.logits();
    assert_ne!(
        logits[..EXAMPLES * CLASSES],
        logits[EXAMPLES * CLASSES..2 * EXAMPLES * CLASSES]
    );
    let average = predictions.average(Average::Probabilities);
    for row in 0..EXAMPLES {
        assert!((average.row(row).iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }
    predictions
}

#[test]
fn every_method_gives_members_that_join_into_one_ensemble() {
    let (train, labels, batches) = (dataset(), labels(), batches());
    let data = FitData {
        train: &train,
        validation: None,
        padding: Padding::with(0),
    };
    let members_of = |trained: &Adapted<Transformer>, posterior: &dyn Posterior| {
        let outputs = predict_posterior(trained, &rows(&batches), EXAMPLES, posterior, 0..3, &mut |_| ());
        assert_members(outputs.unwrap(), 3)
    };

    let mut listener = go_on;
    let settings = SwagSettings {
        start: 0.5,
        every: Some(1),
        ..SwagSettings::default()
    };
    let mut collecting = SwagCollector::new(settings, &mut listener).unwrap();
    let trained = fit(adapted(), &config(), &data, &mut collecting).unwrap().last;
    let swag = members_of(&trained, &collecting.finish(3, SWAG_SCALE).unwrap());

    let observed = Observed::Classes(&labels);
    let settings = LaplaceSettings {
        part: Part::Adapters,
        ..LaplaceSettings::default()
    };
    let laplace = Laplace::fit(&trained, rows(&batches), &observed, &settings, &mut |_| ()).unwrap();
    let of_adapters = members_of(&trained, &laplace.with_evidence_prior());

    let features = LastLayerFeatures::of(&trained, rows(&batches), EXAMPLES, &mut |_| ()).unwrap();
    let laplace = Laplace::of_last_layer(&trained, &features, &observed, Structure::Full).unwrap();
    let laplace = laplace.with_evidence_prior();
    let quick = assert_members(laplace.last_layer_members(&features, 0..3).unwrap(), 3);
    let of_head = members_of(&trained, &laplace);
    for (quick, whole) in quick.logits().iter().zip(of_head.logits()) {
        assert!(
            (quick - whole).abs() < 1e-4 * whole.abs().max(1.0),
            "{quick}, {whole}"
        );
    }
    let probit = laplace.probit(&features).unwrap();

    let settings = VariationalSettings::default();
    let fitted = fit_variational(adapted(), &config(), &data, settings, &mut go_on).unwrap();
    let factors = fitted.variational.unwrap();
    let variational = members_of(&fitted.best, &factors.posterior(&fitted.best, 5));

    let all = Predictions::joined(&[swag, of_adapters, of_head, probit, variational]).unwrap();
    assert_eq!(all.members(), 3 * 4 + 1);
}
