//! `cargo fuzz run lora_dropout --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::adapters::lora_dropout(bytes));
