//! Outputs of batches on their way to data set order.

/// Outputs of each row, `[members][rows]`.
pub(crate) struct Gathered(Vec<Vec<Option<Vec<f32>>>>);

impl Gathered {
    pub fn new(rows: usize, members: usize) -> Self {
        Self(vec![vec![None; rows]; members])
    }

    pub fn add(&mut self, member: usize, row: usize, outputs: impl Iterator<Item = f32>) {
        let rows = &mut self.0[member];
        assert!(
            row < rows.len(),
            "row {row} of a data set of {} examples",
            rows.len()
        );
        let before = rows[row].replace(outputs.collect());
        assert!(before.is_none(), "row {row} is in two batches");
    }

    /// The outputs of a batch, `[rows, width]`.
    pub fn add_batch(&mut self, member: usize, rows: &[usize], width: usize, outputs: &[f32]) {
        assert_eq!(
            outputs.len(),
            rows.len() * width,
            "one data set row for each row of the batch"
        );
        for (row, outputs) in rows.iter().zip(outputs.chunks_exact(width)) {
            self.add(member, *row, outputs.iter().copied());
        }
    }

    /// All outputs one after the other, those of each row completed before.
    pub fn finish(self, complete: impl Fn(&mut Vec<f32>)) -> Vec<f32> {
        let mut values = Vec::new();
        for member in self.0 {
            for (row, outputs) in member.into_iter().enumerate() {
                let Some(mut outputs) = outputs else {
                    panic!("row {row} is in no batch");
                };
                complete(&mut outputs);
                values.append(&mut outputs);
            }
        }
        values
    }
}
