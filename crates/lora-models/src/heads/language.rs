//! Language models' heads: logits over the vocabulary for every token.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use lora_core::tensors::HostTensor;
use lora_core::{LoraLinear, Pass};
use lora_kernels::{LinearWeight, linear};

use super::{HeadTransform, rows_of_tokens};
use crate::backbone::Backbone;
use crate::blocks::{VisitLinears, linears_of};
use crate::error::LoadError;
use crate::families::{MaskedLmNames, ModelSpec};
use crate::weights::{Bias, Scope};

/// `decoder(transform(hidden))`: the token behind a mask (Devlin et al. 2018). Names are the family's.
#[derive(Module, Debug)]
pub struct MaskedLmHead {
    /// From `d_model` to `d_embedding`.
    pub transform: HeadTransform,
    /// From `d_embedding` to the vocabulary.
    pub decoder: Decoder,
    #[module(skip)]
    names: MaskedLmNames,
}

linears_of!(MaskedLmHead: transform, decoder);

/// `decoder(hidden)`: the next token.
#[derive(Module, Debug)]
pub struct CausalLmHead {
    /// From `d_model` to the vocabulary, at `lm_head`.
    pub decoder: Decoder,
}

linears_of!(CausalLmHead: decoder);

/// A linear to the vocabulary.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a model")]
pub enum Decoder {
    /// The transposed table of token embeddings: no tensor of its own but the bias.
    Tied(TiedDecoder),
    /// A linear of its own.
    Own(LoraLinear),
}

/// What a tied decoder has beside the table.
#[derive(Module, Debug)]
pub struct TiedDecoder {
    /// `[vocab_size]`.
    bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    path: &'static str,
}

impl TiedDecoder {
    /// Where the decoder would be, had it a tensor of its own.
    pub fn path(&self) -> &'static str {
        self.path
    }
}

impl MaskedLmHead {
    /// The head of a family; what is missing starts from the seed.
    ///
    /// # Errors
    ///
    /// [`LoadError::Head`] for a family without such a head, [`LoadError::Tensors`].
    pub fn load(spec: &ModelSpec, backbone: &Backbone, at: &Scope<'_>) -> Result<Self, LoadError> {
        let Some(names) = spec.masked_lm else {
            return Err(at.no_head("a masked language model's head"));
        };
        Ok(Self {
            transform: HeadTransform::load(&names.transform, spec.d_embedding, spec, at)?,
            decoder: Decoder::load(names.decoder, names.bias, spec, backbone, at)?,
            names,
        })
    }

    /// Every name that files have for the decoder's bias, adapted or not.
    pub fn bias_names(&self) -> Vec<String> {
        let of_layer = ["bias", "base_layer.bias"].map(|last| format!("{}.{last}", self.names.decoder));
        self.names
            .bias
            .map(str::to_owned)
            .into_iter()
            .chain(of_layer)
            .collect()
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: `[batch · seq, vocab_size]`, row-major
    pub fn forward(&self, hidden: Tensor<3>, backbone: &Backbone, pass: &Pass) -> Tensor<2> {
        let hidden = self.transform.forward(hidden, pass); // [batch, seq, d_embedding]
        rows_of_tokens(self.decoder.forward(hidden, backbone, pass))
    }
}

impl CausalLmHead {
    /// The head at `lm_head`; one that is missing starts from the seed.
    ///
    /// # Errors
    ///
    /// [`LoadError::Tensors`].
    pub fn load(spec: &ModelSpec, backbone: &Backbone, at: &Scope<'_>) -> Result<Self, LoadError> {
        let decoder = Decoder::load("lm_head", None, spec, backbone, at)?;
        Ok(Self { decoder })
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_model]`
    /// - output: `[batch · seq, vocab_size]`, row-major
    pub fn forward(&self, hidden: Tensor<3>, backbone: &Backbone, pass: &Pass) -> Tensor<2> {
        rows_of_tokens(self.decoder.forward(hidden, backbone, pass))
    }
}

impl Decoder {
    fn load(
        path: &'static str,
        bias: Option<&'static str>,
        spec: &ModelSpec,
        backbone: &Backbone,
        at: &Scope<'_>,
    ) -> Result<Self, LoadError> {
        let decoder = at.at(path);
        let vocab_size = spec.vocab_size;
        // An untied decoder has a bias of its own beside the tied one's, which then has no part.
        let own_bias = !spec.tied && decoder.has("bias");
        let bias = match bias {
            Some(name) if own_bias => {
                at.pass_over(name);
                Some(decoder.vector_or_zeros("bias", vocab_size)?)
            }
            Some(name) => Some(at.vector_or_zeros(name, vocab_size)?),
            None => None,
        };
        if spec.tied {
            // Checkpoints that were saved before tensors were shared hold the table and the bias twice.
            decoder.pass_over("bias");
            if let Some(mut own) = decoder.linear_that_fits(spec.d_embedding, vocab_size)? {
                let table = HostTensor::of(backbone.token_embeddings().values.transpose());
                if HostTensor::of(own.base.weight.val()) != table {
                    // Whoever changed one of the two alone did not say so in config.json. Transformers unties them too.
                    own.base.bias = bias;
                    return Ok(Self::Own(own));
                }
            }
            return Ok(Self::Tied(TiedDecoder { bias, path }));
        }
        let mut own = decoder.linear_or_new(spec.d_embedding, vocab_size, Bias::Absent, spec.deviation)?;
        own.base.bias = bias;
        Ok(Self::Own(own))
    }

    /// # Shapes
    ///
    /// - hidden: `[batch, seq, d_embedding]`
    /// - output: `[batch, seq, vocab_size]`
    pub fn forward(&self, hidden: Tensor<3>, backbone: &Backbone, pass: &Pass) -> Tensor<3> {
        match self {
            Self::Tied(tied) => {
                let table = backbone.token_embeddings().transposed(); // [d_embedding, vocab_size]
                linear(hidden, table, tied.bias.as_ref().map(Param::val))
            }
            Self::Own(decoder) => decoder.forward(hidden, pass),
        }
    }

    /// Gives a tied decoder a weight of its own.
    ///
    /// # Shapes
    ///
    /// - table: `[vocab_size, d_embedding]`
    pub fn untie(&mut self, table: LinearWeight) {
        if let Self::Tied(tied) = self {
            let precision = table.precision;
            let own = LoraLinear::new(tied.path, table.widened().transpose(), None);
            let mut own = own.in_precision(precision);
            own.base.bias = tied.bias.take();
            *self = Self::Own(own);
        }
    }

    /// Whether an adapter acts here, whose masks may differ from row to row of a batch.
    pub fn is_adapted(&self) -> bool {
        matches!(self, Self::Own(decoder) if decoder.adapter.is_some())
    }
}

impl VisitLinears for Decoder {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        if let Self::Own(decoder) = self {
            visit(decoder);
        }
    }

    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        if let Self::Own(decoder) = self {
            visit(decoder);
        }
    }
}
