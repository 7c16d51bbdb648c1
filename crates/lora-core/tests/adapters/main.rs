//! Adapters against the equations, the files of PEFT, and each other.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic")]

mod any_module;
mod attaching;
mod bank;
mod combining;
mod equation;
mod exported;
mod forms;
mod fp32_precision;
mod masks;
mod peft_folder;
mod peft_goldens;
mod posterior_folder;
mod support;
mod tables;
