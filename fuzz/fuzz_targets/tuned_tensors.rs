//! `cargo fuzz run tuned_tensors --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::adapters::tuned_tensors(bytes));
