//! What goes into the trained maps of a model, and what comes back to them: layer inputs, and the gradients of layer outputs.
//!
//! The gradient of a weight is the product of the two, so they hold more than the gradient does: the gradient of every row of
//! the batch, and the Kronecker factors of the curvature (Martens & Grosse 2015, arXiv 1503.05671).

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use burn::tensor::{Gradients, Tensor};

/// Which map of a linear a tap is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TappedMap {
    /// `x ↦ x A`.
    A,
    /// `u ↦ u B`, where `u = s · x A` carries the scale.
    B,
    /// `x ↦ x W + b`, of a linear that is trained in full or by its bias; the output with what the adapter adds.
    Base,
}

/// The taps of one pass ([`Pass::Tapped`](crate::Pass::Tapped)), which is the mean pass otherwise.
///
/// LoRA's factors and linears that are trained themselves have taps; other forms of adapters, tables and norms have none.
#[derive(Debug, Default)]
pub struct Taps {
    taps: Mutex<BTreeMap<(String, TappedMap), Vec<Tap>>>,
}

/// One use of one map in a pass.
#[derive(Clone, Debug)]
pub struct Tap {
    /// `[batch, tokens, d_input]`, without autodiff.
    pub input: Tensor<3>,
    /// `[batch, tokens, d_output]`: zeros that were added to the output; their gradient is that of the output.
    added: Option<Tensor<3>>,
}

impl Taps {
    /// No taps yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the map of a linear was used in the pass; more than once for a linear that a model shares among its parts.
    pub fn of(&self, path: &str, map: TappedMap) -> Vec<Tap> {
        let taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        taps.get(&(path.to_owned(), map)).cloned().unwrap_or_default()
    }

    /// Notes the input of a map; its output comes back with something added whose gradient can be read.
    pub(crate) fn tap(&self, path: &str, map: TappedMap, input: &Tensor<3>, output: Tensor<3>) -> Tensor<3> {
        let added = output
            .is_tracked()
            .then(|| Tensor::<3>::zeros(output.dims(), &output.device()).require_grad());
        let tap = Tap {
            input: input.clone().inner(),
            added: added.clone(),
        };
        let mut taps = self.taps.lock().unwrap_or_else(PoisonError::into_inner);
        taps.entry((path.to_owned(), map)).or_default().push(tap);
        match added {
            Some(added) => output + added,
            None => output,
        }
    }
}

impl Tap {
    /// `[batch, tokens, d_output]`, the gradient of the map's output; none if the output took no part in what was
    /// differentiated, or the model was not in training mode.
    pub fn output_gradient(&self, gradients: &Gradients) -> Option<Tensor<3>> {
        self.added.as_ref()?.grad(gradients)
    }
}
