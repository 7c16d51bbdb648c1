//! Tensors by Hugging Face path, with a report of what was missing or left over.

mod bias;
mod new;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;

use burn::module::{Param, ParamId};
use burn::tensor::{Device, Tensor, TensorData};
use lora_core::linear::LinearKind;
use lora_core::tensor_names::TensorNames;
use lora_core::tensors::{HostTensor, Orientation};
use lora_core::{LoraEmbedding, LoraLinear};

use crate::blocks::{LayerNorm, RmsNorm};
use crate::error::LoadError;
use crate::heads::SavedHead;
use crate::load_report::{LoadReport, is_buffer};
use crate::weight_files::WeightFiles;

pub use bias::Bias;

/// The tensors of a checkpoint. Layers are built from it by path; it remembers which tensors were used.
#[derive(Debug)]
pub struct Weights<'a> {
    file: &'a WeightFiles,
    device: &'a Device,
    /// What stands before the paths of the backbone, with the dot: `bert.`.
    prefix: &'static str,
    /// What stands there in the file: another one below another head, or nothing in a checkpoint that was saved without its head.
    prefix_in_file: &'static str,
    /// The table of embeddings and, where the file holds only that, the output layer that is tied to it.
    tied: Option<(String, String)>,
    seed: u64,
    /// What is known about the classes of the checkpoint's output layer.
    saved_head: Option<SavedHead>,
    record: RefCell<Record>,
}

/// So many missing tensors are named at most, and so many zeros stand in for them: a `config.json` that promises a billion
/// layers, or a table as large as the memory, is refused before anything is made of it.
const MOST_MISSING: usize = 1000;
const MOST_ZEROS: usize = 1 << 24;

#[derive(Debug, Default)]
struct Record {
    used: BTreeSet<String>,
    missing: Vec<String>,
    /// Zeros that stand in for missing tensors.
    zeros: usize,
    initialized: Vec<String>,
    /// What became of the checkpoint's output layer.
    saved_head: Option<SavedHead>,
    /// Parameters that belong to no linear.
    parameters: Vec<(ParamId, String)>,
}

/// A place in the model's tree of names.
#[derive(Clone, Debug)]
pub struct Scope<'a> {
    weights: &'a Weights<'a>,
    path: String,
}

impl<'a> Weights<'a> {
    /// The tensors of a file for a model whose backbone's paths begin with the first prefix; a file whose names have the other, or none, is
    /// understood too. New tensors are drawn from `(seed, name)`.
    pub fn new(file: &'a WeightFiles, prefixes: [&'static str; 2], seed: u64, device: &'a Device) -> Self {
        let is_in_file = |prefix: &&str| file.names().any(|name| name.starts_with(prefix));
        Self {
            file,
            device,
            prefix: prefixes[0],
            prefix_in_file: prefixes.into_iter().find(is_in_file).unwrap_or_default(),
            tied: None,
            seed,
            saved_head: None,
            record: RefCell::default(),
        }
    }

    /// The same where a table of embeddings and an output layer are one tensor, which a file may hold under the second name
    /// alone. Both are paths of modules.
    pub(crate) fn with_tied(mut self, table: &str, output: &str) -> Self {
        let [table, output] = [table, output].map(|path| format!("{path}.weight"));
        if self.shape(&table).is_none() && self.shape(&output).is_some() {
            self.tied = Some((table, output));
        }
        self
    }

    /// The same for a classifier of other labels than the checkpoint may name, or of the same in another order.
    #[must_use]
    pub fn for_labels(mut self, saved_head: SavedHead) -> Self {
        self.saved_head = Some(saved_head);
        self
    }

    /// The root of the model's tree of names.
    pub fn root(&'a self) -> Scope<'a> {
        Scope {
            weights: self,
            path: String::new(),
        }
    }

    /// The place of the backbone in it.
    pub fn backbone(&'a self) -> Scope<'a> {
        self.root().at(self.prefix.trim_end_matches('.'))
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
            path: self.file.origin().to_owned(),
            initialized: record.initialized,
            left_over,
            saved_head: record.saved_head,
        })
    }

    /// The tensor of a name, or `None`. Marks it as used.
    fn take(&self, name: &str, orientation: Orientation) -> Result<Option<HostTensor>, LoadError> {
        let in_file = self.in_file(name);
        let tensor = self.file.read(&in_file, orientation);
        self.record.borrow_mut().used.insert(in_file.into_owned());
        tensor
    }

    fn shape(&self, name: &str) -> Option<&[usize]> {
        self.file.shape(&self.in_file(name))
    }

    /// A name as the file has it.
    fn in_file<'b>(&'b self, name: &'b str) -> Cow<'b, str> {
        let name = match &self.tied {
            Some((table, output)) if table == name => output,
            _ => name,
        };
        match name.strip_prefix(self.prefix) {
            Some(rest) if self.prefix != self.prefix_in_file => {
                Cow::Owned(format!("{}{rest}", self.prefix_in_file))
            }
            _ => Cow::Borrowed(name),
        }
    }

    fn initialized(&self, name: String) {
        self.record.borrow_mut().initialized.push(name);
    }
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
        let weight = self.transposed("weight", [d_output, d_input])?;
        let bias = self.tensor("bias", [d_output])?;
        Ok(self.held(LoraLinear::new(self.path.clone(), weight, Some(bias))))
    }

    /// A linear without bias, frozen.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn linear_without_bias(&self, d_input: usize, d_output: usize) -> Result<LoraLinear, LoadError> {
        let weight = self.transposed("weight", [d_output, d_input])?;
        Ok(self.held(LoraLinear::new(self.path.clone(), weight, None)))
    }

    /// A linear with or without bias, frozen.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn linear_with(&self, d_input: usize, d_output: usize, bias: Bias) -> Result<LoraLinear, LoadError> {
        match bias {
            Bias::Present => self.linear(d_input, d_output),
            Bias::Absent => self.linear_without_bias(d_input, d_output),
        }
    }

    /// A linear with bias that is stored as `[d_input, d_output]` (GPT-2's), frozen.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn linear_transposed(&self, d_input: usize, d_output: usize) -> Result<LoraLinear, LoadError> {
        let weight = self.tensor("weight", [d_input, d_output])?;
        let bias = self.tensor("bias", [d_output])?;
        let linear = LoraLinear::new(self.path.clone(), weight, Some(bias));
        Ok(self.held(linear.of_kind(LinearKind::Conv1d)))
    }

    /// Whether the checkpoint has a tensor of this place.
    pub fn has(&self, name: &str) -> bool {
        self.weights.shape(&self.name(name)).is_some()
    }

    /// Says that a tensor is no left-over though nothing is made of it: it repeats another one.
    pub fn pass_over(&self, name: &str) {
        let name = self.weights.in_file(&self.name(name)).into_owned();
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
        let precision = self.weights.file.fp32_precision();
        Ok(LoraEmbedding::new(self.path.clone(), weight).in_precision(precision))
    }

    /// A layer norm, frozen. Names of TensorFlow's checkpoints (`gamma`, `beta`) are understood.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn layer_norm(&self, d_model: usize, epsilon: f64) -> Result<LayerNorm, LoadError> {
        let [gamma, beta] = if self.has("gamma") {
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

    /// As [`Scope::layer_norm`], with or without bias.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn layer_norm_with(&self, d_model: usize, epsilon: f64, bias: Bias) -> Result<LayerNorm, LoadError> {
        match bias {
            Bias::Present => self.layer_norm(d_model, epsilon),
            Bias::Absent => Ok(LayerNorm::without_bias(
                self.parameter("weight", [d_model])?,
                epsilon,
            )),
        }
    }

    /// A norm by the root mean square, frozen.
    ///
    /// # Errors
    ///
    /// As for [`Scope::linear`].
    pub fn rms_norm(&self, d_model: usize, epsilon: f64) -> Result<RmsNorm, LoadError> {
        Ok(RmsNorm::new(self.parameter("weight", [d_model])?, epsilon))
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

    /// A linear held for the precision of the checkpoint's products.
    fn held(&self, linear: LoraLinear) -> LoraLinear {
        linear.in_precision(self.weights.file.fp32_precision())
    }

    /// A tensor as it lies in the file.
    fn tensor<const D: usize>(&self, name: &str, shape: [usize; D]) -> Result<Tensor<D>, LoadError> {
        let tensor = self.host_tensor(name, shape, Orientation::Stored)?;
        Ok(self.to_device(tensor.values, shape))
    }

    /// The transpose of a matrix of the file, which has this shape there.
    fn transposed(&self, name: &str, [rows, columns]: [usize; 2]) -> Result<Tensor<2>, LoadError> {
        let tensor = self.host_tensor(name, [rows, columns], Orientation::Transposed)?;
        Ok(self.to_device(tensor.values, [columns, rows]))
    }

    /// A tensor that must be there and have this shape in the file; zeros stand in for a missing one until [`Weights::finish`]
    /// names them all, as far as there is room.
    fn host_tensor<const D: usize>(
        &self,
        name: &str,
        shape: [usize; D],
        orientation: Orientation,
    ) -> Result<HostTensor, LoadError> {
        let name = self.name(name);
        if let Some(found) = self.weights.shape(&name)
            && found != shape
        {
            return Err(LoadError::Shape {
                path: self.weights.file.origin().to_owned(),
                name,
                expected: shape.to_vec(),
                found: found.to_vec(),
            });
        }
        let Some(tensor) = self.weights.take(&name, orientation)? else {
            let mut record = self.weights.record.borrow_mut();
            record.missing.push(name);
            let count = shape
                .iter()
                .try_fold(1_usize, |count, size| count.checked_mul(*size));
            record.zeros = record.zeros.saturating_add(count.unwrap_or(usize::MAX));
            if record.zeros > MOST_ZEROS || record.missing.len() > MOST_MISSING {
                return Err(LoadError::MissingWeights {
                    path: self.weights.file.origin().to_owned(),
                    names: std::mem::take(&mut record.missing),
                });
            }
            return Ok(HostTensor {
                shape: shape.to_vec(),
                values: vec![0.0; shape.iter().product()],
            });
        };
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
