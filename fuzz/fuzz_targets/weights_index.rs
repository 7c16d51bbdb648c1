//! `cargo fuzz run weights_index --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::models::weights_index(bytes));
