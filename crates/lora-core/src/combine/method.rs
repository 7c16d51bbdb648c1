//! PEFT's names of methods.

use std::str::FromStr;

use super::{Combination, CombineError, MajoritySign, Rule};

/// PEFT's name of a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CombineMethod {
    name: &'static str,
}

/// PEFT's names.
const METHODS: [&str; 11] = [
    "linear",
    "cat",
    "svd",
    "ties",
    "ties_svd",
    "dare_linear",
    "dare_ties",
    "dare_linear_svd",
    "dare_ties_svd",
    "magnitude_prune",
    "magnitude_prune_svd",
];

impl FromStr for CombineMethod {
    type Err = CombineError;

    fn from_str(text: &str) -> Result<Self, CombineError> {
        let known = METHODS.into_iter().find(|name| *name == text);
        known
            .map(|name| Self { name })
            .ok_or_else(|| CombineError::CombineMethod {
                found: text.to_owned(),
            })
    }
}

impl CombineMethod {
    /// The combination with a density (of what is kept), an election of signs, and a rank.
    ///
    /// # Errors
    ///
    /// [`CombineError::Density`] if the method needs a density and there is none between 0 and 1.
    pub fn with(
        self,
        density: Option<f64>,
        sign: MajoritySign,
        rank: Option<usize>,
    ) -> Result<Combination, CombineError> {
        let (of_factors, on_updates) = match self.name.strip_suffix("_svd") {
            Some(rule) => (rule, true),
            None if self.name == "svd" => ("linear", true),
            None => (self.name, false),
        };
        let density = || match density {
            Some(density) if density > 0.0 && density <= 1.0 => Ok(density),
            found => Err(CombineError::Density {
                method: self.name,
                found,
            }),
        };
        let rule = match of_factors {
            "cat" => return Ok(Combination::Concatenate),
            "ties" => Rule::Ties {
                density: density()?,
                sign,
            },
            "dare_linear" => Rule::DareLinear { density: density()? },
            "dare_ties" => Rule::DareTies {
                density: density()?,
                sign,
            },
            "magnitude_prune" => Rule::MagnitudePrune { density: density()? },
            _ => Rule::Linear,
        };
        Ok(if on_updates {
            Combination::Updates { rule, rank }
        } else {
            Combination::Factors(rule)
        })
    }
}
