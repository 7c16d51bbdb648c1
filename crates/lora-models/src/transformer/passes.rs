//! Passes of a model over one batch: without its padding where that is faster, and what they share computed once.

use std::hash::{DefaultHasher, Hash, Hasher};

use burn::tensor::Tensor;
use lora_core::frozen::FrozenStates;
use lora_core::model::select_rows;
use lora_core::{Packing, Pass};
use lora_data::Batch;
use lora_kernels::packs_rows;

use super::Transformer;
use crate::blocks::{Encoding, Reading, SharedStates, SharedWork, VisitLinears as _};
use crate::heads::{Head, rows_of_tokens};

impl Transformer {
    /// The real tokens of a batch, where these passes over it can do without its padding and are faster so.
    pub(super) fn packing(&self, input: &Batch, passes: &[Pass]) -> Option<Packing> {
        let fits = packs_rows(&self.device())
            && self.backbone.takes_packing()
            && self.head.reads() != Reading::EveryPlace
            && passes.iter().all(Pass::takes_packing);
        fits.then(|| Packing::of_mask(&input.attention_mask, input.seq))
            .flatten()
    }

    /// [`Model::forward_passes`](lora_core::Model::forward_passes).
    pub(super) fn outputs_of(
        &self,
        input: &Batch,
        places: Option<&[usize]>,
        passes: &[Pass],
        states: Option<&FrozenStates>,
    ) -> Vec<Tensor<2>> {
        // That noise acts in every layer.
        if passes.iter().any(|pass| pass.hidden_key().is_some()) {
            let alone = |pass| self.pass_over(input, places, pass, None, None);
            return passes.iter().map(alone).collect();
        }
        let device = self.device();
        let packing = self.packing(input, passes);
        let seq = packing.is_none().then_some(input.seq);
        let known =
            states.and_then(|states| states.of_rows(&input.rows, seq, |row| reading_of(input, row), &device));
        let is_new = known.is_none();
        let mut below = SharedWork {
            trained: states.map(|states| SharedStates {
                layer: states.layers(),
                hidden: known,
            }),
            ..SharedWork::default()
        };
        if passes.len() > 1 {
            below.adapted = SharedStates::below_adapters(|visit| self.backbone.visit_linears(visit));
        }
        let outputs = passes
            .iter()
            .map(|pass| self.pass_over(input, places, pass, packing.as_ref(), Some(&mut below)))
            .collect();
        if let (
            Some(states),
            Some(SharedStates {
                hidden: Some(hidden), ..
            }),
            true,
        ) = (states, &below.trained, is_new)
        {
            states.keep(&input.rows, |row| reading_of(input, row), hidden);
        }
        outputs
    }

    /// Of the places of the output, in one pass.
    pub(super) fn pass_over(
        &self,
        input: &Batch,
        places: Option<&[usize]>,
        pass: &Pass,
        packing: Option<&Packing>,
        below: Option<&mut SharedWork>,
    ) -> Tensor<2> {
        let encode = |reading| {
            let encoding = Encoding {
                reading,
                observe: &mut |_| {},
                below,
                packing,
            };
            self.backbone.encode(input, pass, encoding)
        };
        match (&self.head, places) {
            // An adapter on the decoder needs to know the example that a token belongs to.
            (Head::CausalLm(head), Some(places))
                if !head.decoder.is_adapted() && !matches!(pass, Pass::Chosen(_)) =>
            {
                let hidden = encode(Reading::EveryToken);
                let hidden = select_rows(rows_of_tokens(hidden), places);
                head.forward(hidden.unsqueeze(), &self.backbone, pass)
            }
            (head, places) => {
                let hidden = encode(head.reads());
                let outputs = head.forward(hidden, input, &self.backbone, pass);
                match places {
                    Some(places) => select_rows(outputs, places),
                    None => outputs,
                }
            }
        }
    }
}

/// A number for what a model reads in a row of a batch.
fn reading_of(input: &Batch, row: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    for place in row * input.seq..(row + 1) * input.seq {
        if input.attention_mask[place] > 0.5 {
            (input.input_ids[place], input.token_type_ids[place]).hash(&mut hasher);
        }
    }
    hasher.finish()
}
