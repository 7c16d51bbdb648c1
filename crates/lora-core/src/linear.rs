//! The linear layer that every block is made of.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Int, Tensor, TensorData};
use lora_kernels::linear;

use crate::adapter::{Adapter, Delta, LowRank, StartError, SvdForm, WeightDecomposed, start};
use crate::bank::Choice;
use crate::config::{Form, Init, LoraConfig};
use crate::config_error::ConfigError;
use crate::pass::Pass;
use crate::tensors::HostTensor;

/// A linear layer that may carry an adapter. It knows its Hugging Face path, by which targets, masks and files
/// refer to it.
#[derive(Module, Debug)]
pub struct LoraLinear {
    /// The pretrained layer, weight `[d_input, d_output]`.
    pub base: Linear,
    /// What is trained beside it.
    pub adapter: Option<Adapter>,
    #[module(skip)]
    path: String,
    #[module(skip)]
    training: BaseTraining,
    /// What an init moved from the base weight into the adapter, `s · A₀ B₀`.
    #[module(skip)]
    moved: Option<Moved>,
    /// What the adapters of a bank have in the place of this linear.
    #[module(skip)]
    pub(crate) choices: Vec<Option<Choice>>,
}

/// The first factors of an init that changes the base weight, on the host: as small as the adapter itself.
#[derive(Clone, Debug)]
pub(crate) struct Moved {
    /// `[d_input, rank]`, multiplied by the scale of the mean pass.
    pub a: HostTensor,
    /// `[rank, d_output]`.
    pub b: HostTensor,
}

/// Which part of the pretrained layer is trained, and so saved with the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseTraining {
    /// None of it.
    Frozen,
    /// Its bias.
    Bias,
    /// Weight and bias: a head, or another of `modules_to_save`.
    Full,
}

/// What a trained parameter is, which decides its learning rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The factor A.
    A,
    /// The factor B.
    B,
    /// AdaLoRA's E.
    SingularValues,
    /// DoRA's lengths of weight columns.
    Magnitude,
    /// Weight or bias of a module trained in full.
    Head,
    /// Bias of an adapted linear, or of its factor B.
    Bias,
}

/// A parameter with its rank.
#[derive(Clone, Copy, Debug)]
pub enum ParamRef<'a> {
    /// `[d_input, d_output]`-like, the transpose of PyTorch's.
    Matrix(&'a Param<Tensor<2>>),
    /// `[d_output]`.
    Vector(&'a Param<Tensor<1>>),
}

/// One trained parameter, under the name that PEFT gives it (without `base_model.model.`).
#[derive(Clone, Debug)]
pub struct TrainedParam<'a> {
    /// For example `bert.encoder.layer.0.attention.self.query.lora_A.weight`.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// The parameter.
    pub param: ParamRef<'a>,
}

impl LoraLinear {
    /// A linear without adapter.
    ///
    /// # Shapes
    ///
    /// - weight: `[d_input, d_output]`, the transpose of PyTorch's
    /// - bias: `[d_output]`
    pub fn new(path: impl Into<String>, weight: Tensor<2>, bias: Option<Tensor<1>>) -> Self {
        let base = Linear {
            weight: Param::from_tensor(weight),
            bias: bias.map(Param::from_tensor),
        };
        Self {
            base,
            adapter: None,
            path: path.into(),
            training: BaseTraining::Frozen,
            moved: None,
            choices: Vec::new(),
        }
    }

    /// Its Hugging Face path, such as `bert.encoder.layer.0.attention.self.query`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// `[d_input, d_output]`.
    pub fn dims(&self) -> [usize; 2] {
        self.base.weight.dims()
    }

    /// Which part of the pretrained layer is trained.
    pub fn base_training(&self) -> BaseTraining {
        self.training
    }

    /// `y = x W + b`, changed by the adapter as its form says; for LoRA `+ s · ((x ⊙ m_A) A B) ⊙ m_B`
    /// ([`lora_kernels::lora_linear`]).
    ///
    /// # Shapes
    ///
    /// - input: `[batch, ..., d_input]`
    /// - output: `[batch, ..., d_output]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes do not agree, if the pass holds masks, but none for this linear, or if it chooses an adapter that
    /// is not in the bank.
    pub fn forward<const D: usize>(&self, input: Tensor<D>, pass: &Pass) -> Tensor<D> {
        match pass {
            Pass::Chosen(rows) => self.forward_chosen(&input, rows),
            Pass::Mean | Pass::Masked(_) => self.forward_with(&self.base, self.adapter.as_ref(), input, pass),
        }
    }

    fn forward_with<const D: usize>(
        &self,
        base: &Linear,
        adapter: Option<&Adapter>,
        input: Tensor<D>,
        pass: &Pass,
    ) -> Tensor<D> {
        let weight = base.weight.val();
        let bias = base.bias.as_ref().map(Param::val);
        match adapter {
            None => linear(input, weight, bias),
            Some(adapter) => adapter.forward(&self.path, input, weight, bias, pass),
        }
    }

    /// Rows of one adapter go through together, and then back to their places.
    fn forward_chosen<const D: usize>(&self, input: &Tensor<D>, rows: &[Option<usize>]) -> Tensor<D> {
        assert_eq!(
            rows.len(),
            input.dims()[0],
            "one choice for each row of the batch"
        );
        // Adapters that leave this linear alone share its base.
        let own = |row: &Option<usize>| row.filter(|number| self.choices[*number].is_some());
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|row| own(&rows[*row]));
        let mut parts = Vec::new();
        for group in order.chunk_by(|left, right| own(&rows[*left]) == own(&rows[*right])) {
            let part = if group.len() == rows.len() {
                input.clone()
            } else {
                input.clone().select(0, indices(group, &input.device()))
            };
            let choice = own(&rows[group[0]]).and_then(|number| self.choices[number].as_ref());
            parts.push(match choice {
                Some(Choice { base, adapter }) => {
                    self.forward_with(base, adapter.as_ref(), part, &Pass::Mean)
                }
                None => self.forward_with(&self.base, None, part, &Pass::Mean),
            });
        }
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let mut places = vec![0; order.len()];
        for (place, row) in order.into_iter().enumerate() {
            places[row] = place;
        }
        let device = input.device();
        Tensor::cat(parts, 0).select(0, indices(&places, &device))
    }

    /// The dense update of [`Pass::Mean`]; `None` without an adapter.
    pub fn delta(&self) -> Option<Delta> {
        self.adapter
            .as_ref()
            .map(|adapter| adapter.delta(&self.base.weight.val()))
    }

    /// Puts a new adapter on this linear, its random numbers drawn from `(seed, path)`. Settings must be valid
    /// ([`LoraConfig::validate`]). An init that moves part of the base weight into the adapter does so here.
    ///
    /// # Errors
    ///
    /// [`ConfigError::RankTooLarge`], [`ConfigError::OddRank`], [`ConfigError::NotFinite`].
    pub fn attach(&mut self, config: &LoraConfig, seed: u64) -> Result<(), ConfigError> {
        let device = self.base.weight.device();
        let dims = self.dims();
        let settings = config.low_rank_of(&self.path);
        if matches!(config.form, Form::Svd(_)) {
            let svd = SvdForm::init(&self.path, dims, &settings, seed, &device);
            self.adapter = Some(Adapter::Svd(svd));
            return Ok(());
        }
        let weight = || HostTensor::of(self.base.weight.val());
        let first = start(&self.path, dims, &settings, config.init, seed, weight)
            .map_err(|error| self.cannot_start(error, settings.rank, config.init))?;
        let on_device = |tensor: &HostTensor| {
            let data = TensorData::new(tensor.values.clone(), tensor.shape.clone());
            Tensor::<2>::from_data(data, &device)
        };
        let mut low_rank = LowRank::from_factors(on_device(&first.a), on_device(&first.b), &settings);
        if config.lora_bias {
            low_rank = low_rank.with_bias(&device);
        }
        if config.init.changes_base() {
            let rest = (self.base.weight.val() - low_rank.delta()).detach();
            self.base.weight = frozen(rest);
            let mut moved = Moved {
                a: first.a,
                b: first.b,
            };
            for value in &mut moved.a.values {
                *value *= settings.mean_scale() as f32;
            }
            self.moved = Some(moved);
        }
        self.adapter = Some(match config.form {
            Form::WeightDecomposed => {
                Adapter::WeightDecomposed(WeightDecomposed::init(low_rank, self.base.weight.val()))
            }
            Form::LowRank | Form::Svd(_) => Adapter::LowRank(low_rank),
        });
        Ok(())
    }

    fn cannot_start(&self, error: StartError, rank: usize, init: Init) -> ConfigError {
        let path = self.path.clone();
        let [d_input, d_output] = self.dims();
        match error {
            StartError::RankTooLarge { largest } => ConfigError::RankTooLarge {
                path,
                init: if init == Init::Pissa { "pissa" } else { "olora" },
                rank,
                d_input,
                d_output,
                largest,
            },
            StartError::OddRank => ConfigError::OddRank { path, rank },
            StartError::NotFinite => ConfigError::NotFinite { path },
        }
    }

    /// What an init moved from the base weight into the adapter.
    pub(crate) fn moved(&self) -> Option<&Moved> {
        self.moved.as_ref()
    }

    /// Takes the adapter off and leaves the pretrained layer. What an init had moved into the adapter is put back.
    pub fn detach(&mut self) -> Option<Adapter> {
        if let Some(moved) = self.moved.take() {
            let device = self.base.weight.device();
            let [a, b] = [moved.a, moved.b]
                .map(|tensor| Tensor::<2>::from_data(TensorData::new(tensor.values, tensor.shape), &device));
            self.base.weight = frozen((self.base.weight.val() + a.matmul(b)).detach());
        }
        self.adapter.take()
    }

    /// Adds the update of [`Pass::Mean`] to the weight and takes the adapter off.
    pub fn merge(&mut self) {
        if let Some(delta) = self.delta() {
            let weight = (self.base.weight.val() + delta.weight).detach();
            self.base.weight = Param::from_tensor(weight);
            if let Some(added) = delta.bias {
                let bias = match &self.base.bias {
                    Some(bias) => bias.val() + added,
                    None => added,
                };
                self.base.bias = Some(Param::from_tensor(bias.detach()));
            }
            self.moved = None;
            self.adapter = None;
        }
    }

    /// Chooses which part of the pretrained layer is trained, and sets the gradient flags to match.
    pub fn train_base(&mut self, training: BaseTraining) {
        self.training = training;
        let base = self.base.clone();
        self.base.weight = base.weight.set_require_grad(training == BaseTraining::Full);
        self.base.bias = base
            .bias
            .map(|bias| bias.set_require_grad(training != BaseTraining::Frozen));
    }

    /// Hands out every trained parameter of this linear, in a fixed order.
    pub fn visit_trained<'a>(&'a self, visit: &mut dyn FnMut(TrainedParam<'a>)) {
        let path = &self.path;
        let mut emit = |name: String, role, param| visit(TrainedParam { name, role, param });
        match &self.adapter {
            None => {}
            Some(Adapter::LowRank(adapter)) => visit_low_rank(path, adapter, &mut emit),
            Some(Adapter::WeightDecomposed(adapter)) => {
                visit_low_rank(path, &adapter.low_rank, &mut emit);
                emit(
                    format!("{path}.lora_magnitude_vector"),
                    Role::Magnitude,
                    ParamRef::Vector(&adapter.magnitude),
                );
            }
            Some(Adapter::Svd(adapter)) => {
                if let Some(factors) = &adapter.factors {
                    emit(format!("{path}.lora_A"), Role::A, ParamRef::Matrix(&factors.a));
                    emit(format!("{path}.lora_B"), Role::B, ParamRef::Matrix(&factors.b));
                    emit(
                        format!("{path}.lora_E"),
                        Role::SingularValues,
                        ParamRef::Matrix(&factors.e),
                    );
                }
            }
        }
        match self.training {
            BaseTraining::Frozen => {}
            BaseTraining::Bias => {
                if let Some(bias) = &self.base.bias {
                    emit(
                        format!("{path}.base_layer.bias"),
                        Role::Bias,
                        ParamRef::Vector(bias),
                    );
                }
            }
            BaseTraining::Full => {
                emit(
                    format!("{path}.weight"),
                    Role::Head,
                    ParamRef::Matrix(&self.base.weight),
                );
                if let Some(bias) = &self.base.bias {
                    emit(format!("{path}.bias"), Role::Head, ParamRef::Vector(bias));
                }
            }
        }
    }
}

fn visit_low_rank<'a>(path: &str, adapter: &'a LowRank, emit: &mut dyn FnMut(String, Role, ParamRef<'a>)) {
    emit(
        format!("{path}.lora_A.weight"),
        Role::A,
        ParamRef::Matrix(&adapter.a),
    );
    emit(
        format!("{path}.lora_B.weight"),
        Role::B,
        ParamRef::Matrix(&adapter.b),
    );
    if let Some(bias) = &adapter.bias {
        emit(format!("{path}.lora_B.bias"), Role::Bias, ParamRef::Vector(bias));
    }
}

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
    Tensor::from_data(rows.as_slice(), device)
}

/// A parameter that is not trained.
fn frozen(tensor: Tensor<2>) -> Param<Tensor<2>> {
    Param::from_tensor(tensor).set_require_grad(false)
}
