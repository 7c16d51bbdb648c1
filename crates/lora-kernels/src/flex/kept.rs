//! Packed weights that are kept from call to call: those that are packed by columns, as the backward pass reads them. Packing by
//! rows takes little longer than reading a copy that has left the caches meanwhile.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn::tensor::Bytes;

use super::{Matrix, Packed};

/// Packed weights and the room for them.
#[derive(Clone, Debug)]
pub(crate) struct KeptWeights(Arc<Mutex<Kept>>);

#[derive(Debug)]
struct Kept {
    /// Bytes that may be kept.
    room: usize,
    weights: HashMap<Place, Seen>,
}

/// Where the values of a matrix lie. No other matrix gets this address while a [`Seen`] holds on to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Place {
    storage: usize,
    offset: usize,
    dims: [usize; 2],
}

/// A weight that came at least once.
#[derive(Debug)]
struct Seen {
    /// Who changes values in place makes sure that nobody else knows of their storage, even weakly (`Arc::get_mut`,
    /// `Arc::make_mut`). So the values at a place are those that were packed, or the storage is gone.
    storage: Weak<Bytes>,
    packed: Option<Arc<Packed>>,
}

thread_local! {
    /// What the work of this thread keeps its weights in.
    static CURRENT: RefCell<Option<KeptWeights>> = const { RefCell::new(None) };
}

impl KeptWeights {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Mutex::new(Kept {
            room: bytes,
            weights: HashMap::new(),
        })))
    }

    /// Work that keeps its weights here, and not where the work around it does.
    pub fn during<R>(&self, work: impl FnOnce() -> R) -> R {
        /// Puts back what was there before, after a panic too.
        struct Restore(Option<KeptWeights>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(Some(self.clone())));
        work()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The matrix, which is all of the weight, packed now or in an earlier call.
pub(crate) fn packed_weight(weight: &FloatTensor<Flex>, matrix: Matrix<'_>) -> Arc<Packed> {
    let kept = CURRENT.with_borrow(Clone::clone);
    let Some(kept) = kept.filter(|_| matrix.is_transposed()) else {
        return Arc::new(Packed::new(matrix));
    };
    let storage = weight.data_arc();
    let place = Place {
        storage: Arc::as_ptr(&storage).addr(),
        offset: weight.layout().start_offset(),
        dims: matrix.dims(),
    };
    // The lock is not held while a matrix is packed, for which this thread may wait and take up other work meanwhile.
    let found = kept.lock().weights.get(&place).map(|seen| seen.packed.clone());
    match found {
        Some(Some(packed)) => packed,
        Some(None) => {
            let packed = Arc::new(Packed::to_keep(matrix));
            kept.lock().keep(place, &packed);
            packed
        }
        None => {
            kept.lock().note(place, Arc::downgrade(&storage));
            Arc::new(Packed::new(matrix))
        }
    }
}

impl Kept {
    /// Notes a weight, and forgets those that are gone.
    fn note(&mut self, place: Place, storage: Weak<Bytes>) {
        self.weights.retain(|_, seen| seen.storage.strong_count() > 0);
        let packed = None;
        self.weights.insert(place, Seen { storage, packed });
    }

    fn keep(&mut self, place: Place, packed: &Arc<Packed>) {
        let kept = self.weights.values().filter_map(|seen| seen.packed.as_ref());
        let bytes: usize = kept.map(|packed| packed.bytes()).sum();
        if bytes + packed.bytes() <= self.room
            && let Some(seen) = self.weights.get_mut(&place)
        {
            seen.packed = Some(packed.clone());
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail by panic")]
mod tests {
    use burn::tensor::{Device, Tensor};

    use super::*;
    use crate::{drawn, linear};

    /// Enough rows for a packed weight, and sizes that fill no panel.
    const ROWS: usize = 19;
    /// Of a weight as it lies.
    const DIMS: [usize; 2] = [45, 70];

    fn normal(shape: [usize; 2]) -> Tensor<2> {
        drawn::normal(shape, 0.0, 1.0, &Device::flex())
    }

    /// `x Wᵀ`.
    fn product(x: &Tensor<2>, weight: &Tensor<2>) -> Vec<f32> {
        let y = linear(x.clone(), weight.clone().transpose(), None);
        y.into_data().try_into_vec().unwrap()
    }

    fn kept(weights: &KeptWeights) -> usize {
        let seen = &weights.lock().weights;
        seen.values().filter(|seen| seen.packed.is_some()).count()
    }

    #[test]
    fn a_weight_is_kept_from_its_second_call_on_and_gives_the_same_bits() {
        let (x, weight) = (normal([ROWS, DIMS[1]]), normal(DIMS));
        let alone = product(&x, &weight);
        let weights = KeptWeights::new(usize::MAX);
        for calls in 1..4 {
            assert_eq!(weights.during(|| product(&x, &weight)), alone);
            assert_eq!(kept(&weights), usize::from(calls > 1));
        }
        assert_eq!(product(&x, &weight), alone);
    }

    #[test]
    fn a_weight_that_changes_in_place_is_another_one() {
        let x = normal([ROWS, DIMS[1]]);
        let mut weight = normal(DIMS);
        let weights = KeptWeights::new(usize::MAX);
        for _ in 0..5 {
            let alone = product(&x, &weight);
            for _ in 0..3 {
                assert_eq!(weights.during(|| product(&x, &weight)), alone);
            }
            // Nobody else has the tensor, so Burn may use its memory again.
            weight = weight.mul_scalar(1.5).add_scalar(0.25);
        }
    }

    #[test]
    fn views_of_one_storage_are_told_apart() {
        let [rows, width] = DIMS;
        let whole = normal([2 * rows, width]);
        let x = normal([ROWS, width]);
        let views = || [0, 1, rows].map(|first| whole.clone().narrow(0, first, rows));
        let alone = views().map(|view| product(&x, &view));
        let weights = KeptWeights::new(usize::MAX);
        for _ in 0..3 {
            let found = weights.during(|| views().map(|view| product(&x, &view)));
            assert_eq!(found, alone);
        }
    }

    #[test]
    fn a_backward_pass_keeps_its_weight_and_a_forward_pass_does_not() {
        let x = normal([ROWS, DIMS[0]]).autodiff().require_grad();
        let weight = normal(DIMS).autodiff();
        let weights = KeptWeights::new(usize::MAX);
        let mut gradients = (0..3).map(|pass| {
            let forward = || linear(x.clone(), weight.clone(), None).sum();
            let loss = weights.during(forward);
            assert_eq!(kept(&weights), usize::from(pass > 1));
            let gradients = weights.during(|| loss.backward());
            let gradient = x.grad(&gradients).unwrap();
            gradient.into_data().try_into_vec::<f32>().unwrap()
        });
        let first = gradients.next().unwrap();
        assert!(gradients.all(|gradient| gradient == first));
    }

    #[test]
    fn what_finds_no_room_is_not_kept_and_what_is_gone_is_forgotten() {
        let x = normal([ROWS, DIMS[1]]);
        let one = Packed::to_keep(Matrix::new(&[0.0; 45 * 70], DIMS, DIMS[1]).transposed()).bytes();
        let weights = KeptWeights::new(2 * one + 1);
        let many: Vec<Tensor<2>> = (0..5).map(|_| normal(DIMS)).collect();
        weights.during(|| {
            for _ in 0..3 {
                for weight in &many {
                    product(&x, weight);
                }
            }
            assert_eq!(kept(&weights), 2);
            drop(many);
            product(&x, &normal(DIMS));
        });
        assert_eq!(weights.lock().weights.len(), 1);
    }

    #[test]
    fn work_within_work_keeps_its_own() {
        let (x, weight) = (normal([ROWS, DIMS[1]]), normal(DIMS));
        let [outer, inner] = [KeptWeights::new(usize::MAX), KeptWeights::new(usize::MAX)];
        outer.during(|| {
            inner.during(|| [(); 2].map(|()| product(&x, &weight)));
            product(&x, &weight);
        });
        assert_eq!((kept(&outer), kept(&inner)), (0, 1));
    }
}
