//! A variational A: its divergence, its gradients, and what it learns.

use burn::module::{Module, Param};
use burn::tensor::{Int, Tensor, TensorData};
use lora_core::adapter::Adapter;
use lora_core::random::seeded_normal;
use lora_core::vector::{Part, Posterior, VectorLayout};
use lora_core::{Adapted, Linears, LoraConfig, LoraLinear, Model, Pass, TargetModules};
use lora_data::{Batch, Encoded, EncodedDataset, Targets, Task};
use lora_train::fit::fit_variational;
use lora_train::variational::{KlWeight, VariationalA, VariationalError, VariationalSettings};
use lora_train::{EvalStrategy, FitData, MaskGrouping, TrainConfig, TrainError, Trainer};

use crate::fitting::{go_on, settings};
use crate::toy::{Toy, adapted, batch, config, dataset, device, padding, trained_bits};

const USUAL: VariationalSettings = VariationalSettings {
    prior_deviation: 0.3,
    start: 0.6,
    learning_rate: None,
    kl_weight: KlWeight::Fixed(0.05),
};

fn trainer(adapted: Adapted<Toy>, settings: TrainConfig) -> Trainer<Toy> {
    Trainer::new(adapted, settings, 8)
        .unwrap()
        .with_variational(USUAL, 50)
        .unwrap()
}

#[test]
fn the_divergence_is_the_closed_form_for_gaussians() {
    let model = adapted(config()).map(Module::train);
    let factors = VariationalA::new(&model, USUAL, 3).unwrap();
    let found = f64::from(factors.divergence(&model).into_scalar::<f32>());
    let posterior = factors.posterior(&model, 0);
    // A of 6 × 2 and 10 × 2.
    assert_eq!(posterior.mean().len(), 32);
    let of_number = |(mean, deviation): (&f64, &f64)| {
        assert!((0.18..=0.36).contains(deviation), "between (0.6/√2)² and 0.6²");
        let prior: f64 = 0.3;
        (prior / deviation).ln() + (deviation.powi(2) + mean.powi(2)) / (2.0 * prior.powi(2)) - 0.5
    };
    let expected: f64 = posterior
        .mean()
        .iter()
        .zip(posterior.deviations())
        .map(of_number)
        .sum();
    assert!(
        (found - expected).abs() < 1e-5 * expected,
        "{found}, expected {expected}"
    );
}

#[test]
fn the_gradient_of_the_means_is_that_of_loss_and_divergence_by_differences() {
    let settings = TrainConfig {
        masks_per_step: 2,
        mask_grouping: MaskGrouping::Groups(4),
        ..settings()
    };
    let model = adapted(config());
    let gradients = trainer(model.clone(), settings.clone()).gradients(&[batch(6)]);
    let layout = VectorLayout::of(&model, Part::Adapters);
    let start = layout.read(&model);
    let loss_at = |place: usize, moved: f64| {
        let mut vector = start.clone();
        vector[place] += moved;
        let mut trainer = trainer(layout.write(&model, &vector), settings.clone());
        trainer.step(&[batch(6)]).unwrap().loss
    };
    for slot in layout.slots() {
        for place in slot.range.clone().step_by(5) {
            let step = 1e-2;
            let expected = (loss_at(place, step) - loss_at(place, -step)) / (2.0 * step);
            let found = f64::from(gradients[&slot.name].values[place - slot.range.start]);
            // A loss of about 1 in f32 gives differences an error of 1e-7/1e-2; their own is of the order of step².
            assert!(
                (found - expected).abs() < 1e-3 * expected.abs().max(0.3),
                "{}, {place}: {found}, expected {expected}",
                slot.name
            );
        }
    }
}

/// `y = x A B` with the features of rows in a table, one output, B = 1: linear in A.
#[derive(Module, Debug)]
pub struct StraightLine {
    table: Param<Tensor<2>>,
    linear: LoraLinear,
}

const ROWS: usize = 24;
const FEATURES: usize = 4;

impl Linears for StraightLine {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        visit(&self.linear);
    }
    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        visit(&mut self.linear);
    }
    fn heads(&self) -> Vec<String> {
        Vec::new()
    }
}

impl Model for StraightLine {
    type Input = Batch;
    fn forward(&self, input: &Batch, pass: &Pass) -> Tensor<2> {
        let ids = Tensor::<1, Int>::from_data(input.input_ids.as_slice(), &self.table.device());
        self.linear.forward(self.table.val().select(0, ids), pass)
    }
}

fn features() -> Vec<f32> {
    seeded_normal(4, "features", ROWS * FEATURES, 1.0)
}

pub fn line() -> Adapted<StraightLine> {
    let tensor = |values: Vec<f32>, shape: [usize; 2]| {
        Tensor::<2>::from_data(TensorData::new(values, shape), &device())
    };
    let model = StraightLine {
        table: Param::from_tensor(tensor(features(), [ROWS, FEATURES])),
        linear: LoraLinear::new("line", tensor(vec![0.0; FEATURES], [FEATURES, 1]), None),
    };
    let config = LoraConfig::new(1, 1.0, TargetModules::names(["line"]));
    let (mut adapted, _) = Adapted::attach(model, config, 1).unwrap();
    if let Some(Adapter::LowRank(factors)) = &mut adapted.model.linear.adapter {
        factors.b = factors.b.clone().map(|_| tensor(vec![1.0], [1, 1]));
    }
    adapted
}

/// A row of the table each, with the number that belongs to it.
fn line_data() -> EncodedDataset {
    let noise = seeded_normal(4, "noise", ROWS, 0.7);
    let value = |row: usize| {
        let x = &features()[row * FEATURES..][..FEATURES];
        0.9 * x[0] - 0.6 * x[1] + 0.3 * x[3] + noise[row]
    };
    let encoded = |row: usize| Encoded {
        token_type_ids: vec![0],
        input_ids: vec![row as u32],
    };
    EncodedDataset {
        encoded: (0..ROWS).map(encoded).collect(),
        targets: Targets::Values((0..ROWS).map(value).collect()),
        task: Some(Task::Regression),
        truncated: 0,
    }
}

/// Solves `matrix x = right` by Gauss's elimination, for the positive definite matrix of the test.
fn solve(mut matrix: [[f64; FEATURES]; FEATURES], mut right: [f64; FEATURES]) -> [f64; FEATURES] {
    for pivot in 0..FEATURES {
        for row in 0..FEATURES {
            if row != pivot {
                let factor = matrix[row][pivot] / matrix[pivot][pivot];
                let of_pivot = matrix[pivot];
                for (value, subtracted) in matrix[row].iter_mut().zip(of_pivot) {
                    *value -= factor * subtracted;
                }
                right[row] -= factor * right[pivot];
            }
        }
    }
    std::array::from_fn(|row| right[row] / matrix[row][row])
}

#[test]
fn on_a_linear_model_the_optimum_of_the_evidence_bound_is_found() {
    let data = line_data();
    let Targets::Values(values) = &data.targets else {
        unreachable!()
    };
    // The squared error is the negative log-likelihood of a noise of variance 1/2, so with n rows the bound is that of a Gaussian
    // model with precision 2 XᵀX + I/σ_p². Its best Gaussian without correlations has the mean of the exact posterior, and the
    // inverse diagonal of the precision for variances.
    let x = features();
    let mut precision = [[0.0; FEATURES]; FEATURES];
    let mut right = [0.0; FEATURES];
    for row in 0..ROWS {
        let x: Vec<f64> = x[row * FEATURES..][..FEATURES]
            .iter()
            .map(|x| f64::from(*x))
            .collect();
        for i in 0..FEATURES {
            right[i] += 2.0 * x[i] * f64::from(values[row]);
            for j in 0..FEATURES {
                precision[i][j] += 2.0 * x[i] * x[j];
            }
        }
    }
    let prior: f64 = 0.5;
    for (index, row) in precision.iter_mut().enumerate() {
        row[index] += prior.powi(-2);
    }
    let mean = solve(precision, right);

    let config = TrainConfig {
        masks_per_step: 4,
        mask_grouping: MaskGrouping::Example,
        loraplus_lr_ratio: 1e-12, // B stays 1
        eval_strategy: EvalStrategy::No,
        max_grad_norm: 0.0,
        ..TrainConfig::new(2e-2, 400.0, ROWS)
    };
    let variational = VariationalSettings {
        prior_deviation: prior,
        start: 0.4,
        learning_rate: Some(1e-2),
        kl_weight: KlWeight::Evidence,
    };
    let data = FitData {
        train: &data,
        validation: None,
        padding: padding(),
    };
    let fitted = fit_variational(line(), &config, &data, variational, &mut go_on).unwrap();
    let posterior = fitted.variational.unwrap().posterior(&fitted.best, 1);
    for (place, expected) in mean.into_iter().enumerate() {
        let deviation = precision[place][place].powf(-0.5);
        let (found, spread) = (posterior.mean()[place], posterior.deviations()[place]);
        // 400 steps of 96 draws at a rate that falls to zero: the noise of the last tenth of them, 1/√3840, is 0.016 of a deviation
        // in the mean and as much in the spread; six times that.
        assert!(
            (found - expected).abs() < 0.1 * deviation,
            "{found}, expected {expected} ± {deviation}"
        );
        assert!(
            (spread / deviation - 1.0).abs() < 0.1,
            "{spread}, expected {deviation}"
        );
    }
}

#[test]
fn members_have_the_learned_means_and_deviations() {
    const MEMBERS: u64 = 2000;
    let model = adapted(config());
    let factors = VariationalA::new(&model, USUAL, 3).unwrap();
    let posterior = factors.posterior(&model, 8);
    let members: Vec<Vec<f64>> = (0..MEMBERS).map(|member| posterior.member(member)).collect();
    for (place, (mean, deviation)) in posterior.mean().iter().zip(posterior.deviations()).enumerate() {
        let z = || members.iter().map(|member| (member[place] - mean) / deviation);
        let average = z().sum::<f64>() / MEMBERS as f64;
        let variance = z().map(|z| z * z).sum::<f64>() / MEMBERS as f64;
        // Standard errors 1/√N and √(2/N); 64 values: 5 of them come by chance once in 25,000 seeds.
        assert!(average.abs() < 5.0 / (MEMBERS as f64).sqrt(), "{average}");
        assert!(
            (variance - 1.0).abs() < 5.0 * (2.0 / MEMBERS as f64).sqrt(),
            "{variance}"
        );
    }
}

#[test]
fn one_seed_gives_one_model_and_the_spreads_are_those_of_the_best() {
    let run = |seed| {
        let (train, validation) = (dataset(50, 1), dataset(21, 2));
        let data = FitData {
            train: &train,
            validation: Some(&validation),
            padding: padding(),
        };
        let config = TrainConfig { seed, ..settings() };
        fit_variational(adapted(self::config()), &config, &data, USUAL, &mut go_on).unwrap()
    };
    let (first, again, other) = (run(1), run(1), run(2));
    assert_eq!(trained_bits(&first.best), trained_bits(&again.best));
    assert_ne!(trained_bits(&first.best), trained_bits(&other.best));
    let spreads = |fitted: &lora_train::Fitted<Toy>| {
        let factors = fitted.variational.as_ref().unwrap();
        factors.posterior(&fitted.best, 0).deviations().to_vec()
    };
    assert_eq!(spreads(&first), spreads(&again));
    let start = VariationalA::new(&adapted(config()), USUAL, 1).unwrap();
    assert_ne!(
        start.posterior(&adapted(config()), 0).deviations(),
        spreads(&first),
        "they are trained"
    );
}

#[test]
fn a_model_without_low_rank_factors_is_refused() {
    let dora = config().with_form(lora_core::Form::WeightDecomposed);
    let trainer = Trainer::new(adapted(dora), settings(), 8).unwrap();
    let refused = trainer.with_variational(USUAL, 50).err();
    assert_eq!(
        refused,
        Some(TrainError::Variational(VariationalError::NoFactors))
    );
}
