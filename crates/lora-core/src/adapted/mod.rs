//! A model with adapters: attach, count, merge, detach.

use std::collections::HashSet;

use burn::module::Module;
use burn::tensor::Tensor;
use thiserror::Error;

mod cached;
mod settings;

pub use cached::CachedModel;

use crate::adapter::Adapter;
use crate::config::LoraConfig;
use crate::config_error::ConfigError;
use crate::gaussian::Gaussian;
use crate::linear::{LinearKind, LoraLinear};
use crate::model::{Linears, Tied};
use crate::sampler::AdapterShape;
use crate::targets::{last_components, pattern_matches};
use crate::tensor_names::unfreeze;
use crate::trained::{Role, TrainedParam};
use crate::tuning::{Tuning, saves};

/// A model that is tuned: with adapters, or with parameters of its own that are trained. Merging and detaching give back the plain
/// model, so nothing is merged twice.
#[derive(Clone, Debug)]
pub struct Adapted<M> {
    /// The model.
    pub model: M,
    tuning: Tuning,
    posterior: Option<Gaussian>,
}

/// Why an adapted model cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MergeError {
    /// A bottleneck has no dense form.
    #[error(
        "`{path}` is followed by a bottleneck adapter, which no weight can stand for; use the model with its adapters"
    )]
    Bottleneck {
        /// The linear before it.
        path: String,
    },
    /// A bias that the pretrained linear has no place for.
    #[error(
        "the adapter at `{path}` has a bias (lora_bias), and the linear has none that it could be added to; use the model with its adapters"
    )]
    NoBias {
        /// The linear.
        path: String,
    },
    /// A table that another part of the model shares.
    #[error(
        "the table `{path}` is adapted, and the output layer shares its weight, but not the adapter; use the model with its adapters"
    )]
    Shared {
        /// The table.
        path: String,
    },
}

/// What [`Adapted::attach`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachReport {
    /// Paths of the adapted linears.
    pub adapted: Vec<String>,
    /// Paths of the linears that are trained in full.
    pub trained_in_full: Vec<String>,
}

/// How many values a model holds and how many of them are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterCount {
    /// Trained values: adapters, heads, biases.
    pub trained: usize,
    /// All values, those of the adapters included.
    pub all: usize,
}

impl<M: Module + Linears> Adapted<M> {
    /// Freezes the model, puts new adapters on its targets and unfreezes what the [`Tuning`] trains.
    ///
    /// Nothing else is trainable afterwards. Random numbers are drawn from `(seed, path)`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a setting is invalid, a target, a module to save, or a pattern of ranks or alphas matches nothing, a
    /// linear's weight does not allow the initialization, or the model has nothing of what is to be trained.
    pub fn attach(
        model: M,
        tuning: impl Into<Tuning>,
        seed: u64,
    ) -> Result<(Self, AttachReport), ConfigError> {
        let tuning = tuning.into();
        let model = untied_for(model, &tuning);
        check_names(&model, &tuning)?;
        let (adapted, report) = Self::attach_what_matches(model, tuning, seed)?;
        if let Some(config) = adapted.lora() {
            check_patterns(config, &report.adapted)?;
        }
        Ok((adapted, report))
    }

    /// As [`Adapted::attach`], but names that match nothing are skipped: PEFT writes such names into its files.
    pub(crate) fn attach_what_matches(
        model: M,
        tuning: impl Into<Tuning>,
        seed: u64,
    ) -> Result<(Self, AttachReport), ConfigError> {
        let tuning = tuning.into();
        tuning.validate()?;
        let model = untied_for(model, &tuning);
        let (mut paths, mut no_linears, mut block_ends) = (Vec::new(), model.heads(), Vec::new());
        model.visit_linears(&mut |linear| {
            let path = linear.path().to_owned();
            if linear.kind() == LinearKind::Table {
                no_linears.push(path.clone());
            }
            if let Some(block) = linear.block() {
                block_ends.push((path.clone(), block));
            }
            paths.push(path);
        });
        let trained_in_full: Vec<String> = paths.iter().filter(|path| tuning.saves(path)).cloned().collect();
        let adapted = match &tuning {
            Tuning::Lora(config) => config.targets.resolve(&paths, &no_linears, &trained_in_full)?,
            Tuning::Bottleneck(config) => {
                let followed = block_ends
                    .into_iter()
                    .filter(|(_, block)| config.placement.is_after(*block));
                followed.map(|(path, _)| path).collect()
            }
            Tuning::Full(_) | Tuning::BitFit(_) => Vec::new(),
        };

        let mut model = model.freeze();
        let mut result = Ok(());
        model.visit_linears_mut(&mut |linear| {
            let is_adapted = adapted.iter().any(|path| path == linear.path());
            match &tuning {
                Tuning::Lora(config) if is_adapted && result.is_ok() => result = linear.attach(config, seed),
                Tuning::Bottleneck(config) if is_adapted => linear.attach_bottleneck(config, seed),
                _ => {}
            }
            linear.train_base(tuning.base_training(linear.path(), is_adapted));
        });
        result?;
        let names = model.tensor_names();
        let model = unfreeze(model, &|id| {
            names.get(id).is_some_and(|name| tuning.role_of(name).is_some())
        });
        let adapted_model = Self {
            model,
            tuning,
            posterior: None,
        };
        adapted_model.check_something_is_trained()?;
        Ok((
            adapted_model,
            AttachReport {
                adapted,
                trained_in_full,
            },
        ))
    }

    /// A model without biases would pass silently for one that is tuned by them.
    fn check_something_is_trained(&self) -> Result<(), ConfigError> {
        let (role, what) = match &self.tuning {
            Tuning::BitFit(_) => (Role::Bias, "biases"),
            Tuning::Bottleneck(_) => (Role::Bottleneck, "bottlenecks after blocks"),
            Tuning::Lora(_) | Tuning::Full(_) => return Ok(()),
        };
        let mut found = false;
        self.visit_trained(&mut |trained| found |= trained.role == role);
        if found {
            return Ok(());
        }
        Err(ConfigError::NothingToTrain {
            tuning: self.tuning.name(),
            what,
        })
    }

    /// How the model is tuned.
    pub fn tuning(&self) -> &Tuning {
        &self.tuning
    }

    /// The settings of LoRA, if that is how the model is tuned.
    pub fn lora(&self) -> Option<&LoraConfig> {
        self.tuning.lora()
    }

    /// AdaLoRA's orthogonality loss, `[1]`: `‖P Pᵀ − I‖`, averaged over both factors of all linears; `None` for other forms.
    pub fn orthogonality(&self) -> Option<Tensor<1>> {
        let mut distances = Vec::new();
        self.model.visit_linears(&mut |linear| {
            if let Some(Adapter::Svd(svd)) = &linear.adapter
                && let Some(factors) = &svd.factors
            {
                distances.extend(factors.orthogonality());
            }
        });
        (!distances.is_empty()).then(|| Tensor::cat(distances, 0).mean())
    }

    /// The same adapters on a changed model, for example [`Module::train`] or [`Module::valid`].
    #[must_use]
    pub fn map(self, change: impl FnOnce(M) -> M) -> Self {
        Self {
            model: change(self.model),
            ..self
        }
    }

    /// The Gaussian over trained parameters that members are drawn from, if the model carries one.
    pub fn posterior(&self) -> Option<&Gaussian> {
        self.posterior.as_ref()
    }

    /// The same model with a Gaussian over its trained parameters: members are drawn from it, in the place of masks, and
    /// [`save`](Self::save) writes it. None takes it away.
    #[must_use]
    pub fn with_posterior(self, posterior: impl Into<Option<Gaussian>>) -> Self {
        Self {
            posterior: posterior.into(),
            ..self
        }
    }

    /// The sizes of every adapter, in the model's order: what a mask sampler needs to know.
    pub fn adapter_shapes(&self) -> Vec<AdapterShape> {
        adapter_shapes(&self.model)
    }

    /// Hands out every trained parameter once, in a fixed order: those of linears first.
    pub fn visit_trained(&self, visit: &mut dyn FnMut(TrainedParam<'_>)) {
        // A decoder's bias is a tensor of its own, which a decoder with a weight of its own has too.
        let mut of_linears = HashSet::new();
        self.model.visit_linears(&mut |linear: &LoraLinear| {
            linear.visit_trained(&mut |trained| {
                of_linears.insert(trained.param.id());
                visit(trained);
            });
        });
        self.model.tensor_names().visit(&self.model, &mut |name, param| {
            if let Some(role) = self
                .tuning
                .role_of(name)
                .filter(|_| !of_linears.contains(&param.id()))
            {
                let name = name.to_owned();
                visit(TrainedParam { name, role, param });
            }
        });
    }

    /// Counts trained and all parameters.
    pub fn count(&self) -> ParameterCount {
        let mut trained = 0;
        self.visit_trained(&mut |parameter| trained += parameter.param.count());
        ParameterCount {
            trained,
            all: self.model.num_params(),
        }
    }

    /// The plain model with the expected update added to its weights: [`crate::Pass::Mean`] without adapters.
    ///
    /// # Errors
    ///
    /// [`MergeError`] if no weights compute what the adapters do.
    pub fn merge(mut self) -> Result<M, MergeError> {
        let shared = self.model.tied();
        let mut result = Ok(());
        self.model.visit_linears(&mut |linear| {
            let path = linear.path();
            if linear.bottleneck.is_some() {
                result = Err(MergeError::Bottleneck {
                    path: path.to_owned(),
                });
            } else if linear.adapter.is_some() && shared.iter().any(|tied| tied.table == path) {
                result = Err(MergeError::Shared {
                    path: path.to_owned(),
                });
            } else if let Some(Adapter::LowRank(low_rank)) = &linear.adapter
                && low_rank.bias.is_some()
                && linear.base.bias.is_none()
            {
                // A model of the family has no such tensor: who reads the merged one would pass it over.
                result = Err(MergeError::NoBias {
                    path: path.to_owned(),
                });
            }
        });
        result?;
        self.model.visit_linears_mut(&mut LoraLinear::merge);
        Ok(self.model)
    }

    /// The plain model without adapters. Modules trained in full stay as they were trained.
    #[must_use]
    pub fn detach(mut self) -> M {
        self.model.visit_linears_mut(&mut |linear| {
            linear.detach();
        });
        self.model
    }
}

/// The sizes of every adapter of a model, in its order.
pub(crate) fn adapter_shapes(model: &impl Linears) -> Vec<AdapterShape> {
    let mut shapes = Vec::new();
    model.visit_linears(&mut |linear| {
        if let Some(adapter) = &linear.adapter {
            let [d_input, d_output] = linear.dims();
            shapes.push(AdapterShape {
                path: linear.path().to_owned(),
                d_input,
                d_output,
                rank: adapter.rank(),
            });
        }
    });
    shapes
}

/// The model, its output layer untied from the table of embeddings where one of the two is changed alone: where the output
/// layer is adapted, or either is trained in full. PEFT does the same: it wraps or copies the one module that is named. An
/// adapted table needs no copy, for a tied output layer reads the weight without the adapter.
fn untied_for<M: Linears>(mut model: M, tuning: &Tuning) -> M {
    if let Some(Tied { output, table }) = model.tied() {
        let head = std::slice::from_ref(&output);
        let adapts = |config: &LoraConfig| config.targets.resolve(head, head, &[]).is_ok();
        if tuning.lora().is_some_and(adapts) || tuning.saves(&output) || tuning.saves(&table) {
            model.untie();
        }
    }
    model
}

/// Refuses a name that nothing in the model has: it would silently not be trained, and for a module to save PEFT would look in
/// vain for its tensors.
fn check_names<M: Module + Linears>(model: &M, tuning: &Tuning) -> Result<(), ConfigError> {
    let mut paths = Vec::new();
    model.visit_linears(&mut |linear| paths.push(linear.path().to_owned()));
    if let Tuning::Lora(config) = tuning {
        config.targets.check_names(&paths)?;
    }
    model.tensor_names().visit(model, &mut |name, _| {
        paths.extend(name.rsplit_once('.').map(|(module, _)| module.to_owned()));
    });
    let saves_any = |name: &str| paths.iter().any(|path| saves(name, path));
    let unused = tuning.modules_to_save().iter().find(|name| !saves_any(name));
    match unused {
        None => Ok(()),
        Some(name) => Err(ConfigError::UnusedModule {
            name: name.clone(),
            available: last_components(&paths),
        }),
    }
}

/// Refuses a pattern of ranks or alphas that no adapted linear has: PEFT ignores it, and a misspelled one would silently
/// change nothing.
fn check_patterns(config: &LoraConfig, adapted: &[String]) -> Result<(), ConfigError> {
    let ranks = config
        .rank_pattern
        .iter()
        .map(|(pattern, _)| ("rank_pattern", pattern));
    let alphas = config
        .alpha_pattern
        .iter()
        .map(|(pattern, _)| ("alpha_pattern", pattern));
    for (key, pattern) in ranks.chain(alphas) {
        let mut is_used = false;
        for path in adapted {
            is_used |= pattern_matches(key, pattern, path)?;
        }
        if !is_used {
            return Err(ConfigError::UnusedPattern {
                key,
                pattern: pattern.clone(),
                available: last_components(adapted),
            });
        }
    }
    Ok(())
}
