//! The linears of a part of a model: listed once, for the traversal that reads them and for the one that changes them.

use lora_core::{LoraEmbedding, LoraLinear};

/// A part of a model, with its linears in a fixed order.
pub trait VisitLinears {
    /// Calls `visit` with every linear.
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear));

    /// Calls `visit` with every linear, in the same order, to change it.
    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear));
}

/// The linears of a type: those in these fields of a structure, one after the other, or in whichever of these variants it is.
macro_rules! linears_of {
    ($part:ident: $($field:ident),+) => {
        impl $crate::blocks::VisitLinears for $part {
            fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a lora_core::LoraLinear)) {
                $($crate::blocks::VisitLinears::visit_linears(&self.$field, visit);)+
            }

            fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut lora_core::LoraLinear)) {
                $($crate::blocks::VisitLinears::visit_linears_mut(&mut self.$field, visit);)+
            }
        }
    };
    ($part:ident: $($variant:ident)|+) => {
        impl $crate::blocks::VisitLinears for $part {
            fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a lora_core::LoraLinear)) {
                match self {
                    $(Self::$variant(part) => $crate::blocks::VisitLinears::visit_linears(part, visit),)+
                }
            }

            fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut lora_core::LoraLinear)) {
                match self {
                    $(Self::$variant(part) => $crate::blocks::VisitLinears::visit_linears_mut(part, visit),)+
                }
            }
        }
    };
}

pub(crate) use linears_of;

impl VisitLinears for LoraLinear {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        visit(self);
    }

    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        visit(self);
    }
}

linears_of!(LoraEmbedding: table);

impl<T: VisitLinears> VisitLinears for Option<T> {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        if let Some(part) = self {
            part.visit_linears(visit);
        }
    }

    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        if let Some(part) = self {
            part.visit_linears_mut(visit);
        }
    }
}

impl<T: VisitLinears> VisitLinears for Vec<T> {
    fn visit_linears<'a>(&'a self, visit: &mut dyn FnMut(&'a LoraLinear)) {
        for part in self {
            part.visit_linears(visit);
        }
    }

    fn visit_linears_mut(&mut self, visit: &mut dyn FnMut(&mut LoraLinear)) {
        for part in self {
            part.visit_linears_mut(visit);
        }
    }
}
