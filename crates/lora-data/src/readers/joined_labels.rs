//! Labels joined in one cell, `a;b`: several labels of one text in a file that has no lists.

use std::collections::{HashMap, HashSet};

use crate::labels::LabelNames;

/// What joins labels, in the order in which it is looked for. A comma comes last: it stands in names too.
const SEPARATORS: [char; 3] = [';', '|', ','];

/// Labels that are several ones, joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedLabels {
    /// What joins them.
    pub separator: char,
    /// One of them, as it is written.
    pub example: String,
    /// How many rows have such a label.
    pub rows: usize,
}

/// Tells joined labels from names that hold a separator: at least half of their parts, and two of them, stand alone in another row or
/// beside another part.
pub(super) fn find<'a>(labels: impl Iterator<Item = &'a str>) -> Option<JoinedLabels> {
    let mut rows = HashMap::<&str, usize>::new();
    let mut order = Vec::new();
    for label in labels {
        let count = rows.entry(label).or_default();
        if *count == 0 {
            order.push(label);
        }
        *count += 1;
    }
    SEPARATORS.into_iter().find_map(|separator| {
        let mut values_with = HashMap::<&str, usize>::new();
        let mut joins = Vec::new();
        for &label in &order {
            let parts = parts(label, separator);
            let several = parts.len() > 1 && parts.iter().all(|part| !part.is_empty());
            if several || parts.len() == 1 {
                let different: HashSet<&str> = parts.iter().copied().collect();
                for part in different {
                    *values_with.entry(part).or_default() += 1;
                }
            }
            if several {
                joins.push(label);
            }
        }
        let of_joins: HashSet<&str> = joins.iter().flat_map(|label| parts(label, separator)).collect();
        let known = of_joins.iter().filter(|part| values_with[*part] > 1).count();
        (known >= 2 && 2 * known >= of_joins.len()).then(|| JoinedLabels {
            separator,
            example: joins[0].to_owned(),
            rows: joins.iter().map(|label| rows[label]).sum(),
        })
    })
}

/// The parts of a label, without white space around them.
pub(super) fn parts(label: &str, separator: char) -> Vec<&str> {
    label.split(separator).map(str::trim).collect()
}

/// The parts of a label by the separator by which all of them are known labels.
pub(super) fn known_parts<'a>(label: &'a str, known: &LabelNames) -> Option<Vec<&'a str>> {
    let apart = SEPARATORS.into_iter().map(|separator| parts(label, separator));
    let mut apart = apart.filter(|parts| parts.len() > 1);
    apart.find(|parts| parts.iter().all(|part| known.class_of(part).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(labels: &[&str]) -> Option<(char, String, usize)> {
        let joined = find(labels.iter().copied())?;
        Some((joined.separator, joined.example, joined.rows))
    }

    #[test]
    fn joins_of_labels_that_stand_elsewhere_are_found() {
        assert_eq!(
            found(&["spam", "toxic;spam", "toxic", "toxic;spam"]),
            Some((';', "toxic;spam".to_owned(), 2))
        );
        // No label stands alone, but they repeat in other joins.
        assert_eq!(
            found(&["joy | fear", "fear | anger", "anger | joy"]),
            Some(('|', "joy | fear".to_owned(), 3))
        );
        assert_eq!(
            found(&["a, b", "a", "b, c", "c"]),
            Some((',', "a, b".to_owned(), 2))
        );
    }

    #[test]
    fn names_that_hold_a_separator_are_none() {
        assert_eq!(found(&["Bosnia, Herzegovina", "Serbia", "Serbia"]), None);
        assert_eq!(found(&["Business, Tech", "Business, Finance", "Sports"]), None);
        assert_eq!(found(&["good", "bad", ";", "a;"]), None);
        assert_eq!(found(&[]), None);
    }

    #[test]
    fn known_labels_say_how_a_cell_is_cut() -> Result<(), crate::LabelNamesError> {
        let known = LabelNames::new(["a", "b", "a, b"])?;
        assert_eq!(known_parts("b|a", &known), Some(vec!["b", "a"]));
        assert_eq!(known_parts("a;c", &known), None);
        assert_eq!(known_parts("a", &known), None);
        Ok(())
    }
}
