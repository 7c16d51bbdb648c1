//! `cargo fuzz run load_call --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::documents::load_call(bytes));
