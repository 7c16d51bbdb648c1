//! "Did you mean": the known word nearest to a wrong one.

/// Nobody types a longer word, and comparing takes the product of both lengths.
const LONGEST: usize = 100;

/// The nearest of `known` to `wrong`, if it is near enough to be a slip: at most a third of the letters differ, or
/// only the case does.
pub(crate) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let length = wrong.chars().count();
    if length > LONGEST {
        return None;
    }
    let lower = wrong.to_lowercase();
    let allowed = (length / 3).max(1);
    known
        // As many letters differ as one word is longer.
        .filter(|word| word.chars().count().abs_diff(length) <= allowed)
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

    #[test]
    fn a_text_that_is_no_word_is_compared_with_nothing() {
        let long = "a".repeat(1 << 20);
        let known = std::iter::once(long.as_str());
        assert_eq!(nearest(&format!("{long}b"), known), None);
    }
}
