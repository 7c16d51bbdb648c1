//! A model of texts with everything drawn and looked up beforehand, for texts that come a few at a time: what a service predicts with.

use lora_core::peft::EnsembleSettings;
use lora_data::{Batch, Encoded, Example, Task};
use lora_eval::{DrawnPasses, ModelOutputs, Passes};
use lora_models::Transformer;

use super::ensemble::EnsembleChoice;
use super::{Inference, PredictedLabel, texts};
use crate::bail;
use crate::calibration::SetRequest;
use crate::error::Result;
use crate::inference::member_sampler;
use crate::saved::adapter::OpenedAdapter;
use crate::saved::task_file::InferenceKind;

/// A model that predicts classes, labels or numbers of texts, in three steps: tokens of single texts, outputs for a batch of any of
/// them, predictions from the outputs for the texts that were asked about together. What is predicted of a text has the bits that
/// [`predict`](super::predict) gives it, whatever else is in its batch.
#[derive(Debug)]
pub struct PreparedPredictor {
    opened: OpenedAdapter,
    ensemble: Option<EnsembleSettings>,
    passes: DrawnPasses<Transformer>,
}

/// A text as the model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedText {
    /// Its tokens.
    pub tokens: Encoded,
    /// Whether it is longer than the model reads and was cut.
    pub is_truncated: bool,
}

impl PreparedPredictor {
    /// Predicts by the mean pass or by an ensemble, as [`EnsembleChoice::to_predict`] says.
    ///
    /// # Errors
    ///
    /// If the adapter is for another task, or what is chosen does not fit it.
    pub fn new(
        opened: OpenedAdapter,
        choice: &EnsembleChoice,
        inference: Option<InferenceKind>,
    ) -> Result<Self> {
        if !opened.task.is_of_texts() {
            bail!(
                "the adapter is for {}; a service predicts classes, labels or numbers of texts (use lora predict)",
                opened.task.problem_type().name()
            );
        }
        let (ensemble, _) = choice.to_predict(&opened, inference)?;
        let passes = match ensemble {
            None => DrawnPasses::new(&opened.adapted, &Passes::Mean),
            Some(settings) => {
                let passes = Passes::Members {
                    sampler: &member_sampler(&opened.adapted, settings.seed),
                    members: 0..settings.members,
                };
                DrawnPasses::new(&opened.adapted, &passes)
            }
        };
        Ok(Self {
            opened,
            ensemble,
            passes,
        })
    }

    /// The adapter.
    pub fn opened(&self) -> &OpenedAdapter {
        &self.opened
    }

    /// What it predicts.
    pub fn task(&self) -> &Task {
        &self.opened.task
    }

    /// The ensemble that it predicts with; none: the mean pass.
    pub fn ensemble(&self) -> Option<EnsembleSettings> {
        self.ensemble
    }

    /// What logits are divided by; 1 where nothing was fitted.
    pub fn temperature(&self) -> f64 {
        self.inference().temperature()
    }

    /// The tokens of a text.
    ///
    /// # Errors
    ///
    /// If the tokenizer finds none.
    pub fn encode(&self, example: &Example) -> Result<EncodedText> {
        let (tokens, is_truncated) = self.opened.reader.tokenizer.encode_example(example)?;
        Ok(EncodedText { tokens, is_truncated })
    }

    /// Outputs for a batch of texts: `[members, texts, outputs]`. The number beside each is its place among the texts that were asked
    /// about together, by which members with input dropout know it.
    ///
    /// # Panics
    ///
    /// If there is no text.
    pub fn outputs(&self, batch: &[(usize, &Encoded)]) -> ModelOutputs {
        let (places, tokens): (Vec<usize>, Vec<&Encoded>) = batch.iter().copied().unzip();
        let input = Batch::from_encoded(&tokens, self.opened.reader.padding);
        self.passes.outputs(&self.opened.adapted, &input, &places)
    }

    /// What outputs for all texts that were asked about together mean; with a set of classes for each where one is wanted.
    ///
    /// # Errors
    ///
    /// As [`SetRequest::thresholds`]; if the model has diverged.
    pub fn labels(&self, outputs: ModelOutputs, sets: Option<SetRequest>) -> Result<Vec<PredictedLabel>> {
        let sets = sets.map(|sets| sets.thresholds(self.opened.calibrated(), self.ensemble));
        let inference = Inference {
            sets: sets.transpose()?,
            ..self.inference()
        };
        texts::labels_of(&inference, outputs, &self.opened.task)
    }

    /// What to know about the sets that are wanted: that few validation rows make their coverage uncertain.
    ///
    /// # Errors
    ///
    /// As [`SetRequest::thresholds`].
    pub fn caution(&self, sets: &SetRequest) -> Result<Option<String>> {
        let promise = sets.promise(self.opened.calibrated(), self.ensemble)?;
        Ok(promise.caution())
    }

    fn inference(&self) -> Inference<'_> {
        Inference::new(&self.opened, self.ensemble)
    }
}
