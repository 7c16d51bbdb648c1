//! Numbers with their nouns, for errors. `lora-data` has the same for its own: neither crate knows the other.

/// A number with its noun: `1 adapter`, `2 adapters`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    #[test]
    fn one_is_singular() {
        assert_eq!(
            ["1 tensor", "0 tensors"],
            [1, 0].map(|count| super::counted(count, "tensor"))
        );
    }
}
