//! A Gaussian over the factors A, learned with them (`BLoB`: Wang et al. 2024, arXiv 2406.11675).
//!
//! ```text
//! q(A) = N(M, diag(σ²)),  σ = G ⊙ G        B is a point
//! loss = E_{A ~ q}[mean loss of the rows] + w · KL(q ‖ N(0, σ_p²))
//! KL   = Σ ln(σ_p / σ) + (σ² + M²) / (2 σ_p²) − 1/2
//! ```
//!
//! M stands where plain LoRA has A, so the mean pass is the model at the mean. The expectation is estimated with
//! [`masks_per_step`](crate::TrainConfig::masks_per_step) draws a step; rows share a draw as
//! [`mask_grouping`](crate::TrainConfig::mask_grouping) says, so that `example` gives each row a draw of its own, at the cost of one
//! pass. (The paper multiplies one draw by random signs for each row, Flipout; independent draws have no larger variance.) LoRA
//! Dropout's masks may be there as well.
//!
//! What differs from the authors' program: loss and KL are one objective for one AdamW, where that has a second optimizer (SGD) for
//! the KL alone.

mod posterior;
mod settings;

use std::collections::HashMap;
use std::ops::Range;

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module, Param, ParamId};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Tensor, TensorData};
use lora_core::adapter::Adapter;
use lora_core::linear::LinearKind;
use lora_core::random::{seeded_normal, seeded_uniform};
use lora_core::tensors::HostTensor;
use lora_core::vector::VectorLayout;
use lora_core::{Adapted, LoraLinear, Model};

use crate::config::TrainConfig;
use crate::optimizer::without_tiny_moments;
use crate::optimizer_record::{optimizer_state, restore_optimizer};
use crate::state::{StateError, TrainingState};

pub use posterior::VariationalPosterior;
pub use settings::{KlWeight, VariationalError, VariationalSettings};

/// The standard deviations of the factors A of a model, trained with it. `M` is the model's.
#[derive(Clone, Debug)]
pub struct VariationalA {
    settings: VariationalSettings,
    seed: u64,
    paths: Vec<String>,
    roots: DeviationRoots,
}

/// G of each factor, `[d_input, rank]`: its squares are the standard deviations.
#[derive(Module, Debug)]
pub(crate) struct DeviationRoots {
    of: Vec<Param<Tensor<2>>>,
}

/// AdamW for G.
#[derive(Clone)]
pub(crate) struct RootOptimizer {
    adamw: ModuleOptimizer,
    learning_rate: f64,
}

impl VariationalA {
    /// New deviations for every low-rank factor A of a model in training mode: G uniform from start/√2 to start, from `(seed, path)`.
    ///
    /// # Errors
    ///
    /// [`VariationalError`] if a setting is out of its range, or no linear has LoRA's factors.
    pub fn new<M: Model>(
        adapted: &Adapted<M>,
        settings: VariationalSettings,
        seed: u64,
    ) -> Result<Self, VariationalError> {
        settings.validate()?;
        let (mut paths, mut of) = (Vec::new(), Vec::new());
        adapted.model.visit_linears(&mut |linear| {
            if let Some(mean) = factor_of(linear) {
                let shape = mean.dims();
                let (low, high) = (settings.start / std::f64::consts::SQRT_2, settings.start);
                let name = format!("{}.spread", linear.path());
                let values = seeded_uniform(seed, &name, shape[0] * shape[1], low, high);
                let initial = Tensor::from_data(TensorData::new(values, shape), &mean.device());
                of.push(Param::from_tensor(initial));
                paths.push(linear.path().to_owned());
            }
        });
        if paths.is_empty() {
            return Err(VariationalError::NoFactors);
        }
        Ok(Self {
            settings,
            seed,
            paths,
            roots: DeviationRoots { of },
        })
    }

    /// What it was made with.
    pub fn settings(&self) -> &VariationalSettings {
        &self.settings
    }

    /// `σ ⊙ ε` for the masks of these numbers of a step, `[groups, d_input, rank]` for each adapter; its gradient goes to G.
    pub fn noise(&self, step: u64, samples: &Range<u32>) -> HashMap<String, Tensor<3>> {
        let of_factor = |(path, root): (&String, &Param<Tensor<2>>)| {
            let [d_input, rank] = root.dims();
            let draw = |sample| {
                let name = format!("{path}.noise.{step}.{sample}");
                seeded_normal(self.seed, &name, d_input * rank, 1.0)
            };
            let values: Vec<f32> = samples.clone().flat_map(draw).collect();
            let shape = [samples.len(), d_input, rank];
            let draws = Tensor::<3>::from_data(TensorData::new(values, shape), &root.device());
            (path.clone(), root.val().square().unsqueeze::<3>() * draws)
        };
        self.paths.iter().zip(&self.roots.of).map(of_factor).collect()
    }

    /// `KL(q ‖ N(0, σ_p²))` of all factors in nats, `[1]`, with gradients to M and G.
    ///
    /// # Panics
    ///
    /// Panics if the model is another one.
    pub fn divergence<M: Model>(&self, adapted: &Adapted<M>) -> Tensor<1> {
        let prior = self.settings.prior_deviation;
        let mut means: HashMap<String, Tensor<2>> = HashMap::new();
        adapted.model.visit_linears(&mut |linear| {
            if let Some(mean) = factor_of(linear) {
                means.insert(linear.path().to_owned(), mean.val());
            }
        });
        let terms = self.paths.iter().zip(&self.roots.of).map(|(path, root)| {
            // No deviation may vanish: its logarithm would not be finite.
            let deviation = root.val().square().clamp_min(1e-12);
            let squares = (deviation.clone().square() + means[path].clone().square()).sum();
            let logarithms = deviation.log().sum();
            let count = root.dims().iter().product::<usize>() as f64;
            squares.div_scalar(2.0 * prior * prior) - logarithms + (prior.ln() - 0.5) * count
        });
        Tensor::cat(terms.collect(), 0).sum()
    }

    /// The Gaussian over the factors of a trained model, whose members are drawn from a seed.
    ///
    /// # Panics
    ///
    /// Panics if the model is another one.
    pub fn posterior<M: Model>(&self, adapted: &Adapted<M>, seed: u64) -> VariationalPosterior {
        let deviations: HashMap<String, Vec<f32>> = self
            .paths
            .iter()
            .zip(&self.roots.of)
            .map(|(path, root)| {
                let deviation = HostTensor::of(root.val().inner().square()).transposed();
                (format!("{path}.lora_A.weight"), deviation.values)
            })
            .collect();
        let layout = VectorLayout::of_chosen(adapted, |parameter| deviations.contains_key(&parameter.name));
        let mean = layout.read(adapted);
        let slots = layout.slots().iter();
        let deviations = slots.flat_map(|slot| deviations[&slot.name].iter().map(|value| f64::from(*value)));
        let deviations = deviations.collect();
        VariationalPosterior::new(layout, mean, deviations, seed)
    }

    /// The roots G, by the paths of their linears.
    pub(crate) fn state(&self) -> TrainingState {
        let mut state = TrainingState::default();
        for (path, root) in self.paths.iter().zip(&self.roots.of) {
            state.put_tensor(path, HostTensor::of(root.val()));
        }
        state
    }

    /// The same deviations with the roots of a state.
    pub(crate) fn restore(mut self, mut state: TrainingState) -> Result<Self, StateError> {
        for (path, root) in self.paths.iter().zip(&mut self.roots.of) {
            let tensor = state.take_tensor(path, &root.dims())?;
            *root = root.clone().map(|old| {
                let tracked = old.is_require_grad();
                tensor.on::<2>(&old.device()).set_require_grad(tracked)
            });
        }
        state.finish()?;
        Ok(self)
    }

    fn names(&self) -> HashMap<ParamId, String> {
        let ids = self.roots.of.iter().map(|root| root.id);
        ids.zip(self.paths.iter().cloned()).collect()
    }

    pub(crate) fn roots(&self) -> &DeviationRoots {
        &self.roots
    }
}

impl RootOptimizer {
    /// AdamW without decay, with the betas of the settings.
    pub fn new(variational: &VariationalSettings, config: &TrainConfig) -> Self {
        let adamw = AdamWConfig::new()
            .with_beta_1(config.adam_beta1 as f32)
            .with_beta_2(config.adam_beta2 as f32)
            .with_epsilon(config.adam_epsilon as f32)
            .with_weight_decay(0.0);
        Self {
            adamw: without_tiny_moments(&adamw),
            learning_rate: variational.learning_rate.unwrap_or(config.learning_rate),
        }
    }

    /// One update; `factor` is the schedule's.
    pub fn step(&mut self, variational: &mut VariationalA, gradients: GradientsParams, factor: f64) {
        let mut rates = ModuleLrScheduler::new(self.learning_rate * factor);
        let roots = variational.roots.clone();
        variational.roots = self.adamw.step(rates.step(), roots, gradients);
    }

    pub fn state(&self, variational: &VariationalA) -> TrainingState {
        optimizer_state(&self.adamw, &variational.names())
    }

    pub fn restore(self, variational: &VariationalA, state: TrainingState) -> Result<Self, StateError> {
        let adamw = restore_optimizer(self.adamw, state, &variational.names())?;
        Ok(Self { adamw, ..self })
    }
}

/// M: the factor A of a linear with LoRA's factors.
fn factor_of(linear: &LoraLinear) -> Option<&Param<Tensor<2>>> {
    match &linear.adapter {
        Some(Adapter::LowRank(factors)) if linear.kind() != LinearKind::Table => Some(&factors.a),
        _ => None,
    }
}
