//! An adapter folder, read and put on a model.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::config::PeftConfig;
use super::error::AdapterError;
use super::side::{DropoutFile, SIDE_FILE};
use super::task_type::TaskType;
use crate::adapted::Adapted;
use crate::adapter::Adapter;
use crate::config::LoraConfig;
use crate::ensemble::EnsembleSettings;
use crate::filling::Waiting;
use crate::linear::{LinearKind, LoraLinear};
use crate::model::Linears;
use crate::tensors::HostTensor;
use crate::tensors::TensorFile;
use burn::module::Module;

/// Name of the settings' file.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// Name of the tensors' file.
pub const TENSOR_FILE: &str = "adapter_model.safetensors";
/// What PEFT puts before every module path.
pub(super) const PREFIX: &str = "base_model.model.";

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
    /// Reads a folder written by PEFT or by [`Adapted::save`].
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
            if !side.is_known() {
                return Err(AdapterError::Setting {
                    path: side_path,
                    key: "format",
                    found: side.format.to_string(),
                    supported: "1, 2",
                });
            }
            let mean_factor = side.dropout().mean_factor();
            let close = |found: f64, expected: f64| (expected - found).abs() <= 1e-9 * expected.abs();
            let expected = side.alpha * mean_factor;
            if !close(parsed.lora_alpha, expected) {
                return Err(AdapterError::SideFile {
                    path: side_path,
                    training_alpha: side.alpha,
                    mean_factor,
                    expected,
                    found: parsed.lora_alpha,
                });
            }
            let patterns = |found: &[(String, f64)], trained: &[(String, f64)]| {
                found.len() == trained.len()
                    && found
                        .iter()
                        .zip(trained)
                        .all(|((pattern, found), (of, trained))| {
                            pattern == of && close(*found, trained * mean_factor)
                        })
            };
            if !patterns(&parsed.alpha_pattern, &side.alpha_pattern) {
                return Err(AdapterError::SidePatterns { path: side_path });
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

    /// Those of them that belong to no adapter: of modules trained in full, and biases.
    pub fn tensors_in_full(&self) -> impl Iterator<Item = &str> {
        self.tensor_names()
            .filter(|name| !name.contains(".lora_") && !name.contains(".base_layer."))
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
    /// are skipped, as in PEFT; the tensors must be just those of the others.
    ///
    /// # Errors
    ///
    /// [`AdapterError`] if the targets match nothing, or a tensor is missing, unknown or of the wrong shape.
    pub fn attach_to<M: Module + Linears>(&self, model: M) -> Result<Adapted<M>, AdapterError> {
        let (adapted, _) = Adapted::attach_what_matches(model, self.config.clone(), 0).map_err(|reason| {
            AdapterError::Config {
                path: self.folder.join(CONFIG_FILE),
                reason,
            }
        })?;
        let mut waiting = Waiting::new(&self.tensors, &self.names, PREFIX);
        let adapted = waiting.fill(adapted)?;
        let mut result = Ok(());
        adapted.model.visit_linears(&mut |linear| {
            if result.is_ok() {
                result = self.take_what_is_not_trained(linear, &mut waiting);
            }
        });
        result?;
        waiting.finish()?;
        Ok(adapted)
    }

    /// The empty factors of an AdaLoRA linear without triplets, and the frozen weight that PEFT saves with an adapted table.
    fn take_what_is_not_trained(
        &self,
        linear: &LoraLinear,
        waiting: &mut Waiting<'_>,
    ) -> Result<(), AdapterError> {
        let path = linear.path();
        let [d_input, d_output] = linear.dims();
        if let Some(Adapter::Svd(svd)) = &linear.adapter
            && svd.rank() == 0
        {
            waiting.take(&format!("{path}.lora_A"), &[0, d_input])?;
            waiting.take(&format!("{path}.lora_B"), &[d_output, 0])?;
            waiting.take(&format!("{path}.lora_E"), &[0, 1])?;
        }
        let table = format!("{path}.base_layer.weight");
        if linear.kind() == LinearKind::Table && linear.adapter.is_some() && waiting.has(&table) {
            let saved = waiting.take(&table, &[d_input, d_output])?;
            let held = linear.as_held(saved.on(&linear.base.weight.device()));
            if HostTensor::of(held.val()) != HostTensor::of(linear.base.weight.val()) {
                return Err(AdapterError::OtherBase {
                    path: self.tensors.origin().to_owned(),
                    name: format!("{PREFIX}{table}"),
                });
            }
        }
        Ok(())
    }
}

/// Maps names as this crate writes them to names as the file has them. A PEFT adapter named `default` may carry that name
/// inside its keys.
fn names_of(tensors: &TensorFile) -> Result<BTreeMap<String, String>, AdapterError> {
    let mut names = BTreeMap::new();
    for in_file in tensors.names().filter(|name| !is_stray(name)) {
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

/// With `bias: all`, PEFT writes the biases of `modules_to_save` twice more: under the names of the module's inner copies,
/// trained and as they were before.
fn is_stray(name: &str) -> bool {
    name.strip_suffix(".bias")
        .is_some_and(|module| module.contains(".original_module") || module.ends_with(".modules_to_save"))
}

fn without_adapter_name(name: &str) -> String {
    let mut name = name.replace(".modules_to_save.default.", ".");
    for factor in [
        "lora_A",
        "lora_B",
        "lora_E",
        "lora_magnitude_vector",
        "lora_embedding_A",
        "lora_embedding_B",
    ] {
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
