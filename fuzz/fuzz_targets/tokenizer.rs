//! `cargo fuzz run tokenizer --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::models::tokenizer(bytes));
