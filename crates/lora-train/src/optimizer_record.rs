//! The state of an optimizer by names of parameters: Burn's own records know them by ids, which differ from one process to the next.

use std::collections::HashMap;

use burn::module::ParamId;
use burn::optim::{ModuleOptimizer, OptimizerRecord};
use burn::tensor::TensorData;
use burn_pack::{Reader, Scalar, Tensor, Writer};
use lora_core::tensors::HostTensor;

use crate::state::{Numbers, StateError, StateTensor, TrainingState};

/// The state of an optimizer: entries are `parameter/field`. `names` has those of all parameters.
///
/// # Panics
///
/// Panics if a parameter has no name, or if Burn's record has another form than that of the version that is pinned.
pub(crate) fn optimizer_state(
    optimizer: &ModuleOptimizer,
    names: &HashMap<ParamId, String>,
) -> TrainingState {
    const FORM: &str = "the record of an optimizer of floats";
    let with_name = |entry: &str| {
        let (id, field) = entry.split_once('.').expect(FORM);
        let id = ParamId::from(id.parse::<u64>().expect(FORM));
        format!("{}/{field}", names[&id])
    };
    let record = Reader::from_bytes(optimizer.into_bytes().expect(FORM)).expect(FORM);
    let mut state = TrainingState::default();
    for (entry, scalar) in record.scalars() {
        state.put(with_name(entry), &u64::try_from(*scalar).expect(FORM));
    }
    for tensor in record.into_tensors().expect(FORM) {
        let (entry, dtype, shape, _, bytes) = tensor.into_parts().expect(FORM);
        let data = TensorData::from_bytes(bytes, shape, dtype).convert::<f32>();
        let tensor = HostTensor {
            shape: data.shape().to_vec(),
            values: data.try_into_vec().expect(FORM),
        };
        state.put_tensor(with_name(&entry), tensor);
    }
    state
}

/// The same optimizer with a state that [`optimizer_state`] gave.
///
/// # Errors
///
/// [`StateError::Unknown`] if a parameter is not in `names`; [`StateError::Value`] if Burn cannot read it.
pub(crate) fn restore_optimizer(
    optimizer: ModuleOptimizer,
    mut state: TrainingState,
    names: &HashMap<ParamId, String>,
) -> Result<ModuleOptimizer, StateError> {
    let unreadable = |error: &dyn std::fmt::Display| StateError::Value {
        name: "optimizer".to_owned(),
        reason: error.to_string(),
    };
    let (mut tensors, mut scalars) = (Vec::new(), Vec::new());
    for (id, name) in names {
        let part = state.take_part(&format!("{name}/"));
        for (field, value) in part.values() {
            let value = value.as_u64().ok_or_else(|| unreadable(&value))?;
            scalars.push((format!("{}.{field}", id.val()), value));
        }
        for (field, StateTensor { shape, numbers }) in part.tensors() {
            let data = match numbers {
                Numbers::Single(values) => TensorData::new(values.clone(), shape.clone()),
                Numbers::Double(_) => return Err(unreadable(&"numbers of 64 bits")),
            };
            let entry = format!("{}.{field}", id.val());
            let (bytes, shape, dtype) = data.into_parts();
            tensors.push(Tensor::new(entry, dtype, shape, Some(id.val()), bytes));
        }
    }
    state.finish()?;
    let writer = scalars
        .into_iter()
        .fold(Writer::new(tensors), |writer, (entry, value)| {
            writer.with_scalar(&entry, Scalar::from(value))
        });
    let bytes = writer.into_bytes().map_err(|error| unreadable(&error))?;
    let record = OptimizerRecord::from_bytes(bytes).map_err(|error| unreadable(&error))?;
    Ok(optimizer.load_record(record))
}
