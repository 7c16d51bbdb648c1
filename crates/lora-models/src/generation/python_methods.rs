//! The methods of Python's strings and dictionaries that chat templates call, and Jinja in Rust lacks.

use minijinja::value::{Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

/// What the engine pays for with one fuel, roughly.
pub(super) const BYTES_A_FUEL: u64 = 64;

/// Calls a method of a string or a dictionary as Python would.
pub(super) fn call_method(
    state: &mut State<'_, '_>,
    object: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    let unknown = || {
        Error::new(
            ErrorKind::UnknownMethod,
            format!("a {} has no method `{method}` here", object.kind()),
        )
    };
    if let Some(text) = object.as_str() {
        // The engine charges for what comes back, once there is memory for it.
        state.consume_fuel(bytes_made(text, method, arguments) / BYTES_A_FUEL)?;
        return string_method(text, method, arguments).ok_or_else(unknown)?;
    }
    if object.kind() == ValueKind::Map {
        return map_method(object, method, arguments).ok_or_else(unknown)?;
    }
    Err(unknown())
}

/// Bytes of what a method of a string gives, at most.
fn bytes_made(text: &str, method: &str, arguments: &[Value]) -> u64 {
    let argument = |index: usize| arguments.get(index).and_then(Value::as_str);
    let parts = |of: &str| text.matches(of).count() as u64 + 1;
    let length = text.len() as u64;
    match (method, argument(0)) {
        ("replace", Some(old)) => {
            let new = argument(1).map_or(0, str::len) as u64;
            length.saturating_add(parts(old).saturating_mul(new))
        }
        ("split", Some(separator)) => length + parts(separator) * size_of::<Value>() as u64,
        ("split", None) => length * size_of::<Value>() as u64,
        _ => length,
    }
}

/// None if there is no such method.
fn string_method(text: &str, method: &str, arguments: &[Value]) -> Option<Result<Value, Error>> {
    let argument = |index: usize| arguments.get(index).and_then(Value::as_str);
    let in_set = |set: Option<&str>| {
        let set: Option<Vec<char>> = set.map(|set| set.chars().collect());
        move |character: char| {
            set.as_ref()
                .map_or(character.is_whitespace(), |set| set.contains(&character))
        }
    };
    let missing = || Error::new(ErrorKind::MissingArgument, format!("`{method}` needs a text"));
    let with_text = |apply: &dyn Fn(&str) -> Value| argument(0).map(apply).ok_or_else(missing);
    Some(match method {
        "strip" => Ok(text.trim_matches(in_set(argument(0))).into()),
        "lstrip" => Ok(text.trim_start_matches(in_set(argument(0))).into()),
        "rstrip" => Ok(text.trim_end_matches(in_set(argument(0))).into()),
        "upper" => Ok(text.to_uppercase().into()),
        "lower" => Ok(text.to_lowercase().into()),
        "title" => Ok(title(text).into()),
        "startswith" => with_text(&|start| text.starts_with(start).into()),
        "endswith" => with_text(&|end| text.ends_with(end).into()),
        "find" => with_text(&|part| {
            let at = text.find(part).map(|at| text[..at].chars().count());
            at.map_or(Value::from(-1), Value::from)
        }),
        "replace" => match (argument(0), argument(1)) {
            (Some(old), Some(new)) => Ok(text.replace(old, new).into()),
            _ => Err(missing()),
        },
        "split" => Ok(match argument(0) {
            Some(separator) => text.split(separator).map(Value::from).collect(),
            None => text.split_whitespace().map(Value::from).collect(),
        }),
        _ => return None,
    })
}

/// Python's `title`: each word begins with a capital.
fn title(text: &str) -> String {
    let mut inside = false;
    let mut titled = String::new();
    for character in text.chars() {
        if inside {
            titled.extend(character.to_lowercase());
        } else {
            titled.extend(character.to_uppercase());
        }
        inside = character.is_alphabetic();
    }
    titled
}

/// None if there is no such method.
fn map_method(map: &Value, method: &str, arguments: &[Value]) -> Option<Result<Value, Error>> {
    let entries = || -> Result<Vec<(Value, Value)>, Error> {
        map.try_iter()?
            .map(|key| {
                let value = map.get_item(&key)?;
                Ok((key, value))
            })
            .collect()
    };
    Some(match method {
        "items" => entries().map(|entries| {
            let pair = |(key, value)| Value::from(vec![key, value]);
            entries.into_iter().map(pair).collect()
        }),
        "keys" => entries().map(|entries| entries.into_iter().map(|(key, _)| key).collect()),
        "values" => entries().map(|entries| entries.into_iter().map(|(_, value)| value).collect()),
        "get" => {
            let Some(key) = arguments.first() else {
                let needs = "`get` needs a key";
                return Some(Err(Error::new(ErrorKind::MissingArgument, needs)));
            };
            map.get_item(key).map(|value| match arguments.get(1) {
                Some(default) if value.is_undefined() => default.clone(),
                None if value.is_undefined() => Value::from(()),
                _ => value,
            })
        }
        _ => return None,
    })
}
