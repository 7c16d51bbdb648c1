//! `cargo fuzz run calibration --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::adapters::calibration(bytes));
