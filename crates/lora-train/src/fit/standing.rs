//! Where a training stands: the trainer, the best model so far, the history, and what they belong to.

use std::cell::OnceCell;

use burn::module::{ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use lora_core::peft::trained_tensors;
use lora_core::{Adapted, Model};
use lora_data::Batch;
use serde_json::{Value, json};
use xxhash_rust::xxh3::Xxh3;

use super::{FitData, History};
use crate::best::BestSoFar;
use crate::config::TrainConfig;
use crate::event::{FinishReason, TrainingPlan};
use crate::mask_schedule::MaskChange;
use crate::mask_search::MaskSearch;
use crate::state::{StateError, TrainingState, hash_of_rows, refuse_difference};
use crate::trainer::Trainer;
use crate::variational::VariationalA;

/// A training between two steps.
pub(super) struct Standing<'a, M> {
    pub trainer: Trainer<M>,
    pub judge: BestSoFar,
    /// None where a p of masks is looked for: the training goes back by itself.
    pub best: Option<Best<M>>,
    pub masks: Option<MaskSearch>,
    pub history: History,
    config: &'a TrainConfig,
    data: &'a FitData<'a>,
    /// Computed when it is first asked for.
    made_of: OnceCell<Value>,
}

/// The model of the best evaluation.
pub(super) struct Best<M> {
    pub adapted: Adapted<M>,
    pub variational: Option<VariationalA>,
}

impl<'a, M: Model<Input = Batch>> Standing<'a, M> {
    /// Before the first step.
    pub fn new(
        trainer: Trainer<M>,
        masks: Option<MaskSearch>,
        config: &'a TrainConfig,
        data: &'a FitData<'a>,
        plan: TrainingPlan,
    ) -> Self {
        let first = masks.as_ref().map(|search| MaskChange {
            step: 0,
            back_to: None,
            probability: search.probability(),
        });
        Self {
            trainer,
            judge: BestSoFar::new(config),
            best: None,
            masks,
            history: History {
                plan,
                steps: Vec::new(),
                evaluations: Vec::new(),
                best_step: None,
                mask_changes: first.into_iter().collect(),
                finish: FinishReason::Stopped,
            },
            config,
            data,
            made_of: OnceCell::new(),
        }
    }

    pub fn epochs_done(&self) -> f64 {
        self.trainer.steps_done() as f64 / self.history.plan.steps_per_epoch as f64
    }

    /// Whether there is nothing to gain from further steps.
    pub fn has_ended_early(&self) -> bool {
        self.judge.out_of_patience() || self.masks.as_ref().is_some_and(MaskSearch::is_over)
    }

    /// Where a p of masks is looked for, what follows on an evaluation with these losses: the training may go back.
    pub fn search_masks(&mut self, row_losses: Vec<f64>) -> Result<Option<MaskChange>, StateError> {
        let Self {
            trainer,
            masks: Some(search),
            judge,
            history,
            ..
        } = self
        else {
            return Ok(None);
        };
        let step = trainer.steps_done();
        let has_steps_left = step < history.plan.steps;
        let change = search.judge(step, row_losses, has_steps_left, || trainer.state());
        if let (Some(change), Some(best)) = (change, search.best_state()) {
            *trainer = trainer.back_to(best, change.probability)?;
            judge.renew_patience();
            history.mask_changes.push(change);
        }
        Ok(change)
    }

    /// All that it takes to go on.
    pub fn state(&self) -> TrainingState {
        let mut state = self.trainer.state();
        state.put("made_of", self.made_of());
        state.put("history", &self.history);
        state.put_part("best_so_far.", self.judge.state());
        if let Some(search) = &self.masks {
            state.put_part("mask_search.", search.state());
        }
        if let Some(Best { adapted, variational }) = &self.best {
            for (name, tensor) in trained_tensors(adapted) {
                state.put_tensor(format!("best.{name}"), tensor);
            }
            state.put("best_rank_pattern", &rank_pattern(adapted));
            if let Some(variational) = variational {
                state.put_part("best_variational.", variational.state());
            }
        }
        state
    }

    /// Where a training stood that was made of the same.
    pub fn restore(mut self, mut state: TrainingState) -> Result<Self, StateError> {
        refuse_difference(&state.take("made_of")?, self.made_of(), |_| true)?;
        self.trainer = self.trainer.restore(&mut state)?;
        self.history = state.take("history")?;
        self.judge = self.judge.restore(state.take_part("best_so_far."))?;
        if let Some(search) = self.masks {
            let search = search.restore(state.take_part("mask_search."))?;
            if let Some(best) = search.best_state() {
                // Whether it can be gone back to is known now.
                self.trainer.back_to(best, search.probability())?;
            }
            self.trainer.set_mask_probability(search.probability());
            self.masks = Some(search);
        } else if self.history.best_step.is_some() {
            let mut best = state.take_part("best.");
            let mut adapted = self
                .trainer
                .adapted()
                .with_trained(|name, shape| best.take_tensor(name, shape))?;
            best.finish()?;
            if let Some(pattern) = state.take("best_rank_pattern")? {
                adapted.set_rank_pattern(pattern);
            }
            let variational = self.trainer.variational().cloned();
            let variational =
                variational.map(|factors| factors.restore(state.take_part("best_variational.")));
            self.best = Some(Best {
                adapted,
                variational: variational.transpose()?,
            });
        }
        state.finish()?;
        Ok(self)
    }

    /// Everything that decides the result: settings, rows, what is frozen of the model.
    fn made_of(&self) -> &Value {
        self.made_of.get_or_init(|| {
            let mut made_of = json!(self.config);
            made_of["the plan"] = json!(self.history.plan);
            made_of["the training rows"] = json!(hash_of_rows(self.data.train));
            made_of["the validation rows"] = json!(self.data.validation.map(hash_of_rows));
            if let Some(search) = &self.masks {
                made_of["the schedule of masks"] = json!(search.schedule());
            }
            made_of["the base model"] = json!(hash_of_frozen(&self.trainer.adapted()));
            made_of
        })
    }
}

fn rank_pattern<M: Model>(adapted: &Adapted<M>) -> Option<&lora_core::adalora::RankPattern> {
    let adalora = adapted.lora()?.adalora()?;
    Some(&adalora.rank_pattern)
}

/// Of the weights that training leaves as they are. Those that it changes are in the state.
fn hash_of_frozen<M: Model>(adapted: &Adapted<M>) -> String {
    struct Visitor {
        trained: Vec<ParamId>,
        hash: Xxh3,
    }
    impl ModuleVisitor for Visitor {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !self.trained.contains(&param.id) {
                let data = param.val().into_data();
                self.hash.update(format!("{:?}", data.shape()).as_bytes());
                self.hash.update(data.as_bytes());
            }
        }
    }
    let mut trained = Vec::new();
    adapted.visit_trained(&mut |parameter| trained.push(parameter.param.id()));
    let hash = Xxh3::new();
    let mut visitor = Visitor { trained, hash };
    adapted.model.visit(&mut visitor);
    let Visitor { hash, .. } = visitor;
    format!("weights with hash {:016x}", hash.digest())
}
