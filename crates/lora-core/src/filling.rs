//! Trained parameters, filled from a file: the same for every way of tuning, because each names what it trains.

use std::collections::{BTreeMap, HashMap};

use burn::module::Module;

use crate::adapted::Adapted;
use crate::model::Linears;
use crate::peft::AdapterError;
use crate::tensor_names::replace;
use crate::tensors::HostTensor;
use crate::tensors::TensorFile;

impl<M: Module + Linears> Adapted<M> {
    /// The model with other numbers in everything that is trained. `tensor` gives those of a name, which have the given shape, as files
    /// hold them; [`trained_tensors`](crate::peft::trained_tensors) is the way back.
    ///
    /// # Errors
    ///
    /// Those of `tensor`.
    pub fn with_trained<E>(
        self,
        mut tensor: impl FnMut(&str, &[usize]) -> Result<HostTensor, E>,
    ) -> Result<Self, E> {
        let mut values = HashMap::new();
        let mut result = Ok(());
        self.visit_trained(&mut |trained| {
            if result.is_err() {
                return;
            }
            match tensor(&trained.name, &trained.param.file_shape()) {
                Ok(tensor) => {
                    values.insert(trained.param.id(), trained.param.in_memory(tensor));
                }
                Err(error) => result = Err(error),
            }
        });
        result?;
        Ok(self.map(|model| replace(model, &mut |id| values.remove(&id))))
    }
}

/// The tensors of a file that wait for their place in a model.
pub(crate) struct Waiting<'a> {
    file: &'a TensorFile,
    /// Name in the model → name in the file.
    left: BTreeMap<&'a str, &'a str>,
    /// What stands before names in the file.
    prefix: &'static str,
}

impl<'a> Waiting<'a> {
    /// All tensors of a file; `names` tells what the model calls them.
    pub(crate) fn new(
        file: &'a TensorFile,
        names: &'a BTreeMap<String, String>,
        prefix: &'static str,
    ) -> Self {
        let left = names
            .iter()
            .map(|(name, in_file)| (name.as_str(), in_file.as_str()));
        Self {
            file,
            left: left.collect(),
            prefix,
        }
    }

    /// The tensor of a name.
    ///
    /// # Errors
    ///
    /// [`AdapterError::MissingTensor`], [`AdapterError::Number`] for a value that is not finite, [`AdapterError::Tensors`].
    pub(crate) fn read(&self, name: &str) -> Result<HostTensor, AdapterError> {
        let path = || self.file.origin().to_owned();
        let missing = || AdapterError::MissingTensor {
            path: path(),
            name: format!("{}{name}", self.prefix),
        };
        let in_file = *self.left.get(name).ok_or_else(missing)?;
        let tensor = self.file.read(in_file)?.ok_or_else(missing)?;
        match tensor.not_finite() {
            Some(found) => Err(AdapterError::Number {
                path: path(),
                name: in_file.to_owned(),
                found,
                expected: "a finite number: what wrote the file diverged, or the file is damaged",
            }),
            None => Ok(tensor),
        }
    }

    /// The tensor of a name, which must have this shape; it waits no longer.
    ///
    /// # Errors
    ///
    /// Those of [`Waiting::read`], [`AdapterError::Shape`].
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<HostTensor, AdapterError> {
        let tensor = self.read(name)?;
        if tensor.shape != shape {
            return Err(AdapterError::Shape {
                path: self.file.origin().to_owned(),
                name: self.left[name].to_owned(),
                expected: shape.to_vec(),
                found: tensor.shape,
            });
        }
        self.left.remove(name);
        Ok(tensor)
    }

    /// Whether a tensor of this name waits.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// Takes a name for read: another one has stood for the same tensor.
    pub(crate) fn pass_over(&mut self, name: &str) {
        self.left.remove(name);
    }

    /// Gives every trained parameter of a model its tensor.
    ///
    /// # Errors
    ///
    /// As [`Waiting::take`].
    pub(crate) fn fill<M: Module + Linears>(
        &mut self,
        adapted: Adapted<M>,
    ) -> Result<Adapted<M>, AdapterError> {
        adapted.with_trained(|name, shape| self.take(name, shape))
    }

    /// # Errors
    ///
    /// [`AdapterError::UnknownTensor`] if a tensor still waits.
    pub(crate) fn finish(self) -> Result<(), AdapterError> {
        if self.left.is_empty() {
            return Ok(());
        }
        Err(AdapterError::UnknownTensor {
            path: self.file.origin().to_owned(),
            names: self.left.into_values().map(str::to_owned).collect(),
        })
    }
}
