//! Numbers of a Flex tensor as slices.

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Shape, TensorData};

/// The numbers of a tensor that was made contiguous; it may be a part of a larger storage.
///
/// # Panics
///
/// Panics if the tensor is not contiguous, or not f32.
pub(crate) fn numbers(tensor: &FloatTensor<Flex>) -> &[f32] {
    tensor
        .as_slice::<f32>()
        .expect("a contiguous f32 tensor is a slice")
}

/// The same, to change them; copied first if they are shared.
///
/// # Panics
///
/// As [`numbers`].
pub(crate) fn contiguous_mut(tensor: &mut FloatTensor<Flex>) -> &mut [f32] {
    let (start, end) = tensor
        .layout()
        .contiguous_offsets()
        .expect("the tensor was made contiguous");
    &mut tensor.storage_mut::<f32>()[start..end]
}

/// A tensor of zeros, and so an output to be written.
pub(crate) fn new_tensor(shape: impl Into<Shape>) -> FloatTensor<Flex> {
    let shape = shape.into();
    tensor_of(vec![0.0; shape.num_elements()], shape)
}

/// The numbers as a tensor. Nothing is copied, unlike in Burn's `zeros`, which makes bytes and then aligns them.
pub(crate) fn tensor_of(numbers: Vec<f32>, shape: impl Into<Shape>) -> FloatTensor<Flex> {
    FloatTensor::<Flex>::from_data(TensorData::new(numbers, shape.into()))
}
