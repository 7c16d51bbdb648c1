//! The embedded MiniLM computes what Transformers computes, to 1e-4 in f32.

use std::path::Path;

use burn::module::Param;
use burn::tensor::{Tensor, TensorData};
use lora_core::tensors::TensorFile;
use lora_core::{Linears, Model, Pass};
use lora_data::{Batch, Targets};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};

use crate::device;

fn path(relative: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn narrow<T>((shape, values): (Vec<usize>, Vec<i64>), convert: impl Fn(i64) -> T) -> (Vec<usize>, Vec<T>) {
    (shape, values.into_iter().map(convert).collect())
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().convert::<f32>().try_into_vec().unwrap()
}

#[test]
fn minilm_equals_transformers_on_real_sentences() {
    let golden = TensorFile::open(&path("tests/golden/minilm.safetensors")).unwrap();
    let integers = |name: &str| golden.read_integers(name).unwrap().unwrap();
    let (shape, input_ids) = narrow(integers("input_ids"), |id| id as i32);
    let (_, token_type_ids) = narrow(integers("token_type_ids"), |id| id as i32);
    let (_, attention_mask) = narrow(integers("attention_mask"), |keep| keep as f32);
    let [batch, seq] = shape[..] else {
        panic!("input_ids is a matrix")
    };
    let batch = Batch {
        batch,
        seq,
        input_ids,
        token_type_ids,
        attention_mask,
        targets: Targets::None,
        rows: (0..batch).collect(),
    };

    let checkpoint = Checkpoint::open(&path("../../assets/minilm-l6")).unwrap();
    let head = HeadOptions {
        kind: HeadKind::SequenceClassification { outputs: 3 },
        seed: 0,
    };
    let (mut model, report) = Transformer::load(&checkpoint, head, &device()).unwrap();
    assert_eq!(report.initialized, ["classifier.weight", "classifier.bias"]);
    assert!(report.left_over.is_empty(), "{:?}", report.left_over);
    model.visit_linears_mut(&mut |linear| {
        if linear.path() == "classifier" {
            let weight = (0..3 * 384)
                .map(|i| ((0.1 * f64::from(i)).sin() / 10.0) as f32)
                .collect::<Vec<_>>();
            let weight = Tensor::<2>::from_data(TensorData::new(weight, [3, 384]), &device());
            linear.base.weight = Param::from_tensor(weight.transpose());
            linear.base.bias = Some(Param::from_tensor(Tensor::from_floats(
                [0.1, -0.2, 0.3],
                &device(),
            )));
        }
    });

    let mut last = Vec::new();
    let logits =
        numbers(model.observed_forward(&batch, &Pass::Mean, &mut |hidden| last = numbers(hidden.clone())));
    assert_eq!(
        logits,
        numbers(model.forward(&batch, &Pass::Mean)),
        "observing changes nothing"
    );
    let expected = golden.read("logits").unwrap().unwrap().values;
    for (found, expected) in logits.iter().zip(&expected) {
        assert!(
            (found - expected).abs() < 1e-4,
            "logits {logits:?}, expected {expected:?}"
        );
    }
    let expected = golden.read("hidden.6").unwrap().unwrap().values;
    assert_eq!(last.len(), expected.len());
    for (index, (found, expected)) in last.iter().zip(&expected).enumerate() {
        if batch.attention_mask[index / 384] == 1.0 {
            assert!(
                (found - expected).abs() < 1e-4,
                "hidden.6[{index}]: {found}, expected {expected}"
            );
        }
    }
}
