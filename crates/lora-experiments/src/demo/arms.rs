//! The methods of the demo under its four protocols: as trained, with early stopping, each without and with a temperature.

use lora_pipeline::error::{Context, Result};
use lora_report::Panel;
use serde::Serialize;

use super::preset::{DemoSizes, INPUT_DROPOUT, LORA, LORA_DROPOUT};
use crate::report::against::ReferenceComparison;
use crate::report::choice::{Method, SelectedConfiguration};
use crate::report::curves::epochs;
use crate::report::measure::Measure;
use crate::report::results::{Configuration, Trainings};
use crate::report::tables::TaskComparison;
use crate::sweep::file::Stopping;

/// The methods, in the order of tables and pictures.
pub const ARMS: [Arm; 4] = [
    Arm::mean(LORA),
    Arm::mean(INPUT_DROPOUT),
    Arm::mean(LORA_DROPOUT),
    Arm {
        method: LORA_DROPOUT,
        kind: "ensemble",
    },
];
/// Plain LoRA.
pub const PLAIN: Arm = ARMS[0];
/// The ensemble of LoRA Dropout.
pub const ENSEMBLE: Arm = ARMS[3];

/// A method with a way to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arm {
    method: &'static str,
    kind: &'static str,
}

impl Arm {
    const fn mean(method: &'static str) -> Self {
        Self {
            method,
            kind: "mean pass",
        }
    }

    fn method(self) -> Method {
        Method {
            method: self.method.to_owned(),
            kind: self.kind,
        }
    }

    /// In words.
    pub fn name(self) -> String {
        self.method().name()
    }
}

/// How long a method is trained, and whether its logits are divided by a temperature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Which model of the training predicts.
    pub stopping: Stopping,
    /// Whether with the temperature that validation rows fit.
    pub is_scaled: bool,
}

/// As people's runs go: all epochs, probabilities as they come.
pub const AS_TRAINED: Protocol = Protocol::of(Stopping::Never, false);
/// All four, from the demo's own to the most careful.
pub const PROTOCOLS: [Protocol; 4] = [
    AS_TRAINED,
    Protocol::of(Stopping::Never, true),
    Protocol::of(Stopping::Early, false),
    Protocol::of(Stopping::Early, true),
];

impl Protocol {
    const fn of(stopping: Stopping, is_scaled: bool) -> Self {
        Self { stopping, is_scaled }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match (self.stopping, self.is_scaled) {
            (Stopping::Never, false) => "all epochs",
            (Stopping::Never, true) => "all epochs, with T",
            (Stopping::Early, false) => "early stopping",
            (Stopping::Early, true) => "early stopping, with T",
        }
    }
}

/// The scores of a method, mean over seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArmScores {
    /// The method, and how it predicts.
    pub method: String,
    /// Whether the model of the best validation loss predicts, not that of the last epoch.
    pub early_stopping: bool,
    /// Share of right answers on test rows.
    pub accuracy: Option<f64>,
    /// Loss on test rows, nats.
    pub nll: Option<f64>,
    /// The same with the fitted temperature.
    pub nll_with_temperature: Option<f64>,
    /// Calibration error.
    pub ece: Option<f64>,
    /// Brier score.
    pub brier: Option<f64>,
    /// Loss on training rows, nats.
    pub train_nll: Option<f64>,
}

/// Everything that the page tells.
pub struct Arms<'a> {
    fixed: &'a TaskComparison<'a>,
    stopped: &'a TaskComparison<'a>,
    /// Training and test loss by epoch.
    pub panels: [Panel; 2],
    /// How much data, and how long.
    pub sizes: DemoSizes,
    /// Whether it was a look at the program only.
    pub is_fast: bool,
}

impl<'a> Arms<'a> {
    /// Of the results of the demo's sweep.
    ///
    /// # Errors
    ///
    /// If a method is missing.
    pub fn of(
        judged: &'a [TaskComparison<'a>],
        trainings: &Trainings,
        sizes: DemoSizes,
        is_fast: bool,
    ) -> Result<Self> {
        let with = |stopping: Stopping| {
            let found = judged.iter().find(|judged| judged.task.stopping == stopping);
            found.context("the results lack a rule of stopping")
        };
        let (fixed, stopped) = (with(Stopping::Never)?, with(Stopping::Early)?);
        let mut panels = epochs::test_and_train(fixed, trainings).context(
            "the results have no scores on the way of training; remove them and run the demo again",
        )?;
        let order = |name: &String| ARMS.iter().position(|arm| arm.name() == *name);
        for panel in &mut panels {
            panel.series.sort_by_key(|series| order(&series.name));
        }
        let arms = Self {
            fixed,
            stopped,
            panels,
            sizes,
            is_fast,
        };
        for arm in ARMS {
            arms.selected(arm, Stopping::Never)?;
            arms.selected(arm, Stopping::Early)?;
        }
        Ok(arms)
    }

    fn judged(&self, stopping: Stopping) -> &'a TaskComparison<'a> {
        match stopping {
            Stopping::Never => self.fixed,
            Stopping::Early => self.stopped,
        }
    }

    /// The results of a method.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub fn selected(&self, arm: Arm, stopping: Stopping) -> Result<&'a SelectedConfiguration<'a>> {
        let found = self.judged(stopping).find(&arm.method());
        let (selected, _) = found.with_context(|| format!("the results lack {}", arm.name()))?;
        Ok(selected)
    }

    /// The trials of a method.
    ///
    /// # Errors
    ///
    /// If there are none.
    pub fn configuration(&self, arm: Arm, protocol: Protocol) -> Result<&'a Configuration<'a>> {
        let selected = self.selected(arm, protocol.stopping)?;
        selected
            .configuration(protocol.is_scaled)
            .context("no trial is done")
    }

    /// How a method compares with plain LoRA under the same protocol; none for plain LoRA.
    pub fn comparison(&self, arm: Arm, protocol: Protocol) -> Option<&'a ReferenceComparison> {
        let (_, both) = self.judged(protocol.stopping).find(&arm.method())?;
        both[usize::from(protocol.is_scaled)].as_ref()
    }

    /// The mean over seeds of one number.
    pub fn mean(&self, arm: Arm, protocol: Protocol, measure: Measure) -> Option<f64> {
        measure.mean(self.configuration(arm, protocol).ok()?, protocol.is_scaled)
    }

    /// Every method without and with early stopping.
    pub fn scores(&self) -> Vec<ArmScores> {
        let of = |arm: Arm, stopping: Stopping| {
            let [plain, scaled] = [false, true].map(|is_scaled| Protocol { stopping, is_scaled });
            let mean = |measure| self.mean(arm, plain, measure);
            let nll = mean(Measure::Loss);
            let gap = mean(Measure::LossGap);
            ArmScores {
                method: arm.name(),
                early_stopping: stopping.is_early(),
                accuracy: mean(Measure::Accuracy),
                nll,
                nll_with_temperature: self.mean(arm, scaled, Measure::Loss),
                ece: mean(Measure::Ece),
                brier: mean(Measure::Brier),
                train_nll: nll.zip(gap).map(|(nll, gap)| nll - gap),
            }
        };
        let both = [Stopping::Never, Stopping::Early];
        both.into_iter()
            .flat_map(|stopping| ARMS.map(|arm| of(arm, stopping)))
            .collect()
    }
}
