//! Where an adapted model is, and its settings that training reads and changes.

use burn::module::Module;
use burn::tensor::Device;

use super::Adapted;
use crate::adalora::RankPattern;
use crate::config::Form;
use crate::dropout::{LoraDropout, Rescale};
use crate::model::Linears;
use crate::tuning::Tuning;

impl<M: Module + Linears> Adapted<M> {
    /// Where the model's weights are; masks are drawn there.
    ///
    /// # Panics
    ///
    /// Panics if the model has no linear, to which nothing could be attached.
    pub fn device(&self) -> Device {
        let mut device = None;
        self.model.visit_linears(&mut |linear| {
            device.get_or_insert_with(|| linear.base.weight.device());
        });
        #[expect(
            clippy::expect_used,
            reason = "attaching refuses a model in which no linear is adapted"
        )]
        device.expect("an adapted model has a linear")
    }

    /// LoRA Dropout's settings, if a pass can have masks.
    pub fn dropout(&self) -> Option<LoraDropout> {
        let dropout = self.lora()?.dropout;
        dropout.filter(|dropout| dropout.probability > 0.0)
    }

    /// Probability of PEFT's input dropout.
    pub fn input_dropout(&self) -> f64 {
        self.lora().map_or(0.0, |config| config.input_dropout)
    }

    /// Sets which triplets AdaLoRA keeps; files hold only these. Of no effect for other forms.
    pub fn set_rank_pattern(&mut self, pattern: RankPattern) {
        if let Tuning::Lora(config) = &mut self.tuning
            && let Form::Svd(adalora) = &mut config.form
        {
            adalora.rank_pattern = pattern;
        }
    }

    /// Sets the number of steps that AdaLoRA's budget is shared out over. Of no effect for other forms.
    pub fn set_total_step(&mut self, total: u64) {
        if let Tuning::Lora(config) = &mut self.tuning
            && let Form::Svd(adalora) = &mut config.form
        {
            adalora.total_step = Some(total);
        }
    }

    /// Sets the probability of LoRA Dropout's masks, for every pass that draws them from now on. Of no effect without masks.
    ///
    /// # Panics
    ///
    /// Panics for plain masks: the part of the update that a pass without masks uses would change with them.
    pub fn set_mask_probability(&mut self, probability: f64) {
        if let Tuning::Lora(config) = &mut self.tuning
            && let Some(dropout) = &mut config.dropout
        {
            assert_eq!(
                dropout.rescale,
                Rescale::Rescaled,
                "only the probability of rescaled masks can change"
            );
            dropout.probability = probability;
        }
    }
}
