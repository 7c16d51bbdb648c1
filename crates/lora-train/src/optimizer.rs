//! AdamW on adapters and heads, with a learning rate for each kind of parameter.

use std::collections::{BTreeMap, HashMap};

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{ParamGroup, ParamId};
use burn::optim::{
    AdamW, AdamWConfig, AdamWState, GradientsParams, LearningRate, ModuleOptimizer, Optimizer,
};
use burn::tensor::{Device, Tensor};
use lora_core::trained::{ParamRef, Role, TrainedParam};
use lora_core::{Adapted, Model};
use lora_kernels::vanishing;

use crate::config::TrainConfig;
use crate::optimizer_record::{optimizer_state, restore_optimizer};
use crate::state::{StateError, TrainingState};

/// Decoupled AdamW (arXiv 1711.05101) from burn-optim over the trained parameters. Weight decay holds for all of them,
/// biases too, as in a plain `torch.optim.AdamW`.
#[derive(Clone)]
pub struct AdapterOptimizer {
    adamw: ModuleOptimizer,
    learning_rate: f64,
    /// Parameters whose learning rate is another.
    others: Vec<(ParamGroup, f64)>,
}

impl AdapterOptimizer {
    /// An optimizer without history for the trained parameters of a model.
    pub fn new<M: Model>(adapted: &Adapted<M>, config: &TrainConfig) -> Self {
        // By the bits of the rate: a rate is a product of two settings, equal or not.
        let mut groups: BTreeMap<u64, Vec<ParamId>> = BTreeMap::new();
        adapted.visit_trained(&mut |parameter| {
            let rate = learning_rate_of(&parameter, config);
            if rate != config.learning_rate {
                groups
                    .entry(rate.to_bits())
                    .or_default()
                    .push(parameter.param.id());
            }
        });
        let others = groups
            .into_iter()
            .map(|(rate, ids)| (ParamGroup::from_ids(ids), f64::from_bits(rate)));
        let adamw = AdamWConfig::new()
            .with_beta_1(config.adam_beta1 as f32)
            .with_beta_2(config.adam_beta2 as f32)
            .with_epsilon(config.adam_epsilon as f32)
            .with_weight_decay(config.weight_decay as f32);
        Self {
            adamw: without_tiny_moments(&adamw),
            learning_rate: config.learning_rate,
            others: others.collect(),
        }
    }

    /// One update; `factor` is the schedule's. Parameters without gradient stay as they are.
    #[must_use]
    pub fn step<M: Model>(&mut self, model: M, gradients: GradientsParams, factor: f64) -> M {
        // Rates of groups can only be made by a scheduler; these are constant ones, used once.
        let base = ModuleLrScheduler::new(self.learning_rate * factor);
        let mut rates = self.others.iter().fold(base, |rates, (group, rate)| {
            rates.with_group(group.clone(), rate * factor)
        });
        self.adamw.step(rates.step(), model, gradients)
    }

    /// The moments, by names of parameters.
    pub(crate) fn state<M: Model>(&self, adapted: &Adapted<M>) -> TrainingState {
        optimizer_state(&self.adamw, &names_of(adapted))
    }

    /// The same optimizer with the moments of a state.
    pub(crate) fn restore<M: Model>(
        self,
        adapted: &Adapted<M>,
        state: TrainingState,
    ) -> Result<Self, StateError> {
        let adamw = restore_optimizer(self.adamw, state, &names_of(adapted))?;
        Ok(Self { adamw, ..self })
    }
}

fn names_of<M: Model>(adapted: &Adapted<M>) -> HashMap<ParamId, String> {
    let mut names = HashMap::new();
    adapted.visit_trained(&mut |parameter| {
        names.insert(parameter.param.id(), parameter.name);
    });
    names
}

/// AdamW of these settings, whose moments become exactly 0 where gradients stay away.
///
/// The moments of a parameter without gradient, such as the row of a token that is not read, shrink in every step. They would go
/// through the subnormal numbers and stay there, each of which takes many processors a hundred times longer. So do squares of
/// gradients below 1e-17, which are too small to tell beside epsilon.
pub(crate) fn without_tiny_moments(adamw: &AdamWConfig) -> ModuleOptimizer {
    ModuleOptimizer::from(WithoutTinyMoments(adamw.build()))
}

/// See [`without_tiny_moments`].
#[derive(Clone)]
struct WithoutTinyMoments(AdamW);

impl WithoutTinyMoments {
    /// Below it a gradient is 0: its square, times 1 − β₂, would be subnormal.
    const SMALLEST_GRADIENT: f32 = 1.0 / (1_u64 << 56) as f32;
    /// Below it a first moment is 0: far enough above the subnormal numbers that the update made of it is none either.
    const SMALLEST_FIRST: f32 = Self::SMALLEST_GRADIENT * Self::SMALLEST_GRADIENT;
    /// Below it a second moment is 0: the next product with β₂ could be subnormal.
    const SMALLEST_SECOND: f32 = 2.0 * f32::MIN_POSITIVE;
}

impl Optimizer for WithoutTinyMoments {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamWState<D>>,
    ) -> (Tensor<D>, Option<AdamWState<D>>) {
        let gradient = vanishing(gradient, Self::SMALLEST_GRADIENT);
        let (parameter, state) = self.0.step(rate, parameter, gradient, state);
        let state = state.map(|AdamWState { mut momentum }| {
            momentum.moment_1 = vanishing(momentum.moment_1, Self::SMALLEST_FIRST);
            momentum.moment_2 = vanishing(momentum.moment_2, Self::SMALLEST_SECOND);
            AdamWState { momentum }
        });
        (parameter, state)
    }

    fn to_device<const D: usize>(state: AdamWState<D>, device: &Device) -> AdamWState<D> {
        AdamW::to_device(state, device)
    }
}

/// The learning rate of a parameter before the schedule. LoRA+ (arXiv 2402.12354) has another one for the factors B; as in
/// PEFT's `create_loraplus_optimizer` it holds for every vector beside them too: biases and `DoRA`'s magnitudes. Heads with a
/// rate of their own have that one.
pub fn learning_rate_of(parameter: &TrainedParam<'_>, config: &TrainConfig) -> f64 {
    let is_vector = matches!(parameter.param, ParamRef::Vector(_));
    let of_b = config.learning_rate * config.loraplus_lr_ratio;
    match (parameter.role, config.head_learning_rate) {
        (Role::Head, Some(rate)) => rate,
        (Role::Bottleneck | Role::Pretrained, _) => config.learning_rate,
        (Role::B, _) => of_b,
        _ if is_vector => of_b,
        _ => config.learning_rate,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    type Moments = AdamWState<1>;

    fn numbers(tensor: &Tensor<1>) -> Vec<f32> {
        tensor.to_data().try_to_vec().unwrap()
    }

    fn steps(
        optimizer: &impl Optimizer<State<1> = Moments>,
        count: usize,
        gradient: impl Fn(usize) -> Vec<f32>,
    ) -> (Tensor<1>, Vec<Moments>) {
        let device = Device::default();
        let mut parameter = Tensor::<1>::from_floats([0.5, -0.25, 0.0, 1e-3, 2.0], &device);
        let mut state: Option<Moments> = None;
        let mut states = Vec::new();
        for step in 0..count {
            let gradient = Tensor::from_floats(gradient(step).as_slice(), &device);
            (parameter, state) = optimizer.step(1e-4, parameter, gradient, state);
            states.extend(state.clone());
        }
        (parameter, states)
    }

    fn adamw() -> AdamWConfig {
        AdamWConfig::new().with_epsilon(1e-8)
    }

    #[test]
    fn moments_without_gradients_become_zero_and_never_subnormal() {
        // Three steps with gradients of every size, then a thousand without.
        let gradient = |step| match step {
            0..3 => vec![3e-2, -1e-5, 1e-12, 2e-18, -1e-30],
            _ => vec![0.0; 5],
        };
        let (parameter, states) = steps(&WithoutTinyMoments(adamw().build()), 1003, gradient);
        for AdamWState { momentum } in &states {
            for moment in [&momentum.moment_1, &momentum.moment_2] {
                assert!(numbers(moment).iter().all(|moment| !moment.is_subnormal()));
            }
        }
        let last = states.last().unwrap();
        assert_eq!(numbers(&last.momentum.moment_1), [0.0; 5]);
        assert!(
            numbers(&parameter)
                .iter()
                .all(|parameter| !parameter.is_subnormal())
        );
    }

    #[test]
    fn gradients_of_usual_sizes_give_the_bits_of_plain_adamw() {
        let gradient = |step: usize| (0..5).map(|at| ((step * 5 + at) as f32).sin() * 1e-4).collect();
        let (ours, _) = steps(&WithoutTinyMoments(adamw().build()), 20, gradient);
        let (plain, _) = steps(&adamw().build(), 20, gradient);
        assert_eq!(numbers(&ours), numbers(&plain));
    }
}
