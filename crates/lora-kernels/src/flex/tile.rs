//! Tiles of 16 by 16 words, transposed on their way through the registers.

#[cfg(target_arch = "x86_64")]
pub(super) mod registers;

/// Rows and columns of a tile.
pub(crate) const TILE: usize = 16;

/// Whether [`transposed_words`] is faster than a loop over numbers.
pub(super) fn has_register_transpose() -> bool {
    #[cfg(target_arch = "x86_64")]
    return pulp::x86::V4::try_new().is_some();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// The columns as rows.
#[inline(always)]
pub(crate) fn transposed_words(columns: [[u32; TILE]; TILE]) -> [[u32; TILE]; TILE] {
    #[cfg(target_arch = "x86_64")]
    if let Some(v4) = pulp::x86::V4::try_new() {
        return registers::transposed_words(v4, columns);
    }
    let mut rows = [[0; TILE]; TILE];
    for (index, column) in columns.iter().enumerate() {
        for (row, word) in rows.iter_mut().zip(column) {
            row[index] = *word;
        }
    }
    rows
}
