//! `cargo fuzz run sweep_results --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::documents::sweep_results(bytes));
