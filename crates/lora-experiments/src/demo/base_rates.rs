//! What a model is worth that reads no text: it answers every row with the class frequencies of the training rows.

use lora_eval::calibration::Binning;
use lora_eval::{ClassProbabilities, Scores};
use lora_pipeline::error::Result;
use serde::{Deserialize, Serialize};

use super::data::{DemoData, DemoPart};
use super::plan::Plan;

/// Its scores with one seed's training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaseRates {
    /// The seed.
    pub seed: u64,
    /// In the domain of training.
    pub test: Scores,
    /// In the other domain.
    pub shifted: Scores,
}

/// The base rates of every seed.
///
/// # Errors
///
/// If the plan asks for more rows than there are.
pub fn base_rates(data: &DemoData, plan: &Plan) -> Result<Vec<BaseRates>> {
    let of_seed = |&seed: &u64| -> Result<BaseRates> {
        let [train, _] = data.draw(plan, seed)?;
        let rates = frequencies(train.labels());
        let scores = |part: &DemoPart| -> Result<Scores> {
            let rows = part.labels().len();
            let probabilities = ClassProbabilities::new(rows, rates.len(), rates.repeat(rows))?;
            Ok(Scores::of(&probabilities, part.labels(), Binning::default())?)
        };
        Ok(BaseRates {
            seed,
            test: scores(&data.test)?,
            shifted: scores(&data.shifted)?,
        })
    };
    plan.seeds.iter().map(of_seed).collect()
}

/// The share of each of the three classes.
fn frequencies(labels: &[usize]) -> Vec<f64> {
    let count = |class: usize| labels.iter().filter(|label| **label == class).count();
    (0..3)
        .map(|class| count(class) as f64 / labels.len() as f64)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_its_share_of_the_rows() {
        assert_eq!(frequencies(&[2, 0, 2, 2]), [0.25, 0.0, 0.75]);
    }
}
