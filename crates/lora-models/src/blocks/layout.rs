//! How the tokens of a batch lie in the tensors of an encoder, and which of them see each other.

use std::sync::Arc;

use burn::tensor::{Device, Int, Tensor, TensorData};
use lora_core::{Packing, Pass, PassNoise};
use lora_data::Batch;
use lora_kernels::padding_bias;

use super::{attention_mask, token_ids};

/// The tokens of a batch: with their padding, `[batch, seq, ...]`, or packed, `[1, tokens, ...]`.
pub struct Layout<'a> {
    input: &'a Batch,
    pass: Pass<'a>,
    packed: Option<Packed<'a>>,
    device: Device,
}

/// The real tokens alone.
struct Packed<'a> {
    packing: &'a Packing,
    noise: Option<PassNoise>,
    /// One token of each row.
    firsts: Arc<[usize]>,
}

/// What a layer must know of the tokens that it reads, and of all that they see.
pub struct EncoderContext<'a> {
    /// The pass for a tensor of the tokens that are read.
    pub read: Pass<'a>,
    /// The pass for a tensor of all tokens.
    pub all: Pass<'a>,
    /// What hides tokens from each other.
    pub visibility: Visibility<'a>,
}

/// What hides tokens from each other.
#[expect(clippy::large_enum_variant, reason = "there is one in a pass")]
pub enum Visibility<'a> {
    /// `[batch, 1, 1, seq]`, added to scores, hides padding.
    Bias(Tensor<4>),
    /// Rows of so many read tokens, and so many of all; there is no padding.
    Rows([&'a Arc<[usize]>; 2]),
}

impl<'a> EncoderContext<'a> {
    /// All tokens are read, and what they see is said by a bias.
    pub fn of_all(pass: &Pass<'a>, bias: Tensor<4>) -> Self {
        Self {
            read: *pass,
            all: *pass,
            visibility: Visibility::Bias(bias),
        }
    }
}

impl<'a> Layout<'a> {
    /// Packed if there is a packing.
    pub fn new(input: &'a Batch, pass: &Pass<'a>, packing: Option<&'a Packing>, device: &Device) -> Self {
        Self {
            input,
            pass: *pass,
            packed: packing.map(|packing| Packed {
                packing,
                noise: pass.packed_noise(packing),
                firsts: vec![1; packing.batch()].into(),
            }),
            device: device.clone(),
        }
    }

    /// The pass for a tensor of all tokens.
    pub fn pass(&self) -> Pass<'_> {
        let noise = self.packed.as_ref().and_then(|packed| packed.noise.as_ref());
        noise.map_or(self.pass, Pass::Stochastic)
    }

    /// Numbers of each token, such as ids, which are given for each place of the batch.
    ///
    /// # Shapes
    ///
    /// - values: `batch · seq`, row-major
    /// - output: `[batch, seq]` or `[1, tokens]`
    pub fn ids(&self, values: &[i32]) -> Tensor<2, Int> {
        match &self.packed {
            None => token_ids(self.input, values, &self.device),
            Some(packed) => {
                let values = packed.packing.of_tokens(values);
                let shape = [1, values.len()];
                Tensor::from_data(TensorData::new(values, shape), &self.device)
            }
        }
    }

    /// The places 0, 1, 2… of the tokens in their rows: `[1, seq]`, which [`Layout::sharing`] rows share, or `[1, tokens]`.
    pub fn places(&self) -> Tensor<2, Int> {
        if self.packed.is_none() {
            return super::places(self.input, &self.device);
        }
        let of_row = 0..self.input.seq as i32;
        let places: Vec<i32> = (0..self.input.batch).flat_map(|_| of_row.clone()).collect();
        self.ids(&places)
    }

    /// Rows that share the places of [`Layout::places`].
    pub fn sharing(&self) -> usize {
        if self.packed.is_some() {
            1
        } else {
            self.input.batch
        }
    }

    /// What a layer must know that reads all tokens.
    pub fn seen(&self) -> EncoderContext<'_> {
        let all = self.pass();
        EncoderContext {
            read: all,
            all,
            visibility: self.visibility(|packed| packed.packing.lengths()),
        }
    }

    /// What a layer must know that reads the first token of each row, `[batch, 1, d_model]`.
    pub fn seen_by_first(&self) -> EncoderContext<'_> {
        EncoderContext {
            read: self.pass,
            all: self.pass(),
            visibility: self.visibility(|packed| &packed.firsts),
        }
    }

    fn visibility<'b>(&'b self, read: impl FnOnce(&'b Packed<'a>) -> &'b Arc<[usize]>) -> Visibility<'b> {
        match &self.packed {
            None => Visibility::Bias(padding_bias(attention_mask(self.input, &self.device))),
            Some(packed) => Visibility::Rows([read(packed), packed.packing.lengths()]),
        }
    }

    /// The first token of each row, `[batch, 1, d_model]`.
    pub fn first_tokens(&self, hidden: Tensor<3>) -> Tensor<3> {
        match &self.packed {
            None => hidden.narrow(1, 0, 1),
            Some(packed) => packed.packing.first_tokens(hidden),
        }
    }

    /// All tokens at their places, `[batch, seq, d_model]`; of a packed batch, what stands in the place of padding is 0.
    pub fn padded(&self, hidden: Tensor<3>) -> Tensor<3> {
        match &self.packed {
            None => hidden,
            Some(packed) => packed.packing.padded(hidden),
        }
    }
}
