//! "Did you mean": the known word nearest to a wrong one.

/// The nearest of `known` to `wrong`, if it is near enough to be a slip: at most a third of the letters differ, or
/// only the case does.
pub(crate) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = wrong.to_lowercase();
    let allowed = (wrong.chars().count() / 3).max(1);
    known
        .map(|word| (strsim::damerau_levenshtein(&lower, &word.to_lowercase()), word))
        .filter(|&(distance, word)| distance <= allowed && distance < word.chars().count())
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, word)| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_nothing() {
        let known = ["sentence", "label", "a"];
        assert_eq!(
            nearest("sentnece", known.into_iter()).as_deref(),
            Some("sentence")
        );
        assert_eq!(nearest("LABEL", known.into_iter()).as_deref(), Some("label"));
        assert_eq!(nearest("review", known.into_iter()), None);
        assert_eq!(nearest("b", known.into_iter()), None);
    }
}
