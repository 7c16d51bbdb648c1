//! Hidden states below everything that is trained, cached between passes over a data set.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::module::ParamId;
use burn::tensor::{DType, Device, Tensor, TensorData};

/// Values that are cached, at most: 256 MiB. A data set that needs more goes through all layers every time.
const MOST_NUMBERS: usize = 64 << 20;

/// The hidden states of a data set's rows before the lowest layer that holds anything trained. Neither training nor a
/// [`Posterior`](crate::vector::Posterior) changes them, so a row goes through the frozen layers in its first pass alone: epochs after the first,
/// and members after the first, begin above them.
///
/// A clone shares the states. Padding is left out, so a row is the same in whatever batch it comes; what stands in the place of padding,
/// which no token sees, is 0. A row that reads otherwise than it did is not known: that of another data set.
#[derive(Clone, Debug)]
pub struct FrozenStates {
    layers: usize,
    model: ParamId,
    lengths: Arc<[usize]>,
    tokens: usize,
    rows: Arc<Mutex<Vec<Option<Known>>>>,
}

/// What is known of a row.
#[derive(Clone, Debug)]
struct Known {
    /// Of what the model read.
    read: u64,
    /// `[tokens, d_model]`.
    states: Box<[f32]>,
}

impl FrozenStates {
    /// Below this layer of a model, for rows of these lengths in tokens. See [`Adapted::frozen_states`](crate::Adapted::frozen_states).
    pub(crate) fn new(layers: usize, model: ParamId, lengths: &[usize]) -> Self {
        Self {
            layers,
            model,
            lengths: lengths.into(),
            tokens: lengths.iter().sum(),
            rows: Arc::new(Mutex::new(vec![None; lengths.len()])),
        }
    }

    /// The model whose states they are.
    pub(crate) fn model(&self) -> ParamId {
        self.model
    }

    /// How many layers are frozen, or more where a head alone is trained: the states are those before the layer of this number, or the
    /// last one.
    pub fn layers(&self) -> usize {
        self.layers
    }

    /// How many rows are known.
    pub fn known(&self) -> usize {
        self.lock().iter().flatten().count()
    }

    /// The states of a batch of these rows, if all of them are known. `read` says what the model reads in the row at a place of the
    /// batch, as a number.
    ///
    /// # Shapes
    ///
    /// - output: `[rows, seq, d_model]`, or `[1, tokens of all rows, d_model]` without `seq`
    ///
    /// # Panics
    ///
    /// Panics if there is no row, or a row is not of the data set or longer than `seq`.
    pub fn of_rows(
        &self,
        rows: &[usize],
        seq: Option<usize>,
        read: impl Fn(usize) -> u64,
        device: &Device,
    ) -> Option<Tensor<3>> {
        let all = self.lock();
        let d_model = all[rows[0]].as_ref()?.states.len() / self.lengths[rows[0]];
        let mut values = Vec::with_capacity(rows.len() * seq.unwrap_or(0) * d_model);
        for (place, row) in rows.iter().enumerate() {
            let known = all[*row].as_ref().filter(|known| known.read == read(place))?;
            values.extend_from_slice(&known.states);
            if let Some(seq) = seq {
                values.resize((place + 1) * seq * d_model, 0.0);
            }
        }
        let shape = match seq {
            Some(seq) => [rows.len(), seq, d_model],
            None => [1, values.len() / d_model, d_model],
        };
        let data = TensorData::new(values, shape);
        Some(Tensor::from_data(data, device))
    }

    /// Keeps the states of a batch of these rows, unless those of the whole data set would take too much memory.
    ///
    /// # Shapes
    ///
    /// - states: `[rows, seq, d_model]`, or `[1, tokens of all rows, d_model]`
    ///
    /// # Panics
    ///
    /// As [`FrozenStates::of_rows`].
    pub fn keep(&self, rows: &[usize], read: impl Fn(usize) -> u64, states: &Tensor<3>) {
        let [batch, seq, d_model] = states.dims();
        // States of 16 bits are not cached.
        if self.tokens.saturating_mul(d_model) > MOST_NUMBERS || states.dtype() != DType::F32 {
            return;
        }
        let data = states.to_data();
        let values = data.as_slice::<f32>().expect("numbers of 32 bits");
        let mut all = self.lock();
        let mut next = 0;
        for (place, row) in rows.iter().enumerate() {
            let length = self.lengths[*row];
            let states = &values[next..][..length * d_model];
            next += d_model * if batch == rows.len() { seq } else { length };
            all[*row].get_or_insert_with(|| Known {
                read: read(place),
                states: states.into(),
            });
        }
    }

    /// Forgets all states, so that the next passes compute them again: to measure what they cost.
    pub fn forget(&self) {
        self.lock().fill(None);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Option<Known>>> {
        // A row is cached whole or not at all.
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
