//! Numbers with their nouns.

/// A number with its noun: `1 row`, `2 rows`.
pub fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_is_singular() {
        assert_eq!(
            ["1 row", "0 rows"],
            [1, 0].map(|count| super::counted(count, "row"))
        );
    }
}
