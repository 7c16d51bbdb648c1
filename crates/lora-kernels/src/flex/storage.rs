//! Values of a Flex tensor as slices.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Shape, TensorData};

use super::chunks::computed_in_chunks;
use super::{CHUNK, for_rows, new_rows, vanishing};

/// The values of a tensor that was made contiguous; it may be a part of a larger storage.
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

/// The values in consecutive parts of these lengths.
///
/// # Panics
///
/// Panics if the parts are longer than the whole.
pub(crate) fn parts(mut numbers: &mut [f32], lengths: impl Iterator<Item = usize>) -> Vec<&mut [f32]> {
    lengths
        .map(|length| {
            numbers
                .split_off_mut(..length)
                .expect("the parts are as long as the whole")
        })
        .collect()
}

/// A tensor of zeros, and so an output to be written. They are written on all threads: one that clears memory keeps all others waiting.
pub(crate) fn new_tensor(shape: impl Into<Shape>) -> FloatTensor<Flex> {
    let shape = shape.into();
    let zeros = computed_in_chunks(shape.num_elements(), 1 << 16, |_, _| {});
    tensor_of(zeros, shape)
}

/// The tensor with `body`, which must be `#[inline(always)]`, run on rows of `width` values and the index of each, `rows_per_task`
/// at a time on one thread. In place where nobody else holds the values.
pub(crate) fn changed(
    tensor: FloatTensor<Flex>,
    width: usize,
    rows_per_task: usize,
    body: impl Fn(&mut [f32], usize) + Sync,
) -> FloatTensor<Flex> {
    let mut contiguous = tensor.to_contiguous();
    drop(tensor);
    if contiguous.is_unique() {
        for_rows(contiguous_mut(&mut contiguous), width, rows_per_task, body);
        return contiguous;
    }
    let source = numbers(&contiguous);
    let output = new_rows(
        source.len(),
        width,
        rows_per_task,
        inlined!(|row, index| {
            row.copy_from_slice(&source[index * width..][..row.len()]);
            body(row, index);
        }),
    );
    tensor_of(output, contiguous.shape())
}

/// `f` of each number, which must be `#[inline(always)]`.
pub(crate) fn mapped(tensor: FloatTensor<Flex>, f: impl Fn(f32) -> f32 + Sync) -> FloatTensor<Flex> {
    changed(
        tensor,
        CHUNK,
        1,
        inlined!(|chunk, _| {
            for x in chunk {
                *x = f(*x);
            }
        }),
    )
}

/// `f`, which must be `#[inline(always)]`, of both numbers at each place. Results that would be subnormal are 0.
pub(crate) fn paired(
    first: FloatTensor<Flex>,
    second: &FloatTensor<Flex>,
    f: impl Fn(f32, f32) -> f32 + Sync,
) -> FloatTensor<Flex> {
    let second = second.to_contiguous();
    let second = numbers(&second);
    changed(
        first,
        CHUNK,
        1,
        inlined!(|chunk, index| {
            for (first, second) in chunk.iter_mut().zip(&second[index * CHUNK..]) {
                *first = vanishing(f(*first, *second), f32::MIN_POSITIVE);
            }
        }),
    )
}

/// The values as a tensor. Nothing is copied, unlike in Burn's `zeros`, which makes bytes and then aligns them.
pub(crate) fn tensor_of(numbers: Vec<f32>, shape: impl Into<Shape>) -> FloatTensor<Flex> {
    FloatTensor::<Flex>::from_data(TensorData::new(numbers, shape.into()))
}
