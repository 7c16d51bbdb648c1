//! A model of any family with any head.

mod passes;

use std::collections::HashSet;

use burn::module::{Module, ParamId};
use burn::tensor::{Device, Tensor};
use lora_core::frozen::FrozenStates;
use lora_core::tensor_names::TensorNames;
use lora_core::trained::ParamRef;
use lora_core::{Linears, LoraLinear, Model, Pass, Tied};
use lora_data::{Batch, LabelNames};
use lora_kernels::on_worker_thread;

use crate::backbone::Backbone;
use crate::blocks::{Encoding, KeyValueCache, Reading, Tokens, VisitLinears, layer_of};
use crate::checkpoint::Checkpoint;
use crate::error::LoadError;
use crate::families::{FamilyConfig, SequenceForm};
use crate::heads::{Head, HeadKind, SavedHead};
use crate::load_report::LoadReport;
use crate::memory;
use crate::weights::Weights;

/// A backbone with a head on it.
#[derive(Module, Debug)]
pub struct Transformer {
    /// The pretrained part.
    pub backbone: Backbone,
    /// What the model is used for.
    pub head: Head,
    #[module(skip)]
    names: TensorNames,
}

/// Which head, and how it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadOptions {
    /// What the head is for.
    pub kind: HeadKind,
    /// Seed of what the checkpoint lacks.
    pub seed: u64,
}

impl Transformer {
    /// Builds the model of the family that `config.json` names.
    ///
    /// # Errors
    ///
    /// [`LoadError`] if the family, a setting or the head is not supported, tensors are missing or of the wrong
    /// shape, or the weights find no room in the memory.
    pub fn load(
        checkpoint: &Checkpoint,
        head: HeadOptions,
        device: &Device,
    ) -> Result<(Self, LoadReport), LoadError> {
        Self::load_for_labels(checkpoint, head, None, device)
    }

    /// As [`Transformer::load`], for a classifier whose outputs are these labels in this order. The checkpoint's own
    /// output layer is used where its `id2label` has the same names, in whatever order, or none; else it starts new.
    /// [`LoadReport::saved_head`] says which of these happened.
    ///
    /// # Errors
    ///
    /// As for [`Transformer::load`]; also [`LoadError::Setting`] for an `id2label` with gaps.
    pub fn load_for_labels(
        checkpoint: &Checkpoint,
        head: HeadOptions,
        labels: Option<&LabelNames>,
        device: &Device,
    ) -> Result<(Self, LoadReport), LoadError> {
        let config = FamilyConfig::read(checkpoint)?;
        memory::check(&checkpoint.weights, device)?;
        let weights = weights_of(checkpoint, &config, head, labels, device)?;
        let backbone = Backbone::load(&config, &weights)?;
        let model = Self {
            head: Head::load(head.kind, &config.spec(), &backbone, &weights.root())?,
            backbone,
            names: weights.tensor_names(),
        };
        Ok((model, weights.finish()?))
    }

    /// Another head on this backbone, whose tensors the two models share, as [`Transformer::load_for_labels`] would load it from the
    /// same checkpoint. The report is of the head alone, without left-over tensors. Below a head where the backbone's paths are others, it
    /// is loaded anew.
    ///
    /// # Errors
    ///
    /// As for [`Transformer::load_for_labels`].
    pub fn with_head(
        &self,
        checkpoint: &Checkpoint,
        head: HeadOptions,
        labels: Option<&LabelNames>,
        device: &Device,
    ) -> Result<(Self, LoadReport), LoadError> {
        let config = FamilyConfig::read(checkpoint)?;
        let [prefix, _] = config.prefixes(head.kind);
        if !self.backbone.token_table().path().starts_with(prefix) {
            return Self::load_for_labels(checkpoint, head, labels, device);
        }
        let weights = weights_of(checkpoint, &config, head, labels, device)?;
        let backbone = self.backbone.clone();
        let model = Self {
            head: Head::load(head.kind, &config.spec(), &backbone, &weights.root())?,
            backbone,
            names: self.names.joined(&weights.tensor_names()),
        };
        let report = weights.finish()?;
        Ok((
            model,
            LoadReport {
                left_over: Vec::new(),
                ..report
            },
        ))
    }

    /// Every tensor of the model under its Hugging Face name, each once and always in the same order. An output layer that shares a table
    /// has no tensor of its own.
    pub fn visit_tensors(&self, visit: &mut dyn FnMut(&str, ParamRef<'_>)) {
        let mut of_linears = HashSet::new();
        self.visit_linears(&mut |linear| {
            linear.visit_base(&mut |name, param| {
                if of_linears.insert(name.clone()) {
                    visit(&name, param);
                }
            });
        });
        self.names.visit(self, &mut |name, param| {
            if !of_linears.contains(name) {
                visit(name, param);
            }
        });
    }

    /// As [`Model::forward`]; `observe` sees the hidden states `[batch, seq, d_model]` of every layer, the embeddings'
    /// first.
    pub fn observed_forward(
        &self,
        input: &Batch,
        pass: &Pass,
        observe: &mut dyn FnMut(&Tensor<3>),
    ) -> Tensor<2> {
        let encoding = Encoding {
            reading: Reading::EveryPlace,
            observe,
            below: None,
            packing: None,
        };
        let hidden = self.backbone.encode(input, pass, encoding);
        self.head.forward(hidden, input, &self.backbone, pass)
    }

    /// The logits of the token after each row of tokens, which follow those in the cache and join it; `None` for a model
    /// that is no causal language model.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, vocab_size]`
    pub fn next_logits(&self, tokens: &Tokens, cache: &mut KeyValueCache, pass: &Pass) -> Option<Tensor<2>> {
        let Head::CausalLm(head) = &self.head else {
            return None;
        };
        on_worker_thread(&self.device(), || {
            let hidden = self.backbone.advance(tokens, cache, pass)?;
            let last = hidden.dims()[1] - 1;
            Some(head.forward(hidden.narrow(1, last, 1), &self.backbone, pass))
        })
    }

    fn device(&self) -> Device {
        self.backbone.token_table().base.weight.device()
    }

    /// The modules that adapters train and save in full unless the user says otherwise; see [`Head::modules_to_save`].
    pub fn modules_to_save(&self) -> Vec<String> {
        self.head.modules_to_save()
    }
}

/// The tensors of a checkpoint, for a model with such a head.
fn weights_of<'a>(
    checkpoint: &'a Checkpoint,
    config: &FamilyConfig,
    head: HeadOptions,
    labels: Option<&LabelNames>,
    device: &'a Device,
) -> Result<Weights<'a>, LoadError> {
    let (prefixes, spec) = (config.prefixes(head.kind), config.spec());
    let mut weights = Weights::new(&checkpoint.weights, prefixes, head.seed, device);
    if spec.tied {
        let decoder = spec.masked_lm.map_or("lm_head", |names| names.decoder);
        weights = weights.with_tied(&format!("{}{}", prefixes[0], config.family().table), decoder);
    }
    Ok(match labels {
        Some(labels) => weights.for_labels(SavedHead::of(checkpoint, labels)?),
        None => weights,
    })
}

/// The name of the tensor whose first axis is the number of outputs, in a checkpoint or adapter folder for sequences of
/// this checkpoint's family.
///
/// # Errors
///
/// As for [`FamilyConfig::read`].
pub fn sequence_output_name(checkpoint: &Checkpoint) -> Result<String, LoadError> {
    let path = match FamilyConfig::read(checkpoint)?.spec().sequence {
        SequenceForm::FirstToken { output, .. } => output,
        SequenceForm::LastToken { .. } => "score",
        SequenceForm::Pooled(_) => "classifier",
    };
    Ok(format!("{path}.weight"))
}

impl Linears for Transformer {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        self.backbone.visit_linears(visit);
        self.head.visit_linears(visit);
    }

    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        self.backbone.visit_linears_mut(visit);
        self.head.visit_linears_mut(visit);
    }

    fn heads(&self) -> Vec<String> {
        self.head.outputs()
    }

    fn tensor_names(&self) -> TensorNames {
        self.names.clone()
    }

    fn bias_of_decoder(&self) -> Vec<String> {
        match &self.head {
            Head::MaskedLm(head) => head.bias_names(),
            _ => Vec::new(),
        }
    }

    fn tied(&self) -> Option<Tied> {
        self.head.tied_output().map(|output| Tied {
            output: output.to_owned(),
            table: self.backbone.token_table().path().to_owned(),
        })
    }

    fn untie(&mut self) {
        self.head.untie(self.backbone.token_embeddings());
    }
}

impl Model for Transformer {
    type Input = Batch;

    /// In the attention and the feed-forward block of every layer, of every family.
    fn takes_hidden_key(&self) -> bool {
        true
    }

    fn forward(&self, input: &Batch, pass: &Pass) -> Tensor<2> {
        let packing = self.packing(input, &[*pass]);
        self.pass_over(input, None, pass, packing.as_ref(), None)
    }

    fn forward_passes(
        &self,
        input: &Batch,
        places: Option<&[usize]>,
        passes: &[Pass],
        states: Option<&FrozenStates>,
    ) -> Vec<Tensor<2>> {
        on_worker_thread(&self.device(), || self.outputs_of(input, places, passes, states))
    }

    fn frozen_layers(&self, trained: &HashSet<ParamId>) -> usize {
        // Start and end of an answer are looked for among all places of a row, padding included, of which nothing is kept.
        if matches!(self.head, Head::Spans(_)) {
            return 0;
        }
        let mut lowest = usize::MAX;
        let mut meets = |name: &str| lowest = lowest.min(layer_of(name).unwrap_or(0));
        self.backbone.visit_linears(&mut |linear| {
            let mut is_trained = linear.adapter.is_some();
            linear.visit_trained(&mut |parameter| is_trained |= trained.contains(&parameter.param.id()));
            if is_trained {
                meets(linear.path());
            }
        });
        self.names.visit(&self.backbone, &mut |name, param| {
            if trained.contains(&param.id()) {
                meets(name);
            }
        });
        lowest
    }
}
