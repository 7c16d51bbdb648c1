//! Folders written by PEFT come back from us with the same bits and the same settings.

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use lora_core::linear::LinearKind;
use lora_core::peft::{AdapterFolder, PlainLora, SaveOptions, TaskType};
use lora_core::tensor_names::TensorNames;
use lora_core::tensors::TensorFile;
use lora_core::{Linears, LoraLinear};
use serde_json::Value;

/// The tensors of a checkpoint without a model that uses them: linears, tables, and the vectors of norms.
#[derive(Module, Debug)]
struct LinearsOf {
    linears: Vec<LoraLinear>,
    vectors: Vec<Param<Tensor<1>>>,
    #[module(skip)]
    names: TensorNames,
}

impl LinearsOf {
    fn checkpoint(file: &Path) -> Self {
        let tensors = TensorFile::open(file).unwrap();
        let device = Device::default();
        let matrices = tensors.names().filter_map(|name| {
            let path = name.strip_suffix(".weight")?;
            (tensors.shape(name)?.len() == 2).then_some(path)
        });
        let linears = matrices.map(|path| {
            let weight = tensors.read(&format!("{path}.weight")).unwrap().unwrap();
            let is_table = path.contains("_embeddings") || path.ends_with("embed_tokens");
            let weight = if is_table { weight } else { weight.transposed() };
            let bias = tensors.read(&format!("{path}.bias")).unwrap();
            let bias = bias.map(|bias| Tensor::from_data(TensorData::new(bias.values, bias.shape), &device));
            let weight = Tensor::from_data(TensorData::new(weight.values, weight.shape), &device);
            let kind = if is_table {
                LinearKind::Table
            } else {
                LinearKind::Linear
            };
            LoraLinear::new(path, weight, bias).of_kind(kind)
        });
        let of_norm = |name: &&str| {
            let weight = name.replace(".bias", ".weight");
            tensors.shape(&weight).is_some_and(|shape| shape.len() == 1)
        };
        let (vectors, names): (Vec<_>, Vec<_>) = tensors
            .names()
            .filter(of_norm)
            .map(|name| {
                let vector = tensors.read(name).unwrap().unwrap();
                let data = TensorData::new(vector.values, vector.shape);
                let vector = Param::from_tensor(Tensor::from_data(data, &device));
                let id = vector.id;
                (vector, (id, name.to_owned()))
            })
            .unzip();
        Self {
            linears: linears.collect(),
            vectors,
            names: TensorNames::new(names),
        }
    }
}

impl Linears for LinearsOf {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        self.linears.iter().for_each(visit);
    }

    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        self.linears.iter_mut().for_each(visit);
    }

    fn heads(&self) -> Vec<String> {
        vec!["classifier".into(), "score".into()]
    }

    fn tensor_names(&self) -> TensorNames {
        self.names.clone()
    }
}

/// What PEFT writes beside the trained tensors: repeated biases, and the frozen table under an adapted one.
fn is_beside(name: &str) -> bool {
    [
        ".modules_to_save.bias",
        ".original_module.bias",
        "embed_tokens.base_layer.weight",
    ]
    .iter()
    .any(|end| name.ends_with(end))
}

/// Name, shape and bits of every tensor that was trained.
fn trained_bits(folder: &Path) -> Vec<(String, Vec<usize>, Vec<u32>)> {
    let file = TensorFile::open(&folder.join("adapter_model.safetensors")).unwrap();
    let names = file.names().filter(|name| !is_beside(name));
    let tensors = names.map(|name| (name.to_owned(), file.read(name).unwrap().unwrap()));
    tensors
        .map(|(name, tensor)| {
            let bits = tensor.values.iter().map(|value| value.to_bits());
            (name, tensor.shape, bits.collect())
        })
        .collect()
}

/// Cases made by PEFT; `xtask/golden` says how.
fn cases() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../xtask/golden/adapters");
    let mut cases: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("adapter").is_dir())
        .collect();
    cases.sort();
    assert!(cases.len() > 10);
    cases
}

fn settings(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("adapter_config.json")).unwrap()).unwrap()
}

#[test]
fn tensors_come_back_bit_by_bit_and_settings_with_their_values() {
    for case in cases() {
        let theirs = case.join("adapter");
        let read = AdapterFolder::read(&theirs).unwrap();
        let model = LinearsOf::checkpoint(&case.join("base/model.safetensors"));
        let adapted = read.attach_to(model).unwrap();
        let ours = tempfile::tempdir().unwrap();
        adapted
            .save(ours.path(), &SaveOptions::new(TaskType::SeqCls))
            .unwrap();
        let (written, expected) = (trained_bits(ours.path()), trained_bits(&theirs));
        assert!(written == expected, "{}", case.display());
        let (written, expected) = (settings(ours.path()), settings(&theirs));
        for (key, value) in written.as_object().unwrap() {
            let same = match (key.as_str(), value) {
                // PEFT appends names twice and keeps sets in any order.
                ("modules_to_save" | "target_modules", Value::Array(names)) => {
                    let known = expected[key].as_array().unwrap();
                    names.iter().all(|name| known.contains(name))
                        && known.iter().all(|name| names.contains(name))
                }
                // AdaLoRA passes it over.
                ("r", _) if expected["peft_type"] == "ADALORA" => true,
                ("layers_pattern", Value::Array(patterns)) => patterns.contains(&expected[key]),
                ("lora_alpha", _) => value.as_f64() == expected[key].as_f64(),
                _ => *value == expected[key],
            };
            assert!(
                same,
                "{}: {key} is {value}, was {}",
                case.display(),
                expected[key]
            );
        }
    }
}

#[test]
fn an_exported_adapter_computes_the_same_update_as_plain_lora() {
    for case in cases() {
        let folder = AdapterFolder::read(&case.join("adapter")).unwrap();
        let base = || LinearsOf::checkpoint(&case.join("base/model.safetensors"));
        let adapted = folder.attach_to(base()).unwrap();
        let plain = match PlainLora::read(&folder) {
            Ok(plain) => plain,
            Err(_) => match PlainLora::of_model(&adapted, folder.path(), folder.task_type, None) {
                Ok(plain) => plain,
                Err(error) => {
                    assert!(folder.config.form == lora_core::Form::WeightDecomposed, "{error}");
                    assert!(error.to_string().contains("lora merge"), "{error}");
                    continue;
                }
            },
        };
        let written = tempfile::tempdir().unwrap();
        plain.write(written.path()).unwrap();
        assert_eq!(settings(written.path())["peft_type"], "LORA");
        let again = AdapterFolder::read(written.path())
            .unwrap()
            .attach_to(base())
            .unwrap();
        let weights = |model: LinearsOf| -> Vec<Vec<f32>> {
            let weight =
                |linear: LoraLinear| lora_core::tensors::HostTensor::of(linear.base.weight.val()).values;
            model.linears.into_iter().map(weight).collect()
        };
        let (ours, expected) = (weights(again.merge().unwrap()), weights(adapted.merge().unwrap()));
        for (ours, expected) in ours.iter().zip(&expected) {
            for (found, expected) in ours.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 2e-6,
                    "{}: {found}, {expected}",
                    case.display()
                );
            }
        }
    }
}

#[test]
fn what_peft_passes_over_is_read_as_if_it_were_not_there() {
    let changes = [
        ("bert_seqcls_lora", "layers_pattern", ""),
        // A start that leaves the base weight as it is.
        ("bert_seqcls_lora", "init_lora_weights", "mica"),
        ("tiny_bert_adalora", "init_lora_weights", "gaussian"),
    ];
    for (name, key, value) in changes {
        let case = cases().into_iter().find(|case| case.ends_with(name)).unwrap();
        let (theirs, copy) = (case.join("adapter"), tempfile::tempdir().unwrap());
        fs::copy(
            theirs.join("adapter_model.safetensors"),
            copy.path().join("adapter_model.safetensors"),
        )
        .unwrap();
        let mut config = settings(&theirs);
        config[key] = value.into();
        fs::write(copy.path().join("adapter_config.json"), config.to_string()).unwrap();
        let [found, expected] =
            [copy.path(), theirs.as_path()].map(|folder| AdapterFolder::read(folder).unwrap().config);
        assert_eq!(found, expected, "{key}");
    }
}

type Lie = fn(&mut Value);

#[test]
fn what_a_folder_promises_must_be_there() {
    let case = cases()
        .into_iter()
        .find(|case| case.ends_with("tiny_bert_adalora"))
        .unwrap();
    let base = case.join("base/model.safetensors");
    let copy = tempfile::tempdir().unwrap();
    let lies: [(&str, Lie); 5] = [
        ("init_r", |c| c["init_r"] = 6.into()),
        ("target_r is 9", |c| c["target_r"] = 9.into()),
        ("has shape", |c| {
            let pattern = c["rank_pattern"].as_object_mut().unwrap();
            pattern.values_mut().next().unwrap()[0] = true.into();
        }),
        ("total_step is 4", |c| c["total_step"] = 4.into()),
        ("use_dora is true", |c| c["use_dora"] = true.into()),
    ];
    for (part, lie) in lies {
        for file in ["adapter_config.json", "adapter_model.safetensors"] {
            fs::copy(case.join("adapter").join(file), copy.path().join(file)).unwrap();
        }
        let mut config = settings(copy.path());
        lie(&mut config);
        fs::write(copy.path().join("adapter_config.json"), config.to_string()).unwrap();
        let error = AdapterFolder::read(copy.path())
            .and_then(|read| read.attach_to(LinearsOf::checkpoint(&base)).map(|_| ()))
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error:?} should contain {part:?}");
    }
}
