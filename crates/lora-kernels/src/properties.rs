//! Every operation against its version in primitives, for drawn shapes, layouts and sizes of values: the output, and the
//! gradient of the matrix that a view was taken of.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

#[cfg(feature = "flex")]
mod bf16;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, module};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use crate::{
    KeepMasks, LowRankBranch, drawn, gelu, gelu_primitive, layer_norm, layer_norm_primitive, linear,
    lora_linear, scaled_attention,
};

fn device() -> Device {
    Device::default().autodiff()
}

/// How the values of a matrix lie in memory.
#[derive(Clone, Copy, Debug)]
enum Layout {
    Rows,
    Transposed,
    /// A part of a larger matrix.
    Sliced,
}

fn layout() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::Rows), Just(Layout::Transposed), Just(Layout::Sliced)]
}

/// The size of values, from thousandths to thousands.
fn size() -> impl Strategy<Value = f32> {
    (-3.0_f32..3.0).prop_map(|power| 10.0_f32.powf(power))
}

fn normal<const D: usize>(shape: [usize; D], size: f32) -> Tensor<D> {
    drawn::normal(shape, 0.0, size, &device())
}

/// A matrix of which [`Layout::view`] has this shape.
fn whole(layout: Layout, [rows, width]: [usize; 2], size: f32) -> Tensor<2> {
    let shape = match layout {
        Layout::Rows => [rows, width],
        Layout::Transposed => [width, rows],
        Layout::Sliced => [rows + 3, width + 5],
    };
    normal(shape, size).require_grad()
}

impl Layout {
    /// A new view each time: a graph is gone through backward once.
    fn view(self, whole: &Tensor<2>) -> Tensor<2> {
        let [rows, width] = whole.dims();
        let whole = whole.clone();
        match self {
            Self::Rows => whole,
            Self::Transposed => whole.swap_dims(0, 1),
            Self::Sliced => whole.narrow(0, 2, rows - 3).narrow(1, 1, width - 5),
        }
    }
}

fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

fn largest(numbers: &[f32]) -> f32 {
    numbers.iter().fold(0.0, |largest, x| largest.max(x.abs()))
}

/// Fails where values differ by more than a part of `natural`, the size that sums of this kind have before anything cancels, or
/// of the largest one.
fn close(found: &[f32], reference: &[f32], part: f32, natural: f32, what: &str) -> Result<(), TestCaseError> {
    let bound = part * largest(reference).max(natural);
    prop_assert_eq!(found.len(), reference.len());
    for (found, reference) in found.iter().zip(reference) {
        prop_assert!(
            (found - reference).abs() <= bound,
            "{what}: {found} and {reference}, {bound} apart at most"
        );
    }
    Ok(())
}

/// Holds the output of both versions, and the gradients of their inputs for drawn weights of the output, against each other.
/// Each input comes with the natural size of its gradient.
fn agree<const D: usize, const N: usize>(
    [fused, reference]: [Tensor<D>; 2],
    inputs: &[(&Tensor<N>, f32)],
    part: f32,
    natural: f32,
) -> Result<(), TestCaseError> {
    let weights = normal(fused.dims(), 1.0);
    let said = |output: Tensor<D>| {
        let gradients = (output.clone() * weights.clone()).sum().backward();
        let of_inputs = inputs
            .iter()
            .map(|(input, _)| numbers(input.grad(&gradients).unwrap()));
        (numbers(output), of_inputs.collect::<Vec<_>>())
    };
    let (fused, reference) = (said(fused), said(reference));
    close(&fused.0, &reference.0, part, natural, "output")?;
    for ((fused, reference), (_, natural)) in fused.1.iter().zip(&reference.1).zip(inputs) {
        close(fused, reference, part, *natural, "gradient")?;
    }
    Ok(())
}

/// The same cases in every run: a gate is not the place to look for new ones.
fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 40,
        rng_seed: RngSeed::Fixed(240_409_610),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn gelu_is_its_primitive_version(
        layout in layout(), rows in 1_usize..40, width in 1_usize..700, size in size(),
    ) {
        let x = whole(layout, [rows, width], size);
        let versions = [gelu(layout.view(&x)), gelu_primitive(layout.view(&x))];
        // The primitive version cancels below zero: absolute precision, by the size of values.
        agree(versions, &[(&x, 1.0)], 1e-6, size)?;
    }

    #[test]
    fn layer_norm_is_its_primitive_version(
        layout in layout(), rows in 1_usize..40, width in 8_usize..700, size in size(),
    ) {
        let x = whole(layout, [rows, width], size);
        let [gamma, beta] = [0, 1].map(|_| normal([width], 1.0));
        let versions = [layer_norm, layer_norm_primitive].map(|f| f(layout.view(&x), gamma.clone(), beta.clone(), 1e-12));
        agree(versions, &[(&x, 1.0 / size)], 1e-5, 1.0)?;
    }

    #[test]
    fn linear_is_its_primitive_version(
        layout in layout(), rows in 1_usize..80, d_input in 1_usize..600, d_output in 1_usize..200, size in size(), is_biased: bool,
    ) {
        let x = whole(layout, [rows, d_input], size);
        let weight = normal([d_input, d_output], 1.0);
        let bias = is_biased.then(|| normal([d_output], size));
        let versions = [
            linear(layout.view(&x), weight.clone(), bias.clone()),
            module::linear(layout.view(&x), weight, bias),
        ];
        agree(versions, &[(&x, root(d_output))], 2e-6, size * root(d_input))?;
    }

    /// The formula of [`lora_linear`], with masks on activations and not on factors.
    #[test]
    fn the_masked_linear_is_its_formula(
        layout in layout(), batch in 1_usize..9, seq in 1_usize..20, d_input in 1_usize..200, d_output in 1_usize..200,
        rank in 1_usize..20, group in 1_usize..9, size in size(), sides in any::<[bool; 3]>(),
    ) {
        let groups = batch.min(group);
        let x = whole(layout, [batch * seq, d_input], size);
        let rows = || layout.view(&x).reshape([batch, seq, d_input]);
        let weight = normal([d_input, d_output], 1.0);
        let (a, b) = (normal([d_input, rank], 1.0).require_grad(), normal([rank, d_output], 1.0).require_grad());
        // Zeros and twos: masks of p = 1/2, rescaled.
        let mask = |is_there: bool, width: usize| {
            is_there.then(|| normal([groups, width], 1.0).greater_elem(0.0).float() * 2.0)
        };
        let masks = KeepMasks {
            input: mask(sides[0], d_input),
            output: mask(sides[1], d_output),
            rank: mask(sides[2], rank),
        };
        // The group of a row: ⌊row · groups / batch⌋.
        let of_rows = |mask: &Option<Tensor<2>>, width: usize| -> Tensor<3> {
            let rows = (0..batch).map(|row| match mask {
                Some(mask) => mask.clone().narrow(0, row * groups / batch, 1),
                None => Tensor::ones([1, width], &device()),
            });
            Tensor::cat(rows.collect(), 0).reshape([batch, 1, width])
        };
        let update = (rows() * of_rows(&masks.input, d_input)).matmul(a.clone().unsqueeze());
        let update = (update * of_rows(&masks.rank, rank)).matmul(b.clone().unsqueeze());
        let formula = module::linear(rows(), weight.clone(), None) + update * of_rows(&masks.output, d_output) * 0.5;
        let branch = LowRankBranch {
            a: a.clone(), b: b.clone(), scale: 0.5, masks: Some(masks), factor_noise: None, input_noise: None, group_tokens: None,
        };
        let fused = lora_linear(rows(), weight, None, branch);
        let of_factors = size * root(batch * seq * d_input.max(d_output));
        let inputs = [(&x, root(d_output * rank)), (&a, of_factors), (&b, of_factors)];
        agree([fused, formula], &inputs, 3e-6, size * root(d_input * rank))?;
    }

    #[test]
    fn attention_is_its_formula(
        batch in 1_usize..4, n_heads in 1_usize..5, seq in 1_usize..50, seq_key in 1_usize..50, d_head in 1_usize..70,
        size in 0.01_f32..2.0, is_biased: bool, is_projected: bool,
    ) {
        // As a projection writes it, or as rotary embedding does.
        let whole = |seq: usize, size: f32| {
            let shape = if is_projected { [batch, seq, n_heads, d_head] } else { [batch, n_heads, seq, d_head] };
            normal(shape, size).require_grad()
        };
        let heads = |whole: &Tensor<4>| if is_projected { whole.clone().swap_dims(1, 2) } else { whole.clone() };
        let [query, key, value] = [whole(seq, size), whole(seq_key, size), whole(seq_key, 1.0)];
        let bias = is_biased.then(|| normal([batch, 1, 1, seq_key], 1.0));
        let scale = 1.0 / (d_head as f64).sqrt();
        let fused = scaled_attention(heads(&query), heads(&key), heads(&value), bias.clone(), scale);
        let scores = heads(&query).matmul(heads(&key).swap_dims(2, 3)).mul_scalar(scale);
        let scores = match bias {
            Some(bias) => scores + bias,
            None => scores,
        };
        let formula = softmax(scores, 3).matmul(heads(&value));
        agree([fused, formula], &[(&query, 1.0), (&key, 1.0), (&value, 1.0)], 1e-5, 1.0)?;
    }
}

/// Of a sum of so many values of size 1, the size.
fn root(count: usize) -> f32 {
    (count as f32).sqrt()
}
