//! Trained parameters: their names, their roles, and how files store them.

use burn::module::{Param, ParamId};
use burn::tensor::{Tensor, TensorData};

use crate::tensors::HostTensor;

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
    /// A bias of the pretrained model, or of a factor B.
    Bias,
    /// Any tensor of the pretrained model, in full fine-tuning.
    Pretrained,
    /// Weight or bias of a bottleneck.
    Bottleneck,
}

/// A parameter with its rank, and how files store it.
#[derive(Clone, Copy, Debug)]
pub enum ParamRef<'a> {
    /// `[d_input, d_output]`-like, the transpose of what files hold.
    Matrix(&'a Param<Tensor<2>>),
    /// A matrix as files hold it: a table of embeddings, a weight of GPT-2's.
    Table(&'a Param<Tensor<2>>),
    /// `[d_output]`.
    Vector(&'a Param<Tensor<1>>),
    /// `[d_output, d_input, width]`, of a convolution.
    Kernel(&'a Param<Tensor<3>>),
}

impl ParamRef<'_> {
    /// The id by which gradients are found.
    pub fn id(&self) -> ParamId {
        match self {
            Self::Matrix(param) | Self::Table(param) => param.id,
            Self::Vector(param) => param.id,
            Self::Kernel(param) => param.id,
        }
    }

    /// Its shape in files.
    pub fn file_shape(&self) -> Vec<usize> {
        match self {
            Self::Matrix(param) => {
                let [rows, columns] = param.dims();
                vec![columns, rows]
            }
            Self::Table(param) => param.dims().to_vec(),
            Self::Vector(param) => param.dims().to_vec(),
            Self::Kernel(param) => param.dims().to_vec(),
        }
    }

    /// How many numbers it holds.
    pub fn count(&self) -> usize {
        self.file_shape().iter().product()
    }

    /// Its numbers as files hold them.
    pub fn to_file(&self) -> HostTensor {
        match self {
            Self::Matrix(param) => HostTensor::of(param.val()).transposed(),
            Self::Table(param) => HostTensor::of(param.val()),
            Self::Vector(param) => HostTensor::of(param.val()),
            Self::Kernel(param) => HostTensor::of(param.val()),
        }
    }

    /// A tensor of a file as the parameter holds it.
    pub(crate) fn in_memory(&self, tensor: HostTensor) -> TensorData {
        let HostTensor { shape, values } = match self {
            Self::Matrix(_) => tensor.transposed(),
            Self::Table(_) | Self::Vector(_) | Self::Kernel(_) => tensor,
        };
        TensorData::new(values, shape)
    }
}

/// One trained parameter, under the name that PEFT gives it (without `base_model.model.`); what PEFT has no name for is under
/// the name of Hugging Face's models, or of [`Bottleneck`](crate::bottleneck::Bottleneck).
#[derive(Clone, Debug)]
pub struct TrainedParam<'a> {
    /// For example `bert.encoder.layer.0.attention.self.query.lora_A.weight`.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// The parameter.
    pub param: ParamRef<'a>,
}
