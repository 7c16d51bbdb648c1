//! The committed cases pass, and a wrong number does not.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use lora_core::tensors::HostTensor;
use lora_kernels::Fp32Precision;

use super::{Differences, Tolerances, run_all};

fn folder(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(relative)
}

fn assert_all_pass(dir: &Path, only: &str, precision: Fp32Precision) {
    let outcomes = run_all(dir, only, &Device::flex(), precision, |_| {}).expect("the folder holds cases");
    for outcome in outcomes {
        // AdaLoRA shares out ranks by which of two near numbers is larger, and bf16 decides otherwise.
        if precision == Fp32Precision::Bf16 && outcome.case.starts_with("adalora") {
            continue;
        }
        assert!(outcome.passed, "{}: {:?}", outcome.case, outcome.reason);
    }
}

#[test]
fn the_committed_cases_pass() {
    for precision in [Fp32Precision::Ieee, Fp32Precision::Bf16x3, Fp32Precision::Bf16] {
        assert_all_pass(&folder("xtask/golden"), "", precision);
        assert_all_pass(&folder("crates/lora-models/tests/golden"), "", precision);
    }
}

#[test]
fn the_shared_encoder_cases_pass() {
    let dir = folder("../shared/parity/goldens");
    if !dir.is_dir() {
        println!("skipped: {} is absent", dir.display());
        return;
    }
    for case in [
        "models/bert",
        "models/roberta",
        "models/deberta",
        "adapters/bert",
        "adapters/roberta",
        "adapters/deberta",
        "lora_dropout/bert",
        "training/bert",
        "training/deberta",
    ] {
        assert_all_pass(&dir, case, Fp32Precision::Ieee);
    }
    for family in ["bert_seqcls", "roberta_seqcls", "debertav3_seqcls"] {
        for kind in [
            "lora",
            "rslora_patterns",
            "all_linear",
            "last_layer",
            "bias_lora_only",
        ] {
            assert_all_pass(&dir, &format!("adapters/{family}_{kind}"), Fp32Precision::Ieee);
        }
    }
}

#[test]
fn a_difference_or_a_nan_is_seen() {
    let tolerances = Tolerances::of(Fp32Precision::Ieee);
    let reference = HostTensor {
        shape: vec![3],
        values: vec![1.0, 0.0, -2.0],
    };
    for wrong in [[1.0, 3e-4, -2.0], [1.0, f32::NAN, -2.0]] {
        let mut differences = Differences::default();
        differences
            .outputs("x", &wrong, &reference, |_| true)
            .expect("same length");
        assert!(!differences.are_within(&tolerances));
    }
    let mut differences = Differences::default();
    differences
        .relative("x", &[1.0, 0.0, -2.01], &reference)
        .expect("same length");
    assert!(!differences.are_within(&tolerances), "5e-3 relative is over 1e-3");
    // 1.5e-4 is allowed beside 2, where it is 0.75e-4 of the largest number, and not beside 0.5.
    for (size, allowed) in [(2.0, true), (0.5, false)] {
        let reference = HostTensor {
            shape: vec![2],
            values: vec![size, 0.25],
        };
        let mut differences = Differences::default();
        differences
            .outputs("x", &[size, 0.250_15], &reference, |_| true)
            .expect("same length");
        assert_eq!(differences.are_within(&tolerances), allowed, "{size}");
    }
    let mut differences = Differences::default();
    differences
        .outputs("x", &[1.0, 0.0, -2.0], &reference, |_| true)
        .expect("same length");
    assert!(differences.are_within(&tolerances));
}
