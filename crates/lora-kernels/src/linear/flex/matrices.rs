//! Tensors on Flex as matrices of which the rows or the columns are contiguous.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;

use crate::flex::{Matrix, numbers};

/// The tensor as it is if its rows or its columns are contiguous, as those of a tied decoder's table are; else a copy.
pub(super) fn with_contiguous_side(tensor: FloatTensor<Flex>) -> FloatTensor<Flex> {
    if tensor.is_contiguous() || has_contiguous_columns(&tensor) {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

fn has_contiguous_columns(tensor: &FloatTensor<Flex>) -> bool {
    let [rows, _] = tensor.shape().dims();
    tensor.layout().strides() == [1, rows as isize]
}

/// A `[rows, cols]` tensor of [`with_contiguous_side`] as a matrix.
pub(super) fn matrix(tensor: &FloatTensor<Flex>) -> Matrix<'_> {
    matrix_in(tensor.storage(), tensor)
}

/// The same in the storage of the tensor.
pub(super) fn matrix_in<'a, T: Copy>(storage: &'a [T], tensor: &FloatTensor<Flex>) -> Matrix<'a, T> {
    let [rows, cols] = tensor.shape().dims();
    let numbers = &storage[tensor.layout().start_offset()..];
    if tensor.is_contiguous() {
        Matrix::new(numbers, [rows, cols], cols)
    } else {
        Matrix::new(numbers, [cols, rows], rows).transposed()
    }
}

/// The matrices of a `[groups, rows, cols]` tensor.
pub(super) fn matrices(tensor: &FloatTensor<Flex>, transposed: bool) -> Vec<Matrix<'_>> {
    let [groups, rows, cols] = tensor.shape().dims();
    let all = numbers(tensor);
    (0..groups)
        .map(|group| {
            let matrix = Matrix::new(&all[group * rows * cols..][..rows * cols], [rows, cols], cols);
            if transposed { matrix.transposed() } else { matrix }
        })
        .collect()
}
