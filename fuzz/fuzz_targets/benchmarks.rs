//! `cargo fuzz run benchmarks --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::rows::benchmarks(bytes));
