//! The folder as a whole: read it onto a model, write it from one.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, Param};
use burn::tensor::{Tensor, TensorData};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::{Deserialize, Serialize};

use super::config::{PeftConfig, to_json};
use super::error::AdapterError;
use super::side::{DropoutFile, EnsembleSettings, SIDE_FILE};
use crate::adapted::Adapted;
use crate::adapter::{Adapter, LowRank};
use crate::atomic::{WriteError, write_file};
use crate::config::LoraConfig;
use crate::linear::{BaseTraining, LoraLinear, ParamRef};
use crate::model::Linears;
use crate::tensors::{HostTensor, TensorFile};

/// Name of the settings' file.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// Name of the tensors' file.
pub const TENSOR_FILE: &str = "adapter_model.safetensors";
/// What PEFT puts before every module path.
const PREFIX: &str = "base_model.model.";

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

    /// Puts the adapters, heads and biases of the folder on a model.
    ///
    /// # Errors
    ///
    /// [`AdapterError`] if the targets match nothing, or a tensor is missing, unknown or of the wrong shape.
    pub fn attach_to<M: Module + Linears>(&self, model: M) -> Result<Adapted<M>, AdapterError> {
        let (mut adapted, _) =
            Adapted::attach(model, self.config.clone(), 0).map_err(|reason| AdapterError::Config {
                path: self.folder.join(CONFIG_FILE),
                reason,
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
            Tensor::<2>::from_data(TensorData::new(values, shape), &device)
        };
        if linear.adapter.is_some() {
            let settings = self.config.low_rank_of(&path);
            let a = take(format!("{path}.lora_A.weight"), &[settings.rank, d_input])?;
            let b = take(format!("{path}.lora_B.weight"), &[d_output, settings.rank])?;
            let low_rank = LowRank::from_factors(matrix(&a), matrix(&b), &settings);
            linear.adapter = Some(Adapter::LowRank(low_rank));
        }
        let training = linear.base_training();
        if training == BaseTraining::Full {
            let weight = take(format!("{path}.weight"), &[d_output, d_input])?;
            linear.base.weight = Param::from_tensor(matrix(&weight));
        }
        if training != BaseTraining::Frozen && linear.base.bias.is_some() {
            let name = if training == BaseTraining::Full {
                "bias"
            } else {
                "base_layer.bias"
            };
            let bias = take(format!("{path}.{name}"), &[d_output])?;
            let bias = TensorData::new(bias.values, bias.shape);
            linear.base.bias = Some(Param::from_tensor(Tensor::from_data(bias, &device)));
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

    /// Writes a folder that PEFT loads: the settings last, so that a folder with settings is a whole one.
    ///
    /// `lora_alpha` carries the expected update; with LoRA Dropout the side file says how it was trained and which
    /// ensemble is meant.
    ///
    /// # Errors
    ///
    /// [`WriteError`]; no file is left half-written.
    ///
    /// # Panics
    ///
    /// Panics if two trained parameters have the same name, which no model's paths allow.
    pub fn write<M: Module + Linears>(
        folder: &Path,
        adapted: &Adapted<M>,
        task_type: TaskType,
        base_model: Option<&str>,
        ensemble: Option<EnsembleSettings>,
    ) -> Result<(), WriteError> {
        let tensors: Vec<_> = trained_tensors(adapted)
            .into_iter()
            .map(|(name, tensor)| {
                let bytes: Vec<u8> = tensor
                    .values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                (format!("{PREFIX}{name}"), tensor.shape, bytes)
            })
            .collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytes)
                .expect("the bytes were made from the shape");
            (name, view)
        });
        let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let bytes = safetensors::serialize(views, Some(metadata)).expect("every tensor has its own name");
        write_file(&folder.join(TENSOR_FILE), &bytes)?;

        let config = adapted.config();
        let side_path = folder.join(SIDE_FILE);
        match config.dropout {
            Some(dropout) => {
                let side = DropoutFile {
                    format: 1,
                    probability: dropout.probability,
                    rescale: dropout.rescale,
                    alpha: config.alpha,
                    alpha_pattern: config.alpha_pattern.clone(),
                    ensemble,
                };
                write_file(&side_path, &pretty(&side))?;
            }
            // The folder may hold the side file of an adapter that stood here before.
            None if side_path.exists() => {
                fs::remove_file(&side_path).map_err(|source| WriteError {
                    path: side_path,
                    source,
                })?;
            }
            None => {}
        }
        write_file(
            &folder.join(CONFIG_FILE),
            &pretty(&to_json(config, task_type, base_model)),
        )
    }
}

/// Every trained parameter of a model under PEFT's name without prefix, in PyTorch's orientation (matrices
/// `[d_output, d_input]`), sorted by name.
///
/// # Panics
///
/// Never: every float converts to f32.
pub fn trained_tensors<M: Module + Linears>(adapted: &Adapted<M>) -> BTreeMap<String, HostTensor> {
    let mut tensors = BTreeMap::new();
    adapted.visit_trained(&mut |trained| {
        let data = match trained.param {
            ParamRef::Matrix(param) => param.val().transpose().into_data(),
            ParamRef::Vector(param) => param.val().into_data(),
        };
        let tensor = HostTensor {
            shape: data.shape().to_vec(),
            values: data
                .convert::<f32>()
                .try_into_vec()
                .expect("the data was converted to f32"),
        };
        tensors.insert(trained.name, tensor);
    });
    tensors
}

/// Maps names as this crate writes them to names as the file has them. A PEFT adapter named `default` may carry that name
/// inside its keys.
fn names_of(tensors: &TensorFile) -> Result<BTreeMap<String, String>, AdapterError> {
    let mut names = BTreeMap::new();
    for in_file in tensors.names() {
        let name = in_file
            .strip_prefix(PREFIX)
            .unwrap_or(in_file)
            .replace(".lora_A.default.", ".lora_A.")
            .replace(".lora_B.default.", ".lora_B.")
            .replace(".modules_to_save.default.", ".");
        if names.insert(name.clone(), in_file.to_owned()).is_some() {
            return Err(AdapterError::DuplicateTensor {
                path: tensors.origin().to_owned(),
                name,
            });
        }
    }
    Ok(names)
}

fn read(path: &Path) -> Result<Vec<u8>, AdapterError> {
    fs::read(path).map_err(|source| AdapterError::Read {
        path: path.to_owned(),
        source,
    })
}

fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_string_pretty(value).expect("settings are plain data");
    text.push('\n');
    text.into_bytes()
}
