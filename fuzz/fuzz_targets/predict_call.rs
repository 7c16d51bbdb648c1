//! `cargo fuzz run predict_call --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::documents::predict_call(bytes));
