//! `cargo fuzz run sentence_piece --features libfuzzer`
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lora_fuzz::models::sentence_piece(bytes));
