//! Arguments of prediction sets.

use clap::{Args, ValueEnum};
use lora_eval::conformal::ConformityScore;
use lora_pipeline::calibration::SetRequest;

/// Which prediction sets are wanted.
#[derive(Args, Clone, Copy, Debug)]
pub struct SetArgs {
    /// Add sets of classes that hold the true class with this probability, by the validation rows of the training.
    #[arg(long, value_name = "PROBABILITY", value_parser = coverage)]
    coverage: Option<f64>,
    /// How classes are scored for the sets: lac has the smallest ones on average, aps and raps have larger ones for harder texts.
    #[arg(long, value_enum, default_value = "lac", requires = "coverage")]
    conformity: Conformity,
    /// Keep the coverage for each class, not for all rows together.
    #[arg(long, requires = "coverage")]
    per_class: bool,
}

/// How classes are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Conformity {
    /// 1 minus the probability.
    Lac,
    /// The probability of all classes up to this one.
    Aps,
    /// The same with a penalty for classes after the first.
    Raps,
}

impl SetArgs {
    /// In the form of the library.
    pub fn request(&self) -> Option<SetRequest> {
        let score = match self.conformity {
            Conformity::Lac => ConformityScore::Lac,
            Conformity::Aps => ConformityScore::Aps,
            Conformity::Raps => ConformityScore::RAPS,
        };
        self.coverage.map(|coverage| SetRequest {
            coverage,
            score,
            per_class: self.per_class,
        })
    }
}

fn coverage(text: &str) -> Result<f64, String> {
    let coverage = text.parse().ok();
    coverage
        .filter(|coverage| *coverage > 0.0 && *coverage < 1.0)
        .ok_or_else(|| "expected a number above 0 and below 1, as in --coverage 0.9".to_owned())
}
