//! What Hugging Face's encoder configurations take where `config.json` is silent.

use crate::blocks::Activation;

pub fn two() -> usize {
    2
}

pub fn epsilon() -> f64 {
    1e-12
}

pub fn deviation() -> f64 {
    0.02
}

pub fn gelu() -> Activation {
    Activation::Gelu
}

pub fn absolute() -> String {
    "absolute".into()
}

pub fn yes() -> bool {
    true
}
