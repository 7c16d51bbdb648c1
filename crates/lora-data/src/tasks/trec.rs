//! TREC: what does a question ask for (Li and Roth 2002)?
//!
//! The original files have one question a line, `COARSE:fine question`, in ISO-8859-1.

use std::path::{Path, PathBuf};

use super::texts::{self, TextForm};
use super::{Benchmark, Form, Split, TaskMetric, split};
use crate::dataset::{Dataset, Example, Target};
use crate::error::{DataError, EncodingError, TaskError};
use crate::labels::LabelNames;
use crate::readers::{bytes, decode_text};
use crate::task::Task;

/// Which of the two labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Granularity {
    Coarse,
    Fine,
}

/// In the order of the hub.
const COARSE: [&str; 6] = ["ABBR", "ENTY", "DESC", "HUM", "LOC", "NUM"];
/// In the order of the hub: kinds of each coarse class.
const FINE: [(&str, &[&str]); 6] = [
    ("ABBR", &["abb", "exp"]),
    (
        "ENTY",
        &[
            "animal",
            "body",
            "color",
            "cremat",
            "currency",
            "dismed",
            "event",
            "food",
            "instru",
            "lang",
            "letter",
            "other",
            "plant",
            "product",
            "religion",
            "sport",
            "substance",
            "symbol",
            "techmeth",
            "termeq",
            "veh",
            "word",
        ],
    ),
    ("DESC", &["def", "desc", "manner", "reason"]),
    ("HUM", &["gr", "ind", "title", "desc"]),
    ("LOC", &["city", "country", "mount", "other", "state"]),
    (
        "NUM",
        &[
            "code", "count", "date", "dist", "money", "ord", "other", "period", "perc", "speed", "temp",
            "volsize", "weight",
        ],
    ),
];

const SPLITS: &[Split] = &[
    split("train", 5_452, &[&["train_5500.label"]]),
    split("test", 500, &[&["TREC_10.label"]]),
];

pub(super) static TREC: Benchmark = Benchmark {
    name: "trec",
    title: "TREC: what does a question ask for, in 6 classes?",
    metric: TaskMetric::Accuracy,
    hub: Some(("CogComp/trec", "default")),
    license: "none stated, for research",
    folders: &["TREC", "trec"],
    splits: SPLITS,
    form: Form::Trec(Granularity::Coarse),
};

pub(super) static TREC_FINE: Benchmark = Benchmark {
    name: "trec-fine",
    title: "TREC: what does a question ask for, in 50 classes?",
    metric: TaskMetric::Accuracy,
    hub: Some(("CogComp/trec", "default")),
    license: "none stated, for research",
    folders: &["TREC", "trec"],
    splits: SPLITS,
    form: Form::Trec(Granularity::Fine),
};

pub(super) fn read(files: &[PathBuf], detail: Granularity) -> Result<Dataset, DataError> {
    let labels = match detail {
        Granularity::Coarse => LabelNames::new(COARSE)?,
        Granularity::Fine => LabelNames::new(
            FINE.iter()
                .flat_map(|(coarse, kinds)| kinds.iter().map(move |kind| format!("{coarse}:{kind}"))),
        )?,
    };
    let mut dataset = Dataset {
        examples: Vec::new(),
        task: Task::Classification {
            labels: labels.clone(),
        },
    };
    for file in files {
        let original = file
            .extension()
            .is_none_or(|ending| ending == "label" || ending == "txt");
        let examples = if original {
            lines(&bytes::read_bytes(file)?, detail, &labels, file)?
        } else {
            table(file, detail, &dataset.task)?
        };
        dataset.examples.extend(examples);
    }
    Ok(dataset)
}

fn lines(
    bytes: &[u8],
    detail: Granularity,
    labels: &LabelNames,
    file: &Path,
) -> Result<Vec<Example>, DataError> {
    // A copy that somebody has saved in Unicode is read as that; every other byte sequence is ISO-8859-1.
    let content = match decode_text(bytes, file) {
        Err(EncodingError::NotUtf8 { .. }) => bytes.iter().map(|byte| char::from(*byte)).collect(),
        content => content?,
    };
    let lines = (1..)
        .zip(content.lines())
        .filter(|(_, line)| !line.trim().is_empty());
    let examples = lines.map(|(line, content)| {
        let parts = content
            .split_once(' ')
            .and_then(|(label, text)| Some((label.split_once(':')?, label, text.trim())));
        let Some(((coarse, _), whole, text)) = parts.filter(|(_, _, text)| !text.is_empty()) else {
            let file = file.to_path_buf();
            return Err(TaskError::NotTrec { file, line }.into());
        };
        let label = match detail {
            Granularity::Coarse => coarse,
            Granularity::Fine => whole,
        };
        let unknown = || labels.unknown(label, "label", file, line);
        let class = labels.index_of(label).ok_or_else(unknown)?;
        Ok(Example {
            text: text.to_owned(),
            text_pair: None,
            target: Some(Target::Class(class)),
        })
    });
    examples.collect()
}

/// A table with columns, as on the hub.
fn table(file: &Path, detail: Granularity, task: &Task) -> Result<Vec<Example>, DataError> {
    let form = TextForm {
        text: &["text", "question"],
        label: match detail {
            Granularity::Coarse => &["coarse_label", "label-coarse", "label"],
            Granularity::Fine => &["fine_label", "label-fine", "label"],
        },
        // The labels are not looked at: the task is given.
        ..TextForm::PLAIN
    };
    Ok(texts::read_one(&form, task, false, file)?.0)
}
