//! `lora train`: from labelled text to an adapter folder with scores and a report.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use lora_pipeline::config::{RunConfig, resolve};
use lora_pipeline::counted::counted;
use lora_pipeline::score::comparison::{signed, verdicts};
use lora_pipeline::score::{legend, official_line, table};
use lora_pipeline::train::{ScoredTraining, Speed, Training, is_finished};
use lora_train::MaskChange;
use lora_train::trainer::StepReport;

use crate::config_flags::ConfigFlags;
use crate::interrupt::InterruptGuard;
use crate::terminal::Terminal;

/// Arguments of `lora train`.
#[derive(Args, Clone, Debug)]
pub struct TrainArgs {
    /// Settings (.yaml, .toml, .json); every key is also a flag.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only show what would happen: load everything, run one batch, print the settings and counts; write nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    overrides: ConfigFlags,
}

/// Trains an adapter, or only shows what would happen.
///
/// # Errors
///
/// If an input is wrong, the training diverges, or results cannot be written.
pub fn run(args: &TrainArgs, terminal: &Terminal) -> Result<()> {
    let resolved = resolve(args.config.as_deref(), &args.overrides.0)?.with_mlflow_server(
        variable("MLFLOW_TRACKING_URI"),
        variable("MLFLOW_EXPERIMENT_NAME"),
    )?;
    if !args.dry_run && is_finished(&resolved.config) {
        let folder = resolved.config.output_dir.display();
        terminal.note(format!(
            "note: the training in {folder} is finished; there is nothing to resume"
        ));
        return Ok(());
    }
    let own_settings = resolved.uses_recipe.then(|| own_settings(&resolved.config));
    let mut training = Training::open(resolved, args.dry_run, terminal)?;
    // Nobody needs it who reads what is wrong.
    if let Some(note) = own_settings {
        terminal.note(note);
    }
    if let Some(token) = variable("MLFLOW_TRACKING_TOKEN") {
        training = training.with_mlflow_token(token);
    }
    if args.dry_run {
        return dry_run(training, terminal);
    }
    let guard = InterruptGuard::begin()?;
    let fitted = training.fit(terminal, guard.token())?;
    drop(guard);
    let trained = fitted.score(terminal)?;
    match trained.speed {
        Some(speed) => show_language_model(&trained, speed, terminal)?,
        None => show(&trained, terminal)?,
    }
    for line in &trained.advice {
        terminal.note(format!("note: {line}"));
    }
    terminal.document(&trained.document)
}

/// What is trained where the user has not said how.
fn own_settings(config: &RunConfig) -> String {
    let masks = if config.mask_probability.has_masks() {
        format!("LoRA Dropout p {}, ", config.mask_probability)
    } else {
        String::new()
    };
    format!(
        "note: training with {}, {masks}learning rate {}, epochs at most {}, into {}; what was not given is the program's own, \
         --dry-run shows all settings",
        config.model_name_or_path,
        config.train.learning_rate,
        config.train.num_train_epochs,
        config.output_dir.display()
    )
}

/// A variable of the environment; none where it is empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn dry_run(training: Training, terminal: &Terminal) -> Result<()> {
    let settings = serde_saphyr::to_string(training.config())?;
    terminal.say(settings.trim_end())?;
    terminal.say(format!("# {}", training.parameter_line()))?;
    let batch = training.try_one_batch()?;
    terminal.say(format!(
        "# one batch of {}: loss {:.4}, {:.2} s; {} in all, {} at the speed of this first one, which is usually the slowest; \
         evaluations are not counted; nothing was written",
        counted(batch.rows, "row"),
        batch.loss,
        batch.seconds,
        counted(batch.steps as usize, "step"),
        in_time(batch.all_seconds)
    ))?;
    terminal.say(format!("# {}", batch.memory))?;
    terminal.document(&batch.document)
}

/// Seconds in the unit that people count in.
fn in_time(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.1} s"),
        ..7200.0 => format!("{:.1} minutes", seconds / 60.0),
        _ => format!("{:.1} hours", seconds / 3600.0),
    }
}

/// Shows what came out, the score tables, and where everything is.
fn show(trained: &ScoredTraining, terminal: &Terminal) -> Result<()> {
    let ScoredTraining {
        scored,
        history,
        folder,
        ..
    } = trained;
    terminal.first_lines(&scored.first_lines())?;
    for (name, methods) in scored.scores.iter().rev() {
        terminal.table(&table(&format!("{name} rows"), methods))?;
        for line in verdicts(methods)? {
            terminal.paragraph(&line)?;
        }
    }
    if let Some((_, methods)) = scored.scores.last() {
        legend(methods).map_or(Ok(()), |legend| terminal.paragraph(&legend))?;
    }
    if let (Some(metric), Some((split, methods))) = (scored.metric, scored.scores.last())
        && let Some(line) = official_line(metric, split, methods)
    {
        terminal.paragraph(&line)?;
    }
    if let Some(gap) = scored.gap() {
        terminal.say(format!("train/test gap of the loss: {}", signed(gap)))?;
    }
    if let (Some(tried), Some(kept)) = (
        MaskChange::tried_in_words(&history.mask_changes),
        history.kept_in_words(),
    ) {
        terminal.say(format!("masks: {tried}; {kept}"))?;
    }
    terminal.say(format!(
        "written: {0} (adapter, scores, {0}/report.html)",
        folder.display()
    ))
}

fn show_language_model(trained: &ScoredTraining, speed: Speed, terminal: &Terminal) -> Result<()> {
    let mean = |steps: &[StepReport]| steps.iter().map(|step| step.loss).sum::<f64>() / steps.len() as f64;
    let steps = &trained.history.steps;
    let tenth = steps.len().div_ceil(10);
    terminal.say(format!(
        "{}, {} tokens at {:.1} tokens/s\nloss {:.4} in the first {}, {:.4} in the last {tenth}",
        counted(steps.len(), "step"),
        speed.tokens,
        speed.tokens_per_second,
        mean(&steps[..tenth]),
        counted(tenth, "step"),
        mean(&steps[steps.len() - tenth..])
    ))?;
    if let Some(last) = trained.history.evaluations.last() {
        terminal.say(format!(
            "validation loss {:.4}, perplexity {:.3}",
            last.loss,
            last.loss.exp()
        ))?;
    }
    terminal.say(format!("adapter: {}", trained.folder.display()))
}
