//! The loop itself.

use lora_core::Model;
use lora_data::{Batch, Targets, train_batches};
use lora_eval::{Passes, predict};

use super::standing::{Best, Standing};
use super::validation::{Validation, token_loss};
use super::{FitData, Fitted};
use crate::config::{EvalStrategy, TrainConfig};
use crate::error::TrainError;
use crate::event::{CheckpointKind, Evaluation, Event, FinishReason, Flow, Observer};

/// A training under way. Methods answer with the reason to end, if there is one.
pub(super) struct Run<'a, M> {
    pub standing: Standing<'a, M>,
    pub config: &'a TrainConfig,
    pub data: &'a FitData<'a>,
    pub validation: Option<Validation<'a>>,
    pub observer: &'a mut dyn Observer<M>,
}

impl<M: Model<Input = Batch>> Run<'_, M> {
    pub(super) fn finish_all(mut self) -> Result<Fitted<M>, TrainError> {
        self.standing.history.finish = self.all_epochs()?;
        Ok(self.finish())
    }

    fn all_epochs(&mut self) -> Result<FinishReason, TrainError> {
        let plan = self.standing.history.plan;
        if self.observer.on_event(&Event::Started(plan)) == Flow::Stop {
            return Ok(FinishReason::Stopped);
        }
        let done = self.standing.trainer.steps_done();
        if done == 0 {
            if let Some(first) = self.standing.history.mask_changes.first()
                && self.observer.on_event(&Event::MasksChanged(*first)) == Flow::Stop
            {
                return Ok(FinishReason::Stopped);
            }
        } else {
            self.compute_states_again(done);
            // Of a step before whose evaluation the training was stopped, that comes first.
            if let Some(reason) = self.settle(false)? {
                return Ok(reason);
            }
        }
        for epoch in done / plan.steps_per_epoch.. {
            let steps_of_epoch = self.steps_of_epoch(epoch);
            let first = self.standing.trainer.steps_done() - epoch * plan.steps_per_epoch;
            for rows_of_batches in &steps_of_epoch[first as usize..] {
                let batches: Vec<Batch> = rows_of_batches
                    .iter()
                    .map(|rows| self.data.train.batch(rows, self.data.padding))
                    .collect();
                if let Some(reason) = self.one_step(&batches)? {
                    return Ok(reason);
                }
            }
        }
        unreachable!("the last step ends the loop")
    }

    /// The rows of every batch of every step of an epoch.
    fn steps_of_epoch(&self, epoch: u64) -> Vec<Vec<Vec<usize>>> {
        let batch_size = self.config.per_device_train_batch_size;
        let order = train_batches(&self.data.train.lengths(), batch_size, self.config.seed, epoch);
        let steps = order.chunks(self.config.gradient_accumulation_steps);
        steps.map(<[Vec<usize>]>::to_vec).collect()
    }

    /// What the steps of the first epoch left behind of the layers below all that is trained: later epochs begin with it, and a row in
    /// another batch may come out with other bits.
    fn compute_states_again(&self, steps_done: u64) {
        let Some(states) = self.standing.trainer.states() else {
            return;
        };
        for rows_of_batches in self.steps_of_epoch(0).iter().take(steps_done as usize) {
            for rows in rows_of_batches {
                let batch = self.data.train.batch(rows, self.data.padding);
                self.standing.trainer.compute_states(&batch);
                if states.known() == 0 {
                    // There is no room for them, or no use.
                    return;
                }
            }
        }
    }

    fn one_step(&mut self, batches: &[Batch]) -> Result<Option<FinishReason>, TrainError> {
        let report = self.standing.trainer.step(batches)?;
        self.standing.history.steps.push(report);
        let epoch = self.standing.epochs_done();
        let stepped = self.observer.on_event(&Event::Stepped { report, epoch });
        let seen = self.observer.after_step(&self.standing.trainer);
        self.settle([stepped, seen].contains(&Flow::Stop))
    }

    /// What follows on a step: the evaluation, unless the training was stopped, and the moment in which it could be taken up again.
    fn settle(&mut self, is_stopped: bool) -> Result<Option<FinishReason>, TrainError> {
        let reason = if is_stopped {
            Some(FinishReason::Stopped)
        } else {
            self.evaluate_where_due()?
        };
        let standing = &self.standing;
        let flow = self
            .observer
            .between_steps(&standing.trainer, &|| standing.state());
        Ok(reason.or((flow == Flow::Stop).then_some(FinishReason::Stopped)))
    }

    /// The evaluation, where one is due, and whether the training ends here.
    fn evaluate_where_due(&mut self) -> Result<Option<FinishReason>, TrainError> {
        let step = self.standing.trainer.steps_done();
        let is_last = step == self.standing.history.plan.steps;
        let evaluations = &self.standing.history.evaluations;
        let is_evaluated = evaluations.last().is_some_and(|last| last.step == step);
        if (is_last || self.evaluation_is_due(step))
            && !is_evaluated
            && let Some(reason) = self.evaluate()?
        {
            return Ok(Some(reason));
        }
        if is_last {
            // Nothing is left to stop before.
            return Ok(Some(FinishReason::AllSteps));
        }
        let has_ended = self.standing.has_ended_early();
        Ok(has_ended.then_some(FinishReason::EarlyStopping))
    }

    fn evaluation_is_due(&self, step: u64) -> bool {
        match self.config.eval_strategy {
            EvalStrategy::No => false,
            EvalStrategy::Epoch => step.is_multiple_of(self.standing.history.plan.steps_per_epoch),
            EvalStrategy::Steps => self
                .config
                .eval_steps
                .is_some_and(|every| step.is_multiple_of(every)),
        }
    }

    /// Evaluates with the mean pass, if there is a validation set, and hands out checkpoints. Answers with the reason to stop, if the
    /// observer asks for it.
    fn evaluate(&mut self) -> Result<Option<FinishReason>, TrainError> {
        let Some(Validation {
            dataset,
            batches,
            states,
        }) = &self.validation
        else {
            return Ok(None);
        };
        let standing = &mut self.standing;
        let (step, epoch, examples) = (
            standing.trainer.steps_done(),
            standing.epochs_done(),
            dataset.len(),
        );
        let adapted = standing.trainer.adapted();
        let cached = adapted.with_states(states.as_ref());
        let mut asked_to_end = false;
        let mut progress = |done| {
            asked_to_end |= self.observer.on_event(&Event::Evaluating { done, examples }) == Flow::Stop;
        };
        let measured =
            if let Targets::Positions(_) | Targets::Spans(_) | Targets::Choices(_) = dataset.targets {
                token_loss(cached, batches, &mut progress)
            } else {
                let inputs = batches.iter().map(|batch| (batch, batch.rows.as_slice()));
                let outputs = predict(cached, inputs, examples, &Passes::Mean, &mut progress);
                let metric = self.config.metric_for_best_model;
                let measured = metric.measure(outputs, &dataset.targets);
                measured.map_err(|source| TrainError::Evaluation { step, source })?
            };
        let is_best = standing.judge.judge(measured.metric);
        let evaluation = Evaluation {
            step,
            epoch,
            loss: measured.loss,
            metric: measured.metric,
            ece: measured.ece,
            is_best,
        };
        standing.history.evaluations.push(evaluation);
        asked_to_end |= self.observer.on_event(&Event::Evaluated(evaluation)) == Flow::Stop;
        if is_best {
            standing.history.best_step = Some(step);
            asked_to_end |= self.observer.on_checkpoint(CheckpointKind::Best, step, &adapted) == Flow::Stop;
            standing.best = standing.masks.is_none().then(|| Best {
                adapted: adapted.clone(),
                variational: standing.trainer.variational().cloned(),
            });
        }
        if let Some(change) = standing.search_masks(measured.row_losses)? {
            asked_to_end |= self.observer.on_event(&Event::MasksChanged(change)) == Flow::Stop;
        }
        if step < standing.history.plan.steps && !standing.has_ended_early() {
            // The last one of all is handed out at the end, whatever ends the training.
            let last = standing.trainer.adapted();
            asked_to_end |= self.observer.on_checkpoint(CheckpointKind::Last, step, &last) == Flow::Stop;
        }
        Ok(asked_to_end.then_some(FinishReason::Stopped))
    }

    fn finish(self) -> Fitted<M> {
        let Standing {
            trainer,
            best,
            masks,
            mut history,
            ..
        } = self.standing;
        let step = trainer.steps_done();
        if masks.is_some() {
            // The last state is the result; it may be one that the training went back to at its end.
            let went_back = history.mask_changes.last().filter(|change| change.step == step);
            history.best_step = Some(went_back.and_then(|change| change.back_to).unwrap_or(step));
        }
        let last_deviations = trainer.variational().cloned();
        let last = trainer.into_adapted();
        // The training is over: there is nothing left to stop.
        let _ = self.observer.on_checkpoint(CheckpointKind::Last, step, &last);
        let _ = self.observer.on_event(&Event::Finished(history.finish));
        let best = best.unwrap_or_else(|| Best {
            adapted: last.clone(),
            variational: last_deviations,
        });
        Fitted {
            best: best.adapted,
            last,
            variational: best.variational,
            history,
        }
    }
}
