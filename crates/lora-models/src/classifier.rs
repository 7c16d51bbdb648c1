//! Any family with a head on the whole sequence.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use lora_core::{Linears, LoraLinear, Model, Pass};
use lora_data::Batch;
use serde::Deserialize;

use crate::bert::{BertConfig, BertForSequenceClassification};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::weights::LoadReport;

/// A model for sequence classification or regression.
#[derive(Module, Debug)]
pub enum SequenceClassifier {
    /// BERT.
    Bert(BertForSequenceClassification),
}

/// What the head is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadOptions {
    /// Number of classes; 1 for regression.
    pub outputs: usize,
    /// Seed of a head that the checkpoint lacks.
    pub seed: u64,
}

const SUPPORTED: &str = "bert";

#[derive(Deserialize)]
struct ModelType {
    model_type: String,
}

impl SequenceClassifier {
    /// Builds the model that `config.json` names.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the family or a setting is not supported, or tensors are missing or of the wrong shape.
    pub fn load(
        checkpoint: &Checkpoint,
        head: HeadOptions,
        device: &Device,
    ) -> Result<(Self, LoadReport), LoadError> {
        let ModelType { model_type } = parse(checkpoint)?;
        if model_type != "bert" {
            return Err(LoadError::Family {
                path: checkpoint.config_path(),
                found: model_type,
                supported: SUPPORTED,
            });
        }
        let config: BertConfig = parse(checkpoint)?;
        if let Some((key, found, supported)) = config.unsupported() {
            return Err(LoadError::Setting {
                path: checkpoint.config_path(),
                key,
                found: found.to_owned(),
                supported,
            });
        }
        let (model, report) = BertForSequenceClassification::load(
            &config,
            &checkpoint.weights,
            head.outputs,
            head.seed,
            device,
        )?;
        Ok((Self::Bert(model), report))
    }

    /// As [`Model::forward`]; `observe` sees the hidden states `[batch, seq, d_model]` of every layer, the embeddings'
    /// first.
    pub fn observed_forward(
        &self,
        input: &Batch,
        pass: &Pass,
        observe: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<2> {
        let Self::Bert(model) = self;
        model.observed_forward(input, pass, observe)
    }
}

fn parse<T: for<'de> Deserialize<'de>>(checkpoint: &Checkpoint) -> Result<T, LoadError> {
    T::deserialize(&checkpoint.config).map_err(|reason| LoadError::Config {
        path: checkpoint.config_path(),
        reason,
    })
}

impl Linears for SequenceClassifier {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        let Self::Bert(model) = self;
        model.visit_linears(visit);
    }

    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        let Self::Bert(model) = self;
        model.visit_linears_mut(visit);
    }

    fn heads(&self) -> Vec<String> {
        let Self::Bert(model) = self;
        model.heads()
    }
}

impl Model for SequenceClassifier {
    type Input = Batch;

    fn forward(&self, input: &Batch, pass: &Pass) -> Tensor<2> {
        let Self::Bert(model) = self;
        model.forward(input, pass)
    }
}
