//! The tables of a report.

use lora_eval::detection::Doubt;
use lora_eval::glue::GlueMetric;
use lora_pipeline::error::Result;
use lora_report::{Better, Cell, Column, Table};
use serde_json::Value;

use super::against::Comparison;
use super::choice::{Contender, Family, varied};
use super::measure::{Measure, metric_name};
use super::results::{Study, Variant};

/// How calibration errors are computed, for notes.
pub const ECE_RULE: &str = "15 equal bins, (lo, hi]";

/// A study with its contenders and how each compares with the reference.
#[derive(Debug)]
pub struct Judged<'a> {
    /// The study.
    pub study: Study<'a>,
    /// Its contenders.
    pub contenders: Vec<Contender<'a>>,
    /// For each contender the comparison without and with temperature; none for the reference itself.
    pub comparisons: Vec<[Option<Comparison>; 2]>,
    /// What the others are compared with.
    pub reference: Family,
}

impl Judged<'_> {
    /// Whether labels are numbers.
    pub fn is_regression(&self) -> bool {
        self.metric() == Some(GlueMetric::PearsonAndSpearman)
    }

    /// What the task is scored by.
    pub fn metric(&self) -> Option<GlueMetric> {
        let first = self.study.variants.first()?;
        Some(first.cells.first()?.1.metric)
    }

    /// The contender of a family with its comparison.
    pub fn find(&self, family: &Family) -> Option<(&Contender<'_>, &[Option<Comparison>; 2])> {
        let place = self
            .contenders
            .iter()
            .position(|contender| contender.family == *family)?;
        Some((&self.contenders[place], &self.comparisons[place]))
    }

    fn has_shifted(&self) -> bool {
        let mut results = self.study.variants.iter().flat_map(Variant::results);
        results.any(|result| result.shifted.is_some())
    }

    /// Seeds, at most.
    pub fn seeds(&self) -> usize {
        let counts = self.study.variants.iter().map(|variant| variant.cells.len());
        counts.max().unwrap_or(0)
    }
}

/// The tables of one study, by what they tell.
pub struct StudyTables {
    /// Scores without and with temperature.
    pub scores: Vec<Table>,
    /// Shifted rows, where there are any.
    pub shifted: Option<Table>,
    /// What was chosen, and what it takes.
    pub costs: Table,
}

impl StudyTables {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Table> {
        let more = self.shifted.iter().chain([&self.costs]);
        self.scores.iter().chain(more)
    }
}

/// The tables of one study.
///
/// # Errors
///
/// If a score is not finite.
pub fn of_study(judged: &Judged<'_>) -> Result<StudyTables> {
    let one_seed = judged.seeds() < 2;
    let marked = |table: Table| if one_seed { table.without_marks() } else { table };
    let mut all = vec![marked(scores(judged, false)?)];
    if !judged.is_regression() {
        all.push(marked(scores(judged, true)?));
    }
    let shifted = judged.has_shifted().then(|| shifted(judged)).transpose()?;
    Ok(StudyTables {
        scores: all,
        shifted: shifted.map(marked),
        costs: marked(costs(judged)?),
    })
}

fn scores(judged: &Judged<'_>, is_scaled: bool) -> Result<Table> {
    let mut columns: Vec<(Column, Measure)> = Vec::new();
    let mut add =
        |name: &str, better, decimals, measure| columns.push((Column::new(name, better, decimals), measure));
    let metric = judged.metric().unwrap_or(GlueMetric::Accuracy);
    let (lower, higher) = (Better::Lower, Better::Higher);
    // What is compared stands first, and behind it how it compares.
    let loss = if judged.is_regression() { "MSE" } else { "NLL" };
    add(loss, lower, 3, Measure::Loss);
    if judged.is_regression() {
        add("Pearson", higher, 3, Measure::Pearson);
        add("Spearman", higher, 3, Measure::Spearman);
        add("MSE, test − train", lower, 3, Measure::LossGap);
    } else {
        if metric != GlueMetric::Accuracy {
            add(metric_name(metric), higher, 3, Measure::Metric);
        }
        add("accuracy", higher, 3, Measure::Accuracy);
        add("ECE", lower, 3, Measure::Ece);
        add("adaptive ECE", lower, 3, Measure::AdaptiveEce);
        add("Brier", lower, 3, Measure::Brier);
        add("AURC", lower, 3, Measure::Aurc);
        if is_scaled {
            add("T", Better::None, 2, Measure::Temperature);
        } else {
            add("NLL, test − train", lower, 3, Measure::LossGap);
            add("accuracy, train − test", lower, 3, Measure::AccuracyGap);
        }
    }
    let title = if is_scaled {
        format!(
            "{}: test rows, each method with its temperature",
            judged.study.title()
        )
    } else {
        format!("{}: test rows", judged.study.title())
    };
    let mut headings: Vec<Column> = columns.iter().map(|(column, _)| column.clone()).collect();
    let against = [
        Column::new(format!("{loss} − reference's"), Better::None, 3).with_unit("95 %"),
        Column::new("verdict", Better::None, 0),
        Column::new("p", Better::None, 4),
    ];
    headings.splice(1..1, against);
    let mut table = Table::new(title, "method", headings).with_note(note(judged, loss));
    for (contender, comparisons) in judged.contenders.iter().zip(&judged.comparisons) {
        let Some(variant) = contender.variant(is_scaled) else {
            continue;
        };
        let mut cells = columns
            .iter()
            .map(|(_, measure)| measure.cell(variant, is_scaled))
            .collect::<Result<Vec<_>>>()?;
        let against = match &comparisons[usize::from(is_scaled)] {
            None if contender.family == judged.reference => {
                [Cell::Empty, Cell::text("reference"), Cell::Empty]
            }
            None => [Cell::Empty, Cell::Empty, Cell::Empty],
            Some(comparison) => against_cells(comparison),
        };
        cells.splice(1..1, against);
        table.push(contender.family.name(), cells);
    }
    Ok(table)
}

fn note(judged: &Judged<'_>, loss: &str) -> String {
    let seeds = match judged.seeds() {
        1 => "one seed".to_owned(),
        many => format!("mean ± std over {many} seeds"),
    };
    let rule = if judged.is_regression() {
        String::new()
    } else {
        format!(" NLL in nats; ECE is a fraction, {ECE_RULE}; adaptive ECE has 15 bins of equal mass.")
    };
    format!(
        "{seeds}. {loss} − reference's: with a 95 % interval over rows and seeds; p of a paired permutation test over rows.{rule}"
    )
}

fn against_cells(comparison: &Comparison) -> [Cell; 3] {
    let interval = &comparison.interval;
    [
        Cell::interval(interval.difference, [interval.lower, interval.upper]),
        Cell::text(comparison.verdict.word()),
        Cell::value(comparison.p_value),
    ]
}

fn shifted(judged: &Judged<'_>) -> Result<Table> {
    let columns = [
        ("accuracy", Better::Higher, Measure::ShiftedAccuracy),
        ("NLL", Better::Lower, Measure::ShiftedLoss),
        ("ECE", Better::Lower, Measure::ShiftedEce),
        (
            "AUROC, confidence",
            Better::Higher,
            Measure::Auroc(Doubt::Confidence),
        ),
        (
            "AUROC, entropy",
            Better::Higher,
            Measure::Auroc(Doubt::PredictiveEntropy),
        ),
        (
            "AUROC, mutual information",
            Better::Higher,
            Measure::Auroc(Doubt::MutualInformation),
        ),
        (
            "FPR95, confidence",
            Better::Lower,
            Measure::Fpr95(Doubt::Confidence),
        ),
    ];
    let has = |measure: Measure| {
        let mut results = judged.study.variants.iter().flat_map(Variant::results);
        results.any(|result| measure.of(result, false).is_some())
    };
    let columns: Vec<_> = columns
        .into_iter()
        .filter(|(_, _, measure)| has(*measure))
        .collect();
    let headings = columns
        .iter()
        .map(|(name, better, _)| Column::new(*name, *better, 3));
    let title = format!("{}: shifted or out-of-scope rows", judged.study.title());
    let mut table = Table::new(title, "method", headings.collect()).with_note(
        "AUROC: how well doubt tells these rows from the test rows, 0.5 is chance. FPR95: the share of these rows that is accepted \
         where 95 % of the test rows are. Without temperature.",
    );
    for contender in &judged.contenders {
        if let Some(variant) = contender.variant(false) {
            let cells = columns.iter().map(|(_, _, measure)| measure.cell(variant, false));
            table.push(contender.family.name(), cells.collect::<Result<_>>()?);
        }
    }
    Ok(table)
}

fn costs(judged: &Judged<'_>) -> Result<Table> {
    let columns = vec![
        Column::new("chosen", Better::None, 0),
        Column::new("chosen with T", Better::None, 0),
        Column::new("of", Better::None, 0),
        Column::new("members", Better::None, 0),
        Column::new("training", Better::None, 1).with_unit("s"),
        Column::new("predicting", Better::None, 2).with_unit("s"),
        Column::new("peak memory", Better::None, 0).with_unit("MB"),
    ];
    let title = format!("{}: choices and costs", judged.study.title());
    let mut table = Table::new(title, "method", columns).with_note(
        "Chosen: by the mean loss of the validation rows over seeds; of so many. Training: of all members. Predicting: the test rows \
         once, all members; those of a deep ensemble one by one. Both are wall times, with several trainings at once if the sweep was \
         called so. Who had more settings to choose from took more trainings than the table shows.",
    );
    for contender in &judged.contenders {
        let Some(variant) = contender.variant(false) else {
            continue;
        };
        let memory = variant
            .results()
            .map(|result| Some(result.peak_memory? as f64 / 1e6));
        let memory: Option<Vec<f64>> = memory.collect();
        let most = memory.and_then(|values| values.into_iter().reduce(f64::max));
        let words = |is_scaled: bool| {
            let variant = contender.variant(is_scaled);
            variant.map_or(Cell::Empty, |variant| {
                Cell::text(choice_words(&judged.study, variant))
            })
        };
        table.push(
            contender.family.name(),
            vec![
                words(false),
                words(true),
                Cell::value(contender.candidates as f64),
                Cell::value(variant.prediction.members() as f64),
                Measure::TrainingSeconds.cell(variant, false)?,
                Measure::PredictingSeconds.cell(variant, false)?,
                most.map_or(Cell::Empty, Cell::value),
            ],
        );
    }
    Ok(table)
}

/// The settings of a variant in which its family varies, and its prediction.
pub fn choice_words(study: &Study<'_>, variant: &Variant<'_>) -> String {
    let family = Family::of(variant);
    let kin: Vec<Variant<'_>> = study
        .variants
        .iter()
        .filter(|other| Family::of(other) == family)
        .cloned()
        .collect();
    let mut words: Vec<String> = varied(&kin)
        .iter()
        .map(|key| match variant.setting(key) {
            None => format!("{key} as usual"),
            Some(Value::String(word)) => format!("{key} {word}"),
            Some(value) => format!("{key} {value}"),
        })
        .collect();
    words.push(variant.prediction.label());
    words.join(", ")
}
