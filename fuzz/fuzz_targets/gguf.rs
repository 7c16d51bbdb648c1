//! `cargo fuzz run gguf --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::models::gguf(bytes));
