//! Tokenized rows and the padded rectangle that a model takes.

use std::ops::Range;

use crate::targets::Targets;

/// One example as a model reads it, without padding.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encoded {
    /// Token ids, special tokens included.
    pub input_ids: Vec<u32>,
    /// 0 in the first text, 1 in the second, as the tokenizer's template says; as long as `input_ids`.
    pub token_type_ids: Vec<u32>,
}

impl Encoded {
    /// The number of tokens.
    pub fn len(&self) -> usize {
        self.input_ids.len()
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.input_ids.is_empty()
    }

    /// Tokens of one text alone.
    pub(crate) fn of_one_text(input_ids: Vec<u32>) -> Self {
        Self {
            token_type_ids: vec![0; input_ids.len()],
            input_ids,
        }
    }
}

impl From<&tokenizers::Encoding> for Encoded {
    fn from(encoding: &tokenizers::Encoding) -> Self {
        Self {
            input_ids: encoding.get_ids().to_vec(),
            token_type_ids: encoding.get_type_ids().to_vec(),
        }
    }
}

/// How rows of a batch are made equally long: on the right, to the longest row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padding {
    /// The token that fills the space. The attention mask is 0 there.
    pub pad_id: u32,
    /// `seq` is rounded up to a multiple of this; 1 for no rounding. Devices that compile a kernel for every shape
    /// gain from few different lengths. The model must take as many positions as the rounded length.
    pub multiple_of: usize,
}

impl Padding {
    /// Padding to the longest row with this token.
    pub fn with(pad_id: u32) -> Self {
        Self {
            pad_id,
            multiple_of: 1,
        }
    }

    /// The same, with `seq` rounded up to a multiple.
    ///
    /// # Panics
    /// When `multiple_of` is 0.
    #[must_use]
    pub fn to_multiple_of(self, multiple_of: usize) -> Self {
        assert!(multiple_of > 0, "a length cannot be a multiple of 0");
        Self { multiple_of, ..self }
    }
}

/// Rows of equal length, ready to become tensors. Matrices are row-major: row `b`, position `s` is at `b * seq + s`.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The number of rows.
    pub batch: usize,
    /// The length of every row, padding included.
    pub seq: usize,
    /// `[batch, seq]`, padded on the right with the padding token.
    pub input_ids: Vec<i32>,
    /// `[batch, seq]`, 0 where padded.
    pub token_type_ids: Vec<i32>,
    /// `[batch, seq]`: 1 where a token is real, 0 where padded.
    pub attention_mask: Vec<f32>,
    /// `[batch]`.
    pub targets: Targets,
    /// `[batch]`: the index of each row in its data set, so that outputs can be put back in order.
    pub rows: Vec<usize>,
}

impl Batch {
    /// Pads the rows to one length. Targets are [`Targets::None`] and rows 0, 1, 2… until set.
    ///
    /// # Panics
    /// When there is no row, all rows are empty, a row's two vectors differ in length, `multiple_of` is 0, or a
    /// token id is above `i32::MAX`.
    pub fn from_encoded(encoded: &[&Encoded], padding: Padding) -> Self {
        let longest = encoded.iter().map(|row| row.len()).max().unwrap_or(0);
        assert!(longest > 0, "a batch needs at least one row with a token");
        let (batch, seq) = (encoded.len(), longest.next_multiple_of(padding.multiple_of));

        let mut input_ids = vec![id(padding.pad_id); batch * seq];
        let mut token_type_ids = vec![0; batch * seq];
        let mut attention_mask = vec![0.0; batch * seq];
        for (row, start) in encoded.iter().zip((0..).step_by(seq)) {
            assert_eq!(
                row.input_ids.len(),
                row.token_type_ids.len(),
                "one token type for each token"
            );
            for (offset, (&token, &token_type)) in row.input_ids.iter().zip(&row.token_type_ids).enumerate() {
                input_ids[start + offset] = id(token);
                token_type_ids[start + offset] = id(token_type);
                attention_mask[start + offset] = 1.0;
            }
        }
        let rows = (0..batch).collect();
        Self {
            batch,
            seq,
            input_ids,
            token_type_ids,
            attention_mask,
            targets: Targets::None,
            rows,
        }
    }

    /// The same batch with these targets.
    ///
    /// # Panics
    /// When there is not one target a row.
    #[must_use]
    pub fn with_targets(self, targets: Targets) -> Self {
        assert!(
            targets.count().is_none_or(|count| count == self.batch),
            "one target for each row of the batch"
        );
        Self { targets, ..self }
    }

    /// The same batch with these indices into its data set.
    ///
    /// # Panics
    /// When there is not one index a row.
    #[must_use]
    pub fn with_rows(self, rows: Vec<usize>) -> Self {
        assert_eq!(
            rows.len(),
            self.batch,
            "one data set index for each row of the batch"
        );
        Self { rows, ..self }
    }

    /// All rows `times` times as contiguous blocks, so that several ensemble members run in one pass: row `b` of
    /// block `m` is at `m * batch + b`.
    ///
    /// # Panics
    /// When `times` is 0.
    #[must_use]
    pub fn repeat(&self, times: usize) -> Self {
        assert!(times > 0, "a batch cannot be repeated 0 times");
        Self {
            batch: self.batch * times,
            seq: self.seq,
            input_ids: self.input_ids.repeat(times),
            token_type_ids: self.token_type_ids.repeat(times),
            attention_mask: self.attention_mask.repeat(times),
            targets: self.targets.repeat(times),
            rows: self.rows.repeat(times),
        }
    }

    /// A contiguous range of rows. The length stays, so a row gives the same bits alone as in the whole batch.
    ///
    /// # Panics
    /// When the range is empty or reaches beyond the batch.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(!range.is_empty(), "a batch needs at least one row");
        let cells = range.start * self.seq..range.end * self.seq;
        Self {
            batch: range.len(),
            seq: self.seq,
            input_ids: self.input_ids[cells.clone()].to_vec(),
            token_type_ids: self.token_type_ids[cells.clone()].to_vec(),
            attention_mask: self.attention_mask[cells].to_vec(),
            targets: self.targets.slice(range.clone()),
            rows: self.rows[range].to_vec(),
        }
    }

    /// Cuts the batch into at most `parts` contiguous parts whose sizes differ by at most one row, the larger first:
    /// gradient accumulation, or different masks for parts of one batch. With fewer rows than parts, each part is a row.
    ///
    /// # Panics
    /// When `parts` is 0.
    pub fn split(&self, parts: usize) -> Vec<Self> {
        assert!(parts > 0, "a batch cannot be cut into 0 parts");
        let parts = parts.min(self.batch);
        let (size, larger) = (self.batch / parts, self.batch % parts);
        let mut start = 0;
        let mut cut = Vec::with_capacity(parts);
        for part in 0..parts {
            let end = start + size + usize::from(part < larger);
            cut.push(self.slice(start..end));
            start = end;
        }
        cut
    }
}

/// Token ids fit in 31 bits in every vocabulary; a larger one is a broken caller, not bad input.
fn id(token: u32) -> i32 {
    i32::try_from(token).expect("a token id is at most i32::MAX")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn row(ids: &[u32], first_of_pair: usize) -> Encoded {
        let types = (0..ids.len())
            .map(|position| u32::from(position >= first_of_pair))
            .collect();
        Encoded {
            input_ids: ids.to_vec(),
            token_type_ids: types,
        }
    }

    fn three_rows() -> Batch {
        let rows = [row(&[5, 6], 2), row(&[7, 8, 9], 1), row(&[4], 1)];
        let batch = Batch::from_encoded(&rows.each_ref(), Padding::with(3));
        batch
            .with_targets(Targets::Classes(vec![2, 0, 1]))
            .with_rows(vec![10, 20, 30])
    }

    #[test]
    fn rows_are_padded_on_the_right_to_the_longest() {
        let batch = three_rows();
        assert_eq!((batch.batch, batch.seq), (3, 3));
        assert_eq!(batch.input_ids, [5, 6, 3, 7, 8, 9, 4, 3, 3]);
        assert_eq!(batch.token_type_ids, [0, 0, 0, 0, 1, 1, 0, 0, 0]);
        assert_eq!(
            batch.attention_mask,
            [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]
        );
    }

    #[test]
    fn the_length_rounds_up_to_the_multiple() {
        let encoded = row(&[1, 2, 3, 4, 5], 5);
        for (multiple, seq) in [(1, 5), (4, 8), (5, 5), (64, 64)] {
            let batch = Batch::from_encoded(&[&encoded], Padding::with(0).to_multiple_of(multiple));
            assert_eq!(batch.seq, seq);
            assert_eq!(batch.attention_mask.iter().filter(|&&mask| mask > 0.5).count(), 5);
        }
    }

    #[test]
    fn repeat_puts_whole_blocks_one_after_the_other() {
        let batch = three_rows();
        let twice = batch.repeat(2);
        assert_eq!((twice.batch, twice.seq), (6, 3));
        assert_eq!(twice.rows, [10, 20, 30, 10, 20, 30]);
        assert_eq!(twice.targets, Targets::Classes(vec![2, 0, 1, 2, 0, 1]));
        assert_eq!(twice.slice(0..3), batch);
        assert_eq!(twice.slice(3..6), batch);
    }

    #[test]
    #[should_panic(expected = "one target for each row")]
    fn a_wrong_number_of_targets_panics() {
        let _ = three_rows().with_targets(Targets::Values(vec![0.5]));
    }

    #[test]
    #[should_panic(expected = "at least one row")]
    fn an_empty_batch_panics() {
        let _ = Batch::from_encoded(&[], Padding::with(0));
    }

    proptest! {
        #[test]
        fn the_parts_of_a_split_are_the_batch(lengths in prop::collection::vec(1_usize..9, 1..20), parts in 1_usize..25) {
            let encoded: Vec<Encoded> = lengths.iter().map(|&length| row(&vec![7; length], length)).collect();
            let values: Vec<f32> = (0_u8..).take(lengths.len()).map(f32::from).collect();
            let batch = Batch::from_encoded(&encoded.iter().collect::<Vec<_>>(), Padding::with(0))
                .with_targets(Targets::Values(values.clone()));
            let cut = batch.split(parts);
            prop_assert_eq!(cut.len(), parts.min(lengths.len()));
            prop_assert_eq!(cut.iter().flat_map(|part| part.rows.clone()).collect::<Vec<_>>(), batch.rows);
            prop_assert_eq!(cut.iter().flat_map(|part| part.input_ids.clone()).collect::<Vec<_>>(), batch.input_ids);
            let sizes: Vec<usize> = cut.iter().map(|part| part.batch).collect();
            prop_assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes[0] - sizes[sizes.len() - 1] <= 1);
            let kept: Vec<f32> = cut.iter().flat_map(|part| match &part.targets {
                Targets::Values(values) => values.clone(),
                _ => Vec::new(),
            }).collect();
            prop_assert_eq!(kept, values);
        }
    }
}
