//! The curvature of adapters and heads, from what their taps tell of a data set.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Gradients, Tensor, TensorData};
use lora_core::adapter::Adapter;
use lora_core::linear::LinearKind;
use lora_core::taps::{TappedMap, Taps};
use lora_core::tensors::HostTensor;
use lora_core::vector::{Part, VectorLayout};
use lora_core::{Adapted, Model, Pass};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::curvature::{CurvatureSums, Use};
use super::observed::{Judged, Observed};
use super::{Laplace, LaplaceError, Structure};
use crate::checks::require;

/// Which posterior, and how its curvature is computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaplaceSettings {
    /// Which parameters vary.
    pub part: Part,
    /// Which entries of the curvature are computed.
    pub structure: Structure,
    /// The root of the loss's curvature in the outputs.
    pub roots: RootColumns,
    /// λ; see [`Laplace::with_evidence_prior`].
    pub prior_precision: f64,
    /// Of members, and of sampled roots.
    pub seed: u64,
}

/// How `Λ_n` enters. Each column costs a forward and a backward pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RootColumns {
    /// As it is: as many columns as classes.
    #[default]
    Exact,
    /// So many columns `(e_y − p)/√columns` with classes y drawn from the model's own p, whose mean is `Λ_n`: for tasks with many
    /// classes.
    Sampled(usize),
}

/// How a model computes outputs for data set rows that are its input: `[rows, outputs]`.
pub type Outputs<'o, M> = &'o dyn Fn(&M, &<M as Model>::Input, &[usize], &Pass<'_>) -> Tensor<2>;

impl Default for LaplaceSettings {
    /// A Kronecker-factored posterior of all trained parameters with λ = 1.
    fn default() -> Self {
        Self {
            part: Part::Trained,
            structure: Structure::Kronecker,
            roots: RootColumns::Exact,
            prior_precision: 1.0,
            seed: 0,
        }
    }
}

impl Laplace {
    /// The posterior of a model's factors, head, or both, at its trained parameters, given the data that it was trained on.
    ///
    /// `batches` are as in [`predict`](crate::predict); rows count into `observed`. The mean pass is what is differentiated. For
    /// every batch there are as many forward and backward passes as the loss has columns ([`RootColumns`]). `progress` is told the number of
    /// finished examples.
    ///
    /// # Errors
    /// [`LaplaceError`] if a parameter is of a kind without taps, the model gives no single row an example, a label or a setting
    /// is out of range, or the model diverged.
    ///
    /// # Panics
    /// If a row is out of range.
    pub fn fit<'a, M: Model>(
        adapted: &Adapted<M>,
        batches: impl Iterator<Item = (&'a M::Input, &'a [usize])>,
        observed: &Observed<'_>,
        settings: &LaplaceSettings,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, LaplaceError>
    where
        M::Input: 'a,
    {
        let outputs: Outputs<'_, M> = &|model, input, _, pass| model.forward(input, pass);
        Self::fit_outputs(adapted, batches, observed, settings, outputs, progress)
    }

    /// As [`Laplace::fit`] for a model whose outputs are read in a way of their own: `outputs` gives a row for each data set row of a
    /// batch, such as the letters of a question with choices (Laplace-LoRA, arXiv 2308.13111, on those).
    ///
    /// # Errors
    /// As [`Laplace::fit`].
    ///
    /// # Panics
    /// As [`Laplace::fit`].
    pub fn fit_outputs<'a, M: Model>(
        adapted: &Adapted<M>,
        batches: impl Iterator<Item = (&'a M::Input, &'a [usize])>,
        observed: &Observed<'_>,
        settings: &LaplaceSettings,
        outputs: Outputs<'_, M>,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, LaplaceError>
    where
        M::Input: 'a,
    {
        let layout = VectorLayout::of(adapted, settings.part);
        let maps = tapped_maps(adapted, &layout)?;
        let holds = settings.roots != RootColumns::Sampled(0);
        require(holds, "the number of sampled columns", 0.0, "at least 1")?;
        let training = adapted.clone().map(Module::train);
        let mut sums = CurvatureSums::new(&layout, settings.structure)?;
        let (mut log_likelihood, mut done) = (0.0, 0);
        for (input, rows) in batches {
            let mut judged: Vec<Judged> = Vec::new();
            for column in 0.. {
                let taps = Taps::new();
                let outputs = outputs(&training.model, input, rows, &Pass::Tapped(&taps)); // [batch, outputs]
                let [found, width] = outputs.dims();
                if column == 0 {
                    check_rows(found, rows.len())?;
                    observed.check(width)?;
                    let values = HostTensor::of(outputs.clone().inner()).values;
                    judged.extend(rows.iter().zip(values.chunks_exact(width)).map(|(row, values)| {
                        observed.judge(
                            *row,
                            &values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>(),
                        )
                    }));
                    log_likelihood += judged.iter().map(|judged| judged.log_likelihood).sum::<f64>();
                }
                if column == settings.roots.columns(observed, width) {
                    break;
                }
                let root = |(judged, row): (&Judged, &usize)| {
                    settings
                        .roots
                        .column(observed, judged, column, settings.seed, *row)
                };
                let root: Vec<f32> = judged.iter().zip(rows).flat_map(root).collect();
                let root = Tensor::<2>::from_data(TensorData::new(root, [found, width]), &outputs.device());
                let gradients = (outputs * root).sum().backward();
                sums.add_column(&uses(&layout, &maps, &taps, &gradients)?);
            }
            sums.end_batch();
            done += rows.len();
            progress(done);
        }
        let blocks = sums.into_blocks()?;
        let mean = layout.read(adapted);
        Self::at(layout, mean, blocks, log_likelihood, settings.seed)
            .with_prior(settings.prior_precision)
            .map_err(LaplaceError::from)
    }
}

/// A map of a linear, by its path.
type Map = (String, TappedMap);

/// The map that each parameter belongs to.
fn tapped_maps<M: Model>(adapted: &Adapted<M>, layout: &VectorLayout) -> Result<Vec<Map>, LaplaceError> {
    if layout.is_empty() {
        return Err(LaplaceError::NothingTrained);
    }
    let mut has_factors = BTreeMap::new();
    adapted.model.visit_linears(&mut |linear| {
        if linear.kind() != LinearKind::Table {
            let is_low_rank = matches!(linear.adapter, Some(Adapter::LowRank(_)));
            has_factors.insert(linear.path().to_owned(), (is_low_rank, linear.kind()));
        }
    });
    let map_of = |name: &str| -> Option<Map> {
        let endings = [
            (".lora_A.weight", TappedMap::A),
            (".lora_B.weight", TappedMap::B),
            (".base_layer.bias", TappedMap::Base),
            (".bias", TappedMap::Base),
            (".weight", TappedMap::Base),
        ];
        let (path, map) = endings
            .into_iter()
            .find_map(|(ending, map)| Some((name.strip_suffix(ending)?, map)))?;
        let (is_low_rank, kind) = has_factors.get(path)?;
        let has_taps = match map {
            TappedMap::A | TappedMap::B => *is_low_rank,
            // GPT-2's weights stand the other way round in files.
            TappedMap::Base => *kind == LinearKind::Linear,
        };
        has_taps.then(|| (path.to_owned(), map))
    };
    let slots = layout.slots().iter();
    slots
        .map(|slot| {
            map_of(&slot.name).ok_or_else(|| LaplaceError::Parameter {
                name: slot.name.clone(),
            })
        })
        .collect()
}

/// The result of a backward pass for every parameter.
fn uses(
    layout: &VectorLayout,
    maps: &[Map],
    taps: &Taps,
    gradients: &Gradients,
) -> Result<Vec<Use>, LaplaceError> {
    let use_of = |(slot, (path, map)): (&lora_core::vector::Slot, &Map)| {
        let mut taps = taps.of(path, *map);
        let found = taps.len();
        let used = taps.pop().filter(|_| found == 1).and_then(|tap| {
            Some(Use {
                gradient: tap.output_gradient(gradients)?,
                input: tap.input,
            })
        });
        used.ok_or_else(|| LaplaceError::Uses {
            name: slot.name.clone(),
            found: if found == 1 { 0 } else { found },
        })
    };
    layout.slots().iter().zip(maps).map(use_of).collect()
}

pub(super) fn check_rows(found: usize, expected: usize) -> Result<(), LaplaceError> {
    if found == expected {
        Ok(())
    } else {
        Err(LaplaceError::Rows { expected, found })
    }
}

impl RootColumns {
    pub(super) fn columns(self, observed: &Observed<'_>, outputs: usize) -> usize {
        match (self, observed) {
            (Self::Sampled(columns), Observed::Classes(_)) => columns,
            (Self::Exact, _) | (Self::Sampled(_), Observed::Values { .. }) => observed.root_columns(outputs),
        }
    }

    /// Drawn columns depend on seed, row and column alone, not on batches.
    pub(super) fn column(
        self,
        observed: &Observed<'_>,
        judged: &Judged,
        column: usize,
        seed: u64,
        row: usize,
    ) -> Vec<f32> {
        let values = match (self, observed) {
            (Self::Sampled(columns), Observed::Classes(_)) => {
                let mut generator = ChaCha8Rng::seed_from_u64(seed);
                generator.set_stream((row * columns + column) as u64);
                let mut left: f64 = generator.random();
                let p = &judged.probabilities;
                let drawn = p.iter().position(|p| {
                    left -= p;
                    left < 0.0
                });
                let drawn = drawn.unwrap_or(p.len() - 1);
                let entry = |(class, p): (usize, &f64)| {
                    (f64::from(u8::from(class == drawn)) - p) / (columns as f64).sqrt()
                };
                p.iter().enumerate().map(entry).collect()
            }
            (Self::Exact, _) | (Self::Sampled(_), Observed::Values { .. }) => observed.root(judged, column),
        };
        values.into_iter().map(|value| value as f32).collect()
    }
}
