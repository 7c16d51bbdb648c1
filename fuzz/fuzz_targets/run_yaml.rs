//! `cargo fuzz run run_yaml --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::documents::run_yaml(bytes));
