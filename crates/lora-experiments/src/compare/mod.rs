//! LoRA, input dropout, LoRA Dropout and a deep ensemble on the user's own labelled text. A sweep with a preset, and a page that says which to use.

mod advice;
mod command;
mod preset;
mod trust;

use std::path::{Path, PathBuf};

use lora_core::atomic::write_file;
use lora_data::{Format, ProblemType};
use lora_pipeline::bail;
use lora_pipeline::device::DeviceName;
use lora_pipeline::error::Result;
use lora_pipeline::files::output::existing_folder;
use lora_pipeline::files::output_file::check_report;
use lora_pipeline::progress::Progress;
use lora_report::Table;

use crate::report::page::Report;
use crate::report::results::Results;
use crate::report::sentences::caveats;
use crate::sweep::call::SweepCall;
use crate::sweep::record::Line;
use crate::sweep::{Pending, Sweep, store};
pub use preset::DEFAULT_EPOCHS;
use preset::{CommonestLabel, Preset};

/// What is compared.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// Labelled text with a header (.csv, .tsv, .jsonl, .json, .parquet).
    pub file: PathBuf,
    /// Column of the text; none: one of the default names.
    pub text: Option<String>,
    /// Column of the second text, for pairs.
    pub text_pair: Option<String>,
    /// Column of the label; none: one of the default names.
    pub label: Option<String>,
    /// What labels are; none: told from them.
    pub problem_type: Option<ProblemType>,
    /// Format of the file; none: told from its name.
    pub format: Option<Format>,
    /// Base model: a folder, a hub id, or the embedded one.
    pub model: String,
    /// Passes over the training rows, at most.
    pub epochs: u32,
    /// Longest text in tokens.
    pub max_seq_length: usize,
    /// Where tensors are.
    pub device: DeviceName,
    /// How many seeds.
    pub seeds: u16,
    /// Where results.jsonl and report.html go.
    pub output: PathBuf,
}

/// A comparison, planned.
#[derive(Debug)]
pub struct Comparison {
    options: CompareOptions,
    preset: Preset,
    sweep: Sweep,
    results: PathBuf,
    page: PathBuf,
}

/// What came out.
#[derive(Debug)]
pub struct CompareOutcome {
    /// Which method to use, how good it is, how far to trust it.
    pub advice: Vec<String>,
    /// What trains it on the rows of its first seed, which are written beside the results, as a shell takes it.
    pub command: Option<String>,
    /// The scores.
    pub tables: Vec<Table>,
    /// The page.
    pub page: PathBuf,
}

impl Comparison {
    /// Reads the file and plans the trainings.
    ///
    /// # Errors
    ///
    /// If the file cannot be used, or the output folder holds another comparison.
    pub fn open(options: CompareOptions, progress: &dyn Progress) -> Result<Self> {
        existing_folder(&options.output)?;
        let page = options.output.join("report.html");
        if options.output.exists() {
            check_report("--output", &page, true)?;
        }
        let results = options.output.join("results.jsonl");
        if let Some(other) = compared_file(&results)?.filter(|other| *other != options.file) {
            bail!(
                "--output `{}` holds the comparison on `{}`; give `{}` a folder of its own",
                options.output.display(),
                other.display(),
                options.file.display()
            );
        }
        let preset = Preset::of(&options)?;
        let sweep = Sweep::open(Path::new("lora compare"), preset.sweep(&options)?, None)?;
        preset.label_note.iter().for_each(|note| progress.note(note));
        progress.note(&format!(
            "{} rows, {}: {} to train on, {} for validation, {} for the test; {} trainings",
            preset.rows,
            preset.columns,
            preset.train,
            preset.validation,
            preset.test,
            sweep.plan.trainings.len(),
        ));
        Ok(Self {
            options,
            preset,
            sweep,
            results,
            page,
        })
    }

    /// What earlier calls have not computed; `jobs` trainings run at once.
    ///
    /// # Errors
    ///
    /// As [`Sweep::pending`].
    pub fn pending(&self, jobs: usize, progress: &dyn Progress) -> Result<Pending<'_>> {
        let call = SweepCall::of_file(self.results.clone(), jobs, true);
        self.sweep.pending(&call, progress)
    }

    /// Says what came out, and writes the page.
    ///
    /// # Errors
    ///
    /// If the results cannot be read, or the page not be written.
    pub fn report(&self) -> Result<CompareOutcome> {
        // An earlier comparison may lie in the same file.
        let results = Results::of_plan(&self.results, &self.sweep.plan)?;
        let mut report = Report::of(&results)?;
        report.title = format!(
            "LoRA, input dropout, LoRA Dropout and a deep ensemble on {}",
            self.options.file.display()
        );
        let commonest = self.preset.commonest_label.as_ref();
        let advice = advice::advice(&results, &self.options, commonest)?;
        report.summary = advice.sentences;
        report.summary.extend(commonest.map(CommonestLabel::sentence));
        report.summary.extend(caveats(&results));
        report.summary.extend(self.sweep.row_sentences()?);
        let sentences = report.summary.clone();
        let task = &self.sweep.tasks[0];
        let command = advice.configuration.map(|configuration| {
            command::command(&configuration, task, self.preset.train_rows(), &self.options)
        });
        let command = command.transpose()?;
        if let Some(command) = &command {
            report.summary.push(format!("To train it: {command}"));
        }
        let tables = report.tasks.clone();
        write_file(&self.page, report.page().to_html().as_bytes())?;
        Ok(CompareOutcome {
            advice: sentences,
            command,
            tables,
            page: self.page.clone(),
        })
    }
}

/// The user's file that earlier results are of; none without results.
fn compared_file(results: &Path) -> Result<Option<PathBuf>> {
    if !results.exists() {
        return Ok(None);
    }
    let lines = store::read(results)?.lines;
    Ok(lines.into_iter().find_map(|line| match line {
        Line::Run(run) => {
            let data = run.sweep.tasks.into_iter().next()?.data?;
            data.get("data_file")?.as_str().map(PathBuf::from)
        }
        _ => None,
    }))
}
