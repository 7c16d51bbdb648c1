//! A tensor on the host.

use burn::tensor::{Device, Tensor, TensorData};

/// A tensor on the host, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HostTensor {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Vec<f32>,
}

impl HostTensor {
    /// The values of a tensor, as f32.
    ///
    /// # Panics
    ///
    /// Never: every float converts to f32.
    pub fn of<const D: usize>(tensor: Tensor<D>) -> Self {
        let data = tensor.into_data().convert::<f32>();
        Self {
            shape: data.shape().to_vec(),
            values: data.try_into_vec().expect("the data was converted to f32"),
        }
    }

    /// The same values on a device.
    ///
    /// # Panics
    ///
    /// Panics if the tensor has another number of axes.
    pub fn on<const D: usize>(self, device: &Device) -> Tensor<D> {
        Tensor::from_data(TensorData::new(self.values, self.shape), device)
    }

    /// A value that is not finite, if there is one: no weight of a model is.
    pub fn not_finite(&self) -> Option<f32> {
        self.values.iter().copied().find(|value| !value.is_finite())
    }

    /// The transpose of a matrix, row-major again: between PyTorch's `[d_output, d_input]` and Burn's
    /// `[d_input, d_output]`. A strided view would do, but sums in another order, so that a saved adapter
    /// would not come back with the same bits.
    ///
    /// # Panics
    ///
    /// Panics if the tensor is no matrix.
    #[must_use]
    pub fn transposed(&self) -> Self {
        let &[rows, columns] = &self.shape[..] else {
            panic!("a tensor of shape {:?} is no matrix", self.shape)
        };
        let mut values = Vec::with_capacity(self.values.len());
        for column in 0..columns {
            values.extend((0..rows).map(|row| self.values[row * columns + column]));
        }
        Self {
            shape: vec![columns, rows],
            values,
        }
    }
}
