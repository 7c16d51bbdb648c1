//! What holds for any schedule, any split of a step into batches, any order of rows, and any sequence of parameters.

use std::collections::BTreeMap;

use burn::optim::GradientsParams;
use lora_core::tensors::HostTensor;
use lora_core::{Adapted, Pass};
use lora_data::Batch;
use lora_train::gradients::{clip_factor, global_norm, named_gradients, scale};
use lora_train::objective::{LossAndGradients, backward};
use lora_train::schedule::Schedule;
use lora_train::swag::SwagMoments;
use lora_train::variational::KlWeight;
use lora_train::{MaskGrouping, TrainConfig, Trainer};
use proptest::prelude::*;

use crate::toy::{Toy, adapted, batch, config, dataset, padding};

const ROWS: usize = 7;

type Named = BTreeMap<String, HostTensor>;

fn trainer() -> Trainer<Toy> {
    Trainer::new(adapted(config()), TrainConfig::new(1e-2, 1.0, 4), 10).unwrap()
}

fn model_and_gradients() -> (Adapted<Toy>, GradientsParams) {
    let adapted = adapted(config()).map(burn::module::Module::train);
    let LossAndGradients { gradients, .. } = backward(&adapted, &batch(ROWS), &Pass::Mean, 1.0);
    (adapted, gradients)
}

/// `√(Σ g²)` over all gradients, on the host in double precision.
fn norm(gradients: &Named) -> f64 {
    let values = gradients.values().flat_map(|tensor| &tensor.values);
    values.map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
}

/// The largest difference of two gradients.
fn distance(left: &Named, right: &Named) -> f32 {
    assert!(left.keys().eq(right.keys()));
    let pairs = left
        .iter()
        .flat_map(|(name, tensor)| tensor.values.iter().zip(&right[name].values));
    pairs
        .map(|(left, right)| (left - right).abs())
        .fold(0.0, f32::max)
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    prop_oneof![
        Just(Schedule::Constant),
        Just(Schedule::Linear),
        Just(Schedule::Cosine)
    ]
}

proptest! {
    #[test]
    fn a_rate_rises_in_warmup_and_never_after_it(
        schedule in any_schedule(), total in 2_u64..500, percent in 0_u64..100,
    ) {
        let warmup = (total - 1) * percent / 100;
        let factors: Vec<f64> = (0..=total).map(|step| schedule.factor(step, warmup, total)).collect();
        prop_assert!(factors.iter().all(|factor| (0.0..=1.0).contains(factor)));
        let (rising, falling) = factors.split_at(warmup as usize);
        prop_assert!(rising.windows(2).all(|pair| pair[0] < pair[1]));
        prop_assert!(rising.first().is_none_or(|first| *first == 0.0));
        prop_assert_eq!(falling[0], 1.0);
        prop_assert!(falling.windows(2).all(|pair| pair[0] >= pair[1]));
        if schedule != Schedule::Constant {
            prop_assert!(factors[total as usize] < 1e-12);
        }
    }

    #[test]
    fn every_epoch_takes_every_row_once(
        examples in 1_usize..400, size in 1_usize..40, accumulation in 1_usize..6, epochs in 1_u8..5,
    ) {
        let settings = TrainConfig {
            gradient_accumulation_steps: accumulation,
            ..TrainConfig::new(1e-3, f64::from(epochs), size)
        };
        let steps = settings.steps_per_epoch(examples) as usize;
        // Enough steps for all rows, and none without a row.
        prop_assert!(steps * size * accumulation >= examples);
        prop_assert!((steps - 1) * size * accumulation < examples);
        prop_assert_eq!(settings.total_steps(examples) as usize, steps * usize::from(epochs));
        prop_assert!(settings.warmup_steps_of(steps as u64) <= steps as u64);
    }

    #[test]
    fn a_pass_has_a_mask_for_every_row_and_none_without_rows(rows in 1_usize..100, groups in 1_usize..100) {
        let groupings = [MaskGrouping::Pass, MaskGrouping::Groups(groups), MaskGrouping::Example];
        for grouping in groupings {
            prop_assert!((1..=rows).contains(&grouping.masks(rows)));
            prop_assert_eq!(grouping.to_string().parse(), Ok(grouping));
        }
    }

    #[test]
    fn the_weights_of_an_epoch_sum_to_one(steps in 1_u64..3000, epoch in 0_u64..4) {
        for weight in [KlWeight::Steps, KlWeight::Doubling] {
            let of_epoch = (0..steps).map(|step| weight.in_step(epoch * steps + step, steps, 50));
            prop_assert!((of_epoch.sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn moments_are_those_of_all_vectors_and_columns_the_last_ones(
        vectors in proptest::collection::vec(any::<[i16; 3]>(), 1..30), most in 1_usize..8,
    ) {
        let vectors: Vec<[f64; 3]> = vectors.iter().map(|vector| vector.map(f64::from)).collect();
        let mut moments = SwagMoments::new(3, most);
        for vector in &vectors {
            moments.add(vector);
        }
        let count = vectors.len() as f64;
        for (place, (mean, variance)) in moments.mean().iter().zip(moments.variances()).enumerate() {
            let expected = vectors.iter().map(|vector| vector[place]).sum::<f64>() / count;
            let squares = vectors.iter().map(|vector| (vector[place] - expected).powi(2)).sum::<f64>();
            prop_assert!((mean - expected).abs() < 1e-6);
            prop_assert!((variance - squares / count).abs() < 1e-6 * (1.0 + squares));
        }
        prop_assert_eq!(moments.columns().len(), most.min(vectors.len()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn clipping_keeps_the_direction_and_ends_at_the_limit(limit in -3.0_f64..1.0) {
        let max_norm = 10_f64.powf(limit);
        let (adapted, mut gradients) = model_and_gradients();
        let before = named_gradients(&adapted, &gradients);
        let found = f64::from(global_norm(&adapted, &gradients).into_scalar::<f32>());
        prop_assert!((found / norm(&before) - 1.0).abs() < 1e-5);

        let factor = clip_factor(found, max_norm);
        scale(&adapted, &mut gradients, factor);
        let after = named_gradients(&adapted, &gradients);
        prop_assert!(norm(&after) <= max_norm.min(norm(&before)) * (1.0 + 1e-5));
        prop_assert!(norm(&after) >= max_norm.min(norm(&before)) * (1.0 - 1e-2));
        for (name, tensor) in &after {
            for (after, before) in tensor.values.iter().zip(&before[name].values) {
                prop_assert!((f64::from(*after) - f64::from(*before) * factor).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn where_a_step_is_cut_into_batches_does_not_matter_to_plain_lora(
        cuts in proptest::collection::btree_set(1..ROWS, 0..ROWS - 1),
    ) {
        let trainer = trainer();
        let whole = batch(ROWS);
        let ends: Vec<usize> = [0].into_iter().chain(cuts).chain([ROWS]).collect();
        let batches: Vec<Batch> = ends.windows(2).map(|pair| whole.slice(pair[0]..pair[1])).collect();
        let expected = trainer.gradients(&[whole]);
        prop_assert!(distance(&trainer.gradients(&batches), &expected) < 1e-5);
    }

    #[test]
    fn the_order_of_rows_does_not_matter_to_plain_lora(
        order in Just((0..ROWS).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let trainer = trainer();
        let shuffled = dataset(ROWS, 1).batch(&order, padding());
        prop_assert!(distance(&trainer.gradients(&[shuffled]), &trainer.gradients(&[batch(ROWS)])) < 1e-5);
    }
}
