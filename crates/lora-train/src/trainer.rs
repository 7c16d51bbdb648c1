//! One optimizer step at a time.

mod state;

use std::collections::BTreeMap;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use lora_core::adalora::RankPattern;
use lora_core::adapter::Adapter;
use lora_core::frozen::FrozenStates;
use lora_core::tensors::HostTensor;
use lora_core::{AdaLora, Adapted, Linears, LoraConfig, Model, Pass};
use lora_data::Batch;
use lora_kernels::{PackedWeights, on_worker_thread};
use serde::{Deserialize, Serialize};

use crate::allocator::{FactorGradients, RankAllocator};
use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::gradients::{clip_factor, global_norm, named_gradients, scale};
use crate::objective::{LossAndGradients, Objective, backward};
use crate::optimizer::AdapterOptimizer;
use crate::variational::{RootOptimizer, VariationalA, VariationalSettings};

/// Memory for packed weights: the linears of a MiniLM. Larger models have a part of theirs packed, so that a training takes little more memory for
/// them.
const PACKED_BYTES: usize = 48 << 20;

/// A model under training. It does steps on batches that it is given; [`fit`](crate::fit()) is the loop around it.
#[derive(Clone)]
pub struct Trainer<M> {
    /// In training mode.
    adapted: Adapted<M>,
    objective: Objective,
    optimizer: AdapterOptimizer,
    /// AdaLoRA's.
    allocator: Option<RankAllocator>,
    variational: Option<Variational>,
    packed: PackedWeights,
    config: TrainConfig,
    total_steps: u64,
    steps_done: u64,
}

/// Spreads under training beside the model.
#[derive(Clone)]
struct Variational {
    factors: VariationalA,
    optimizer: RootOptimizer,
    steps_per_epoch: u64,
    examples: usize,
}

/// The values of one optimizer step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Optimizer steps done, this one included.
    pub step: u64,
    /// The objective before the update: the loss, averaged over rows and masks.
    pub loss: f64,
    /// 2-norm of the whole gradient before clipping.
    pub grad_norm: f64,
    /// Learning rate of the factors A in this step.
    pub learning_rate: f64,
}

impl<M: Model<Input = Batch>> Trainer<M> {
    /// Puts the model into training mode. `total_steps` is what the schedule runs over.
    ///
    /// # Errors
    ///
    /// [`TrainError::Config`], [`TrainError::NothingTrained`], [`TrainError::HiddenKey`], [`TrainError::Budget`],
    /// [`TrainError::TotalStep`], [`TrainError::RanksAreCut`].
    pub fn new(mut adapted: Adapted<M>, config: TrainConfig, total_steps: u64) -> Result<Self, TrainError> {
        config.validate()?;
        let mut trained = 0;
        adapted.visit_trained(&mut |_| trained += 1);
        if trained == 0 {
            return Err(TrainError::NothingTrained);
        }
        if config.hidden_key.is_some() && !adapted.model.takes_hidden_key() {
            return Err(TrainError::HiddenKey);
        }
        let allocator = allocator(&mut adapted, total_steps)?;
        let adapted = adapted.map(Module::train);
        Ok(Self {
            allocator,
            variational: None,
            packed: PackedWeights::new(PACKED_BYTES),
            objective: Objective::new(&adapted, &config),
            optimizer: AdapterOptimizer::new(&adapted, &config),
            adapted,
            config,
            total_steps,
            steps_done: 0,
        })
    }

    /// The same trainer with a variational A (see [`VariationalA`]), for a training set of so many examples.
    ///
    /// # Errors
    ///
    /// [`TrainError::Variational`], [`TrainError::HiddenKeyAndVariational`].
    pub fn with_variational(
        mut self,
        settings: VariationalSettings,
        examples: usize,
    ) -> Result<Self, TrainError> {
        if self.config.hidden_key.is_some() {
            return Err(TrainError::HiddenKeyAndVariational);
        }
        self.variational = Some(Variational {
            factors: VariationalA::new(&self.adapted, settings, self.config.seed)?,
            optimizer: RootOptimizer::new(&settings, &self.config),
            steps_per_epoch: self.config.steps_per_epoch(examples),
            examples,
        });
        Ok(self)
    }

    /// The same trainer with a loss in which classes count by weights `[classes]` (see [`ClassWeights`](crate::ClassWeights)).
    #[must_use]
    pub fn with_class_weights(mut self, class_weights: Vec<f32>) -> Self {
        self.objective = self.objective.with_class_weights(class_weights);
        self
    }

    /// The same trainer for batches of one data set, rows of these lengths in tokens, each of which goes through the layers below
    /// everything trained once and not in every epoch (see [`FrozenStates`]).
    #[must_use]
    pub fn with_rows_of(mut self, lengths: &[usize]) -> Self {
        self.objective = self.objective.with_states(self.adapted.frozen_states(lengths));
        self
    }

    /// The hidden states that steps begin with, if any are cached.
    pub fn states(&self) -> Option<&FrozenStates> {
        self.objective.states()
    }

    /// The standard deviations of the variational A as they are now.
    pub fn variational(&self) -> Option<&VariationalA> {
        self.variational.as_ref().map(|variational| &variational.factors)
    }

    /// One optimizer step over the batches of an accumulation: masks, gradients, clipping, AdamW; for AdaLoRA the importance
    /// of its triplets and, where it is due, the shrinking of their number.
    ///
    /// # Errors
    ///
    /// [`TrainError::Diverged`] if loss or gradient is not finite; the parameters are then left as they were.
    ///
    /// # Panics
    ///
    /// Panics if there is no batch, or a batch has no targets.
    pub fn step(&mut self, batches: &[Batch]) -> Result<StepReport, TrainError> {
        let warmup_steps = self.config.warmup_steps_of(self.total_steps);
        let schedule = self.config.lr_scheduler_type;
        let factor = schedule.factor(self.steps_done, warmup_steps, self.total_steps);
        let learning_rate = self.config.learning_rate * factor;

        let (LossAndGradients { loss, mut gradients }, of_deviations) =
            on_worker_thread(&self.adapted.device(), || {
                self.packed.during(|| self.gradients_of_step(batches))
            });
        let (loss, grad_norm) = read_both(loss, global_norm(&self.adapted, &gradients));
        let step = self.steps_done + 1;
        if !(loss.is_finite() && grad_norm.is_finite()) {
            return Err(TrainError::Diverged {
                step,
                loss,
                grad_norm,
                learning_rate,
            });
        }

        let clipped = clip_factor(grad_norm, self.config.max_grad_norm);
        if clipped < 1.0 {
            scale(&self.adapted, &mut gradients, clipped);
        }
        let kept = self
            .allocator
            .as_ref()
            .map(|_| FactorGradients::of(&self.adapted.model, &gradients));
        self.adapted.model = self.optimizer.step(self.adapted.model.clone(), gradients, factor);
        if let (Some(variational), Some(gradients)) = (&mut self.variational, of_deviations) {
            let Variational {
                factors, optimizer, ..
            } = variational;
            optimizer.step(factors, gradients, factor);
        }
        if let (Some(allocator), Some(gradients)) = (&mut self.allocator, kept) {
            allocator.update(&mut self.adapted, &gradients, self.steps_done);
        }
        self.steps_done = step;
        Ok(StepReport {
            step,
            loss,
            grad_norm,
            learning_rate,
        })
    }

    /// Of the model, and of the deviations of a variational A.
    fn gradients_of_step(&self, batches: &[Batch]) -> (LossAndGradients, Option<GradientsParams>) {
        let Some(variational) = &self.variational else {
            return (self.objective.step(&self.adapted, self.steps_done, batches), None);
        };
        let Variational {
            factors,
            steps_per_epoch,
            examples,
            ..
        } = variational;
        let weight = factors
            .settings()
            .kl_weight
            .in_step(self.steps_done, *steps_per_epoch, *examples);
        let (of_model, of_deviations) =
            self.objective
                .variational_step(&self.adapted, self.steps_done, batches, factors, weight);
        (of_model, Some(of_deviations))
    }

    /// Which triplets AdaLoRA keeps since its last allocation; none before the first one, and for other forms.
    pub fn rank_pattern(&self) -> Option<&RankPattern> {
        self.allocator
            .as_ref()
            .map(RankAllocator::pattern)
            .filter(|pattern| !pattern.is_empty())
    }

    /// Optimizer steps done.
    pub fn steps_done(&self) -> u64 {
        self.steps_done
    }

    /// The model as it is now, in validation mode. Cheap: tensors are shared.
    pub fn adapted(&self) -> Adapted<M> {
        self.adapted.clone().map(|model| model.valid())
    }

    /// The model, in validation mode.
    pub fn into_adapted(self) -> Adapted<M> {
        self.adapted.map(|model| model.valid())
    }

    /// Gradients of the coming step before clipping, by name as [`named_gradients`] says. Nothing changes.
    ///
    /// # Panics
    ///
    /// As [`Trainer::step`].
    pub fn gradients(&self, batches: &[Batch]) -> BTreeMap<String, HostTensor> {
        let (LossAndGradients { gradients, .. }, _) = self.gradients_of_step(batches);
        named_gradients(&self.adapted, &gradients)
    }

    /// Loss and gradients of a single pass, such as one under masks given by hand. Nothing changes.
    ///
    /// # Panics
    ///
    /// Panics if the batch has no targets.
    pub fn pass_gradients(&self, batch: &Batch, pass: &Pass<'_>) -> (f64, BTreeMap<String, HostTensor>) {
        let LossAndGradients { loss, gradients } = backward(&self.adapted, batch, pass, 1.0);
        (
            f64::from(loss.into_scalar::<f32>()),
            named_gradients(&self.adapted, &gradients),
        )
    }
}

/// AdaLoRA's allocator for the model, which takes the length of the training if it has none.
fn allocator<M: Model>(
    adapted: &mut Adapted<M>,
    total_steps: u64,
) -> Result<Option<RankAllocator>, TrainError> {
    let Some(settings) = adapted.lora().and_then(LoraConfig::adalora).cloned() else {
        return Ok(None);
    };
    if let Some(path) = cut_linear(&adapted.model, &settings) {
        return Err(TrainError::RanksAreCut { path });
    }
    if let Some(total_step) = settings.total_step.filter(|given| *given != total_steps) {
        return Err(TrainError::TotalStep {
            total_step,
            total_steps,
        });
    }
    if settings.steps_outside() >= total_steps {
        return Err(TrainError::Budget {
            tinit: settings.tinit,
            tfinal: settings.tfinal,
            total_steps,
        });
    }
    adapted.set_total_step(total_steps);
    Ok(Some(RankAllocator::new(settings, total_steps)))
}

/// A linear whose triplets an earlier training cut: their budget cannot be shared out again.
fn cut_linear(model: &impl Linears, settings: &AdaLora) -> Option<String> {
    let mut cut = settings.rank_pattern.keys().next().cloned();
    model.visit_linears(&mut |linear| {
        if let Some(Adapter::Svd(svd)) = &linear.adapter
            && svd.rank() != settings.init_r
        {
            cut.get_or_insert_with(|| linear.path().to_owned());
        }
    });
    cut
}

/// Two values with one transfer from the device.
fn read_both(first: Tensor<1>, second: Tensor<1>) -> (f64, f64) {
    let values = HostTensor::of(Tensor::cat(vec![first, second], 0)).values;
    (f64::from(values[0]), f64::from(values[1]))
}
