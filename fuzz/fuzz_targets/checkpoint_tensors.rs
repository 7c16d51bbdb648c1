//! `cargo fuzz run checkpoint_tensors --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::documents::checkpoint_tensors(bytes));
