//! `cargo fuzz run completions --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::rows::completions(bytes));
