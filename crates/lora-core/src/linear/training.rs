//! Which part of the pretrained layer is trained, and every trained parameter of a linear with its name and its role.

use super::{LinearKind, LoraLinear};
use crate::adapter::{Adapter, LowRank};
use crate::trained::{ParamRef, Role, TrainedParam};

/// Which part of the pretrained layer is trained, and so saved with the adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseTraining {
    /// None of it.
    Frozen,
    /// Its bias.
    Bias,
    /// Weight and bias, as in full fine-tuning.
    Pretrained,
    /// Weight and bias: a head, or another of `modules_to_save`.
    Full,
}

impl LoraLinear {
    /// Which part of the pretrained layer is trained.
    pub fn base_training(&self) -> BaseTraining {
        self.training
    }

    /// Chooses which part of the pretrained layer is trained, and sets the gradient flags to match.
    pub fn train_base(&mut self, training: BaseTraining) {
        let (weight, bias) = match training {
            BaseTraining::Frozen => (false, false),
            BaseTraining::Bias => (false, true),
            BaseTraining::Pretrained | BaseTraining::Full => (true, true),
        };
        if weight {
            // What is trained is held in f32.
            let wide = self.wide_weight();
            self.base.weight = self.base.weight.clone().map(|_| wide);
        }
        self.training = training;
        let base = self.base.clone();
        self.base.weight = base.weight.set_require_grad(weight);
        self.base.bias = base.bias.map(|param| param.set_require_grad(bias));
    }

    /// Hands out every trained parameter of this linear, in a fixed order.
    pub fn visit_trained<'a>(&'a self, visit: &mut dyn FnMut(TrainedParam<'a>)) {
        let path = self.path();
        let mut emit = |name: &str, role, param| {
            let name = format!("{path}.{name}");
            visit(TrainedParam { name, role, param });
        };
        match &self.adapter {
            None => {}
            Some(Adapter::LowRank(adapter)) => visit_low_rank(self.kind(), adapter, &mut emit),
            Some(Adapter::WeightDecomposed(adapter)) => {
                visit_low_rank(self.kind(), &adapter.low_rank, &mut emit);
                let magnitude = ParamRef::Vector(&adapter.magnitude);
                emit("lora_magnitude_vector", Role::Magnitude, magnitude);
            }
            Some(Adapter::Svd(adapter)) => {
                if let Some(factors) = &adapter.factors {
                    emit("lora_A", Role::A, ParamRef::Matrix(&factors.a));
                    emit("lora_B", Role::B, ParamRef::Matrix(&factors.b));
                    emit("lora_E", Role::SingularValues, ParamRef::Matrix(&factors.e));
                }
            }
        }
        if let Some(bottleneck) = &self.bottleneck {
            let [down, up] = [&bottleneck.down, &bottleneck.up].map(ParamRef::Matrix);
            let [down_bias, up_bias] = [&bottleneck.down_bias, &bottleneck.up_bias].map(ParamRef::Vector);
            emit("adapter_down.weight", Role::Bottleneck, down);
            emit("adapter_down.bias", Role::Bottleneck, down_bias);
            emit("adapter_up.weight", Role::Bottleneck, up);
            emit("adapter_up.bias", Role::Bottleneck, up_bias);
        }
        let (role, weight) = match self.training {
            BaseTraining::Frozen => return,
            BaseTraining::Bias => (Role::Bias, None),
            BaseTraining::Pretrained => (Role::Pretrained, Some(self.weight_ref())),
            BaseTraining::Full => (Role::Head, Some(self.weight_ref())),
        };
        if let Some(weight) = weight {
            emit("weight", role, weight);
        }
        if let Some(bias) = &self.base.bias {
            // PEFT wraps an adapted linear.
            let name = if self.adapter.is_some() {
                "base_layer.bias"
            } else {
                "bias"
            };
            emit(name, role, ParamRef::Vector(bias));
        }
    }

    /// Hands out weight and bias under their names in the pretrained model, trained or not.
    pub fn visit_base<'a>(&'a self, visit: &mut dyn FnMut(String, ParamRef<'a>)) {
        visit(format!("{}.weight", self.path()), self.weight_ref());
        if let Some(bias) = &self.base.bias {
            visit(format!("{}.bias", self.path()), ParamRef::Vector(bias));
        }
    }

    /// Its pretrained weight.
    pub(crate) fn weight_ref(&self) -> ParamRef<'_> {
        match self.kind() {
            LinearKind::Linear => ParamRef::Matrix(&self.base.weight),
            LinearKind::Conv1d | LinearKind::Table => ParamRef::Table(&self.base.weight),
        }
    }
}

/// Factors of a table are tensors without a module around them, and have no `.weight`.
fn visit_low_rank<'a>(
    kind: LinearKind,
    adapter: &'a LowRank,
    emit: &mut dyn FnMut(&str, Role, ParamRef<'a>),
) {
    let [a, b] = match kind {
        LinearKind::Table => ["lora_embedding_A", "lora_embedding_B"],
        LinearKind::Linear | LinearKind::Conv1d => ["lora_A.weight", "lora_B.weight"],
    };
    emit(a, Role::A, ParamRef::Matrix(&adapter.a));
    emit(b, Role::B, ParamRef::Matrix(&adapter.b));
    if let Some(bias) = &adapter.bias {
        emit("lora_B.bias", Role::Bias, ParamRef::Vector(bias));
    }
}
