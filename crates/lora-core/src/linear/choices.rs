//! The adapters of a bank on one linear, chosen row by row.

use burn::nn::Linear;
use burn::tensor::{Device, Int, Tensor};

use super::{BaseTraining, LoraLinear};
use crate::adapter::Adapter;

/// What one adapter of a bank has in the place of a linear.
#[derive(Clone, Debug)]
pub(crate) struct BankChoice {
    /// The pretrained layer, or what the adapter made of it: a head, a trained bias, what PiSSA left.
    pub base: Linear,
    pub adapter: Option<Adapter>,
}

impl LoraLinear {
    /// What this linear of an adapted model has of its own; `None` if it is the base model's.
    pub(crate) fn as_choice(&self) -> Option<BankChoice> {
        let is_own = self.adapter.is_some() || self.training != BaseTraining::Frozen;
        is_own.then(|| BankChoice {
            base: self.base.clone(),
            adapter: self.adapter.clone(),
        })
    }

    /// Adds the next adapter of a bank.
    pub(crate) fn add_choice(&mut self, choice: Option<BankChoice>) {
        self.choices.push(choice);
    }

    /// Rows of one adapter go through together, and then back to their places. `forward` takes the places of such rows (none
    /// if they are all), the layer and the adapter.
    pub(crate) fn by_choice<const D: usize>(
        &self,
        rows: &[Option<usize>],
        forward: impl Fn(Option<Tensor<1, Int>>, &Linear, Option<&Adapter>) -> Tensor<D>,
    ) -> Tensor<D> {
        // Adapters that leave this linear alone share its base.
        let own = |row: &Option<usize>| row.filter(|number| self.choices[*number].is_some());
        let device = self.base.weight.device();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|row| own(&rows[*row]));
        let mut parts = Vec::new();
        for group in order.chunk_by(|left, right| own(&rows[*left]) == own(&rows[*right])) {
            let places = (group.len() < rows.len()).then(|| indices(group, &device));
            let choice = own(&rows[group[0]]).and_then(|number| self.choices[number].as_ref());
            parts.push(match choice {
                Some(BankChoice { base, adapter }) => forward(places, base, adapter.as_ref()),
                None => forward(places, &self.base, None),
            });
        }
        if parts.len() == 1 {
            return parts.remove(0);
        }
        let mut places = vec![0; order.len()];
        for (place, row) in order.into_iter().enumerate() {
            places[row] = place;
        }
        let output = Tensor::cat(parts, 0);
        assert_eq!(
            rows.len(),
            output.dims()[0],
            "one choice for each row of the batch"
        );
        output.select(0, indices(&places, &device))
    }
}

fn indices(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let rows: Vec<i32> = rows.iter().map(|row| *row as i32).collect();
    Tensor::from_data(rows.as_slice(), device)
}
