//! `cargo fuzz run pytorch_model --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::models::pytorch_model(bytes));
