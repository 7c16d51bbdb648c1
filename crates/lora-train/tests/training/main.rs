//! Training a small random model: gradients, steps, the loop.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod adalora;
mod fitting;
mod gradients;
mod hidden_key;
mod losses;
mod mask_search;
mod observing;
mod posterior_folders;
mod properties;
mod resuming;
mod steps;
mod swag;
mod toy;
mod variational;
