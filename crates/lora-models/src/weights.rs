//! Tensors by Hugging Face path, with a report of what was missing or left over.

use std::cell::RefCell;
use std::collections::BTreeSet;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use lora_core::{HostTensor, LinearKind, LoraEmbedding, LoraLinear, TensorNames, seeded_normal};
use serde::Serialize;

use crate::blocks::{LayerNorm, RmsNorm};
use crate::error::LoadError;
use crate::weight_files::WeightFiles;

/// The tensors of a checkpoint. Layers are built from it by path; it remembers which tensors were used.
#[derive(Debug)]
pub struct Weights<'a> {
    file: &'a WeightFiles,
    device: &'a Device,
    /// `bert.` for a model whose checkpoint was saved without its head, and so without this prefix.
    absent_prefix: Option<&'static str>,
    seed: u64,
    record: RefCell<Record>,
}

#[derive(Debug, Default)]
struct Record {
    used: BTreeSet<String>,
    missing: Vec<String>,
    initialized: Vec<String>,
    /// Parameters that belong to no linear.
    parameters: Vec<(ParamId, String)>,
}

/// What loading found beside the tensors it used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LoadReport {
    /// Tensors that the file lacks (or has for another number of classes) and that started from the seed.
    pub initialized: Vec<String>,
    /// Tensors of the file that the model has no place for.
    pub left_over: Vec<String>,
}

/// Whether a linear has a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// `x W + b`.
    Present,
    /// `x W`.
    Absent,
}

/// A place in the model's tree of names.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    weights: &'a Weights<'a>,
    path: String,
}

impl<'a> Weights<'a> {
    /// The tensors of a file for a model whose paths begin with `prefix`; a file whose names lack it is understood too.
    /// New tensors are drawn from `(seed, name)`.
    pub fn new(file: &'a WeightFiles, prefix: &'static str, seed: u64, device: &'a Device) -> Self {
        let absent_prefix = (!file.names().any(|name| name.starts_with(prefix))).then_some(prefix);
        Self {
            file,
            device,
            absent_prefix,
            seed,
            record: RefCell::default(),
        }
    }

    /// The root of the model's tree of names.
    pub fn root(&'a self) -> Scope<'a> {
        Scope {
            weights: self,
            path: String::new(),
        }
    }

    /// The names of the parameters that were made so far and belong to no linear.
    pub fn tensor_names(&self) -> TensorNames {
        TensorNames::new(self.record.borrow().parameters.iter().cloned())
    }

    /// The report, once everything is loaded.
    ///
    /// # Errors
    ///
    /// [`LoadError::MissingWeights`] if a tensor was missing that has no sensible start.
    pub fn finish(self) -> Result<LoadReport, LoadError> {
        let record = self.record.into_inner();
        if !record.missing.is_empty() {
            return Err(LoadError::MissingWeights {
                path: self.file.origin().to_owned(),
                names: record.missing,
            });
        }
        let left_over = self
            .file
            .names()
            .filter(|name| !record.used.contains(*name) && !is_buffer(name))
            .map(str::to_owned)
            .collect();
        Ok(LoadReport {
            initialized: record.initialized,
            left_over,
        })
    }

    /// The tensor of a name, or `None`. Marks it as used.
    fn take(&self, name: &str) -> Result<Option<HostTensor>, LoadError> {
        let in_file = self.in_file(name);
        let tensor = self.file.read(in_file)?;
        if tensor.is_some() {
            self.record.borrow_mut().used.insert(in_file.to_owned());
        }
        Ok(tensor)
    }

    fn has(&self, name: &str) -> bool {
        self.file.shape(self.in_file(name)).is_some()
    }

    /// A name as the file has it.
    fn in_file<'b>(&self, name: &'b str) -> &'b str {
        self.absent_prefix
            .and_then(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name)
    }

    fn initialized(&self, name: String) {
        self.record.borrow_mut().initialized.push(name);
    }
}

/// What old checkpoints saved though it follows from the configuration: counts 0, 1, 2… beside the table of positions,
/// causal masks, frequencies. No weight is lost with them.
fn is_buffer(name: &str) -> bool {
    let buffers = [
        "embeddings.position_ids",
        ".attn.bias",
        ".attn.masked_bias",
        ".rotary_emb.inv_freq",
    ];
    buffers.iter().any(|buffer| name.ends_with(buffer))
}

impl Scope<'_> {
    /// A place below this one.
    #[must_use]
    pub fn at(&self, name: impl AsRef<str>) -> Self {
        Self {
            weights: self.weights,
            path: self.name(name.as_ref()),
        }
    }

    /// A linear with bias, frozen.
    ///
    /// # Errors
    ///
    /// [`LoadError::Shape`], [`LoadError::Tensors`]. A missing tensor is reported by [`Weights::finish`].
    pub fn linear(&self, d_input: usize, d_output: usize) -> Result<LoraLinear, LoadError> {
        let weight = self.host_tensor("weight", [d_output, d_input])?;
        let bias = self.tensor("bias", [d_output])?;
        let weight = self.to_device(weight.transposed().values, [d_input, d_output]);
        Ok(LoraLinear::new(self.path.clone(), weight, Some(bias)))
    }

    /// A linear without bias, frozen.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn linear_without_bias(&self, d_input: usize, d_output: usize) -> Result<LoraLinear, LoadError> {
        let weight = self.host_tensor("weight", [d_output, d_input])?;
        let weight = self.to_device(weight.transposed().values, [d_input, d_output]);
        Ok(LoraLinear::new(self.path.clone(), weight, None))
    }

    /// A linear with bias that is stored as `[d_input, d_output]` (GPT-2's), frozen.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn linear_transposed(&self, d_input: usize, d_output: usize) -> Result<LoraLinear, LoadError> {
        let weight = self.tensor("weight", [d_input, d_output])?;
        let bias = self.tensor("bias", [d_output])?;
        Ok(LoraLinear::new(self.path.clone(), weight, Some(bias)).of_kind(LinearKind::Conv1d))
    }

    /// A linear that may be absent, as a head on a pretrained model is: weight drawn from N(0, `deviation`²), bias
    /// zero. One of another shape counts as absent: it belongs to other classes.
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`].
    pub fn linear_or_new(
        &self,
        d_input: usize,
        d_output: usize,
        bias: Bias,
        deviation: f64,
    ) -> Result<LoraLinear, LoadError> {
        let weight = self.weights.take(&self.name("weight"))?;
        let weight = weight.filter(|weight| weight.shape == [d_output, d_input]);
        let found = match bias {
            Bias::Present => self.weights.take(&self.name("bias"))?,
            Bias::Absent => None,
        };
        let found = found.filter(|bias| bias.shape == [d_output]);
        if let Some(weight) = weight
            && (found.is_some() || bias == Bias::Absent)
        {
            let weight = self.to_device(weight.transposed().values, [d_input, d_output]);
            let bias = found.map(|bias| self.to_device(bias.values, [d_output]));
            return Ok(LoraLinear::new(self.path.clone(), weight, bias));
        }
        let name = self.name("weight");
        let values = seeded_normal(self.weights.seed, &name, d_input * d_output, deviation);
        self.weights.initialized(name);
        let weight = self.to_device(values, [d_input, d_output]);
        let bias = (bias == Bias::Present).then(|| {
            self.weights.initialized(self.name("bias"));
            Tensor::zeros([d_output], self.weights.device)
        });
        Ok(LoraLinear::new(self.path.clone(), weight, bias))
    }

    /// A vector, frozen; zeros if it is absent or of another length.
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`].
    pub fn vector_or_zeros(&self, last: &str, length: usize) -> Result<Param<Tensor<1>>, LoadError> {
        let name = self.name(last);
        let found = self.weights.take(&name)?;
        if let Some(vector) = found.filter(|vector| vector.shape == [length]) {
            return Ok(self.named(last, self.to_device(vector.values, [length])));
        }
        self.weights.initialized(name);
        Ok(self.named(last, Tensor::zeros([length], self.weights.device)))
    }

    /// Whether the checkpoint has a tensor of this place.
    pub fn has(&self, name: &str) -> bool {
        self.weights.has(&self.name(name))
    }

    /// Says that a tensor is no left-over though nothing is made of it: it repeats another one.
    pub fn pass_over(&self, name: &str) {
        let name = self.weights.in_file(&self.name(name)).to_owned();
        self.weights.record.borrow_mut().used.insert(name);
    }

    /// The error of a family that has no such head.
    pub fn no_head(&self, head: &'static str) -> LoadError {
        LoadError::Head {
            path: self.weights.file.origin().to_owned(),
            head,
        }
    }

    /// An embedding table, frozen.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn embedding(&self, count: usize, d_model: usize) -> Result<LoraEmbedding, LoadError> {
        let weight = self.tensor("weight", [count, d_model])?;
        Ok(LoraEmbedding::new(self.path.clone(), weight))
    }

    /// A layer norm, frozen. Names of TensorFlow's checkpoints (`gamma`, `beta`) are understood.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn layer_norm(&self, d_model: usize, epsilon: f64) -> Result<LayerNorm, LoadError> {
        let old = self.weights.take(&self.name("gamma"))?.is_some();
        let [gamma, beta] = if old {
            ["gamma", "beta"]
        } else {
            ["weight", "bias"]
        };
        Ok(LayerNorm::new(
            self.named("weight", self.tensor(gamma, [d_model])?),
            self.named("bias", self.tensor(beta, [d_model])?),
            epsilon,
        ))
    }

    /// A norm by the root mean square, frozen.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn rms_norm(&self, d_model: usize, epsilon: f64) -> Result<RmsNorm, LoadError> {
        Ok(RmsNorm::new(self.parameter("weight", [d_model])?, epsilon))
    }

    /// As [`Scope::layer_norm`]; one that is absent starts as the identity's: factor 1, offset 0.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn layer_norm_or_new(&self, d_model: usize, epsilon: f64) -> Result<LayerNorm, LoadError> {
        if self.has("weight") || self.has("gamma") {
            return self.layer_norm(d_model, epsilon);
        }
        self.weights.initialized(self.name("weight"));
        self.weights.initialized(self.name("bias"));
        let device = self.weights.device;
        Ok(LayerNorm::new(
            self.named("weight", Tensor::ones([d_model], device)),
            self.named("bias", Tensor::zeros([d_model], device)),
            epsilon,
        ))
    }

    /// A parameter of this place that belongs to no linear, as it lies in the file.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn parameter<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
    ) -> Result<Param<Tensor<D>>, LoadError> {
        Ok(self.named(name, self.tensor(name, shape)?))
    }

    /// Remembers the parameter's name: see [`Weights::tensor_names`].
    fn named<const D: usize>(&self, name: &str, tensor: Tensor<D>) -> Param<Tensor<D>> {
        let param = Param::from_tensor(tensor);
        let mut record = self.weights.record.borrow_mut();
        record.parameters.push((param.id, self.name(name)));
        param
    }

    /// A tensor as it lies in the file.
    fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<D>, LoadError> {
        Ok(self.to_device(self.host_tensor(name, shape)?.values, shape))
    }

    /// A tensor that must be there; zeros stand in for a missing one until [`Weights::finish`] names them all.
    fn host_tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<HostTensor, LoadError> {
        let name = self.name(name);
        let Some(tensor) = self.weights.take(&name)? else {
            self.weights.record.borrow_mut().missing.push(name);
            return Ok(HostTensor {
                shape: shape.to_vec(),
                values: vec![0.0; shape.iter().product()],
            });
        };
        if tensor.shape != shape {
            return Err(LoadError::Shape {
                path: self.weights.file.origin().to_owned(),
                name,
                expected: shape.to_vec(),
                found: tensor.shape,
            });
        }
        Ok(tensor)
    }

    fn to_device<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        Tensor::from_data(TensorData::new(values, shape), self.weights.device)
    }

    fn name(&self, last: &str) -> String {
        if self.path.is_empty() {
            last.to_owned()
        } else {
            format!("{}.{last}", self.path)
        }
    }
}
