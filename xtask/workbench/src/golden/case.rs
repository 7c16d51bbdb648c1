//! One reference case: load its model and adapter, run it, compare.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use lora_core::peft::{AdapterFolder, trained_tensors};
use lora_core::tensors::{HostTensor, TensorFile};
use lora_core::tuned::TunedFolder;
use lora_core::{Adapted, Model, Pass, PassNoise};
use lora_data::{Batch, Targets};
use lora_kernels::{Fp32Precision, KeepMasks};
use lora_models::{Checkpoint, HeadKind, HeadOptions, Transformer};
use lora_train::schedule::Schedule;
use lora_train::{TrainConfig, Trainer};
use serde::Deserialize;

use super::compare::Differences;

/// The folder of a case with everything read.
pub(super) struct Case {
    model: Transformer,
    pub batch: Batch,
    reference: TensorFile,
    device: Device,
}

/// The settings that a training case was made with.
#[derive(Deserialize)]
struct TrainingNotes {
    lr: f64,
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
    max_grad_norm: f64,
    warmup_steps: u64,
    total_steps: u64,
    schedule: Schedule,
}

/// Runs a case of a model with or without an adapter.
pub(super) fn run(kind: &str, case: &Case, folder: &Path) -> Result<Differences> {
    match kind {
        "models" => case.outputs(&case.model, ""),
        "adapters" => {
            let mut differences = case.outputs(&case.model, "base.")?;
            let adapted = case.adapted(folder)?;
            differences.merge(case.outputs(&adapted.model, "")?);
            Ok(differences)
        }
        "training" => case.training(folder),
        "lora_dropout" => case.lora_dropout(folder),
        other => bail!("cases of kind `{other}` are not supported"),
    }
}

impl Case {
    pub fn open(folder: &Path, device: &Device, precision: Fp32Precision) -> Result<Self> {
        let reference = TensorFile::open(&folder.join("io.safetensors"))?;
        let mut checkpoint = Checkpoint::open(&folder.join("base"))?;
        checkpoint.weights.set_fp32_precision(precision);
        let architecture = checkpoint.config["architectures"][0].as_str().unwrap_or_default();
        let Some(kind) = HeadKind::of_architecture(architecture, checkpoint.outputs()) else {
            bail!("the head of {architecture} is not supported");
        };
        let (model, report) = Transformer::load(&checkpoint, HeadOptions { kind, seed: 0 }, device)?;
        if !report.initialized.is_empty() || !report.left_over.is_empty() {
            bail!("the checkpoint does not fit: {report:?}");
        }
        Ok(Self {
            model,
            batch: batch(&reference, kind)?,
            reference,
            device: device.clone(),
        })
    }

    pub fn adapted(&self, folder: &Path) -> Result<Adapted<Transformer>> {
        let tuned = folder.join("tuned");
        if tuned.is_dir() {
            return Ok(TunedFolder::read(&tuned)?.attach_to(self.model.clone())?);
        }
        Ok(AdapterFolder::read(&folder.join("adapter"))?.attach_to(self.model.clone())?)
    }

    pub fn expected(&self, name: &str) -> Result<HostTensor> {
        self.reference
            .read(name)?
            .with_context(|| format!("the case lacks the tensor {name}"))
    }

    /// Hidden states of every layer where tokens are real, and logits.
    fn outputs(&self, model: &Transformer, prefix: &str) -> Result<Differences> {
        let mut hidden_states = Vec::new();
        let logits = model.observed_forward(&self.batch, &Pass::Mean, &mut |hidden| {
            hidden_states.push(numbers(hidden.clone()));
        });
        let mut differences = Differences::default();
        let expected = self
            .reference
            .names()
            .filter(|name| name.starts_with(&format!("{prefix}hidden.")))
            .count();
        anyhow::ensure!(
            expected == hidden_states.len(),
            "we have {} hidden states, not {expected}",
            hidden_states.len()
        );
        for (layer, ours) in hidden_states.iter().enumerate() {
            let name = format!("{prefix}hidden.{layer}");
            let d_model = ours.len() / self.batch.attention_mask.len();
            let real = |index: usize| self.batch.attention_mask[index / d_model] == 1.0;
            differences.outputs(&name, ours, &self.expected(&name)?, real)?;
        }
        let (name, expected) = self.expected_logits(prefix)?;
        self.logits(&mut differences, &name, logits, &expected)?;
        Ok(differences)
    }

    /// Where padding sees nothing but padding, as in a sliding window, its outputs have no meaning, and libraries differ.
    fn logits(
        &self,
        differences: &mut Differences,
        name: &str,
        logits: Tensor<2>,
        expected: &HostTensor,
    ) -> Result<()> {
        let tokens = self.batch.attention_mask.len();
        let [rows, outputs] = logits.dims();
        let is_real = |token: usize| self.batch.attention_mask[token] == 1.0;
        let real = |index: usize| match rows {
            rows if rows == tokens => is_real(index / outputs),
            // Starts and ends of answers.
            rows if rows == 2 * self.batch.batch && outputs == self.batch.seq => is_real(index % tokens),
            _ => true,
        };
        differences.outputs(name, &numbers(logits), expected, real)
    }

    /// The reference's logits in the order of our rows: those of question answering lie in two tensors.
    fn expected_logits(&self, prefix: &str) -> Result<(String, HostTensor)> {
        let starts = format!("{prefix}start_logits");
        let Some(mut both) = self.reference.read(&starts)? else {
            let name = format!("{prefix}logits");
            let expected = self.expected(&name)?;
            return Ok((name, expected));
        };
        let ends = self.expected(&format!("{prefix}end_logits"))?;
        both.shape[0] *= 2;
        both.values.extend(ends.values);
        Ok((starts, both))
    }

    /// Gradients at step 0; losses, gradient norms and the final weights of all steps.
    fn training(&self, folder: &Path) -> Result<Differences> {
        let notes = std::fs::read(folder.join("io.json")).context("cannot read io.json")?;
        let notes: TrainingNotes = serde_json::from_slice(&notes).context("io.json")?;
        let config = TrainConfig {
            lr_scheduler_type: notes.schedule,
            warmup_steps: notes.warmup_steps,
            weight_decay: notes.weight_decay,
            adam_beta1: notes.betas[0],
            adam_beta2: notes.betas[1],
            adam_epsilon: notes.eps,
            max_grad_norm: notes.max_grad_norm,
            ..TrainConfig::new(notes.lr, 1.0, self.batch.batch)
        };
        let adapted = self.adapted(folder)?;
        // Other tuners' tensors have the names of the model, without PEFT's prefix.
        let prefix = if adapted.lora().is_some() {
            "base_model.model."
        } else {
            ""
        };
        let mut trainer = Trainer::new(adapted, config, notes.total_steps)?;
        let batches = std::slice::from_ref(&self.batch);

        let mut differences = Differences::default();
        for (name, ours) in trainer.gradients(batches) {
            if is_without_effect(&name) {
                continue;
            }
            let name = format!("grad.{prefix}{name}");
            differences.relative(&name, &ours.values, &self.expected(&name)?)?;
        }
        let (mut losses, mut norms) = (Vec::new(), Vec::new());
        for _ in 0..notes.total_steps {
            let report = trainer.step(batches)?;
            losses.push(report.loss as f32);
            norms.push(report.grad_norm as f32);
        }
        differences.outputs("losses", &losses, &self.expected("losses")?, |_| true)?;
        differences.relative("grad_norms", &norms, &self.expected("grad_norms")?)?;
        for (name, ours) in trained_tensors(&trainer.into_adapted()) {
            if is_without_effect(&name) {
                continue;
            }
            let name = format!("final.{prefix}{name}");
            differences.relative(&name, &ours.values, &self.expected(&name)?)?;
        }
        Ok(differences)
    }

    /// Logits, loss and gradients under given masks, plain and rescaled.
    fn lora_dropout(&self, folder: &Path) -> Result<Differences> {
        let notes: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.join("io.json"))?)?;
        let probability = notes["p"].as_f64().context("io.json lacks p")?;
        let adapted = self.adapted(folder)?;
        let trainer = Trainer::new(adapted.clone(), TrainConfig::new(1e-3, 1.0, self.batch.batch), 1)?;
        let mut differences = Differences::default();
        for member in 0.. {
            if !self
                .reference
                .names()
                .any(|name| name.starts_with(&format!("member{member}.")))
            {
                anyhow::ensure!(member > 0, "the case has no members");
                break;
            }
            for (convention, kept) in [("plain", 1.0), ("rescaled", 1.0 / (1.0 - probability))] {
                let masks = self.masks(&adapted, member, kept)?;
                let pass = Pass::Stochastic(&masks);
                let tag = format!("member{member}.{convention}");
                let name = format!("{tag}.logits");
                let logits = adapted.model.forward(&self.batch, &pass);
                self.logits(&mut differences, &name, logits, &self.expected(&name)?)?;
                let (loss, gradients) = trainer.pass_gradients(&self.batch, &pass);
                differences.outputs(
                    &format!("{tag}.loss"),
                    &[loss as f32],
                    &self.expected(&format!("{tag}.loss"))?,
                    |_| true,
                )?;
                for adapter in adapted.adapter_shapes() {
                    for (ours, theirs) in [("lora_A", "grad_a"), ("lora_B", "grad_b")] {
                        let gradient = &gradients[&format!("{}.{ours}.weight", adapter.path)];
                        let name = format!("{tag}.{theirs}.{}", adapter.path);
                        differences.relative(&name, &gradient.values, &self.expected(&name)?)?;
                    }
                }
            }
        }
        Ok(differences)
    }

    fn masks(&self, adapted: &Adapted<Transformer>, member: usize, kept: f64) -> Result<PassNoise> {
        let mut masks = HashMap::new();
        for adapter in adapted.adapter_shapes() {
            let mask = |side: &str| -> Result<Tensor<2>> {
                let mask = self.expected(&format!("member{member}.mask_{side}.{}", adapter.path))?;
                let length = mask.values.len();
                let data = TensorData::new(mask.values, [1, length]);
                Ok(Tensor::<2>::from_data(data, &self.device).mul_scalar(kept))
            };
            masks.insert(
                adapter.path.clone(),
                KeepMasks {
                    input: Some(mask("a")?),
                    output: Some(mask("b")?),
                    rank: None,
                },
            );
        }
        Ok(PassNoise::from_masks(masks))
    }
}

/// The bias of keys adds the same to all scores of a query, which softmax does not see: its gradient is nothing but the rounding
/// of either program, which AdamW makes as large as any other.
fn is_without_effect(name: &str) -> bool {
    name.ends_with(".key.bias") || name.ends_with(".key.base_layer.bias")
}

/// The inputs and labels of a case.
fn batch(reference: &TensorFile, head: HeadKind) -> Result<Batch> {
    let integers = |name: &str| reference.read_integers(name);
    let (shape, input_ids) = integers("input_ids")?.context("the case lacks input_ids")?;
    let [batch, seq] = shape[..] else {
        bail!("input_ids has shape {shape:?}, expected [batch, seq]")
    };
    let narrow = |values: Vec<i64>| values.into_iter().map(|value| value as i32).collect::<Vec<_>>();
    let (_, attention_mask) = integers("attention_mask")?.context("the case lacks attention_mask")?;
    let token_type_ids =
        integers("token_type_ids")?.map_or_else(|| vec![0; batch * seq], |(_, values)| narrow(values));
    let targets = match integers("labels")? {
        Some((shape, labels)) if shape.len() == 2 && head == HeadKind::CausalLm => next_tokens(&labels, seq)?,
        Some((shape, labels)) if shape.len() == 2 => own_tokens(&labels, seq)?,
        Some((_, labels)) => Targets::Classes(
            labels
                .into_iter()
                .map(usize::try_from)
                .collect::<Result<_, _>>()?,
        ),
        None => Targets::None,
    };
    Ok(Batch {
        batch,
        seq,
        input_ids: narrow(input_ids),
        token_type_ids,
        attention_mask: attention_mask.into_iter().map(|value| value as f32).collect(),
        targets,
        rows: (0..batch).collect(),
    })
}

/// The labels of a language model, which stand under their own tokens, as targets under the tokens before them; those
/// of -100 do not count.
fn next_tokens(labels: &[i64], seq: usize) -> Result<Targets> {
    let row = |row: &[i64]| {
        let next = row[1..].iter().map(target);
        next.chain([Ok(None)]).collect::<Result<Vec<_>, _>>()
    };
    Ok(Targets::Positions(
        labels.chunks(seq).map(row).collect::<Result<_, _>>()?,
    ))
}

/// The labels of other heads on tokens, which stand where they belong.
fn own_tokens(labels: &[i64], seq: usize) -> Result<Targets> {
    let row = |row: &[i64]| row.iter().map(target).collect::<Result<Vec<_>, _>>();
    Ok(Targets::Positions(
        labels.chunks(seq).map(row).collect::<Result<_, _>>()?,
    ))
}

/// None for a token that is not judged.
fn target(label: &i64) -> Result<Option<u32>, std::num::TryFromIntError> {
    match label {
        -100 => Ok(None),
        label => u32::try_from(*label).map(Some),
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .convert::<f32>()
        .try_into_vec()
        .expect("the data was converted to f32")
}
