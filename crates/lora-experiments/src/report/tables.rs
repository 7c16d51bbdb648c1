//! The tables of a report.

use lora_eval::detection::Doubt;
use lora_eval::glue::GlueMetric;
use lora_pipeline::error::Result;
use lora_report::{Better, Cell, Column, Table};

use super::against::ReferenceComparison;
use super::choice::{Method, SelectedConfiguration, of_method, varied};
use super::measure::{Measure, metric_name};
use super::results::{Configuration, TaskResults};
use crate::sweep::record::{SetRecord, TrialResult};
use crate::sweep::settings::in_words;

/// How calibration errors are computed, for notes.
pub const ECE_RULE: &str = "15 equal bins, (lo, hi]";

/// A task with its selected configurations and how each compares with the reference.
#[derive(Debug)]
pub struct TaskComparison<'a> {
    /// The task.
    pub task: TaskResults<'a>,
    /// Its selected configurations.
    pub selected: Vec<SelectedConfiguration<'a>>,
    /// For each selected configuration the comparison without and with temperature; none for the reference itself.
    pub comparisons: Vec<[Option<ReferenceComparison>; 2]>,
    /// What the others are compared with.
    pub reference: Method,
}

impl<'a> TaskComparison<'a> {
    /// Whether labels are numbers.
    pub fn is_regression(&self) -> bool {
        self.metric() == Some(GlueMetric::PearsonAndSpearman)
    }

    /// What the task is scored by.
    pub fn metric(&self) -> Option<GlueMetric> {
        let first = self.task.configurations.first()?;
        Some(first.trials.first()?.1.metric)
    }

    /// The selected configuration of a method with its comparison.
    pub fn find(
        &self,
        method: &Method,
    ) -> Option<(&SelectedConfiguration<'a>, &[Option<ReferenceComparison>; 2])> {
        let place = self
            .selected
            .iter()
            .position(|selected| selected.method == *method)?;
        Some((&self.selected[place], &self.comparisons[place]))
    }

    fn results(&self) -> impl Iterator<Item = &TrialResult> {
        self.task.configurations.iter().flat_map(Configuration::results)
    }

    /// Whether any trial has this number, without temperature.
    fn has(&self, measure: Measure) -> bool {
        self.results().any(|result| measure.of(result, false).is_some())
    }

    /// Seeds, at most.
    pub fn seeds(&self) -> usize {
        let counts = self
            .task
            .configurations
            .iter()
            .map(|configuration| configuration.trials.len());
        counts.max().unwrap_or(0)
    }
}

/// The tables of one task, by what they tell.
pub struct TaskTables {
    /// Scores without and with temperature.
    pub scores: Vec<Table>,
    /// Prediction sets, where they were fitted.
    pub sets: Option<Table>,
    /// Shifted rows, where there are any.
    pub shifted: Option<Table>,
    /// What was chosen, and what it takes.
    pub costs: Table,
}

impl TaskTables {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Table> {
        let more = self.sets.iter().chain(&self.shifted).chain([&self.costs]);
        self.scores.iter().chain(more)
    }
}

/// The tables of one task.
///
/// # Errors
///
/// If a score is not finite.
pub fn of_study(judged: &TaskComparison<'_>) -> Result<TaskTables> {
    let one_seed = judged.seeds() < 2;
    let marked = |table: Table| if one_seed { table.without_marks() } else { table };
    let mut all = vec![marked(scores(judged, false)?)];
    if !judged.is_regression() {
        all.push(marked(scores(judged, true)?));
    }
    let has_shifted = judged.results().any(|result| result.shifted.is_some());
    let shifted = has_shifted.then(|| shifted(judged)).transpose()?;
    let sets = judged.has(Measure::SetSize).then(|| sets(judged)).transpose()?;
    Ok(TaskTables {
        scores: all,
        sets: sets.map(marked),
        shifted: shifted.map(marked),
        costs: marked(costs(judged)?),
    })
}

fn scores(judged: &TaskComparison<'_>, is_scaled: bool) -> Result<Table> {
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
            judged.task.title()
        )
    } else {
        format!("{}: test rows", judged.task.title())
    };
    let mut headings: Vec<Column> = columns.iter().map(|(column, _)| column.clone()).collect();
    let against = [
        Column::new(format!("{loss} − reference's"), Better::None, 3).with_unit("95 %"),
        Column::new("verdict", Better::None, 0),
        Column::new("p", Better::None, 4).with_unit("rows"),
    ];
    headings.splice(1..1, against);
    let mut table = Table::new(title, "method", headings).with_note(note(judged, loss, is_scaled));
    for (selected, comparisons) in judged.selected.iter().zip(&judged.comparisons) {
        let Some(configuration) = selected.configuration(is_scaled) else {
            continue;
        };
        let mut cells = columns
            .iter()
            .map(|(_, measure)| measure.cell(configuration, is_scaled))
            .collect::<Result<Vec<_>>>()?;
        let against = match &comparisons[usize::from(is_scaled)] {
            None if selected.method == judged.reference => {
                [Cell::Empty, Cell::text("reference"), Cell::Empty]
            }
            None => [Cell::Empty, Cell::Empty, Cell::Empty],
            Some(comparison) => against_cells(comparison),
        };
        cells.splice(1..1, against);
        table.push(selected.method.name(), cells);
    }
    Ok(table)
}

/// What a score of so many seeds is.
pub fn over_seeds(seeds: usize) -> String {
    match seeds {
        1 => "one seed".to_owned(),
        many => format!("mean ± std over {many} seeds"),
    }
}

fn note(judged: &TaskComparison<'_>, loss: &str, is_scaled: bool) -> String {
    let seeds = over_seeds(judged.seeds());
    let rule = if judged.is_regression() {
        String::new()
    } else {
        format!(" NLL in nats; ECE is a fraction, {ECE_RULE}; adaptive ECE has 15 bins of equal mass.")
    };
    let temperature = if is_scaled {
        " T: fitted on the validation rows of each seed; 1 where none helped there beyond chance."
    } else {
        ""
    };
    format!(
        "{seeds}. {loss} − reference's: with a 95 % interval over rows and seeds, which gives the verdict (ties: it holds 0); p of a paired \
         permutation test over the rows alone, so it can be small beside a tie.{rule}{temperature}"
    )
}

fn against_cells(comparison: &ReferenceComparison) -> [Cell; 3] {
    let interval = &comparison.interval;
    [
        Cell::interval(interval.difference, [interval.lower, interval.upper]),
        Cell::text(comparison.verdict.word()),
        Cell::value(comparison.p_value),
    ]
}

fn sets(judged: &TaskComparison<'_>) -> Result<Table> {
    let columns = [
        ("coverage", Better::None, 3, Measure::SetCoverage),
        // No mark: the smallest sets may be those that hold the label too rarely.
        ("classes in a set", Better::None, 2, Measure::SetSize),
    ];
    let title = format!(
        "{}: sets of classes that promise to hold the label in {:.0} % of the rows",
        judged.task.title(),
        100.0 * SetRecord::PROMISED
    );
    let note = "LAC, with the thresholds of the validation rows and each method's temperature. Coverage: the share of test rows whose set holds \
         the label; with few validation rows it strays from the promise. At equal coverage the smaller sets say more.";
    measured(judged, &title, note, &columns, true)
}

fn shifted(judged: &TaskComparison<'_>) -> Result<Table> {
    let (lower, higher) = (Better::Lower, Better::Higher);
    let auroc = |name, doubt| (name, higher, 3, Measure::Auroc(doubt));
    let mut columns = vec![
        ("accuracy", higher, 3, Measure::ShiftedAccuracy),
        ("NLL", lower, 3, Measure::ShiftedLoss),
        ("ECE", lower, 3, Measure::ShiftedEce),
        auroc("AUROC, confidence", Doubt::Confidence),
        auroc("AUROC, entropy", Doubt::PredictiveEntropy),
        auroc("AUROC, mutual information", Doubt::MutualInformation),
        ("FPR95, confidence", lower, 3, Measure::Fpr95(Doubt::Confidence)),
    ];
    columns.retain(|(.., measure)| judged.has(*measure));
    let title = format!("{}: shifted or out-of-scope rows", judged.task.title());
    let note = "AUROC: how well doubt tells these rows from the test rows, 0.5 is chance. FPR95: the share of these rows that is accepted \
         where 95 % of the test rows are. Without temperature.";
    measured(judged, &title, note, &columns, false)
}

/// A row for each method that has settings, and its numbers: name, what is better, decimals, which.
fn measured(
    judged: &TaskComparison<'_>,
    title: &str,
    note: &str,
    columns: &[(&str, Better, usize, Measure)],
    is_scaled: bool,
) -> Result<Table> {
    let headings = columns
        .iter()
        .map(|(name, better, decimals, _)| Column::new(*name, *better, *decimals));
    let mut table = Table::new(title, "method", headings.collect()).with_note(note);
    for selected in &judged.selected {
        if let Some(configuration) = selected.configuration(is_scaled) {
            let cells = columns
                .iter()
                .map(|(.., measure)| measure.cell(configuration, is_scaled));
            table.push(selected.method.name(), cells.collect::<Result<_>>()?);
        }
    }
    Ok(table)
}

fn costs(judged: &TaskComparison<'_>) -> Result<Table> {
    let columns = vec![
        Column::new("chosen", Better::None, 0),
        Column::new("chosen with T", Better::None, 0),
        Column::new("of", Better::None, 0),
        Column::new("members", Better::None, 0),
        Column::new("training", Better::None, 1).with_unit("s"),
        Column::new("predicting", Better::None, 2).with_unit("s"),
        Column::new("peak memory", Better::None, 0).with_unit("MB"),
    ];
    let title = format!("{}: choices and costs", judged.task.title());
    let mut table = Table::new(title, "method", columns).with_note(
        "Chosen: by the mean loss of the validation rows over seeds; of so many. Training: of all members. Predicting: the test rows \
         once, all members; those of a deep ensemble one by one. Both are wall times, with several trainings at once if the sweep was \
         called so. Who had more settings to choose from took more trainings than the table shows.",
    );
    for selected in &judged.selected {
        let Some(configuration) = selected.configuration(false) else {
            continue;
        };
        let memory = Measure::PeakMemory.over_seeds(configuration, false);
        let most = memory.and_then(|bytes| bytes.into_iter().map(|bytes| bytes / 1e6).reduce(f64::max));
        let words = |is_scaled: bool| {
            let configuration = selected.configuration(is_scaled);
            configuration.map_or(Cell::Empty, |configuration| {
                Cell::text(choice_words(&judged.task, configuration))
            })
        };
        table.push(
            selected.method.name(),
            vec![
                words(false),
                words(true),
                Cell::value(selected.candidates as f64),
                Cell::value(configuration.prediction.members() as f64),
                Measure::TrainingSeconds.cell(configuration, false)?,
                Measure::PredictingSeconds.cell(configuration, false)?,
                most.map_or(Cell::Empty, Cell::value),
            ],
        );
    }
    Ok(table)
}

/// The settings of a configuration in which its method varies, and its prediction.
pub fn choice_words(task: &TaskResults<'_>, configuration: &Configuration<'_>) -> String {
    let kin = of_method(task, &Method::of(configuration));
    let mut words = in_words(configuration.settings, &varied(&kin));
    words.push(configuration.prediction.label());
    words.join(", ")
}
