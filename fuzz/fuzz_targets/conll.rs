//! `cargo fuzz run conll --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::rows::conll(bytes));
