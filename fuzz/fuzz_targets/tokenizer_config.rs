//! `cargo fuzz run tokenizer_config --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::models::tokenizer_config(bytes));
