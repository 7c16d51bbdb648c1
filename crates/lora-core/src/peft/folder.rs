//! An adapter folder, read and put on a model.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use burn::module::{Module, ParamId};
use burn::tensor::TensorData;
use lora_kernels::Fp32Precision;

use super::config::PeftConfig;
use super::error::AdapterError;
use super::names::names_of;
use super::side::{DropoutFile, SIDE_FILE};
use super::task_type::TaskType;
use crate::adalora::AdaLora;
use crate::adapted::Adapted;
use crate::adapter::Adapter;
use crate::config::{Form, LoraConfig};
use crate::ensemble::EnsembleSettings;
use crate::filling::Waiting;
use crate::gaussian::read_posterior;
use crate::json_file::{read_bytes, read_json};
use crate::linear::LoraLinear;
use crate::model::Linears;
use crate::targets::{TargetNames, ends_in};
use crate::tensor_names::replace;
use crate::tensors::{HostTensor, TensorFile};
use crate::tuning::saves;

/// Name of the settings' file.
pub const CONFIG_FILE: &str = "adapter_config.json";
/// Name of the tensors' file.
pub const TENSOR_FILE: &str = "adapter_model.safetensors";
/// What follows a module's path in the name of the frozen weight below its adapter.
pub(super) const BASE_WEIGHT: &str = ".base_layer.weight";
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
        let parsed = PeftConfig::parse(&config_path, &read_bytes(&config_path)?)?;
        let mut config = parsed.to_lora_config(&config_path)?;
        let mut ensemble = None;
        let side_path = folder.join(SIDE_FILE);
        if side_path.exists() {
            let side: DropoutFile = read_json(&side_path)?;
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
        // Adapters start as random numbers of the rank in the settings: memory is taken for no more than the tensors hold.
        let ranks = config.rank_pattern.iter().map(|(_, rank)| *rank);
        let (key, own) = match &config.form {
            Form::Svd(adalora) => ("init_r", adalora.init_r),
            Form::LowRank | Form::WeightDecomposed => ("r", config.rank),
        };
        let widest = tensors.longest_axis();
        if widest == 0 && config.adalora().is_some_and(AdaLora::keeps_nothing) {
            return Err(AdapterError::Nothing { path: config_path });
        }
        if let Some(rank) = ranks.chain([own]).find(|rank| *rank > widest) {
            return Err(AdapterError::Setting {
                path: config_path,
                key,
                found: rank.to_string(),
                supported: "a rank that the tensors beside it have",
            });
        }
        let names = names_of(&tensors)?;
        if parsed.ensures_tying() {
            name_tied_modules(&mut config, names.keys().map(String::as_str));
        }
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
    /// [`AdapterError::Tensors`], [`AdapterError::Number`] for a value that is not finite.
    pub fn tensors_by_name(&self) -> Result<BTreeMap<String, HostTensor>, AdapterError> {
        let waiting = Waiting::new(&self.tensors, &self.names, PREFIX);
        let tensor = |name: &String| Ok((name.clone(), waiting.read(name)?));
        self.names.keys().map(tensor).collect()
    }

    /// Puts the adapters, heads and biases of the folder on a model. `TargetModules` and modules to save that the model does not have
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
        // The bias of a masked language model's decoder, which PEFT writes under every name that it has.
        let names = adapted.model.bias_of_decoder();
        let is_read = |name: &String| self.names.contains_key(name) && !waiting.has(name);
        if names.iter().any(is_read) {
            for name in &names {
                waiting.pass_over(name);
            }
        }
        let mut result = Ok(());
        let mut base_weights = HashMap::new();
        adapted.model.visit_linears(&mut |linear| {
            if result.is_ok() {
                result = self.take_what_is_not_trained(linear, &mut waiting, &mut base_weights);
            }
        });
        result?;
        waiting.finish()?;
        let adapted = adapted.map(|model| replace(model, &mut |id| base_weights.remove(&id)));
        let posterior = read_posterior(&self.folder, &adapted)?;
        Ok(adapted.with_posterior(posterior))
    }

    /// The empty factors of an AdaLoRA linear without triplets, and the frozen weight that PEFT saves with an adapted table or
    /// output layer. Like PEFT, we compute with the saved weight, which may have been rounded to 16 bits for the training.
    fn take_what_is_not_trained(
        &self,
        linear: &LoraLinear,
        waiting: &mut Waiting<'_>,
        base_weights: &mut HashMap<ParamId, TensorData>,
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
        let name = format!("{path}{BASE_WEIGHT}");
        if linear.adapter.is_some() && waiting.has(&name) {
            let weight = linear.weight_ref();
            let saved = waiting.take(&name, &weight.file_shape())?;
            let ours = weight.to_file();
            if !saved
                .values
                .iter()
                .zip(&ours.values)
                .all(|(saved, ours)| is_rounding(*saved, *ours))
            {
                return Err(AdapterError::OtherBase {
                    path: self.tensors.origin().to_owned(),
                    name: format!("{PREFIX}{name}"),
                });
            }
            // A weight that is held in bf16 is rounded in any case.
            if saved != ours && linear.precision() != Fp32Precision::Bf16 {
                base_weights.insert(weight.id(), weight.in_memory(saved));
            }
        }
        Ok(())
    }
}

/// Adds modules that have tensors in the file, and that no setting names, to the targets or to those trained in full: the other
/// of two tied modules, for which PEFT writes the same values.
fn name_tied_modules<'a>(config: &mut LoraConfig, names: impl Iterator<Item = &'a str>) {
    for name in names {
        let adapted = name
            .strip_suffix(".lora_A.weight")
            .or_else(|| name.strip_suffix(".lora_embedding_A"));
        if let Some(path) = adapted {
            if let TargetNames::Names(targets) = &mut config.targets.modules
                && !targets.iter().any(|target| ends_in(path, target))
            {
                targets.push(path.to_owned());
            }
        } else if let Some(path) = name.strip_suffix(".weight")
            && !name.contains(".lora_")
            && !name.ends_with(BASE_WEIGHT)
            && !config.modules_to_save.iter().any(|module| saves(module, path))
        {
            config.modules_to_save.push(path.to_owned());
        }
    }
}

/// Whether two values are one that was rounded to bfloat16 or float16 in one of two files.
fn is_rounding(left: f32, right: f32) -> bool {
    const BFLOAT16: f32 = 1.0 / 256.0;
    const SMALLEST_FLOAT16: f32 = 6e-8;
    (left - right).abs() <= BFLOAT16 * left.abs().max(right.abs()) + SMALLEST_FLOAT16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_rounded_to_sixteen_bits_is_the_same_and_another_is_not() {
        // 1 + 2⁻⁸ is half way between two values of bfloat16; 1e-8 is below the smallest of float16.
        assert!(is_rounding(1.0 + 1.0 / 256.0, 1.0));
        assert!(is_rounding(1e-8, 0.0));
        assert!(!is_rounding(1.02, 1.0));
        assert!(!is_rounding(1e-4, 0.0));
        assert!(!is_rounding(f32::NAN, 0.0));
    }
}
