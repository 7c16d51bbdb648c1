//! Text that a template makes of lists and dictionaries, paid for before there is memory for it. The engine charges a text when it is
//! there, but a list that repeats a text, or holds another one twice, is short until it is written.

use std::io::{self, Write};
use std::sync::LazyLock;

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, Output, State, escape_formatter, filters};
use serde::Serialize as _;
use serde_json::ser::Formatter;

use super::chat::MOST_FUEL;
use super::python_methods::BYTES_A_FUEL;

/// Lists in lists; to write them takes a stack as deep.
const DEEPEST: usize = 100;

/// What JSON costs beside the text that it is: character by character it takes longer to write, and one of JSON doubles its backslashes.
const JSON_BYTES_A_FUEL: u64 = BYTES_A_FUEL / 16;

/// The engine's filters that write whatever they are given as text.
const TEXT_FILTERS: [&str; 16] = [
    "capitalize",
    "e",
    "escape",
    "format",
    "indent",
    "join",
    "lines",
    "lower",
    "pprint",
    "replace",
    "safe",
    "split",
    "string",
    "title",
    "trim",
    "upper",
];

/// The engine as it comes. What one filter makes is bounded here too; the environment of the template charges it once more.
static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = Environment::new();
    engine.set_fuel(Some(MOST_FUEL));
    engine
});

/// Has whatever becomes a text in this environment paid for first: what is written, and what filters make.
pub(super) fn charge(environment: &mut Environment<'_>) {
    environment.set_formatter(write);
    environment.add_filter("tojson", to_json);
    environment.add_filter("sum", sum);
    for name in TEXT_FILTERS {
        let filter = move |state: &State, arguments: Rest<ValueOrKwargs>| -> Result<Value, Error> {
            let arguments = arguments.into_values();
            for argument in &arguments {
                pay(state, argument, 0)?;
            }
            ENGINE.empty_state().apply_filter(name, &arguments)
        };
        environment.add_filter(name, filter);
    }
}

fn write(output: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    pay(state, value, 0)?;
    escape_formatter(output, state, value)
}

/// Pays for the text of a list or a dictionary: one fuel for each of its values, and one for each 64 bytes in them.
fn pay(state: &State, value: &Value, depth: usize) -> Result<(), Error> {
    let is_map = value.kind() == ValueKind::Map;
    if !is_map && !matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable) {
        return Ok(());
    }
    if depth == DEEPEST {
        let message = format!("it writes lists that are more than {DEEPEST} deep in each other");
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    let pay_for = |part: &Value| {
        let length = part.as_str().map_or(0, str::len) as u64;
        state.consume_fuel(1 + length / BYTES_A_FUEL)?;
        pay(state, part, depth + 1)
    };
    for part in value.try_iter()? {
        pay_for(&part)?;
        if is_map {
            pay_for(&value.get_item(&part)?)?;
        }
    }
    Ok(())
}

/// As Python's, which refuses texts, and of numbers alone: each addition would copy all texts or lists before it, and cost no more than one
/// of two numbers.
fn sum(
    state: &State,
    values: Value,
    attribute: Option<&str>,
    start: Option<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let start = match start {
        Some(start) => Some(start),
        None => kwargs.get::<Option<Value>>("start")?,
    };
    let is_number = |start: &Value| matches!(start.kind(), ValueKind::Number | ValueKind::Bool);
    if start.as_ref().is_some_and(|start| !is_number(start)) {
        let message = "sum adds numbers; join puts texts together, and + lists";
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    filters::sum(state, values, attribute, start, kwargs)
}

/// Python's `json.dumps`: a space after commas and colons.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the engine hands arguments over by value"
)]
fn to_json(state: &State, value: Value, _: Rest<ValueOrKwargs>) -> Result<Value, Error> {
    pay(state, &value, 0)?;
    let mut json = Vec::new();
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut json,
        PythonFormat,
    ));
    written.map_err(|reason| {
        Error::new(ErrorKind::BadSerialization, "the value is no JSON").with_source(reason)
    })?;
    state.consume_fuel(json.len() as u64 / JSON_BYTES_A_FUEL)?;
    Ok(Value::from_safe_string(
        String::from_utf8_lossy(&json).into_owned(),
    ))
}

struct PythonFormat;

impl Formatter for PythonFormat {
    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
