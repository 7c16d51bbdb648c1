//! Names of the tensors that belong to no linear: norms, convolutions, single vectors.

use std::any::Any;
use std::collections::HashMap;
use std::sync::Arc;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;

use crate::trained::ParamRef;

/// The Hugging Face names of a model's tensors that belong to no [`LoraLinear`](crate::LoraLinear), by the id of their
/// parameter. Ids stay the same when a module is cloned, moved, trained or mapped, so a model learns its names once, while it
/// is built. A clone shares the table.
#[derive(Clone, Debug, Default)]
pub struct TensorNames(Arc<HashMap<ParamId, String>>);

impl TensorNames {
    /// A table of these names.
    pub fn new(names: impl IntoIterator<Item = (ParamId, String)>) -> Self {
        Self(Arc::new(names.into_iter().collect()))
    }

    /// The name of a parameter.
    pub fn get(&self, id: ParamId) -> Option<&str> {
        self.0.get(&id).map(String::as_str)
    }

    /// These names and those of another table.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let both = self.0.iter().chain(other.0.iter());
        Self::new(both.map(|(id, name)| (*id, name.clone())))
    }

    /// Calls `visit` with every named tensor, in the order of the model.
    pub fn visit<M: Module>(&self, model: &M, visit: &mut dyn FnMut(&str, ParamRef<'_>)) {
        model.visit(&mut Visitor { names: self, visit });
    }
}

struct Visitor<'a> {
    names: &'a TensorNames,
    visit: &'a mut dyn FnMut(&str, ParamRef<'_>),
}

impl ModuleVisitor for Visitor<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let (Some(name), Some(param)) = (self.names.get(param.id), ParamRef::of(param)) {
            (self.visit)(name, param);
        }
    }
}

impl<'a> ParamRef<'a> {
    /// A parameter as files have it; none of another rank than 1 to 3.
    fn of<const D: usize>(param: &'a Param<Tensor<D>>) -> Option<Self> {
        let param: &dyn Any = param;
        let vector = param.downcast_ref().map(Self::Vector);
        vector
            .or_else(|| param.downcast_ref().map(Self::Table))
            .or_else(|| param.downcast_ref().map(Self::Kernel))
    }
}

/// The model with other values for some parameters, which keep their ids. `value` gives the number of elements by id.
pub(crate) fn replace<M: Module>(
    model: M,
    value: &mut dyn FnMut(ParamId) -> Option<burn::tensor::TensorData>,
) -> M {
    model.map(&mut Replace { value })
}

struct Replace<'a> {
    value: &'a mut dyn FnMut(ParamId) -> Option<burn::tensor::TensorData>,
}

impl ModuleMapper for Replace<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match (self.value)(param.id) {
            None => param,
            Some(data) => param.map(|old| {
                let tracked = old.is_require_grad();
                Tensor::from_data(data, &old.device()).set_require_grad(tracked)
            }),
        }
    }
}

/// The model with some more parameters unfrozen.
pub(crate) fn unfreeze<M: Module>(model: M, is_trained: &dyn Fn(ParamId) -> bool) -> M {
    model.map(&mut Unfreeze { is_trained })
}

struct Unfreeze<'a> {
    is_trained: &'a dyn Fn(ParamId) -> bool,
}

impl ModuleMapper for Unfreeze<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if (self.is_trained)(param.id) {
            param.set_require_grad(true)
        } else {
            param
        }
    }
}
