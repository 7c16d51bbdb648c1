//! The command line, as typed.

use std::ffi::OsString;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::bayesianize::BayesianizeArgs;
use crate::combine::CombineArgs;
use crate::compare::CompareArgs;
use crate::completions::CompletionsArgs;
use crate::demo::DemoArgs;
use crate::eval::EvalArgs;
use crate::export::ExportArgs;
use crate::failure;
use crate::generate::GenerateArgs;
use crate::inspect::InspectArgs;
use crate::merge::MergeArgs;
use crate::predict::PredictArgs;
use crate::push::PushArgs;
use crate::report::ReportArgs;
#[cfg(feature = "serve")]
use crate::serve::ServeArgs;
use crate::shared_args::with_former_names;
use crate::sweep::SweepArgs;
use crate::tasks::TasksArgs;
use crate::train::TrainArgs;
use crate::unknown_flag::{of_a_file_without_flag, of_a_missing_folder, of_another_subcommand};

/// Fine-tunes transformers with LoRA and LoRA Dropout, and says how far their probabilities can be trusted.
#[derive(Parser, Clone, Debug)]
#[command(name = "lora", version, propagate_version = true, args_override_self = true, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Results as JSON on stdout, and nothing else there; lora predict writes one object a line.
    #[arg(long, global = true, display_order = 1000)]
    pub json: bool,
    /// No progress and no notes.
    #[arg(long, short, global = true, display_order = 1001)]
    pub quiet: bool,
}

impl Arguments {
    /// Those of this call. Clap itself ends the program on a wrong command (2), on `--help` and on `--version` (0).
    pub fn of_this_call() -> Self {
        let words: Result<Vec<String>, OsString> =
            std::env::args_os().skip(1).map(OsString::into_string).collect();
        let words = words.unwrap_or_else(|word| {
            refuse(&format!(
                "the argument `{}` is not UTF-8, as texts and the names of files in results are; convert the text, or rename the file",
                word.display()
            ))
        });
        let command = command();
        let matches = command.clone().try_get_matches().unwrap_or_else(|error| {
            let sentence = of_another_subcommand(&command, &error, &words)
                .or_else(|| of_a_file_without_flag(&command, &error, &words))
                .or_else(|| of_a_missing_folder(&command, &error, &words));
            sentence.map_or_else(|| error.exit(), |sentence| refuse(&sentence))
        });
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }
}

/// Ends the program as a wrong command does.
fn refuse(sentence: &str) -> ! {
    failure::show(sentence);
    std::process::exit(failure::BAD_INPUT.into())
}

/// The command line with all that the parser knows of it.
pub fn command() -> clap::Command {
    with_former_names(with_negative_numbers(Arguments::command()))
}

/// A number that begins with a minus is a value: what is wrong with it is then said by whoever knows what is expected.
fn with_negative_numbers(command: clap::Command) -> clap::Command {
    let of_values = |arg: clap::Arg| {
        let takes_values = arg.get_action().takes_values();
        // A list such as -1,0.5 is no number to clap.
        let is_list = arg.get_value_delimiter().is_some();
        let arg = arg.allow_negative_numbers(takes_values);
        if is_list {
            arg.allow_hyphen_values(true)
        } else {
            arg
        }
    };
    command.mut_args(of_values).mut_subcommands(with_negative_numbers)
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed on the way; 2 wrong command or input, and nothing was done; 130 interrupted by Ctrl-C or SIGTERM.";

/// The subcommands.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Shows the method on an embedded model and embedded text; downloads nothing.
    #[command(after_long_help = DEMO_EXAMPLES)]
    Demo(DemoArgs),
    /// Trains an adapter on labelled text.
    #[command(after_help = TRAIN_START, after_long_help = TRAIN_EXAMPLES)]
    Train(TrainArgs),
    /// Scores an adapter on labelled text: mean pass and ensemble, with and without temperature.
    #[command(after_long_help = EVAL_EXAMPLES)]
    Eval(EvalArgs),
    /// Labels texts, with probability and uncertainty.
    #[command(after_long_help = PREDICT_EXAMPLES)]
    Predict(PredictArgs),
    /// Serves adapters of texts over HTTP, as lora predict labels them.
    #[cfg(feature = "serve")]
    #[command(after_long_help = SERVE_EXAMPLES)]
    Serve(ServeArgs),
    /// Compares LoRA, input dropout, LoRA Dropout and a deep ensemble on your own labelled text, and says which to use and how far to trust it.
    #[command(after_long_help = COMPARE_EXAMPLES)]
    Compare(CompareArgs),
    /// Trains and scores methods, settings, tasks and seeds as a grid, into one file of results.
    #[command(after_long_help = SWEEP_EXAMPLES)]
    Sweep(SweepArgs),
    /// Turns the results of sweeps into a page, Markdown or CSV.
    #[command(after_long_help = REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// Continues a prompt with a causal language model, token by token.
    #[command(after_long_help = GENERATE_EXAMPLES)]
    Generate(GenerateArgs),
    /// Shows what is in a model or an adapter folder.
    #[command(after_long_help = INSPECT_EXAMPLES)]
    Inspect(InspectArgs),
    /// Turns a LoRA adapter into a calibrated ensemble, without training.
    #[command(after_long_help = BAYESIANIZE_EXAMPLES)]
    Bayesianize(BayesianizeArgs),
    /// Merges an adapter into its base model and writes that as a Hugging Face folder, or for llama.cpp.
    #[command(after_long_help = MERGE_EXAMPLES)]
    Merge(MergeArgs),
    /// Writes an adapter as plain LoRA, which every reader of PEFT's files understands.
    #[command(after_long_help = EXPORT_EXAMPLES)]
    Export(ExportArgs),
    /// Makes one adapter of several.
    #[command(after_long_help = COMBINE_EXAMPLES)]
    Combine(CombineArgs),
    /// Puts an adapter on the Hugging Face hub: its own files, and nothing else of its folder.
    #[command(after_long_help = PUSH_EXAMPLES)]
    Push(PushArgs),
    /// Lists the benchmarks that are known by name, or says what the folder of one must look like.
    #[command(after_long_help = TASKS_EXAMPLES)]
    Tasks(TasksArgs),
    /// Prints a script that makes a shell complete subcommands and flags.
    #[command(after_long_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
}

const DEMO_EXAMPLES: &str = "\
Examples:
  As it is shown in the book, in a few minutes; the page is runs/demo/report.html:
    lora demo
  A first look in about a minute:
    lora demo --fast --output runs/first-look";

const BAYESIANIZE_EXAMPLES: &str = "\
Examples:
  The largest noise that 200 labelled rows bear, in a new folder that lora predict and eval draw from:
    lora bayesianize --adapter runs/reviews --data validation.csv --output runs/reviews-tfb
    lora predict --adapter runs/reviews-tfb \"a text\"
  From the curvature of the loss on the training rows:
    lora bayesianize --adapter runs/reviews --method laplace --train-file train.csv --data validation.csv \\
      --output runs/reviews-laplace";

/// Below a list of flags that fills two screens.
const TRAIN_START: &str =
    "Start with: lora train --data reviews.csv. Examples, and files of settings: lora train --help.";

const TRAIN_EXAMPLES: &str = "\
Examples:
  On your own text, with the program's own settings; validation and test rows are split off:
    lora train --data reviews.csv
    lora train --data tickets.csv --text-column message --label-column team --output runs/tickets
  Have these settings as a file, to change them:
    lora train --data reviews.csv --dry-run > run.yaml
  Train as a file says, with another learning rate:
    lora train --config run.yaml --learning-rate 1e-3
  See what would happen, and whether one batch runs:
    lora train --config run.yaml --dry-run
  On a benchmark by name, whose splits, labels and metric are known (lora tasks lists them):
    lora train --config run.yaml --task-name mrpc --data-dir glue/MRPC
  Other kinds of task, from your own files:
    lora train --config run.yaml --problem-type question_answering --train-file questions.json --max-seq-length 384
    lora train --config run.yaml --problem-type token_classification --train-file names.conll
    lora train --config run.yaml --problem-type multiple_choice --train-file exam.jsonl --model llama

A configuration file is YAML, TOML or JSON (told by its ending). Its keys are the flags with underscores, but
model_name_or_path for --model, data_file for --data, output_dir for --output and ensemble_members for --members:
  model_name_or_path: minilm-l6
  train_file: train.tsv
  validation_file: dev.tsv
  output_dir: runs/first
  learning_rate: 1e-3
  num_train_epochs: 5
  per_device_train_batch_size: 16
  mask_probability: 0.5
A flag wins over the file. Relative paths start at the current folder.";

const EVAL_EXAMPLES: &str = "\
Examples:
  lora eval --adapter runs/reviews --data test.csv
  lora eval --adapter runs/reviews --data test.csv --members 32 --seed 7 --average logits
  lora eval --adapter runs/reviews --data other-domain.csv --report shift.html --json > scores.json
  lora eval --adapter runs/squad --task-name squad-v2 --data-dir squad
  lora eval --adapter runs/alpaca --task-name mmlu --data-dir mmlu --split test --shots 5
  lora eval --adapter smollm2 --task-name boolq --data-dir boolq

--data takes a file like those of the training, in the form of its kind of task. A whole model is an --adapter too.";

const PREDICT_EXAMPLES: &str = "\
Examples:
  lora predict --adapter runs/reviews \"a gripping film\" \"dull and far too long\"
  lora predict --adapter runs/reviews --data new.csv --output labelled.csv
  lora predict --adapter runs/reviews --data new.csv --members 16 --adaptive
  cat lines.txt | lora predict --adapter runs/reviews --json -
  lora predict --adapter runs/squad --context \"Ada lived in London.\" \"Where did Ada live?\"
  lora predict --adapter runs/squad --data dev-v2.0.json --output predictions.json
  lora predict --adapter runs/names \"Ada lives in London\"
  lora predict --adapter runs/exam --data questions.jsonl --output answers.jsonl

For an adapter trained on pairs of texts, a tab separates the two texts of a line or an argument. Probabilities are those of the
mean pass or of the ensemble, whichever was better on validation rows, with the temperature that training fitted;
--inference chooses by hand. --adaptive gives a text
members only until its class is settled.";

#[cfg(feature = "serve")]
const SERVE_EXAMPLES: &str = "\
Examples:
  lora serve runs/reviews
  lora serve good=runs/reviews runs/topics --port 8000
  lora serve runs/reviews --host 0.0.0.0 --token-file token.txt
Then:
  curl --json '{\"text\": \"a gripping film\"}' http://127.0.0.1:8080/predict
A page to try it on is at http://127.0.0.1:8080/, the description of all requests at /openapi.json. Ctrl-C or SIGTERM ends the
server once what it accepted is answered.";

const COMPARE_EXAMPLES: &str = "\
Examples:
  lora compare reviews.csv
  lora compare tickets.csv --text-column body --label-column team --output runs/tickets
The file needs at least 100 rows with labels. A tenth of them, but at least 40, is for validation and three tenths are for the
test; the rest is trained on, with three seeds. A comparison that was interrupted goes on when the same command is given again.";

const SWEEP_EXAMPLES: &str = "\
Examples:
  lora sweep --config configs/here/grid-256.yaml --data-dir data --dry-run
  lora sweep --config configs/here/grid-256.yaml --data-dir data --results grid.jsonl --jobs 2
In many processes, on one machine or on a cluster:
  lora sweep --config grid.yaml --shard 2/8
  lora sweep --config grid.yaml --shared results
  lora report results
The same command again goes on where it was interrupted or killed. The form of the file is in the book's page on experiments.";

const REPORT_EXAMPLES: &str = "\
Examples:
  lora report grid.jsonl
  lora report results
  lora report grid.jsonl more.jsonl --output page.html --markdown results.md --figures figures --csv results.csv
Settings are chosen by the likelihood of validation rows, never of test rows.";

const GENERATE_EXAMPLES: &str = "\
Examples:
  lora generate --model smollm2 --prompt \"The capital of France is\"
  lora generate --model smollm2 --chat-template --prompt \"Name three rivers.\" --temperature 0.7 --top-p 0.9 --seed 1
  lora generate --model model.Q4_1.gguf --prompt - < prompt.txt
  lora generate --adapter runs/instructions --chat-template --prompt \"Name three rivers.\" --json

Without --temperature the most probable token is taken every time.";

const INSPECT_EXAMPLES: &str = "\
Examples:
  lora inspect minilm-l6
  lora inspect runs/reviews
  lora inspect peft-adapter --model bert-base-uncased --json";

const MERGE_EXAMPLES: &str = "\
Examples:
  lora merge --adapter runs/reviews --output models/reviews
  lora merge --adapter peft-adapter --model bert-base-uncased --labels negative,positive --output merged

  For llama.cpp:
    lora merge --adapter runs/assistant --format gguf --outtype q8_0 --output assistant.gguf

The update of the mean pass is added (LoRA Dropout's expected update). A folder has all weights in f32, and is a whole model:
for Transformers, for lora eval and lora predict (as --adapter), and as a base model (model_name_or_path).";

const PUSH_EXAMPLES: &str = "\
Examples:
  lora push runs/reviews your-name/reviews --private
  lora push runs/reviews your-name/reviews --dry-run

The token is that of the hub's own tools: HF_TOKEN, or what hf auth login has written. Scores, settings, rows, events and
checkpoints of the run stay here.";

const EXPORT_EXAMPLES: &str = "\
Examples:
  lora export --adapter runs/adalora --output plain
  lora export --adapter runs/pissa --model bert-base-uncased --output plain

The expected update of LoRA Dropout is folded into alpha, AdaLoRA's singular values into A, and what PiSSA and OLoRA took
from the base model is subtracted again, with as many ranks. DoRA has no such form: use lora merge.";

const COMBINE_EXAMPLES: &str = "\
Examples:
  lora combine runs/one runs/two --weights 0.7,0.3 --method cat --output runs/both
  lora combine runs/one runs/two --weights 1,-1 --method svd --rank 8 --output runs/difference
  lora combine runs/one runs/two --weights 1,1 --method ties --density 0.5 --output runs/ties
Classifiers that were trained apart have heads of their own, of which the result can have one:
  lora combine runs/one runs/two --weights 0.5,0.5 --head-from runs/one --output runs/both

Methods, as in PEFT: linear, cat, svd, ties, ties_svd, dare_linear, dare_ties, dare_linear_svd, dare_ties_svd,
magnitude_prune, magnitude_prune_svd. cat and svd are true to the weighted sum; linear is a rough approximation.";

const TASKS_EXAMPLES: &str = "\
Examples:
  lora tasks
  lora tasks squad-v2
  lora train --task-name mrpc --data-dir glue/MRPC --config run.yaml
  lora eval --task-name mrpc --data-dir glue/MRPC --adapter runs/mrpc";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  lora completions bash > ~/.local/share/bash-completion/completions/lora
  lora completions zsh > ~/.zfunc/_lora
  lora completions fish > ~/.config/fish/completions/lora.fish";

#[cfg(test)]
mod tests;
