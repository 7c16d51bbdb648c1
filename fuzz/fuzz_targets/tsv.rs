//! `cargo fuzz run tsv --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::rows::tsv(bytes));
