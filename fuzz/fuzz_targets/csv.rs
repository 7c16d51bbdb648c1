//! `cargo fuzz run csv --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::rows::csv(bytes));
