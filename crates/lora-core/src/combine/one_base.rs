//! Whether adapters are for one base model: updates of different models do not add up.

use super::error::{CombineError, OneSided};
use crate::peft::PlainLora;

/// Checks that no two adapters name different base models, and that those of which a name is missing have a linear in common
/// with the first: without either nothing says that they are for one model. Adapters of one named base may have different
/// targets.
///
/// # Errors
///
/// [`CombineError::BaseModels`], [`CombineError::NothingShared`].
pub(super) fn check_one_base(adapters: &[PlainLora]) -> Result<(), CombineError> {
    let named = adapters.iter().find(|adapter| base_of(adapter).is_some());
    for adapter in adapters {
        if let Some(named) = named
            && let (Some(first), Some(other)) = (base_of(named), base_of(adapter))
            && first != other
        {
            return Err(CombineError::BaseModels {
                first: first.to_owned(),
                other: other.to_owned(),
                apart: [of_one_alone(named, adapter), of_one_alone(adapter, named)]
                    .into_iter()
                    .flatten()
                    .collect(),
            });
        }
        let first = &adapters[0];
        let is_named = base_of(first).is_some() && base_of(adapter).is_some();
        let shares_any = || {
            adapter
                .factors
                .keys()
                .any(|path| first.factors.contains_key(path))
        };
        if !is_named
            && !shares_any()
            && let (Some(only_first), Some(only_other)) =
                (of_one_alone(first, adapter), of_one_alone(adapter, first))
        {
            return Err(CombineError::NothingShared {
                only_first,
                only_other,
            });
        }
    }
    Ok(())
}

/// PEFT writes an empty name for a model that it was not given by name.
pub(super) fn base_of(adapter: &PlainLora) -> Option<&str> {
    adapter.base_model.as_deref().filter(|name| !name.is_empty())
}

/// The first linear that one of two adapters has alone.
fn of_one_alone(adapter: &PlainLora, other: &PlainLora) -> Option<OneSided> {
    let (path, factors) = adapter
        .factors
        .iter()
        .find(|(path, _)| !other.factors.contains_key(*path))?;
    Some(OneSided {
        path: path.clone(),
        d_input: factors.a.shape[1],
        d_output: factors.b.shape[0],
    })
}
