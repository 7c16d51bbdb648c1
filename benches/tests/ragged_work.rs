//! A padded batch takes the multiplications of its real tokens. A file of its own: the count is of the whole process.

use bench_model::{Step, real};
use burn::tensor::Device;
use lora_data::Batch;
use lora_kernels::multiplications;

/// Multiplications of one training step.
fn step(batch: &Batch, step: &Step) -> u64 {
    let mut trainer = real::trainer(step, &Device::flex());
    let before = multiplications();
    trainer
        .step(std::slice::from_ref(batch))
        .expect("the training does not diverge");
    multiplications() - before
}

#[test]
fn a_ragged_batch_takes_the_multiplications_of_its_real_tokens() {
    let (ragged, even) = (real::ragged(), real::even());
    let tokens = |batch: &Batch| batch.attention_mask.iter().sum::<f32>();
    assert!((tokens(&ragged) - tokens(&even)).abs() < 1e-3);
    assert!(even.attention_mask.iter().all(|real| *real == 1.0));
    // 16 rows of 64 places, 576 of them real.
    assert!(ragged.attention_mask.len() as f32 > 1.7 * tokens(&ragged));
    for kind in [Step::PLAIN, Step::ONE_MASK, Step::EXAMPLE_MASKS] {
        let [ragged, even] = [&ragged, &even].map(|batch| step(batch, &kind));
        // Attention takes the squares of lengths, which are 1.2 times as large where lengths differ; everything else takes the same.
        let more = ragged as f64 / even as f64;
        assert!(
            (1.0..1.01).contains(&more),
            "{more} times the multiplications, {}",
            kind.name
        );
    }
}
