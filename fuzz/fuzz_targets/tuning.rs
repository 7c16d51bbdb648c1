//! `cargo fuzz run tuning --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::adapters::tuning(bytes));
