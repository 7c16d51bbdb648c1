//! Whether probabilities can be trusted on the whole: how sure the answers are on average, beside how many are right.

use lora_eval::calibration::ReliabilityBin;
use lora_eval::share_interval;

use super::{INTERVAL_LEVEL, ScoredMethod, TaskScores};
use crate::counted::counted;

/// How sure answers are on average, and how many are right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sureness {
    confidence: f64,
    accuracy: f64,
    answers: u64,
    noun: &'static str,
    verdict: SurenessVerdict,
}

/// What holds beyond chance: whether the interval of the share of right answers excludes the mean confidence.
#[derive(Clone, Copy, Debug)]
enum SurenessVerdict {
    TooSure,
    NotSureEnough,
    NoDifference,
}

impl Sureness {
    /// Of the answers of a way to predict; none where there are no probabilities.
    pub fn of(method: &ScoredMethod) -> Option<Self> {
        Self::of_bins(&method.reliability, noun(&method.scores))
    }

    fn of_bins(bins: &[ReliabilityBin], noun: &'static str) -> Option<Self> {
        let answers: u64 = bins.iter().map(|bin| bin.count).sum();
        let sum = |value: fn(&ReliabilityBin) -> f64| {
            let filled = bins.iter().filter(|bin| bin.count > 0);
            filled.map(|bin| bin.count as f64 * value(bin)).sum::<f64>()
        };
        let (confidence, right) = (sum(|bin| bin.mean_confidence), sum(|bin| bin.accuracy));
        let (confidence, accuracy) = (confidence / answers as f64, right / answers as f64);
        #[expect(clippy::cast_sign_loss, reason = "a count")]
        let right = right.round() as u64;
        // An error: there are no answers.
        let [lower, upper] = share_interval(right, answers, INTERVAL_LEVEL).ok()?;
        let verdict = if confidence > upper {
            SurenessVerdict::TooSure
        } else if confidence < lower {
            SurenessVerdict::NotSureEnough
        } else {
            SurenessVerdict::NoDifference
        };
        Some(Self {
            confidence,
            accuracy,
            answers,
            noun,
            verdict,
        })
    }

    /// Under a reliability diagram.
    pub fn caption(self) -> String {
        let verdict = match self.verdict {
            SurenessVerdict::TooSure => "too sure on the whole".to_owned(),
            SurenessVerdict::NotSureEnough => "not sure enough on the whole".to_owned(),
            SurenessVerdict::NoDifference => format!("no difference beyond chance on {}", self.counted()),
        };
        format!(
            "{:.0} % sure on average, {:.0} % right: {verdict}.",
            100.0 * self.confidence,
            100.0 * self.accuracy
        )
    }

    /// For readers who have seen no diagram.
    pub fn line(self) -> String {
        let verdict = match self.verdict {
            SurenessVerdict::TooSure => "the probabilities promise too much".to_owned(),
            SurenessVerdict::NotSureEnough => "the probabilities promise too little".to_owned(),
            SurenessVerdict::NoDifference => {
                format!(
                    "the probabilities can be trusted on the whole, as far as {} can tell",
                    self.counted()
                )
            }
        };
        format!(
            "{verdict}: the answers are {:.0} % sure on average, and {:.0} % of them are right",
            100.0 * self.confidence,
            100.0 * self.accuracy
        )
    }

    fn counted(self) -> String {
        counted(self.answers as usize, self.noun)
    }
}

/// What a bin counts.
fn noun(scores: &TaskScores) -> &'static str {
    match scores {
        TaskScores::Classification(_) | TaskScores::Regression(_) => "row",
        TaskScores::Words(_) => "word",
        TaskScores::Labels(_) => "decision",
        TaskScores::Spans(_) => "answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_too_sure_or_not_sure_enough_only_beyond_chance() {
        let bin = |count, mean_confidence, accuracy| ReliabilityBin {
            lower: 0.0,
            upper: 1.0,
            count,
            mean_confidence,
            accuracy,
        };
        let said = |bins: &[ReliabilityBin]| {
            let found = Sureness::of_bins(bins, "row");
            found.map_or_else(Default::default, |found| (found.caption(), found.line()))
        };
        // (300 · 0.9 + 100 · 0.5) / 400 = 0.8, and (300 · 0.8 + 100 · 0.4) / 400 = 0.7.
        let (caption, line) = said(&[bin(300, 0.9, 0.8), bin(0, f64::NAN, f64::NAN), bin(100, 0.5, 0.4)]);
        assert_eq!(
            caption,
            "80 % sure on average, 70 % right: too sure on the whole."
        );
        assert_eq!(
            line,
            "the probabilities promise too much: the answers are 80 % sure on average, and 70 % of them are right"
        );
        let (caption, line) = said(&[bin(800, 0.6, 0.75)]);
        assert!(caption.ends_with("not sure enough on the whole."), "{caption}");
        assert!(
            line.starts_with("the probabilities promise too little: "),
            "{line}"
        );
        // Wilson's interval of 19 in 20 is 0.764 to 0.991.
        let (caption, line) = said(&[bin(20, 0.87, 0.95)]);
        assert_eq!(
            caption,
            "87 % sure on average, 95 % right: no difference beyond chance on 20 rows."
        );
        assert!(
            line.starts_with("the probabilities can be trusted on the whole, as far as 20 rows can tell: "),
            "{line}"
        );
        assert_eq!(said(&[]), <(String, String)>::default());
    }
}
