//! A configuration file: keys, values and the lines where they stand.

use std::fmt;
use std::fs;
use std::path::Path;

use lora_data::{DataError, decode_text};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::keys::{Key, nearest};
use crate::bail;
use crate::error::{Error, Result};

/// Lists and tables that a TOML file may open, far more than settings have. Its parser (`toml` 1.2.1) bounds how deep they nest, but in a
/// damaged file it loses count and overflows the stack.
const MOST_OPENED: usize = 200;

/// A key of the file, with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct FileEntry {
    /// The key.
    pub key: &'static Key,
    /// Its value.
    pub value: Value,
    /// Its line, from 1, where it could be found.
    pub line: Option<usize>,
}

/// Reads YAML, TOML or JSON, told by the name's ending. Keys with `null` count as not given.
///
/// # Errors
///
/// If the file cannot be read or parsed, or holds a key that is unknown or stands twice.
pub fn read(path: &Path) -> Result<Vec<FileEntry>> {
    let shown = path.display();
    let bytes = fs::read(path).map_err(|error| {
        Error::input(format!(
            "cannot read the configuration file `{shown}` ({error}); check the path given to --config"
        ))
    })?;
    let text = decode_text(&bytes, path).map_err(DataError::from)?;
    let pairs = parse(path, &text)?;
    let mut entries: Vec<FileEntry> = Vec::new();
    for (name, value) in pairs {
        let line = line_of(&text, &name);
        let at = line.map(|line| format!(", line {line}")).unwrap_or_default();
        let Some(key) = Key::named(&name) else {
            let hint = match nearest(&name) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`lora train --help` lists all keys".to_owned(),
            };
            bail!("`{shown}`{at}: unknown key `{name}`; {hint}");
        };
        if entries.iter().any(|entry| entry.key == key) {
            bail!("`{shown}`: the key `{name}` stands twice; remove one of them");
        }
        if !value.is_null() {
            entries.push(FileEntry { key, value, line });
        }
    }
    Ok(entries)
}

fn parse(path: &Path, text: &str) -> Result<Vec<(String, Value)>> {
    let shown = path.display();
    let ending = path
        .extension()
        .map(|ending| ending.to_string_lossy().to_lowercase());
    let mistake = |format: &str, line: Option<usize>, reason: String| {
        let at = line.map(|line| format!(", line {line}")).unwrap_or_default();
        Error::input(format!(
            "`{shown}`{at}: not valid {format} ({reason}); a configuration file holds one `key` and value a line, \
             fix the text there"
        ))
    };
    let pairs = match ending.as_deref() {
        Some("yaml" | "yml") => serde_saphyr::from_str::<Pairs>(text).map_err(|error| {
            let line = error.location().map(|location| location.line() as usize);
            if let serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } = error.without_snippet() {
                let at = line.map(|line| format!(", line {line}")).unwrap_or_default();
                return Error::input(format!(
                    "`{shown}`{at}: the key `{key}` stands twice; remove one of them"
                ));
            }
            mistake("YAML", line, first_line(&error.without_snippet().to_string()))
        }),
        Some("toml") if text.matches(['[', '{']).count() > MOST_OPENED => {
            let reason = format!("more than {MOST_OPENED} lists and tables");
            Err(mistake("TOML", None, reason))
        }
        Some("toml") => {
            let pairs = toml::from_str::<Pairs>(text).map_err(|error| {
                let line = error
                    .span()
                    .map(|span| text.get(..span.start).unwrap_or(text).matches('\n').count() + 1);
                mistake("TOML", line, first_line(error.message()))
            });
            match not_finite(text) {
                Some(name) => {
                    let at = line_of(text, &name).map(|line| format!(", line {line}"));
                    bail!(
                        "`{shown}`{}: {name} holds inf or nan, which is no value of a setting; give a number, or leave the key out",
                        at.unwrap_or_default()
                    )
                }
                None => pairs,
            }
        }
        Some("json") => serde_json::from_str::<Pairs>(text)
            .map_err(|error| mistake("JSON", Some(error.line()), first_line(&error.to_string()))),
        _ => bail!("`{shown}`: the format cannot be told from the name; end it in .yaml, .toml or .json"),
    };
    Ok(pairs?.0)
}

/// A key of a TOML file that holds `inf` or `nan`: a JSON value cannot, and would be null, which counts as not given. YAML's are refused by
/// the parser, and JSON has none.
fn not_finite(text: &str) -> Option<String> {
    fn is_finite(value: &toml::Value) -> bool {
        match value {
            toml::Value::Float(number) => number.is_finite(),
            toml::Value::Array(items) => items.iter().all(is_finite),
            toml::Value::Table(fields) => fields.values().all(is_finite),
            _ => true,
        }
    }
    let table = toml::from_str::<toml::Table>(text).ok()?;
    let found = table.into_iter().find(|(_, value)| !is_finite(value));
    found.map(|(name, _)| name)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or(text).trim().to_owned()
}

/// The line of a key at the top level, from 1: the first where the name stands alone before a colon or an equals sign.
fn line_of(text: &str, name: &str) -> Option<usize> {
    let is_here = |line: &str| {
        line.match_indices(name).any(|(start, _)| {
            let before = line[..start].trim_end_matches(['"', '\'']).trim_end();
            let after = line[start + name.len()..]
                .trim_start_matches(['"', '\''])
                .trim_start();
            (before.is_empty() || before.ends_with(['{', ','])) && after.starts_with([':', '='])
        })
    };
    text.lines().position(is_here).map(|index| index + 1)
}

/// The top level of a file, in its order and with repeated keys.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Pairs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("keys with values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use serde_json::json;

    use super::*;

    fn read_text(name: &str, text: &str) -> Result<Vec<FileEntry>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        read(&path)
    }

    fn pairs(name: &str, text: &str) -> Vec<(&'static str, Value, Option<usize>)> {
        let entries = read_text(name, text).unwrap();
        let triple = |entry: FileEntry| (entry.key.name, entry.value, entry.line);
        entries.into_iter().map(triple).collect()
    }

    #[test]
    fn the_three_formats_say_the_same() {
        let expected = vec![
            ("learning_rate", json!(5e-4), Some(2)),
            ("r", json!(4), Some(3)),
            ("target_modules", json!(["query", "key"]), Some(4)),
            ("train_file", json!("a.csv"), Some(5)),
        ];
        let yaml = "# a comment\nlearning_rate: 5e-4\nr: 4\ntarget_modules: [query, key]\ntrain_file: a.csv\nseed: null\n";
        let toml = "# a comment\nlearning_rate = 5e-4\nr = 4\ntarget_modules = [\"query\", \"key\"]\ntrain_file = \"a.csv\"\n";
        let json = "{\n\"learning_rate\": 5e-4,\n\"r\": 4,\n\"target_modules\": [\"query\", \"key\"],\n\"train_file\": \"a.csv\"\n}";
        for (name, text) in [
            ("a.yaml", yaml),
            ("a.yml", yaml),
            ("a.toml", toml),
            ("a.JSON", json),
        ] {
            let mut found = pairs(name, text);
            found.sort_by_key(|triple| triple.0);
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn an_unknown_key_is_refused_with_line_and_suggestion() {
        let error = read_text("a.yaml", "r: 4\nlearning_rat: 1\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 2: unknown key `learning_rat`; did you mean `learning_rate`?"),
            "{error}"
        );
        let error = read_text("a.yaml", "model: minilm-l6\n").unwrap_err().to_string();
        assert!(
            error.contains("unknown key `model`; did you mean `model_name_or_path`?"),
            "a flag's name: {error}"
        );
        for (alias, key) in [
            ("batch_size", "per_device_train_batch_size"),
            ("epochs", "num_train_epochs"),
            ("lr", "learning_rate"),
        ] {
            let error = read_text("a.yaml", &format!("{alias}: 8\n"))
                .unwrap_err()
                .to_string();
            assert!(error.contains(&format!("did you mean `{key}`?")), "{error}");
        }
        let error = read_text("a.yaml", "colour: blue\n").unwrap_err().to_string();
        assert!(
            error.contains("line 1: unknown key `colour`; `lora train --help`"),
            "{error}"
        );
    }

    #[test]
    fn a_key_that_stands_twice_is_refused_in_every_format() {
        for (name, text) in [
            ("a.yaml", "r: 4\nr: 5\n"),
            ("a.toml", "r = 4\nr = 5\n"),
            ("a.json", r#"{"r": 4, "r": 5}"#),
        ] {
            assert!(read_text(name, text).is_err(), "{name}");
        }
    }

    #[test]
    fn a_value_that_is_no_finite_number_is_refused_in_every_format() {
        for (name, text) in [
            ("a.toml", "r = 4\nmax_grad_norm = inf\n"),
            ("a.toml", "r = 4\nclass_weights = { good = nan }\n"),
            ("a.toml", "r = 4\nlayers_to_transform = [1, -inf]\n"),
            ("a.yaml", "r: 4\nmax_grad_norm: .inf\n"),
        ] {
            let error = read_text(name, text).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("line 2"), "{error}");
        }
        assert!(read_text("a.json", "{\"max_grad_norm\": Infinity}").is_err());
        assert!(read_text("a.json", "{\"max_grad_norm\": 1e999}").is_err());
    }

    #[test]
    fn what_does_not_parse_is_refused_by_line() {
        let mistakes = [
            ("a.yaml", "r: 4\nseed: [1\n"),
            ("a.toml", "r = 4\nseed = = 1\n"),
            ("a.json", "{\n\"r\": 4,,\n}"),
            ("b.yaml", "just a sentence\n"),
        ];
        for (name, text) in mistakes {
            let error = read_text(name, text).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("line ") && error.contains("fix"),
                "{error}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(
            read_text("a.txt", "r: 4")
                .unwrap_err()
                .to_string()
                .contains(".yaml")
        );
    }
}
