//! Parts of sentences that several messages share.

use std::fmt;

use crate::readers::Separator;

/// At most this many names are listed in a message; a data set may have hundreds of labels.
const LISTED: usize = 12;

pub(super) fn quoted(names: &[String]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let mut list: Vec<String> = names
        .iter()
        .take(LISTED)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > LISTED {
        list.push(format!("and {} more", names.len() - LISTED));
    }
    list.join(", ")
}

/// Columns may be many, so they stand behind all that tells what to do.
pub(super) fn listed(columns: &[String]) -> String {
    format!("; the columns are {}", quoted(columns))
}

pub(super) fn did_you_mean(nearest: Option<&String>) -> impl fmt::Display {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// The parser's reason without its position, which is that in its part of the file, not in the whole.
pub(super) fn json_reason(source: &serde_json::Error) -> String {
    let reason = source.to_string();
    let position = format!(" at line {} column {}", source.line(), source.column());
    reason.strip_suffix(&position).unwrap_or(&reason).to_owned()
}

pub(super) fn first_row_is_data(header: bool) -> &'static str {
    if header {
        ", or, if the first row is data, read the file without a header"
    } else {
        ""
    }
}

/// For rows between other separators than commas.
pub(super) fn separated_by(separator: Option<Separator>) -> String {
    separator.map_or_else(String::new, |separator| {
        format!("; the file is read as separated by {separator}, as its first line tells, which has no comma outside quotes")
    })
}

/// For a column whose name is nearly a default one.
pub(super) fn for_default_name(slip: Option<&(String, String)>) -> String {
    slip.map_or_else(String::new, |(column, default)| {
        format!("; did you mean `{default}` by `{column}`? Rename it, or name it")
    })
}

/// For columns of 0 and 1, of which none has the name of a label.
pub(super) fn label_columns(of_truths: &[String]) -> String {
    if of_truths.is_empty() {
        return String::new();
    }
    format!(
        "; {} hold 0 and 1 alone: where each is a label, read them with problem_type multi_label_classification and \
         label_columns {} (--problem-type, --label-columns)",
        quoted(of_truths),
        of_truths.join(",")
    )
}

pub(super) fn wanted_list(wanted: Option<&String>) -> impl fmt::Display {
    wanted.map_or_else(
        || "it is not clear which list holds the rows".to_owned(),
        |key| format!("there is no list `{key}`"),
    )
}

/// For an object without any list, as pandas writes unless told otherwise.
pub(super) fn list_of_objects(found: &[String]) -> &'static str {
    if found.is_empty() {
        ", or write the rows as a list of objects (in pandas with orient=\"records\")"
    } else {
        ""
    }
}

pub(super) fn given_column(wanted: Option<&String>) -> impl fmt::Display {
    wanted.map_or_else(
        || "none was given".to_owned(),
        |name| format!("`{name}` was given"),
    )
}

pub(super) fn in_split(split: Option<usize>) -> impl fmt::Display {
    split.map_or_else(String::new, |split| {
        format!(" in the groups of split {split} (from 0)")
    })
}

pub(super) fn in_row(row: Option<usize>) -> impl fmt::Display {
    row.map_or_else(String::new, |row| format!(", row {row}"))
}
