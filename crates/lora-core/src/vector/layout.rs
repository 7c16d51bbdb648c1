//! Which parameter stands where in a vector, and distributions over such vectors. No model is known here.

use std::collections::HashMap;
use std::ops::Range;

use crate::trained::Role;

/// Which parameter stands where in a vector. Matrices stand as files have them: row-major, PyTorch's orientation
/// `[d_output, d_input]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorLayout {
    slots: Vec<Slot>,
}

/// The place of one parameter in a vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Name, as [`Adapted::visit_trained`](crate::Adapted::visit_trained) gives it.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Its shape in files.
    pub shape: Vec<usize>,
    /// Its values.
    pub range: Range<usize>,
}

/// A distribution over trained parameters, from which members of an ensemble are drawn.
pub trait Posterior {
    /// Which parameters it is about.
    fn layout(&self) -> &VectorLayout;

    /// The parameters of a member, `[layout().len()]`. The same number gives the same parameters, whichever others are drawn.
    fn member(&self, member: u64) -> Vec<f64>;
}

impl VectorLayout {
    /// Places without gaps, in this order.
    pub(super) fn new(slots: Vec<Slot>) -> Self {
        Self { slots }
    }

    /// The places, without gaps.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// How many values a vector has.
    pub fn len(&self) -> usize {
        self.slots.last().map_or(0, |slot| slot.range.end)
    }

    /// Whether a vector has no values.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The places by name.
    pub(super) fn by_name(&self) -> HashMap<&str, &Slot> {
        self.slots.iter().map(|slot| (slot.name.as_str(), slot)).collect()
    }
}
