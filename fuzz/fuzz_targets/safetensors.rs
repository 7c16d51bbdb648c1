//! `cargo fuzz run safetensors --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::models::safetensors(bytes));
