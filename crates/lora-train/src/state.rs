//! What it takes to go on with a training: everything that it has learned, by name.

use std::collections::BTreeMap;
use std::fmt::Write;

use lora_core::tensors::HostTensor;
use lora_data::EncodedDataset;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;
use xxhash_rust::xxh3::Xxh3;

/// Where a training stands: tensors and plain values by name. Whoever has a state puts it in under names of its own and takes it out
/// again, and what nobody takes is an error: [`TrainingState::finish`].
///
/// Masks and the order of rows are not in it: they are functions of the seed and the step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainingState {
    tensors: BTreeMap<String, StateTensor>,
    values: BTreeMap<String, Value>,
}

/// A tensor of a state, row-major.
#[derive(Clone, Debug, PartialEq)]
pub struct StateTensor {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// The numbers, in the precision in which they were computed.
    pub numbers: Numbers,
}

/// Numbers of either precision.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// 32 bits.
    Single(Vec<f32>),
    /// 64 bits.
    Double(Vec<f64>),
}

/// A state that does not belong to a training.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StateError {
    /// The training differs from the one that the state was taken of.
    #[error(
        "{what} changed: {before} when the training began, {now} now; a training goes on only as it began"
    )]
    Differs {
        /// A setting, or what else decides the result.
        what: String,
        /// In the training that was interrupted.
        before: String,
        /// In this one.
        now: String,
    },
    /// Something is not in it.
    #[error("`{name}` is missing")]
    Missing {
        /// The name of a tensor or a value.
        name: String,
    },
    /// A tensor of another shape, or of other numbers.
    #[error("`{name}` has the shape {found:?}; expected {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// What belongs there.
        expected: Vec<usize>,
        /// What was found.
        found: Vec<usize>,
    },
    /// A value that cannot be read.
    #[error("`{name}` cannot be read: {reason}")]
    Value {
        /// The value.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Something that belongs to nothing in the training.
    #[error("nothing in the training has the state {}", names.join(", "))]
    Unknown {
        /// The names of tensors and values.
        names: Vec<String>,
    },
}

impl TrainingState {
    /// A state of these parts, such as those of a file.
    pub fn of_parts(tensors: BTreeMap<String, StateTensor>, values: BTreeMap<String, Value>) -> Self {
        Self { tensors, values }
    }

    /// All tensors.
    pub fn tensors(&self) -> &BTreeMap<String, StateTensor> {
        &self.tensors
    }

    /// All values.
    pub fn values(&self) -> &BTreeMap<String, Value> {
        &self.values
    }

    /// Puts a tensor in.
    ///
    /// # Panics
    ///
    /// Panics if there is one of that name.
    pub fn put_tensor(&mut self, name: impl Into<String>, tensor: HostTensor) {
        let HostTensor { shape, values } = tensor;
        let numbers = Numbers::Single(values);
        self.put_numbers(name.into(), StateTensor { shape, numbers });
    }

    /// Puts a vector of double precision in.
    ///
    /// # Panics
    ///
    /// Panics if there is a tensor of that name.
    pub fn put_doubles(&mut self, name: impl Into<String>, numbers: Vec<f64>) {
        let shape = vec![numbers.len()];
        let numbers = Numbers::Double(numbers);
        self.put_numbers(name.into(), StateTensor { shape, numbers });
    }

    fn put_numbers(&mut self, name: String, tensor: StateTensor) {
        let before = self.tensors.insert(name, tensor);
        assert!(before.is_none(), "every tensor of a state has its own name");
    }

    /// Puts a value in. Numbers that are not finite become null.
    ///
    /// # Panics
    ///
    /// Panics if there is one of that name, or the value is no JSON.
    pub fn put(&mut self, name: impl Into<String>, value: &impl Serialize) {
        let value = serde_json::to_value(value).expect("what is put into a state is plain data");
        let before = self.values.insert(name.into(), value);
        assert!(before.is_none(), "every value of a state has its own name");
    }

    /// Takes a tensor of this shape out.
    ///
    /// # Errors
    ///
    /// [`StateError::Missing`], [`StateError::Shape`].
    pub fn take_tensor(&mut self, name: &str, shape: &[usize]) -> Result<HostTensor, StateError> {
        match self.take_numbers(name, shape)? {
            Numbers::Single(values) => Ok(HostTensor {
                shape: shape.to_vec(),
                values,
            }),
            Numbers::Double(_) => Err(not_so_precise(name, 32)),
        }
    }

    /// Takes a vector of double precision and of this length out.
    ///
    /// # Errors
    ///
    /// As [`TrainingState::take_tensor`].
    pub fn take_doubles(&mut self, name: &str, length: usize) -> Result<Vec<f64>, StateError> {
        match self.take_numbers(name, &[length])? {
            Numbers::Double(numbers) => Ok(numbers),
            Numbers::Single(_) => Err(not_so_precise(name, 64)),
        }
    }

    fn take_numbers(&mut self, name: &str, shape: &[usize]) -> Result<Numbers, StateError> {
        let missing = || StateError::Missing {
            name: name.to_owned(),
        };
        let StateTensor {
            shape: found,
            numbers,
        } = self.tensors.remove(name).ok_or_else(missing)?;
        if found != shape {
            return Err(StateError::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found,
            });
        }
        Ok(numbers)
    }

    /// Takes a value out.
    ///
    /// # Errors
    ///
    /// [`StateError::Missing`], [`StateError::Value`].
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<T, StateError> {
        let missing = || StateError::Missing {
            name: name.to_owned(),
        };
        let value = self.values.remove(name).ok_or_else(missing)?;
        serde_json::from_value(value).map_err(|error| StateError::Value {
            name: name.to_owned(),
            reason: error.to_string(),
        })
    }

    /// Takes everything out whose name begins so, without that beginning.
    #[must_use]
    pub fn take_part(&mut self, prefix: &str) -> Self {
        Self {
            tensors: take_part(&mut self.tensors, prefix),
            values: take_part(&mut self.values, prefix),
        }
    }

    /// Puts everything of another state in, with something before its names.
    ///
    /// # Panics
    ///
    /// Panics if there is something of such a name.
    pub fn put_part(&mut self, prefix: &str, part: Self) {
        for (name, tensor) in part.tensors {
            self.put_numbers(format!("{prefix}{name}"), tensor);
        }
        for (name, value) in part.values {
            self.put(format!("{prefix}{name}"), &value);
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty() && self.values.is_empty()
    }

    /// The end of taking out.
    ///
    /// # Errors
    ///
    /// [`StateError::Unknown`] if something is left.
    pub fn finish(self) -> Result<(), StateError> {
        if self.is_empty() {
            return Ok(());
        }
        let names = self.tensors.into_keys().chain(self.values.into_keys());
        Err(StateError::Unknown {
            names: names.collect(),
        })
    }
}

fn not_so_precise(name: &str, expected: u8) -> StateError {
    StateError::Value {
        name: name.to_owned(),
        reason: format!("expected numbers of {expected} bits"),
    }
}

fn take_part<T>(all: &mut BTreeMap<String, T>, prefix: &str) -> BTreeMap<String, T> {
    let (taken, left) = std::mem::take(all)
        .into_iter()
        .partition(|(name, _)| name.starts_with(prefix));
    *all = left;
    let without = |(name, value): (String, T)| (name[prefix.len()..].to_owned(), value);
    BTreeMap::into_iter(taken).map(without).collect()
}

/// Refuses a training that differs from the one that a state was taken of. `before` and `now` are objects; `matters` says which of
/// their keys decide the result.
///
/// # Errors
///
/// [`StateError::Differs`] with the first key that differs.
pub fn refuse_difference(
    before: &Value,
    now: &Value,
    matters: impl Fn(&str) -> bool,
) -> Result<(), StateError> {
    let nothing = serde_json::Map::new();
    let before = before.as_object().unwrap_or(&nothing);
    let now = now.as_object().unwrap_or(&nothing);
    let keys = now
        .keys()
        .chain(before.keys().filter(|key| !now.contains_key(*key)));
    let in_words = |value: Option<&Value>| match value {
        None | Some(Value::Null) => "not set".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    };
    for key in keys.filter(|key| matters(key)) {
        let [before, now] = [before.get(key), now.get(key)];
        if before.unwrap_or(&Value::Null) != now.unwrap_or(&Value::Null) {
            return Err(StateError::Differs {
                what: key.clone(),
                before: in_words(before),
                now: in_words(now),
            });
        }
    }
    Ok(())
}

/// A hash of rows, by which a state knows them.
pub fn hash_of_rows(rows: &EncodedDataset) -> String {
    /// What is written into it is hashed.
    struct Hashed(Xxh3);
    impl Write for Hashed {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            self.0.update(text.as_bytes());
            Ok(())
        }
    }
    let EncodedDataset {
        encoded,
        targets,
        task,
        truncated: _,
    } = rows;
    let mut hashed = Hashed(Xxh3::new());
    write!(hashed, "{encoded:?} {targets:?} {task:?}").expect("hashing does not fail");
    format!("{} rows, hash {:016x}", rows.len(), hashed.0.digest())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use serde_json::json;

    use super::*;

    fn state() -> TrainingState {
        let mut state = TrainingState::default();
        let tensor = HostTensor {
            shape: vec![2, 3],
            values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        };
        state.put_tensor("a.tensor", tensor);
        state.put_doubles("a.doubles", vec![0.1, 0.2]);
        state.put("b", &7);
        state
    }

    #[test]
    fn what_is_put_in_comes_out_once() {
        let mut state = state();
        assert_eq!(state.take_tensor("a.tensor", &[2, 3]).unwrap().values[5], 6.0);
        assert_eq!(state.take_doubles("a.doubles", 2).unwrap(), [0.1, 0.2]);
        assert_eq!(state.take::<u64>("b").unwrap(), 7);
        let missing = state.take::<u64>("b").unwrap_err();
        assert_eq!(missing, StateError::Missing { name: "b".into() });
        state.finish().unwrap();
    }

    #[test]
    fn what_nobody_takes_is_named() {
        let names = ["a.doubles", "a.tensor", "b"].map(String::from).to_vec();
        assert_eq!(state().finish().unwrap_err(), StateError::Unknown { names });
    }

    #[test]
    fn another_shape_or_precision_is_refused_by_name() {
        let shape = state().take_tensor("a.tensor", &[3, 2]).unwrap_err().to_string();
        assert!(shape.contains("a.tensor") && shape.contains("[3, 2]"), "{shape}");
        let precision = state().take_tensor("a.doubles", &[2]).unwrap_err();
        assert!(matches!(precision, StateError::Value { .. }), "{precision}");
    }

    #[test]
    fn a_part_is_taken_out_and_put_back_under_its_name() {
        let mut state = state();
        let part = state.take_part("a.");
        assert_eq!(part.tensors().keys().collect::<Vec<_>>(), ["doubles", "tensor"]);
        assert!(state.tensors().is_empty());
        state.put_part("a.", part);
        assert_eq!(state, self::state());
    }

    #[test]
    fn a_difference_is_named_with_both_values() {
        let before = json!({"seed": 1, "r": 8, "name": "x", "old": 2});
        refuse_difference(
            &before,
            &json!({"seed": 1, "r": 8, "name": "y", "old": 2}),
            |key| key != "name",
        )
        .unwrap();
        let differs = |now: Value| {
            refuse_difference(&before, &now, |_| true)
                .unwrap_err()
                .to_string()
        };
        let said = differs(json!({"seed": 1, "r": 4, "name": "x", "old": 2}));
        assert!(
            said.contains("r changed: 8 when the training began, 4 now"),
            "{said}"
        );
        let said = differs(json!({"seed": 1, "r": 8, "name": "x"}));
        assert!(
            said.contains("old changed: 2 when the training began, not set now"),
            "{said}"
        );
    }
}
