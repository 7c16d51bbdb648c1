//! AdamW on adapters and heads, with a learning rate for each kind of parameter.

use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::ParamGroup;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use lora_core::{Adapted, Model, Role};

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
        let group = |wanted: Role| {
            let mut ids = Vec::new();
            adapted.visit_trained(&mut |parameter| {
                if parameter.role == wanted {
                    ids.push(parameter.param.id());
                }
            });
            ParamGroup::from_ids(ids)
        };
        let others = [Role::B, Role::Head].map(|role| (group(role), learning_rate_of(role, config)));
        let adamw = AdamWConfig::new()
            .with_beta_1(config.adam_beta1 as f32)
            .with_beta_2(config.adam_beta2 as f32)
            .with_epsilon(config.adam_epsilon as f32)
            .with_weight_decay(config.weight_decay as f32)
            .init();
        Self {
            adamw,
            learning_rate: config.learning_rate,
            others: others.to_vec(),
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

/// The learning rate of a kind of parameter before the schedule.
pub fn learning_rate_of(role: Role, config: &TrainConfig) -> f64 {
    match role {
        Role::A
        | Role::SingularValues
        | Role::Magnitude
        | Role::Bias
        | Role::Bottleneck
        | Role::Pretrained => config.learning_rate,
        Role::B => config.learning_rate * config.loraplus_lr_ratio,
        Role::Head => config.head_learning_rate.unwrap_or(config.learning_rate),
    }
}
