//! Masks depend on seed, draw, path and side, and on nothing else.

use crate::support::{Tiny, assert_close, config, device, fill_b, normal, numbers};
use burn::tensor::Tensor;
use lora_core::random::Draw;
use lora_core::sampler::AdapterShape;
use lora_core::{Adapted, LoraDropout, MaskAxes, MaskSampler, Pass, Rescale};
use proptest::prelude::*;

fn sampler(seed: u64, probability: f64, rescale: Rescale) -> MaskSampler {
    MaskSampler {
        seed,
        dropout: Some(LoraDropout::new(probability, rescale)),
        input_dropout: 0.0,
    }
}

fn adapters() -> Vec<AdapterShape> {
    [("net.layer.0.query", 5, 7), ("net.layer.1.value", 7, 6)]
        .map(|(path, d_input, d_output)| AdapterShape {
            path: path.into(),
            d_input,
            d_output,
            rank: 2,
        })
        .to_vec()
}

/// Both masks of one group, as numbers.
fn group(sampler: &MaskSampler, draws: &[Draw], group: usize, path: &str) -> (Vec<f32>, Vec<f32>) {
    let set = sampler.draw(draws, &adapters(), &device());
    let masks = set.keep_masks(path).expect("the path is adapted");
    let row = |mask: &Option<Tensor<2>>| {
        let mask = mask.clone().expect("both sides are masked");
        numbers(mask.narrow(0, group, 1))
    };
    (row(&masks.input), row(&masks.output))
}

proptest! {
    #[test]
    fn one_seed_gives_the_same_member_in_any_grouping_and_order(
        seed: u64,
        member in 0_u64..1000,
        before in proptest::collection::vec(0_u64..1000, 0..5),
    ) {
        let sampler = sampler(seed, 0.5, Rescale::Rescaled);
        let alone = group(&sampler, &[Draw::Member(member)], 0, "net.layer.1.value");
        let draws: Vec<Draw> = before.iter().copied().chain([member]).map(Draw::Member).collect();
        prop_assert_eq!(group(&sampler, &draws, before.len(), "net.layer.1.value"), alone);
    }

    #[test]
    fn mask_entries_are_zero_or_the_kept_value(seed: u64, probability in 0.01_f64..0.99) {
        for rescale in [Rescale::Plain, Rescale::Rescaled] {
            let sampler = sampler(seed, probability, rescale);
            let kept = if rescale == Rescale::Plain { 1.0 } else { (1.0 / (1.0 - probability)) as f32 };
            let (input, output) = group(&sampler, &[Draw::Step { step: 3, sample: 1 }], 0, "net.layer.0.query");
            prop_assert!(input.iter().chain(&output).all(|&entry| entry == 0.0 || entry == kept));
        }
    }
}

#[test]
fn draws_paths_sides_and_seeds_give_different_masks() {
    // 400 entries: two equal masks by chance have probability 2^-400.
    let wide = [
        AdapterShape {
            path: "a".into(),
            d_input: 400,
            d_output: 400,
            rank: 2,
        },
        AdapterShape {
            path: "b".into(),
            d_input: 400,
            d_output: 400,
            rank: 2,
        },
    ];
    let mut seen = Vec::new();
    for seed in [1, 2] {
        for draw in [
            Draw::Member(0),
            Draw::Member(1),
            Draw::Step { step: 0, sample: 0 },
            Draw::Step { step: 0, sample: 1 },
            Draw::Step { step: 1, sample: 0 },
        ] {
            let set = sampler(seed, 0.5, Rescale::Plain).draw(&[draw], &wide, &device());
            for path in ["a", "b"] {
                let masks = set.keep_masks(path).expect("the path is adapted");
                seen.extend([&masks.input, &masks.output].map(|mask| numbers(mask.clone().expect("masked"))));
            }
        }
    }
    for (index, mask) in seen.iter().enumerate() {
        assert!(
            !seen[..index].contains(mask),
            "mask {index} repeats an earlier one"
        );
    }
}

#[test]
fn masks_of_one_side_are_those_that_both_sides_have() {
    let both = sampler(4, 0.5, Rescale::Plain);
    let on = |axes| MaskSampler {
        dropout: both.dropout.map(|dropout| dropout.on(axes)),
        ..both.clone()
    };
    let masks = |sampler: &MaskSampler| {
        let set = sampler.members(3..5, &adapters(), &device());
        let masks = set
            .keep_masks("net.layer.1.value")
            .expect("the path is adapted")
            .clone();
        [masks.input, masks.output, masks.rank].map(|mask| mask.map(numbers))
    };
    let [input, output, rank] = masks(&both);
    assert!(input.is_some() && output.is_some() && rank.is_none());
    assert_eq!(masks(&on(MaskAxes::Columns)), [input, None, None]);
    assert_eq!(masks(&on(MaskAxes::Rows)), [None, output, None]);
    let [input, output, rank] = masks(&on(MaskAxes::Rank));
    assert_eq!(
        (input, output, rank.map(|mask| mask.len())),
        (None, None, Some(2 * 2))
    );
}

#[test]
fn the_share_of_dropped_entries_is_the_probability() {
    let wide = [AdapterShape {
        path: "a".into(),
        d_input: 100_000,
        d_output: 2,
        rank: 2,
    }];
    let set = sampler(1, 0.3, Rescale::Plain).draw(&[Draw::Member(0)], &wide, &device());
    let mask = set.keep_masks("a").expect("the path is adapted").input.clone();
    let kept: f32 = numbers(mask.expect("masked")).iter().sum();
    // Standard deviation of the share: sqrt(0.3·0.7/100000) = 0.00145.
    assert!((kept / 100_000.0 - 0.7).abs() < 0.006);
}

#[test]
fn a_grouped_pass_gives_each_part_of_the_batch_its_member() {
    let (mut adapted, _) = Adapted::attach(Tiny::new(), config(), 7).expect("valid settings");
    fill_b(&mut adapted.model);
    let sampler = sampler(9, 0.5, Rescale::Plain);
    // Batch 7 over 2 and 3 groups: sizes that do not divide; 7 groups: one mask an example.
    let axes = [
        MaskAxes::RowsAndColumns,
        MaskAxes::Rows,
        MaskAxes::Columns,
        MaskAxes::Rank,
    ];
    for (groups, axes) in [1, 2, 3, 7]
        .into_iter()
        .flat_map(|groups| axes.map(|axes| (groups, axes)))
    {
        let dropout = LoraDropout::new(0.5, Rescale::Plain).on(axes);
        let sampler = MaskSampler {
            dropout: Some(dropout),
            ..sampler.clone()
        };
        let x = normal("x", [7, 5]);
        let set = sampler.members(0..groups as u64, &adapters(), &device());
        let together = numbers(adapted.model.forward(x.clone(), &Pass::Stochastic(&set)));
        for row in 0..7 {
            let member = (row * groups / 7) as u64;
            let set = sampler.members(member..member + 1, &adapters(), &device());
            let alone = numbers(
                adapted
                    .model
                    .forward(x.clone().narrow(0, row, 1), &Pass::Stochastic(&set)),
            );
            assert_close(&together[row * 3..row * 3 + 3], &alone, 1e-5);
        }
    }
}

#[test]
fn input_dropout_is_fresh_for_every_number_and_repeats_with_its_draw() {
    let (mut adapted, _) = Adapted::attach(Tiny::new(), config(), 7).expect("valid settings");
    fill_b(&mut adapted.model);
    let sampler = MaskSampler {
        seed: 2,
        dropout: None,
        input_dropout: 0.5,
    };
    let pass = |step| sampler.draw(&[Draw::Step { step, sample: 0 }], &adapters(), &device());
    let x = normal("x", [1, 5]).repeat_dim(0, 2); // two equal rows
    let first = numbers(adapted.model.forward(x.clone(), &Pass::Stochastic(&pass(1))));
    assert_eq!(
        first,
        numbers(adapted.model.forward(x.clone(), &Pass::Stochastic(&pass(1))))
    );
    assert_ne!(
        first,
        numbers(adapted.model.forward(x, &Pass::Stochastic(&pass(2))))
    );
    assert_ne!(first[..3], first[3..], "equal rows get their own noise");
}

/// Outputs under input dropout, `[tokens, d_output]` for each of these data set rows.
fn noisy(rows: &[usize], tokens: usize) -> Vec<Vec<f32>> {
    let (mut adapted, _) = Adapted::attach(Tiny::new(), config(), 7).expect("valid settings");
    fill_b(&mut adapted.model);
    let sampler = MaskSampler {
        seed: 2,
        dropout: None,
        input_dropout: 0.5,
    };
    let set = sampler.members(4..5, &adapters(), &device()).for_rows(rows);
    // Every token of every row is the same, so that only the noise tells them apart.
    let x = normal("x", [1, 5])
        .reshape([1, 1, 5])
        .repeat(&[rows.len(), tokens, 1]);
    let y = adapted.model.first.forward(x, &Pass::Stochastic(&set));
    let d_output = y.dims()[2];
    numbers(y)
        .chunks(tokens * d_output)
        .map(<[f32]>::to_vec)
        .collect()
}

proptest! {
    #[test]
    fn input_dropout_of_a_token_depends_on_its_row_and_place_alone(
        rows in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(),
        batch in 1_usize..=6,
        tokens in 3_usize..9,
    ) {
        let alone = noisy(&[rows[batch - 1]], 3).remove(0);
        let among = noisy(&rows[..batch], tokens).remove(batch - 1);
        assert_close(&among[..alone.len()], &alone, 1e-5);
    }
}

#[test]
fn input_dropout_is_fresh_for_every_row_and_token() {
    let rows = noisy(&[0, 1, 5], 4);
    let width = rows[0].len() / 4;
    let tokens: Vec<&[f32]> = rows.iter().flat_map(|row| row.chunks(width)).collect();
    // Five numbers are dropped or kept: 32 patterns for 12 tokens, so some may agree, but not most.
    let fresh = (0..tokens.len()).filter(|&index| !tokens[..index].contains(&tokens[index]));
    assert!(fresh.count() > 6);
}
