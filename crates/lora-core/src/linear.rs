//! The linear layer that every block is made of.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::Tensor;
use lora_kernels::{linear, lora_linear};

use crate::adapter::{Adapter, LowRank};
use crate::config::{Init, LowRankSettings};
use crate::pass::Pass;

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
    /// Weight or bias of a module trained in full.
    Head,
    /// Bias of an adapted linear.
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

    /// `y = x W + b + s · ((x ⊙ m_A) A B) ⊙ m_B`; see [`lora_linear`].
    ///
    /// # Shapes
    ///
    /// - input: `[batch, ..., d_input]`
    /// - output: `[batch, ..., d_output]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes do not agree, or if the pass holds masks, but none for this linear.
    pub fn forward<const D: usize>(&self, input: Tensor<D>, pass: &Pass) -> Tensor<D> {
        let weight = self.base.weight.val();
        let bias = self.base.bias.as_ref().map(Param::val);
        match &self.adapter {
            None => linear(input, weight, bias),
            Some(Adapter::LowRank(adapter)) => {
                let shape = input.dims();
                let rows = shape[1..D - 1].iter().product();
                let branch = adapter.branch(&self.path, [shape[0], rows], pass);
                lora_linear(input, weight, bias, branch)
            }
        }
    }

    /// The dense update of [`Pass::Mean`], `[d_input, d_output]`; `None` without an adapter.
    pub fn delta(&self) -> Option<Tensor<2>> {
        self.adapter
            .as_ref()
            .map(|Adapter::LowRank(adapter)| adapter.delta())
    }

    /// Puts a new LoRA adapter on this linear, its A drawn from `(seed, path)`.
    pub fn attach_low_rank(&mut self, settings: &LowRankSettings, init: Init, seed: u64) {
        let device = self.base.weight.device();
        self.adapter = Some(Adapter::LowRank(LowRank::init(
            &self.path,
            self.dims(),
            settings,
            init,
            seed,
            &device,
        )));
    }

    /// Takes the adapter off and leaves the pretrained layer.
    pub fn detach(&mut self) -> Option<Adapter> {
        self.adapter.take()
    }

    /// Adds the update of [`Pass::Mean`] to the weight and takes the adapter off.
    pub fn merge(&mut self) {
        if let Some(delta) = self.delta() {
            let weight = (self.base.weight.val() + delta).detach();
            self.base.weight = Param::from_tensor(weight);
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
        if let Some(Adapter::LowRank(adapter)) = &self.adapter {
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
