//! Trained parameters as one vector of values: what a distribution over weights speaks about.

pub(crate) mod layout;

use std::collections::HashMap;

use burn::module::Module;
use burn::tensor::TensorData;
use serde::{Deserialize, Serialize};

use crate::adapted::Adapted;
use crate::model::Linears;
use crate::tensor_names::replace;
use crate::tensors::HostTensor;
use crate::trained::{Role, TrainedParam};

pub use layout::{Posterior, Slot, VectorLayout};

/// Which of the trained parameters a vector holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// All of them.
    #[default]
    Trained,
    /// What adapters are made of: factors, singular values, magnitudes, bottlenecks.
    Adapters,
    /// Modules that are trained in full: the head.
    Head,
}

impl Part {
    /// Whether it holds parameters of this role.
    pub fn holds(self, role: Role) -> bool {
        match self {
            Self::Trained => true,
            Self::Adapters => matches!(
                role,
                Role::A | Role::B | Role::SingularValues | Role::Magnitude | Role::Bottleneck
            ),
            Self::Head => role == Role::Head,
        }
    }
}

impl VectorLayout {
    /// The places of a model's parameters, in the order in which they are visited. Empty if nothing of the part is trained.
    pub fn of<M: Module + Linears>(adapted: &Adapted<M>, part: Part) -> Self {
        Self::of_chosen(adapted, |parameter| part.holds(parameter.role))
    }

    /// As [`VectorLayout::of`], for the parameters that are chosen.
    pub fn of_chosen<M: Module + Linears>(
        adapted: &Adapted<M>,
        is_chosen: impl Fn(&TrainedParam<'_>) -> bool,
    ) -> Self {
        let mut slots = Vec::new();
        let mut start = 0;
        adapted.visit_trained(&mut |parameter| {
            if is_chosen(&parameter) {
                let range = start..start + parameter.param.count();
                start = range.end;
                slots.push(Slot {
                    shape: parameter.param.file_shape(),
                    name: parameter.name,
                    role: parameter.role,
                    range,
                });
            }
        });
        Self::new(slots)
    }

    /// The parameters of a model.
    ///
    /// # Panics
    ///
    /// Panics if the model lacks one: it is not the one that the layout was made of.
    pub fn read<M: Module + Linears>(&self, adapted: &Adapted<M>) -> Vec<f64> {
        let mut vector = vec![f64::NAN; self.len()];
        let mut left = self.by_name();
        adapted.visit_trained(&mut |parameter| {
            if let Some(slot) = left.remove(parameter.name.as_str()) {
                let values = parameter.param.to_file().values.into_iter().map(f64::from);
                vector[slot.range.clone()]
                    .iter_mut()
                    .zip(values)
                    .for_each(|(number, value)| *number = value);
            }
        });
        assert!(
            left.is_empty(),
            "the model lacks parameters of the vector: {left:?}"
        );
        vector
    }

    /// The model with other parameters; the rest is shared. Values are rounded to f32.
    ///
    /// # Panics
    ///
    /// Panics if the vector has another length, or the model lacks a parameter.
    #[must_use]
    pub fn write<M: Module + Linears>(&self, adapted: &Adapted<M>, vector: &[f64]) -> Adapted<M> {
        assert_eq!(
            vector.len(),
            self.len(),
            "one number for each place of the vector"
        );
        let mut left = self.by_name();
        let mut values: HashMap<_, TensorData> = HashMap::new();
        adapted.visit_trained(&mut |parameter| {
            if let Some(slot) = left.remove(parameter.name.as_str()) {
                let tensor = HostTensor {
                    shape: slot.shape.clone(),
                    values: vector[slot.range.clone()]
                        .iter()
                        .map(|value| *value as f32)
                        .collect(),
                };
                values.insert(parameter.param.id(), parameter.param.in_memory(tensor));
            }
        });
        assert!(
            left.is_empty(),
            "the model lacks parameters of the vector: {left:?}"
        );
        adapted
            .clone()
            .map(|model| replace(model, &mut |id| values.remove(&id)))
    }
}
