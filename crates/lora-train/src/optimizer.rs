//! AdamW on adapters and heads, with a learning rate for each kind of parameter.

use std::collections::BTreeMap;

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{ParamGroup, ParamId};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use lora_core::{Adapted, Model, ParamRef, Role, TrainedParam};

use crate::config::TrainConfig;

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
            .with_weight_decay(config.weight_decay as f32)
            .init();
        Self {
            adamw,
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
