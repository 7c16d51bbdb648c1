//! `cargo fuzz run adapter_config --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::adapters::adapter_config(bytes));
