//! What a model offers to adapters, training and evaluation.

use std::collections::HashSet;

use burn::module::{Module, ParamId};
use burn::tensor::{Int, Tensor};

use crate::frozen::FrozenStates;
use crate::linear::LoraLinear;
use crate::pass::Pass;
use crate::tensor_names::TensorNames;

/// The one traversal over a model's linears. It serves attach, save, load, merge and count.
pub trait Linears {
    /// Calls `visit` with every linear and every table of embeddings, in a fixed order.
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear));

    /// Calls `visit` with every linear, in the same order, to change it.
    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear));

    /// Paths of the linears whose outputs are the model's: left out by "all linear".
    fn heads(&self) -> Vec<String>;

    /// Names of the tensors that belong to no linear; without them, only linears can be tuned.
    fn tensor_names(&self) -> TensorNames {
        TensorNames::default()
    }

    /// Every name that files have for the bias of a masked language model's decoder, adapted or not; none for other models. PEFT
    /// writes the bias under all of them.
    fn bias_of_decoder(&self) -> Vec<String> {
        Vec::new()
    }

    /// The output layer that has the weight of a table of embeddings, and reads it without the table's adapter.
    fn tied(&self) -> Option<Tied> {
        None
    }

    /// Gives that output layer a weight of its own, equal to the table's, so that one of the two can be changed alone.
    fn untie(&mut self) {}
}

/// An output layer and a table of embeddings that are one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tied {
    /// Path of the output layer.
    pub output: String,
    /// Path of the table.
    pub table: String,
}

/// A model that turns an input batch into rows of logits or values, so that losses, metrics and ensembles need know
/// nothing of heads.
///
/// | head | rows | outputs |
/// |---|---|---|
/// | sequence classification, regression | `batch` | classes; 1 for regression |
/// | token classification | `batch · seq`, row-major | classes |
/// | language models | `batch · seq`, row-major | tokens of the vocabulary |
/// | extractive question answering | `2 · batch`: all starts, then all ends | `seq` |
pub trait Model: Module + Linears + Sync {
    /// A batch, on the host.
    type Input;

    /// # Shapes
    ///
    /// - output: `[rows, outputs]`: logits, or `[batch, 1]` values for regression
    fn forward(&self, input: &Self::Input, pass: &Pass) -> Tensor<2>;

    /// Whether all of its blocks take `HiddenKey`'s noise ([`PassNoise::with_hidden_key`](crate::PassNoise::with_hidden_key)); the others ignore it, so training
    /// with it is refused there.
    fn takes_hidden_key(&self) -> bool {
        false
    }

    /// [`Model::forward`] in several passes over one input, as the members of an ensemble make them: its rows at `places`, in the order
    /// given, or all. The passes differ in their masks alone, so a model may compute what lies below its lowest adapter once, and skip
    /// layers whose hidden states are known; it computes no more of the rows than it must.
    ///
    /// # Shapes
    ///
    /// - each output: `[places, outputs]`
    ///
    /// # Panics
    ///
    /// Panics if a place is not a row of the output.
    fn forward_passes(
        &self,
        input: &Self::Input,
        places: Option<&[usize]>,
        passes: &[Pass],
        states: Option<&FrozenStates>,
    ) -> Vec<Tensor<2>> {
        // A model that cannot begin above a layer has no use for them.
        let _ = states;
        let of_pass = |pass| {
            let outputs = self.forward(input, pass);
            match places {
                Some(places) => select_rows(outputs, places),
                None => outputs,
            }
        };
        passes.iter().map(of_pass).collect()
    }

    /// How many of the lowest layers hold none of these parameters, nor anything that depends on them; 0 for models that cannot begin
    /// above a layer.
    fn frozen_layers(&self, trained: &HashSet<ParamId>) -> usize {
        let _ = trained;
        0
    }
}

/// `[rows, width]` of a matrix.
///
/// # Panics
///
/// Panics if the matrix has no such row.
pub fn select_rows(matrix: Tensor<2>, rows: &[usize]) -> Tensor<2> {
    let indices: Vec<i64> = rows.iter().map(|row| *row as i64).collect();
    let indices = Tensor::<1, Int>::from_data(indices.as_slice(), &matrix.device());
    matrix.select(0, indices)
}
