//! The real tokens of a padded batch, end to end.

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Int, Tensor};

/// Where the real tokens of a padded batch stand. Packed, they stand end to end, row by row, without padding: `[1, tokens, ...]`, so
/// nothing is computed for padding.
///
/// A clone shares the places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    seq: usize,
    lengths: Arc<[usize]>,
    places: Arc<[usize]>,
}

impl Packing {
    /// Of a batch with rows of `seq` places and this mask, 1 where a token is real and 0 where it is padding. `None` if there is
    /// nothing to leave out, or a row begins with padding, for the first place is read.
    pub fn of_mask(mask: &[f32], seq: usize) -> Option<Self> {
        let places: Arc<[usize]> = (0..mask.len()).filter(|place| mask[*place] > 0.5).collect();
        let rows = || mask.chunks(seq.max(1));
        let lengths: Arc<[usize]> = rows()
            .map(|row| row.iter().filter(|real| **real > 0.5).count())
            .collect();
        let is_padded = places.len() < mask.len();
        (is_padded && rows().all(|row| row[0] > 0.5)).then_some(Self { seq, lengths, places })
    }

    /// Rows of the batch.
    pub fn batch(&self) -> usize {
        self.lengths.len()
    }

    /// Places of a row, padding included.
    pub fn seq(&self) -> usize {
        self.seq
    }

    /// Real tokens of the batch.
    pub fn tokens(&self) -> usize {
        self.places.len()
    }

    /// Real tokens of each row.
    pub fn lengths(&self) -> &Arc<[usize]> {
        &self.lengths
    }

    /// What belongs to the real tokens, of values for all places.
    pub fn of_tokens<T: Copy>(&self, values: &[T]) -> Vec<T> {
        self.places.iter().map(|place| values[*place]).collect()
    }

    /// The places of the real tokens of a row, counted within it.
    pub(crate) fn places_of_row(&self, row: usize) -> impl Iterator<Item = usize> {
        let first = row * self.seq;
        self.places[self.tokens_of_row(row)]
            .iter()
            .map(move |place| place - first)
    }

    /// The tokens of `groups` groups of rows, row i in group `⌊i·groups/batch⌋`.
    ///
    /// # Panics
    ///
    /// Panics if there are more groups than rows.
    pub(crate) fn tokens_of_groups(&self, groups: usize) -> Arc<[usize]> {
        let batch = self.batch();
        assert!(
            groups <= batch,
            "{groups} mask groups for a batch of {batch} rows"
        );
        let mut tokens = vec![0; groups];
        for (row, length) in self.lengths.iter().enumerate() {
            tokens[row * groups / batch] += length;
        }
        tokens.into()
    }

    /// The first real token of each row.
    ///
    /// # Shapes
    ///
    /// - packed: `[1, tokens, d_model]`
    /// - output: `[batch, 1, d_model]`
    pub fn first_tokens(&self, packed: Tensor<3>) -> Tensor<3> {
        let firsts = (0..self.batch()).map(|row| self.tokens_of_row(row).start);
        let firsts = select(packed.squeeze_dim(0), firsts); // [batch, d_model]
        firsts.unsqueeze_dim(1)
    }

    /// The tokens at the places of the batch, and 0 where there is padding.
    ///
    /// # Shapes
    ///
    /// - packed: `[1, tokens, d_model]`
    /// - output: `[batch, seq, d_model]`
    pub fn padded(&self, packed: Tensor<3>) -> Tensor<3> {
        let [_, tokens, d_model] = packed.dims();
        let mut tokens_of_places = vec![tokens; self.batch() * self.seq];
        for (token, place) in self.places.iter().enumerate() {
            tokens_of_places[*place] = token;
        }
        let zeros = Tensor::zeros([1, d_model], (&packed.device(), packed.dtype()));
        let with_zeros = Tensor::cat(vec![packed.squeeze_dim(0), zeros], 0); // [tokens + 1, d_model]
        select(with_zeros, tokens_of_places.into_iter()).reshape([self.batch(), self.seq, d_model])
    }

    /// The real tokens of a batch.
    ///
    /// # Shapes
    ///
    /// - padded: `[batch, seq, d_model]`
    /// - output: `[1, tokens, d_model]`
    pub fn packed(&self, padded: Tensor<3>) -> Tensor<3> {
        let [batch, seq, d_model] = padded.dims();
        let all = padded.reshape([batch * seq, d_model]);
        select(all, self.places.iter().copied()).unsqueeze()
    }

    /// The tokens of a row, among all of the batch.
    fn tokens_of_row(&self, row: usize) -> Range<usize> {
        let before: usize = self.lengths[..row].iter().sum();
        before..before + self.lengths[row]
    }
}

/// `[rows, d_model]` of a matrix.
fn select(matrix: Tensor<2>, rows: impl Iterator<Item = usize>) -> Tensor<2> {
    let rows: Vec<i32> = rows.map(|row| row as i32).collect();
    let rows = Tensor::<1, Int>::from_data(rows.as_slice(), &matrix.device());
    matrix.select(0, rows)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use burn::tensor::Device;

    use super::*;

    /// Three rows of four places, of which two, one and three are real.
    fn packing() -> Packing {
        let mask = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 1.0];
        Packing::of_mask(&mask, 4).unwrap()
    }

    #[test]
    fn real_tokens_stand_end_to_end_and_go_back_to_their_places() {
        let packing = packing();
        assert_eq!(packing.lengths()[..], [2, 1, 3]);
        let all: Vec<usize> = (0..12).collect();
        assert_eq!(packing.of_tokens(&all), [0, 1, 4, 8, 10, 11]);
        assert_eq!(packing.places_of_row(2).collect::<Vec<_>>(), [0, 2, 3]);
        let device = Device::default();
        let packed = Tensor::<3>::from_floats(
            [[
                [1.0, -1.0],
                [2.0, -2.0],
                [3.0, -3.0],
                [4.0, -4.0],
                [5.0, -5.0],
                [6.0, -6.0],
            ]],
            &device,
        );
        let first = packing
            .first_tokens(packed.clone())
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        assert_eq!(first, [1.0, -1.0, 3.0, -3.0, 4.0, -4.0]);
        let again = packing.packed(packing.padded(packed.clone()));
        assert_eq!(again.into_data(), packed.clone().into_data());
        let padded = packing
            .padded(packed)
            .narrow(2, 0, 1)
            .into_data()
            .try_to_vec::<f32>()
            .unwrap();
        assert_eq!(
            padded,
            [1.0, 2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 4.0, 0.0, 5.0, 6.0]
        );
    }

    #[test]
    fn groups_hold_the_tokens_of_their_rows() {
        let packing = packing();
        assert_eq!(packing.tokens_of_groups(1)[..], [6]);
        // ⌊i · 2 / 3⌋: two rows, one row.
        assert_eq!(packing.tokens_of_groups(2)[..], [3, 3]);
        assert_eq!(packing.tokens_of_groups(3)[..], [2, 1, 3]);
    }

    #[test]
    fn without_padding_or_with_padding_in_front_nothing_is_packed() {
        assert!(Packing::of_mask(&[1.0; 6], 3).is_none());
        assert!(Packing::of_mask(&[1.0, 1.0, 0.0, 0.0], 2).is_none());
        assert!(Packing::of_mask(&[1.0, 1.0, 0.0, 1.0], 2).is_none());
    }
}
