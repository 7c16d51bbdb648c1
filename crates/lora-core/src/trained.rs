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

/// Values of a piece, as far as whole rows allow.
const PIECE: usize = 1 << 18;

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

    /// How many values it holds.
    pub fn count(&self) -> usize {
        self.file_shape().iter().product()
    }

    /// Its values as files hold them.
    pub fn to_file(&self) -> HostTensor {
        match self {
            Self::Matrix(param) => HostTensor::of(param.val()).transposed(),
            Self::Table(param) => HostTensor::of(param.val()),
            Self::Vector(param) => HostTensor::of(param.val()),
            Self::Kernel(param) => HostTensor::of(param.val()),
        }
    }

    /// The same in pieces that follow each other along the first axis, so that a large tensor is not in memory twice.
    pub fn visit_file_pieces(&self, visit: &mut dyn FnMut(&HostTensor)) {
        let shape = self.file_shape();
        let rows = shape[0];
        let of_row = shape[1..].iter().product::<usize>().max(1);
        let step = (PIECE / of_row).max(1);
        if rows <= step {
            return visit(&self.to_file());
        }
        for start in (0..rows).step_by(step) {
            let range = start..rows.min(start + step);
            visit(&match self {
                Self::Matrix(param) => {
                    let [d_input, _] = param.dims();
                    HostTensor::of(param.val().slice([0..d_input, range])).transposed()
                }
                Self::Table(param) => HostTensor::of(param.val().slice([range])),
                Self::Vector(param) => HostTensor::of(param.val().slice([range])),
                Self::Kernel(param) => HostTensor::of(param.val().slice([range])),
            });
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

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int};

    use super::*;

    #[test]
    fn pieces_are_the_tensor_of_the_file() {
        let device = Device::default();
        let matrix = Tensor::<1, Int>::arange(0..3 * (PIECE as i64), &device).float();
        let matrix: Tensor<2> = matrix.reshape([3 * PIECE / 1024, 1024]);
        let wide = Param::from_tensor(matrix.clone().transpose());
        let long = Param::from_tensor(matrix);
        for param in [
            ParamRef::Matrix(&wide),
            ParamRef::Matrix(&long),
            ParamRef::Table(&wide),
            ParamRef::Table(&long),
        ] {
            let (mut values, mut rows, mut pieces) = (Vec::new(), 0, 0);
            param.visit_file_pieces(&mut |piece| {
                values.extend_from_slice(&piece.values);
                rows += piece.shape[0];
                pieces += 1;
            });
            let whole = param.to_file();
            assert!(pieces > 1, "{pieces}");
            assert_eq!((rows, &values), (whole.shape[0], &whole.values));
        }
    }
}
