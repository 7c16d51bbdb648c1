//! `cargo fuzz run run_json --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::documents::run_json(bytes));
