//! From an error to one sentence and an exit code.

use std::io::Write;
use std::panic::{self, PanicHookInfo};
use std::sync::Mutex;

use anyhow::Error;
use lora_core::atomic::WriteError;
use lora_data::{ColumnError, DataError};
use lora_eval::EvalError;
use lora_experiments::sweep::{SweepInterrupted, TrialsFailed};
use lora_models::LoadError;
use lora_pipeline::error::{self, causes};
use lora_pipeline::push::PushError;
use lora_pipeline::train::verdict::WorseThanGuessing;
use lora_train::TrainError;

use crate::interrupt::INTERRUPTED;
use crate::terminal::StdoutError;

/// Exit code of a wrong command or input.
pub const BAD_INPUT: u8 = 2;
/// Exit code of a run that failed on the way.
pub const FAILED: u8 = 1;

/// The error and its causes as one line. A cause that the sentence before already quotes is not said twice. `is_of_compare`: in the
/// words of `lora compare`, which knows flags and no keys.
pub fn sentence(error: &Error, is_of_compare: bool) -> String {
    let sentence = error::sentence(&**error);
    let data_error = causes(&**error).find_map(|cause| cause.downcast_ref());
    let column_error = match data_error {
        Some(DataError::Column(error)) => Some(error),
        _ => None,
    };
    let is_of_format = matches!(data_error, Some(DataError::UnknownExtension { .. }));
    // What is to be copied stands before a list of columns.
    let list = column_error.map_or_else(String::new, |error| error::one_line(&error.list()));
    let (front, list) = match sentence.strip_suffix(&list) {
        Some(front) => (front, &*list),
        None => (&*sentence, ""),
    };
    if is_of_compare {
        let hint = column_error.map_or_else(String::new, hint_of_compare);
        let hint = if is_of_format { FORMAT_FLAG } else { &hint };
        return format!("{}{hint}{list}", in_flags_of_compare(front));
    }
    let hint = column_error.map_or_else(String::new, column_hint);
    let hint = if is_of_format { FORMAT_KEY_OR_FLAG } else { &hint };
    format!("{front}{hint}{list}")
}

/// How the format is given to a command that has no file of settings.
const FORMAT_FLAG: &str = ", such as --data-format csv";
/// The same for all others: a sweep has the key alone.
const FORMAT_KEY_OR_FLAG: &str = ", such as data_format: csv (--data-format csv)";

/// How columns are named here; the library that misses one knows no flags.
fn column_hint(error: &ColumnError) -> String {
    match error {
        ColumnError::NoDefaultColumn { found, .. } => format!(
            "; for example {}, or --header=false (text_column, label_column and header in a file of settings)",
            column_flags(found)
        ),
        ColumnError::MissingColumn { .. } => missing_column(error).map_or_else(String::new, |(key, name)| {
            let flag = key.replace('_', "-");
            format!("; name it with --{flag} {name} ({key} in a file of settings)")
        }),
        ColumnError::NeedsIndex { .. } => {
            "; for example text_column: 0 and label_column: 1 (--text-column 0 --label-column 1)".to_owned()
        }
        _ => String::new(),
    }
}

/// The same for a command that reads columns by name alone.
fn hint_of_compare(error: &ColumnError) -> String {
    match error {
        ColumnError::NoDefaultColumn { found, .. } => format!(
            "; for example {}; lora compare reads files with a header",
            column_flags(found)
        ),
        ColumnError::MissingColumn { .. } => missing_column(error).map_or_else(String::new, |(key, name)| {
            format!("; name it with --{} {name}", key.replace('_', "-"))
        }),
        ColumnError::NeedsIndex { .. } => {
            "; lora compare reads columns by name: write rows as objects, or with a header".to_owned()
        }
        _ => String::new(),
    }
}

/// The key of a column that is missing, and the column to name there: the nearest one or the only one, if there is such.
fn missing_column(error: &ColumnError) -> Option<(&'static str, &str)> {
    let ColumnError::MissingColumn {
        role, found, nearest, ..
    } = error
    else {
        return None;
    };
    let key = match *role {
        "text" | "prompt" => "text_column",
        "second text" | "context" => "text_pair_column",
        "label" | "completion" => "label_column",
        _ => return None,
    };
    let only = match &found[..] {
        [only] => Some(only),
        _ => None,
    };
    let name = nearest.as_ref().or(only).map(String::as_str);
    let is_one_word = |name: &&str| !name.contains(char::is_whitespace);
    Some((key, name.filter(is_one_word).unwrap_or("NAME")))
}

/// Flags for the columns of a file. Of two the first is mostly the text; of more nobody can tell.
fn column_flags(found: &[String]) -> String {
    let (text, label) = match found {
        [text, label] if !format!("{text}{label}").contains(char::is_whitespace) => (&**text, &**label),
        _ => ("NAME", "NAME"),
    };
    format!("--text-column {text} --label-column {label}")
}

/// Keys of a training as the flags of `lora compare`.
fn in_flags_of_compare(sentence: &str) -> String {
    [
        ("text_pair_column", "--text-pair-column"),
        ("text_column", "--text-column"),
        ("label_column", "--label-column"),
        ("problem_type", "--problem-type"),
        ("output_dir", "--output"),
    ]
    .into_iter()
    .fold(sentence.to_owned(), |sentence, (key, flag)| {
        sentence.replace(key, flag)
    })
}

/// 2 for everything that a user can mend by another command or input, 1 for the rest: a diverged training, outputs that
/// cannot be scored, the network, a disk that fills up after the work. 130 for a training or a sweep that was interrupted.
pub fn exit_code(error: &Error) -> u8 {
    let is_interrupted = causes(&**error).any(|cause| {
        let pipeline = cause.downcast_ref();
        matches!(pipeline, Some(lora_pipeline::Error::Interrupted { .. })) || cause.is::<SweepInterrupted>()
    });
    if is_interrupted {
        return INTERRUPTED;
    }
    let failed_on_the_way = causes(&**error).any(|cause| {
        let diverged = matches!(
            cause.downcast_ref::<TrainError>(),
            Some(TrainError::Diverged { .. } | TrainError::Evaluation { .. })
        );
        let network = matches!(cause.downcast_ref::<LoadError>(), Some(LoadError::Hub { .. }))
            || matches!(
                cause.downcast_ref(),
                Some(PushError::Hub { .. } | PushError::File { .. })
            );
        diverged
            || network
            || cause.is::<StdoutError>()
            || cause.is::<WriteError>()
            || cause.is::<EvalError>()
            || cause.is::<WorseThanGuessing>()
            || cause.is::<TrialsFailed>()
            || is_of_system(cause)
    });
    if failed_on_the_way { FAILED } else { BAD_INPUT }
}

/// Whether the system gives the server no socket or thread.
#[cfg(feature = "serve")]
fn is_of_system(cause: &(dyn std::error::Error + 'static)) -> bool {
    matches!(cause.downcast_ref(), Some(lora_serve::ServeError::System { .. }))
}

#[cfg(not(feature = "serve"))]
fn is_of_system(_: &(dyn std::error::Error + 'static)) -> bool {
    false
}

/// Tells why a command ended early, and gives its exit code. An interruption was wanted and is no error.
pub fn tell(error: &Error, is_of_compare: bool) -> u8 {
    let (sentence, code) = (sentence(error, is_of_compare), exit_code(error));
    if code == INTERRUPTED {
        let _ = writeln!(std::io::stderr(), "{sentence}");
    } else {
        show(&sentence);
    }
    code
}

/// Writes `error: …` to stderr. A closed stderr is nothing to fail about.
pub fn show(sentence: &str) {
    let _ = writeln!(std::io::stderr(), "error: {sentence}");
}

static LAST_PANIC: Mutex<Option<String>> = Mutex::new(None);

/// From now on a panic is remembered for [`bug`] instead of printed: some libraries panic and catch it themselves.
pub fn remember_panics() {
    panic::set_hook(Box::new(|info| {
        if let Ok(mut last) = LAST_PANIC.lock() {
            *last = Some(describe(info));
        }
    }));
}

/// The sentence for a panic that nobody caught.
pub fn bug() -> String {
    let what = LAST_PANIC.lock().ok().and_then(|mut last| last.take());
    let what = what.unwrap_or_else(|| "nothing is known about it".to_owned());
    format!("this is a bug in lora ({what}); please report it with the command and its input")
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
    match info.location() {
        Some(at) => format!("{message}, at {}:{}", at.file(), at.line()),
        None => message,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};

    use super::*;

    #[test]
    fn causes_are_joined_and_never_said_twice() {
        let error = anyhow!("no space left").context("cannot write `a`: no space left");
        let sentence = |error: &Error| sentence(error, false);
        assert_eq!(sentence(&error), "cannot write `a`: no space left");
        let error = anyhow!("line 3\n  is odd").context("`run.yaml`");
        assert_eq!(sentence(&error), "`run.yaml`: line 3 is odd");
    }

    #[test]
    fn compare_names_its_own_flags() {
        let sentence =
            in_flags_of_compare("name the right column with label_column, or problem_type regression");
        assert_eq!(
            sentence,
            "name the right column with --label-column, or --problem-type regression"
        );
    }

    #[test]
    fn a_missing_column_is_told_with_its_flag() {
        let missing = |role, found: &[&str], nearest: Option<&str>| {
            DataError::from(ColumnError::MissingColumn {
                file: "a.csv".into(),
                role,
                wanted: "message".to_owned(),
                found: found.iter().map(|&name| name.to_owned()).collect(),
                nearest: nearest.map(str::to_owned),
            })
        };
        let told = |error: DataError, is_of_compare| sentence(&error.into(), is_of_compare);
        let text = || missing("text", &["text", "id"], Some("text"));
        // The flag to copy before the list of columns, which may be long.
        assert!(told(text(), false).ends_with(
            "; name it with --text-column text (text_column in a file of settings); the columns are `text`, `id`"
        ));
        assert!(
            told(text(), true).ends_with("; name it with --text-column text; the columns are `text`, `id`")
        );
        let pair = missing("second text", &["the answer"], None);
        assert!(told(pair, true).contains("; name it with --text-pair-column NAME; the columns are "));
        let unnamed = ColumnError::NoDefaultColumn {
            file: "a.csv".into(),
            role: "text",
            found: ["body", "team"].map(str::to_owned).into(),
            header: true,
            slip: None,
            of_truths: Vec::new(),
        };
        assert_eq!(
            told(unnamed.into(), true),
            "`a.csv`: no text column has a default name: name the text column, or, if the first row is data, read the file without a \
             header; for example --text-column body --label-column team; lora compare reads files with a header; the columns are \
             `body`, `team`"
        );
        let of_a_task = missing("words", &["tokens", "tags"], None);
        assert!(told(of_a_task, false).ends_with("the columns are `tokens`, `tags`"));
    }

    #[test]
    fn bad_input_is_2_and_a_failure_on_the_way_is_1() {
        assert_eq!(exit_code(&anyhow!("there is no such file")), BAD_INPUT);
        let diverged = TrainError::Diverged {
            step: 3,
            loss: f64::NAN,
            grad_norm: f64::NAN,
            learning_rate: 1.0,
        };
        let outcome: anyhow::Result<()> = Err(diverged).context("training");
        assert_eq!(outcome.map_err(|error| exit_code(&error)), Err(FAILED));
    }
}
