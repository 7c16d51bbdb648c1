//! An adapter as plain LoRA: factors, a scale, and what else the folder holds. What every reader of LoRA understands.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;

use super::config::to_json;
use super::error::AdapterError;
use super::folder::{AdapterFolder, BASE_WEIGHT, PREFIX, TENSOR_FILE};
use super::task_type::TaskType;
use super::tensor_writing::write_tensors;
use super::writing::{trained_tensors, write_settings};
use crate::adapted::Adapted;
use crate::adapter::Adapter;
use crate::atomic::WriteError;
use crate::config::{Form, Init, LoraConfig, Scaling};
use crate::linear::LinearKind;
use crate::model::Linears;
use crate::tensors::HostTensor;
use crate::trained::Role;

/// So many zeros stand for lost triplets at most, 64 MB: no file pays for the size of an empty tensor.
const MOST_ZEROS: usize = 1 << 24;

/// The update `scale · B A` of one linear, in PyTorch's orientation.
#[derive(Clone, Debug, PartialEq)]
pub struct Factors {
    /// `[rank, d_input]`.
    pub a: HostTensor,
    /// `[d_output, rank]`.
    pub b: HostTensor,
    /// PEFT's `lora_bias`, `[d_output]`.
    pub bias: Option<HostTensor>,
    /// What the product, and the bias, are multiplied by in the mean pass.
    pub scale: f64,
    /// Whether they are a table's.
    pub is_table: bool,
}

/// An adapter as plain LoRA, on the host.
#[derive(Clone, Debug, PartialEq)]
pub struct PlainLora {
    /// By path. A linear of AdaLoRA that lost all its triplets has zeros of rank 1.
    pub factors: BTreeMap<String, Factors>,
    /// Heads and biases under PEFT's names, without prefix.
    pub saved: BTreeMap<String, HostTensor>,
    /// Everything but ranks, alphas and targets, which follow from the factors.
    pub config: LoraConfig,
    /// What the adapter is for.
    pub task_type: Option<TaskType>,
    /// The base model.
    pub base_model: Option<String>,
}

impl Factors {
    /// Rank of the update.
    pub fn rank(&self) -> usize {
        self.a.shape[0]
    }
}

impl PlainLora {
    /// The adapter of a folder: LoRA as it is; AdaLoRA with `A' = diag(E) A`. LoRA Dropout's expected update is in the scales.
    ///
    /// # Errors
    ///
    /// [`AdapterError::NotPlain`] for DoRA, and for inits that changed the base model: see [`PlainLora::of_model`];
    /// [`AdapterError`] if a tensor is missing, misshapen or unknown.
    pub fn read(folder: &AdapterFolder) -> Result<Self, AdapterError> {
        let config = &folder.config;
        let not_plain = |form, advice| {
            Err(AdapterError::NotPlain {
                path: folder.path().to_owned(),
                form,
                advice,
            })
        };
        if config.form == Form::WeightDecomposed {
            return not_plain("DoRA", "merge it into its base model instead (`lora merge`)");
        }
        if config.init.changes_base() {
            return not_plain(
                "an adapter that absorbed part of the base weight (PiSSA, OLoRA)",
                "it can be exported together with its base model (--model)",
            );
        }
        let mut saved = folder.tensors_by_name()?;
        let mut take = |name: String| {
            saved.remove(&name).ok_or_else(|| AdapterError::MissingTensor {
                path: folder.tensor_path().to_owned(),
                name: format!("{PREFIX}{name}"),
            })
        };
        let is_svd = matches!(config.form, Form::Svd(_));
        let [of_linear, of_table] = factor_names(is_svd);
        let paths: Vec<(String, bool)> = folder
            .tensor_names()
            .filter_map(|name| {
                let (path, factor) = name.split_once(".lora_")?;
                let is_table = factor == &of_table[0][".lora_".len()..];
                (is_table || factor == &of_linear[0][".lora_".len()..]).then(|| (path.to_owned(), is_table))
            })
            .collect();
        let mut factors = BTreeMap::new();
        let mut zeros = 0_usize;
        for (path, is_table) in paths {
            let settings = config.low_rank_of(&path);
            let [name_of_a, name_of_b] = if is_table { of_table } else { of_linear };
            let mut a = take(format!("{path}{name_of_a}"))?;
            let mut b = take(format!("{path}{name_of_b}"))?;
            let rank = settings.rank;
            let expect = |factor: &str, tensor: &HostTensor, shape| {
                expect_shape(folder, &format!("{path}.{factor}"), tensor, shape)
            };
            expect("lora_A", &a, [rank, a.shape.get(1).copied().unwrap_or(1)])?;
            expect("lora_B", &b, [b.shape.first().copied().unwrap_or(1), rank])?;
            if is_svd {
                let e = take(format!("{path}.lora_E"))?;
                expect("lora_E", &e, [rank, 1])?;
                weight_rows(&mut a, &e.values);
            }
            let bias = config
                .lora_bias
                .then(|| take(format!("{path}.lora_B.bias")))
                .transpose()?;
            if rank == 0 {
                let dims = [a.shape[1], b.shape[0]];
                zeros = dims.into_iter().fold(zeros, usize::saturating_add);
                if zeros > MOST_ZEROS {
                    return Err(AdapterError::EmptyTensors {
                        path: folder.tensor_path().to_owned(),
                        name: format!("{PREFIX}{path}"),
                        dims,
                    });
                }
                [a, b] = no_update(dims);
            }
            factors.insert(
                path,
                Factors {
                    a,
                    b,
                    bias,
                    scale: settings.mean_scale(),
                    is_table,
                },
            );
        }
        // The base model has the weight below an adapter.
        saved.retain(|name, _| {
            !name
                .strip_suffix(BASE_WEIGHT)
                .is_some_and(|path| factors.contains_key(path))
        });
        if let Some(name) = saved.keys().find(|name| name.contains(".lora_")) {
            return Err(AdapterError::UnknownTensor {
                path: folder.tensor_path().to_owned(),
                names: vec![name.clone()],
            });
        }
        Ok(Self {
            factors,
            saved,
            config: config.clone(),
            task_type: folder.task_type,
            base_model: folder.base_model.clone(),
        })
    }

    /// The adapters of a model. What PiSSA or OLoRA took from the base weight is subtracted again, by as many ranks:
    /// `s A B − s A₀ B₀ = s [A, A₀] [B; −B₀]`, so that the adapter fits the unchanged base model.
    ///
    /// # Errors
    ///
    /// [`AdapterError::NotPlain`] for DoRA; `folder` names the adapter in it.
    ///
    /// # Panics
    ///
    /// Panics if the model is not tuned with LoRA.
    pub fn of_model<M: Module + Linears>(
        adapted: &Adapted<M>,
        folder: &Path,
        task_type: Option<TaskType>,
        base_model: Option<String>,
    ) -> Result<Self, AdapterError> {
        let mut factors = BTreeMap::new();
        let mut is_dora = false;
        adapted.model.visit_linears(&mut |linear| {
            let (mut a, mut b, bias, scale) = match &linear.adapter {
                None => return,
                Some(Adapter::WeightDecomposed(_)) => {
                    is_dora = true;
                    return;
                }
                Some(Adapter::LowRank(low_rank)) => (
                    HostTensor::of(low_rank.a.val()).transposed(),
                    HostTensor::of(low_rank.b.val()).transposed(),
                    low_rank.bias.as_ref().map(|bias| HostTensor::of(bias.val())),
                    low_rank.mean_scale(),
                ),
                Some(Adapter::Svd(svd)) => {
                    let [a, b] = match &svd.factors {
                        None => no_update(linear.dims()),
                        Some(factors) => [factors.weighted_a(), factors.b.val()]
                            .map(|factor| HostTensor::of(factor).transposed()),
                    };
                    (a, b, None, svd.mean_scale())
                }
            };
            if let Some(absorbed) = linear.absorbed() {
                let mut absorbed_a = absorbed.a.transposed();
                for value in &mut absorbed_a.values {
                    *value /= -scale as f32;
                }
                a = rows_under(&a, &absorbed_a);
                b = rows_under(&b.transposed(), &absorbed.b).transposed();
            }
            let is_table = linear.kind() == LinearKind::Table;
            let found = Factors {
                a,
                b,
                bias,
                scale,
                is_table,
            };
            factors.insert(linear.path().to_owned(), found);
        });
        if is_dora {
            return Err(AdapterError::NotPlain {
                path: folder.to_owned(),
                form: "DoRA",
                advice: "merge it into its base model instead (`lora merge`)",
            });
        }
        let mut saved = trained_tensors(adapted);
        let mut of_adapters = Vec::new();
        adapted.visit_trained(&mut |trained| {
            let is_branch_bias = trained.name.ends_with(".lora_B.bias");
            if is_branch_bias || !matches!(trained.role, Role::Head | Role::Bias) {
                of_adapters.push(trained.name);
            }
        });
        saved.retain(|name, _| !of_adapters.contains(name));
        Ok(Self {
            factors,
            saved,
            config: adapted.lora().expect("only LoRA has plain factors").clone(),
            task_type,
            base_model,
        })
    }

    /// Settings with which PEFT computes exactly these scales: the commonest rank and alpha, and patterns for the others.
    pub fn peft_config(&self) -> LoraConfig {
        let alpha_of = |factors: &Factors| factors.scale * factors.rank() as f64;
        let mut counts: Vec<(usize, f64, usize)> = Vec::new();
        for factors in self.factors.values() {
            let (rank, alpha) = (factors.rank(), alpha_of(factors));
            match counts
                .iter_mut()
                .find(|known| (known.0, known.1) == (rank, alpha))
            {
                Some(known) => known.2 += 1,
                None => counts.push((rank, alpha, 1)),
            }
        }
        let (rank, alpha) = counts
            .iter()
            .max_by_key(|known| known.2)
            .map_or((self.config.rank, self.config.alpha), |known| (known.0, known.1));
        // `^` keeps the pattern from matching the end of a longer path.
        let others = |differs: &dyn Fn(&Factors) -> bool| -> Vec<(String, Factors)> {
            let differing = self.factors.iter().filter(|(_, factors)| differs(factors));
            differing
                .map(|(path, factors)| (format!("^{path}"), factors.clone()))
                .collect()
        };
        LoraConfig {
            rank,
            alpha,
            scaling: Scaling::Standard,
            dropout: None,
            form: Form::LowRank,
            init: Init::KaimingUniform,
            rank_pattern: others(&|factors| factors.rank() != rank)
                .into_iter()
                .map(|(path, factors)| (path, factors.rank()))
                .collect(),
            alpha_pattern: others(&|factors| alpha_of(factors) != alpha)
                .into_iter()
                .map(|(path, factors)| (path, alpha_of(&factors)))
                .collect(),
            ..self.config.clone()
        }
    }

    /// Writes a folder of plain LoRA; no side file, for the expected update is in the scales.
    ///
    /// # Errors
    ///
    /// [`WriteError`].
    ///
    /// # Panics
    ///
    /// Never: names are keys of maps.
    pub fn write(&self, folder: &Path) -> Result<(), WriteError> {
        let mut tensors = BTreeMap::new();
        for (path, factors) in &self.factors {
            let [of_linear, of_table] = factor_names(false);
            let [a, b] = if factors.is_table { of_table } else { of_linear };
            tensors.insert(format!("{PREFIX}{path}{a}"), factors.a.clone());
            tensors.insert(format!("{PREFIX}{path}{b}"), factors.b.clone());
            if let Some(bias) = &factors.bias {
                tensors.insert(format!("{PREFIX}{path}.lora_B.bias"), bias.clone());
            }
        }
        for (name, tensor) in &self.saved {
            tensors.insert(format!("{PREFIX}{name}"), tensor.clone());
        }
        write_tensors(&folder.join(TENSOR_FILE), tensors)?;
        let config = self.peft_config();
        let settings = to_json(&config, self.task_type, self.base_model.as_deref());
        write_settings(folder, &config, None, &settings)
    }
}

fn expect_shape(
    folder: &AdapterFolder,
    name: &str,
    tensor: &HostTensor,
    expected: [usize; 2],
) -> Result<(), AdapterError> {
    if tensor.shape == expected {
        return Ok(());
    }
    Err(AdapterError::Shape {
        path: folder.tensor_path().to_owned(),
        name: format!("{PREFIX}{name}"),
        expected: expected.to_vec(),
        found: tensor.shape.clone(),
    })
}

/// What follows the path in the names of both factors: of a linear, and of a table.
fn factor_names(is_svd: bool) -> [[&'static str; 2]; 2] {
    let of_linear = if is_svd {
        [".lora_A", ".lora_B"]
    } else {
        [".lora_A.weight", ".lora_B.weight"]
    };
    [of_linear, [".lora_embedding_A", ".lora_embedding_B"]]
}

/// Factors of rank 1, the smallest that PEFT takes, without an update. A linear that lost all its triplets is still adapted: with
/// `bias`, PEFT looks for its trained bias below an adapter.
fn no_update([d_input, d_output]: [usize; 2]) -> [HostTensor; 2] {
    [[1, d_input], [d_output, 1]].map(|shape| HostTensor {
        values: vec![0.0; shape.iter().product()],
        shape: shape.to_vec(),
    })
}

/// Multiplies row k by the k-th number.
fn weight_rows(matrix: &mut HostTensor, numbers: &[f32]) {
    let columns = matrix.shape[1];
    if columns > 0 {
        for (row, number) in matrix.values.chunks_exact_mut(columns).zip(numbers) {
            for value in row {
                *value *= number;
            }
        }
    }
}

/// `upper` with the rows of `lower` under it.
fn rows_under(upper: &HostTensor, lower: &HostTensor) -> HostTensor {
    HostTensor {
        shape: vec![upper.shape[0] + lower.shape[0], upper.shape[1]],
        values: [&upper.values[..], &lower.values[..]].concat(),
    }
}
