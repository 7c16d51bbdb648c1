//! Reads numbers that JSON cannot write. A loss that became infinite or not a number is written as `null`; read
//! back it is not a number, instead of an error that costs the whole file.

use serde::{Deserialize, Deserializer};

/// A number, `null` for one that is not finite.
pub(crate) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(or_nan(Option::deserialize(deserializer)?))
}

/// An optional pair of numbers.
pub(crate) fn optional_pair<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<[f64; 2]>, D::Error> {
    Ok(Option::<[Option<f64>; 2]>::deserialize(deserializer)?.map(|pair| pair.map(or_nan)))
}

/// A pair of numbers.
pub(crate) fn pair<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[f64; 2], D::Error> {
    Ok(<[Option<f64>; 2]>::deserialize(deserializer)?.map(or_nan))
}

/// A list of pairs.
pub(crate) fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<[f64; 2]>, D::Error> {
    let pairs = Vec::<[Option<f64>; 2]>::deserialize(deserializer)?;
    Ok(pairs.into_iter().map(|pair| pair.map(or_nan)).collect())
}

/// An optional list of pairs.
pub(crate) fn optional_pairs<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<[f64; 2]>>, D::Error> {
    let pairs = Option::<Vec<[Option<f64>; 2]>>::deserialize(deserializer)?;
    Ok(pairs.map(|pairs| pairs.into_iter().map(|pair| pair.map(or_nan)).collect()))
}

fn or_nan(value: Option<f64>) -> f64 {
    value.unwrap_or(f64::NAN)
}
