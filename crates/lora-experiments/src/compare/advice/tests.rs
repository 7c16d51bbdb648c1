//! Sentences by numbers made for them.
use super::*;

#[test]
fn confidence_is_held_against_what_was_right() {
    // 100 rows of which the first so many are right.
    let rows = |confidence: f64, right: usize| -> Vec<(f64, bool)> {
        (0..100).map(|row| (confidence, row < right)).collect()
    };
    let said = |seeds: &[Vec<(f64, bool)>]| on_confidence(seeds).expect("rows of one length");
    // The standard error of a share of 0.9 of 100 is 0.03.
    assert!(said(&[rows(0.94, 90)]).contains("may be surer"));
    let sure = said(&[rows(0.97, 90)]);
    assert!(
        sure.contains("+7.0 points") && sure.contains("so it is surer"),
        "{sure}"
    );
    assert!(said(&[rows(0.83, 90)]).contains("so it is less sure"));
    // A seed that is far off the other says that seeds matter, not that confidence does.
    assert!(said(&[rows(0.97, 90), rows(0.97, 96)]).contains("may be surer"));
}
