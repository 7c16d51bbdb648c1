//! An adapter folder, read and put on a model.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use super::config::PeftConfig;
use super::error::AdapterError;
use super::side::{DropoutFile, EnsembleSettings, SIDE_FILE};
use crate::adapted::Adapted;
use crate::adapter::{Adapter, LowRank};
use crate::config::LoraConfig;
use crate::linear::{BaseTraining, LoraLinear};
use crate::model::Linears;
use crate::tensors::{HostTensor, TensorFile};

/// Name of the settings' file.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// Name of the tensors' file.
pub const TENSOR_FILE: &str = "adapter_model.safetensors";
/// What PEFT puts before every module path.
pub(super) const PREFIX: &str = "base_model.model.";

/// PEFT's `task_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaskType {
    /// Sequence classification or regression.
    SeqCls,
    /// Causal language modelling.
    CausalLm,
    /// Token classification.
    TokenCls,
    /// Extractive question answering.
    QuestionAns,
    /// Sequence to sequence.
    #[serde(rename = "SEQ_2_SEQ_LM")]
    Seq2SeqLm,
    /// Hidden states alone.
    FeatureExtraction,
}

/// An adapter folder that was read and not yet put on a model.
#[derive(Debug)]
pub struct AdapterFolder {
    /// Settings, with LoRA Dropout's from the side file.
    pub config: LoraConfig,
    /// What the adapter is for.
    pub task_type: Option<TaskType>,
    /// The base model that the file names.
    pub base_model: Option<String>,
    /// The ensemble that the side file recommends.
    pub ensemble: Option<EnsembleSettings>,
    folder: PathBuf,
    tensors: TensorFile,
    /// Name without prefix → name in the file.
    names: BTreeMap<String, String>,
}

impl AdapterFolder {
    /// Reads a folder written by PEFT or by [`AdapterFolder::write`].
    ///
    /// # Errors
    ///
    /// [`AdapterError`] if a file is missing or corrupt, or a setting is not supported.
    pub fn read(folder: &Path) -> Result<Self, AdapterError> {
        let config_path = folder.join(CONFIG_FILE);
        let parsed = PeftConfig::parse(&config_path, &read(&config_path)?)?;
        let mut config = parsed.to_lora_config(&config_path)?;
        let mut ensemble = None;
        let side_path = folder.join(SIDE_FILE);
        if side_path.exists() {
            let side: DropoutFile =
                serde_json::from_slice(&read(&side_path)?).map_err(|reason| AdapterError::Json {
                    path: side_path.clone(),
                    reason,
                })?;
            let mean_factor = side.dropout().mean_factor();
            let expected = side.alpha * mean_factor;
            if (expected - parsed.lora_alpha).abs() > 1e-9 * expected.abs() {
                return Err(AdapterError::SideFile {
                    path: side_path,
                    training_alpha: side.alpha,
                    mean_factor,
                    expected,
                    found: parsed.lora_alpha,
                });
            }
            config.dropout = Some(side.dropout());
            config.alpha = side.alpha;
            config.alpha_pattern = side.alpha_pattern;
            ensemble = side.ensemble;
            config.validate().map_err(|reason| AdapterError::Config {
                path: side_path,
                reason,
            })?;
        }
        let tensors = TensorFile::open(&folder.join(TENSOR_FILE))?;
        let names = names_of(&tensors)?;
        Ok(Self {
            config,
            task_type: parsed.task_type,
            base_model: parsed.base_model_name_or_path,
            ensemble,
            folder: folder.to_owned(),
            tensors,
            names,
        })
    }

    /// The shape of a saved tensor in PyTorch's orientation, by its name in the model, such as `classifier.weight`:
    /// tells how many classes the head has.
    pub fn shape(&self, name: &str) -> Option<&[usize]> {
        self.tensors.shape(self.names.get(name)?)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Its file of tensors.
    pub(super) fn tensor_path(&self) -> &Path {
        self.tensors.origin()
    }

    /// Names of its tensors, without prefix.
    pub fn tensor_names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// All its tensors by name without prefix, in PyTorch's orientation.
    ///
    /// # Errors
    ///
    /// [`AdapterError::Tensors`].
    pub fn tensors_by_name(&self) -> Result<BTreeMap<String, HostTensor>, AdapterError> {
        let mut tensors = BTreeMap::new();
        for (name, in_file) in &self.names {
            if let Some(tensor) = self.tensors.read(in_file)? {
                tensors.insert(name.clone(), tensor);
            }
        }
        Ok(tensors)
    }

    /// Puts the adapters, heads and biases of the folder on a model. Targets and modules to save that the model does not have
    /// are passed over, as in PEFT; the tensors must be just those of the others.
    ///
    /// # Errors
    ///
    /// [`AdapterError`] if the targets match nothing, or a tensor is missing, unknown or of the wrong shape.
    pub fn attach_to<M: Module + Linears>(&self, model: M) -> Result<Adapted<M>, AdapterError> {
        let (mut adapted, _) =
            Adapted::attach_what_matches(model, self.config.clone(), 0).map_err(|reason| {
                AdapterError::Config {
                    path: self.folder.join(CONFIG_FILE),
                    reason,
                }
            })?;
        let mut left: BTreeMap<&str, &str> = self
            .names
            .iter()
            .map(|(name, in_file)| (name.as_str(), in_file.as_str()))
            .collect();
        let mut result = Ok(());
        adapted.model.visit_linears_mut(&mut |linear| {
            if result.is_ok() {
                result = self.fill(linear, &mut left);
            }
        });
        result?;
        if !left.is_empty() {
            return Err(AdapterError::UnknownTensor {
                path: self.tensors.origin().to_owned(),
                names: left.into_values().map(str::to_owned).collect(),
            });
        }
        Ok(adapted)
    }

    fn fill(&self, linear: &mut LoraLinear, left: &mut BTreeMap<&str, &str>) -> Result<(), AdapterError> {
        let path = linear.path().to_owned();
        let [d_input, d_output] = linear.dims();
        let device = linear.base.weight.device();
        let mut take = |name: String, shape: &[usize]| -> Result<HostTensor, AdapterError> {
            let tensor = self.take(&name, shape)?;
            left.remove(name.as_str());
            Ok(tensor)
        };
        let matrix = |tensor: &HostTensor| {
            let HostTensor { shape, values } = tensor.transposed();
            Param::from_tensor(Tensor::<2>::from_data(TensorData::new(values, shape), &device))
        };
        let vector = |tensor: HostTensor| {
            let data = TensorData::new(tensor.values, tensor.shape);
            Param::from_tensor(Tensor::<1>::from_data(data, &device))
        };
        let rank = self.config.low_rank_of(&path).rank;
        let mut fill_low_rank = |low_rank: &mut LowRank| -> Result<(), AdapterError> {
            low_rank.a = matrix(&take(format!("{path}.lora_A.weight"), &[rank, d_input])?);
            low_rank.b = matrix(&take(format!("{path}.lora_B.weight"), &[d_output, rank])?);
            if low_rank.bias.is_some() {
                low_rank.bias = Some(vector(take(format!("{path}.lora_B.bias"), &[d_output])?));
            }
            Ok(())
        };
        match &mut linear.adapter {
            None => {}
            Some(Adapter::LowRank(adapter)) => fill_low_rank(adapter)?,
            Some(Adapter::WeightDecomposed(adapter)) => {
                fill_low_rank(&mut adapter.low_rank)?;
                let magnitude = take(format!("{path}.lora_magnitude_vector"), &[d_output])?;
                adapter.magnitude = vector(magnitude);
            }
            Some(Adapter::Svd(adapter)) => {
                let a = take(format!("{path}.lora_A"), &[rank, d_input])?;
                let b = take(format!("{path}.lora_B"), &[d_output, rank])?;
                let e = take(format!("{path}.lora_E"), &[rank, 1])?;
                if let Some(factors) = &mut adapter.factors {
                    (factors.a, factors.b, factors.e) = (matrix(&a), matrix(&b), matrix(&e));
                }
            }
        }
        let training = linear.base_training();
        if training == BaseTraining::Full {
            let weight = take(format!("{path}.weight"), &[d_output, d_input])?;
            linear.base.weight = matrix(&weight);
        }
        if training != BaseTraining::Frozen && linear.base.bias.is_some() {
            let name = if training == BaseTraining::Full {
                "bias"
            } else {
                "base_layer.bias"
            };
            let bias = take(format!("{path}.{name}"), &[d_output])?;
            linear.base.bias = Some(vector(bias));
        }
        Ok(())
    }

    fn take(&self, name: &str, shape: &[usize]) -> Result<HostTensor, AdapterError> {
        let path = || self.tensors.origin().to_owned();
        let missing = || AdapterError::MissingTensor {
            path: path(),
            name: format!("{PREFIX}{name}"),
        };
        let in_file = self.names.get(name).ok_or_else(missing)?;
        let tensor = self.tensors.read(in_file)?.ok_or_else(missing)?;
        if tensor.shape != shape {
            return Err(AdapterError::Shape {
                path: path(),
                name: in_file.clone(),
                expected: shape.to_vec(),
                found: tensor.shape,
            });
        }
        Ok(tensor)
    }
}

/// Maps names as this crate writes them to names as the file has them. A PEFT adapter named `default` may carry that name
/// inside its keys.
fn names_of(tensors: &TensorFile) -> Result<BTreeMap<String, String>, AdapterError> {
    let mut names = BTreeMap::new();
    for in_file in tensors.names() {
        let name = without_adapter_name(in_file.strip_prefix(PREFIX).unwrap_or(in_file));
        if names.insert(name.clone(), in_file.to_owned()).is_some() {
            return Err(AdapterError::DuplicateTensor {
                path: tensors.origin().to_owned(),
                name,
            });
        }
    }
    Ok(names)
}

fn without_adapter_name(name: &str) -> String {
    let mut name = name.replace(".modules_to_save.default.", ".");
    for factor in ["lora_A", "lora_B", "lora_E", "lora_magnitude_vector"] {
        let inside = format!(".{factor}.default");
        if let Some(start) = name.find(&inside) {
            let end = start + inside.len();
            if name[end..].is_empty() || name[end..].starts_with('.') {
                name.replace_range(start..end, &format!(".{factor}"));
            }
        }
    }
    name
}

fn read(path: &Path) -> Result<Vec<u8>, AdapterError> {
    fs::read(path).map_err(|source| AdapterError::Read {
        path: path.to_owned(),
        source,
    })
}
