//! Answers as the scripts compare them.

use std::collections::HashMap;

use super::SquadVersion;

/// An answer in the form in which answers are compared: lower case, without ASCII punctuation, without the words `a`, `an`, `the`,
/// and with single spaces between words.
///
/// ```
/// assert_eq!(lora_eval::squad::normalize("  The U.S.\tdollar, an  old one "), "us dollar old one");
/// ```
pub fn normalize(answer: &str) -> String {
    let lower: String = answer.to_lowercase();
    let kept: String = lower
        .chars()
        .filter(|letter| !letter.is_ascii_punctuation())
        .collect();
    let mut without_articles = String::with_capacity(kept.len());
    let mut rest = kept.as_str();
    // Runs of letters and digits by turns with runs of what is between them: an article is a whole run. A hyphen in a foreign script
    // or a dash ends a run as a space does.
    while let Some(first) = rest.chars().next() {
        let in_word = is_word(first);
        let end = rest
            .find(|letter| is_word(letter) != in_word)
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        without_articles.push_str(if matches!(run, "a" | "an" | "the") {
            " "
        } else {
            run
        });
        rest = after;
    }
    words(&without_articles).collect::<Vec<_>>().join(" ")
}

/// Whether two answers are the same once normalized.
pub fn exact_match(answer: &str, prediction: &str) -> bool {
    normalize(answer) == normalize(prediction)
}

/// F1 of the words of a prediction against those of an answer, each word as often as it occurs, 0..=1.
///
/// Where one side has no word left, F1 is 1 if both have none and 0 otherwise; version 1.1 says 0 even then.
pub fn word_f1(answer: &str, prediction: &str, version: SquadVersion) -> f64 {
    let (answer, prediction) = (normalize(answer), normalize(prediction));
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in words(&answer) {
        *left.entry(word).or_default() += 1;
    }
    let mut same = 0_usize;
    for word in words(&prediction) {
        if let Some(count) = left.get_mut(word).filter(|count| **count > 0) {
            *count -= 1;
            same += 1;
        }
    }
    let (wanted, found) = (words(&answer).count(), words(&prediction).count());
    if wanted == 0 || found == 0 {
        return f64::from(u8::from(version == SquadVersion::V2 && wanted == found));
    }
    if same == 0 {
        return 0.0;
    }
    let (precision, recall) = (same as f64 / found as f64, same as f64 / wanted as f64);
    2.0 * precision * recall / (precision + recall)
}

/// Python's `\w`.
fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Python's `split()`, which also splits at the four separators of ASCII.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let space = |letter: char| letter.is_whitespace() || ('\u{1C}'..='\u{1F}').contains(&letter);
    text.split(space).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn articles_go_only_as_whole_words() {
        assert_eq!(normalize("An anthem of the theatre"), "anthem of theatre");
        assert_eq!(normalize("a–the A"), "–");
        assert_eq!(normalize("A."), "");
        // Punctuation goes first, and joins what it separated.
        assert_eq!(normalize("the-a"), "thea");
    }

    #[test]
    fn words_count_as_often_as_they_occur() {
        // Shared: one "big" and "red"; 2 of 3 predicted, 2 of 4 wanted.
        let f1 = word_f1("big red red barn", "big big red", SquadVersion::V1);
        assert!((f1 - 2.0 * (2.0 / 3.0) * 0.5 / (2.0 / 3.0 + 0.5)).abs() < 1e-15);
    }

    #[test]
    fn nothing_against_nothing_is_right_only_since_version_two() {
        assert_eq!(word_f1("the", "a", SquadVersion::V2), 1.0);
        assert_eq!(word_f1("the", "a", SquadVersion::V1), 0.0);
        assert_eq!(word_f1("the", "mill", SquadVersion::V2), 0.0);
    }
}
