//! A model with adapters: attach, count, merge, detach.

use burn::module::Module;
use burn::tensor::Tensor;

use crate::adalora::RankPattern;
use crate::adapter::Adapter;
use crate::config::{BiasMode, Form, LoraConfig, saves};
use crate::config_error::ConfigError;
use crate::linear::{BaseTraining, LoraLinear, ParamRef, TrainedParam};
use crate::model::Linears;
use crate::sampler::AdapterShape;
use crate::targets::last_parts;

/// A model that carries adapters. Merging and detaching give back the plain model, so nothing is merged twice.
#[derive(Clone, Debug)]
pub struct Adapted<M> {
    /// The model.
    pub model: M,
    config: LoraConfig,
}

/// What [`Adapted::attach`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachReport {
    /// Paths of the adapted linears.
    pub adapted: Vec<String>,
    /// Paths of the linears that are trained in full.
    pub trained_in_full: Vec<String>,
}

/// How many numbers a model holds and how many of them are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterCount {
    /// Trained numbers: adapters, heads, biases.
    pub trained: usize,
    /// All numbers, those of the adapters included.
    pub all: usize,
}

impl<M: Module + Linears> Adapted<M> {
    /// Freezes the model, puts new adapters on its targets and opens the modules to save for training.
    ///
    /// Only adapters, modules to save and (with [`BiasMode::LoraOnly`]) biases of adapted linears are trainable
    /// afterwards. The factors A are drawn from `(seed, path)`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if a setting is invalid, a target or a module to save matches nothing, or a linear's weight allows no
    /// such start.
    pub fn attach(model: M, config: LoraConfig, seed: u64) -> Result<(Self, AttachReport), ConfigError> {
        let paths = linear_paths(&model);
        config.targets.check_names(&paths)?;
        check_saved(&config.modules_to_save, &paths)?;
        Self::attach_what_matches(model, config, seed)
    }

    /// As [`Adapted::attach`], but names that match nothing are passed over: PEFT writes such names into its files.
    pub(crate) fn attach_what_matches(
        model: M,
        config: LoraConfig,
        seed: u64,
    ) -> Result<(Self, AttachReport), ConfigError> {
        config.validate()?;
        let paths = linear_paths(&model);
        let trained_in_full: Vec<String> = paths.iter().filter(|path| config.saves(path)).cloned().collect();
        let adapted = config.targets.resolve(&paths, &model.heads(), &trained_in_full)?;

        let mut model = model.freeze();
        let mut result = Ok(());
        model.visit_linears_mut(&mut |linear| {
            let path = linear.path().to_owned();
            if adapted.contains(&path) {
                if result.is_ok() {
                    result = linear.attach(&config, seed);
                }
                linear.train_base(match config.bias {
                    BiasMode::None => BaseTraining::Frozen,
                    BiasMode::LoraOnly => BaseTraining::Bias,
                });
            } else if trained_in_full.contains(&path) {
                linear.train_base(BaseTraining::Full);
            } else {
                // A merged model keeps what an earlier adapter trained, but trains it no more.
                linear.train_base(BaseTraining::Frozen);
            }
        });
        result?;
        Ok((
            Self { model, config },
            AttachReport {
                adapted,
                trained_in_full,
            },
        ))
    }

    /// The settings that the adapters were made with.
    pub fn config(&self) -> &LoraConfig {
        &self.config
    }

    /// Sets which triplets AdaLoRA keeps; files hold only these. Of no effect for other forms.
    pub fn set_rank_pattern(&mut self, pattern: RankPattern) {
        if let Form::Svd(adalora) = &mut self.config.form {
            adalora.rank_pattern = pattern;
        }
    }

    /// Sets the number of steps that AdaLoRA's budget is shared out over. Of no effect for other forms.
    pub fn set_total_step(&mut self, total: u64) {
        if let Form::Svd(adalora) = &mut self.config.form {
            adalora.total_step = Some(total);
        }
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
            config: self.config,
        }
    }

    /// The sizes of every adapter, in the model's order: what a mask sampler needs to know.
    pub fn adapter_shapes(&self) -> Vec<AdapterShape> {
        adapter_shapes(&self.model)
    }

    /// Hands out every trained parameter, in a fixed order.
    pub fn visit_trained<'a>(&'a self, visit: &mut dyn FnMut(TrainedParam<'a>)) {
        self.model
            .visit_linears(&mut |linear: &'a LoraLinear| linear.visit_trained(visit));
    }

    /// Counts trained and all parameters.
    pub fn count(&self) -> ParameterCount {
        let mut trained = 0;
        self.visit_trained(&mut |parameter| {
            trained += match parameter.param {
                ParamRef::Matrix(param) => param.shape().num_elements(),
                ParamRef::Vector(param) => param.shape().num_elements(),
            };
        });
        ParameterCount {
            trained,
            all: self.model.num_params(),
        }
    }

    /// The plain model with the expected update added to its weights: [`crate::Pass::Mean`] without adapters.
    #[must_use]
    pub fn merge(mut self) -> M {
        self.model.visit_linears_mut(&mut LoraLinear::merge);
        self.model
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
        if linear.adapter.is_some() {
            let [d_input, d_output] = linear.dims();
            shapes.push(AdapterShape {
                path: linear.path().to_owned(),
                d_input,
                d_output,
            });
        }
    });
    shapes
}

/// Paths of the linears, in the model's order.
fn linear_paths(model: &impl Linears) -> Vec<String> {
    let mut paths = Vec::new();
    model.visit_linears(&mut |linear| paths.push(linear.path().to_owned()));
    paths
}

/// Refuses a module to save that no linear belongs to: it would silently not be trained, and PEFT would look in vain for
/// its tensors.
fn check_saved(names: &[String], paths: &[String]) -> Result<(), ConfigError> {
    let saves_any = |name: &str| paths.iter().any(|path| saves(name, path));
    let unused = names.iter().find(|name| !saves_any(name));
    match unused {
        None => Ok(()),
        Some(name) => Err(ConfigError::UnusedModule {
            name: name.clone(),
            available: last_parts(paths),
        }),
    }
}
