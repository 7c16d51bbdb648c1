//! `cargo fuzz run chat_template --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::models::chat_template(bytes));
