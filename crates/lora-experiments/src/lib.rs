#![doc = include_str!("../README.md")]
//!
//! | module | holds |
//! |---|---|
//! | [`sweep`] | methods, settings, tasks and seeds as a grid, computed once each into one file of results |
//! | [`report`] | the results of sweeps as a page, as Markdown, as CSV, as pictures |
//! | [`compare`] | LoRA, LoRA Dropout and a deep ensemble on the user's own labelled text, and which to use |
//! | [`demo`] | what LoRA Dropout is for, on embedded data |
//! | [`side_by_side`], [`memory`] | trainings at once; how much memory the process took |

pub mod compare;
pub mod demo;
mod errors;
pub mod memory;
pub mod report;
pub mod side_by_side;
pub mod sweep;
