//! Several adapters on one model, chosen row by row.

use burn::module::Module;
use thiserror::Error;

use crate::model::Linears;
use crate::peft::{AdapterError, AdapterFolder};

/// A model with several adapters of which every row of a batch uses one, or none: the base model is in memory once, and one
/// pass serves rows of different tasks (PEFT's `adapter_names`). All passes are mean passes.
///
/// Every linear sorts its rows by adapter, so a batch costs what its parts would cost alone.
#[derive(Clone, Debug)]
pub struct AdapterBank<M> {
    model: M,
    names: Vec<String>,
}

/// Rows that cannot be served, or an adapter that cannot be added.
#[derive(Debug, Error)]
pub enum BankError {
    /// A name that is taken.
    #[error("the bank holds an adapter named `{name}` already; give another name")]
    Taken {
        /// The name.
        name: String,
    },
    /// A name that no adapter has.
    #[error("the bank holds no adapter named `{name}`; it holds {}", names.join(", "))]
    Unknown {
        /// The name.
        name: String,
        /// All names.
        names: Vec<String>,
    },
    /// The folder does not fit the model.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

impl<M: Module + Linears> AdapterBank<M> {
    /// A bank without adapters. The model is used as it is by rows that choose none.
    pub fn new(model: M) -> Self {
        Self {
            model,
            names: Vec::new(),
        }
    }

    /// Adds the adapter of a folder. Heads must have the shapes of the model's.
    ///
    /// # Errors
    ///
    /// [`BankError::Taken`], [`BankError::Adapter`].
    ///
    /// # Panics
    ///
    /// Never: a model and its clone have the same linears.
    pub fn add(&mut self, name: &str, folder: &AdapterFolder) -> Result<(), BankError> {
        if self.names.iter().any(|known| known == name) {
            return Err(BankError::Taken {
                name: name.to_owned(),
            });
        }
        let adapted = folder.attach_to(self.model.clone())?;
        let mut choices = Vec::new();
        adapted
            .model
            .visit_linears(&mut |linear| choices.push(linear.as_choice()));
        let mut choices = choices.into_iter();
        self.model.visit_linears_mut(&mut |linear| {
            linear.add_choice(choices.next().expect("both models have the same linears"));
        });
        self.names.push(name.to_owned());
        Ok(())
    }

    /// The names of the adapters, in the order in which they were added.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The model: run it with [`Pass::Chosen`](crate::Pass::Chosen) and the rows of [`AdapterBank::rows`].
    pub fn model(&self) -> &M {
        &self.model
    }

    /// For each row the number of its adapter; `None` is the base model.
    ///
    /// # Errors
    ///
    /// [`BankError::Unknown`].
    pub fn rows(&self, names: &[Option<&str>]) -> Result<Vec<Option<usize>>, BankError> {
        let number = |name: &str| {
            let found = self.names.iter().position(|known| known == name);
            found.ok_or_else(|| BankError::Unknown {
                name: name.to_owned(),
                names: self.names.clone(),
            })
        };
        names.iter().map(|name| name.map(number).transpose()).collect()
    }
}
