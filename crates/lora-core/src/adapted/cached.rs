//! A model with the hidden states that it need not compute again.

use std::collections::HashSet;

use burn::module::ParamId;

use super::Adapted;
use crate::frozen::FrozenStates;
use crate::model::Model;

/// A model, and the hidden states that it need not compute again.
#[derive(Clone, Copy, Debug)]
pub struct CachedModel<'a, M> {
    /// The model.
    pub adapted: &'a Adapted<M>,
    /// Of the rows of the data set that it is run over.
    pub states: Option<&'a FrozenStates>,
}

impl<'a, M> From<&'a Adapted<M>> for CachedModel<'a, M> {
    /// Nothing is known.
    fn from(adapted: &'a Adapted<M>) -> Self {
        Self {
            adapted,
            states: None,
        }
    }
}

impl<M: Model> Adapted<M> {
    /// Room for the hidden states of rows of these lengths in tokens; `None` where the lowest layer is trained, or where a model has
    /// no layers to tell apart.
    pub fn frozen_states(&self, lengths: &[usize]) -> Option<FrozenStates> {
        let layers = frozen_layers(self);
        (layers > 0).then(|| FrozenStates::new(layers, identity(&self.model), lengths))
    }

    /// Whether the states are of this model, and of nothing in it that is trained.
    pub fn owns(&self, states: &FrozenStates) -> bool {
        states.model() == identity(&self.model) && states.layers() <= frozen_layers(self)
    }

    /// The model, which takes hidden states below what is trained from `states` and leaves them there.
    ///
    /// # Panics
    ///
    /// Panics if the states are another model's, or of layers that are trained.
    pub fn with_states<'a>(&'a self, states: Option<&'a FrozenStates>) -> CachedModel<'a, M> {
        assert!(
            states.is_none_or(|states| self.owns(states)),
            "hidden states of another model, or of layers that are trained"
        );
        CachedModel {
            adapted: self,
            states,
        }
    }
}

fn frozen_layers<M: Model>(adapted: &Adapted<M>) -> usize {
    let mut trained = HashSet::new();
    adapted.visit_trained(&mut |parameter| {
        trained.insert(parameter.param.id());
    });
    adapted.model.frozen_layers(&trained)
}

/// Of a loaded model: clones, and what training makes of it, share it.
fn identity<M: Model>(model: &M) -> ParamId {
    let mut first = None;
    model.visit_linears(&mut |linear| {
        first.get_or_insert(linear.base.weight.id);
    });
    first.expect("an adapted model has a linear")
}
