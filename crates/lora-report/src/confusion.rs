//! Which classes are taken for which, as a table.

use super::{Better, Cell, Column, Table};

/// Classes up to which the whole matrix is shown.
pub const WIDEST_MATRIX: usize = 20;
/// Characters of all names together, up to which they head the columns; beyond, numbers do.
const LONGEST_HEADINGS: usize = 80;
/// Pairs of classes that are listed, at most.
const PAIRS: usize = 20;

/// Counts `[labels][answers]` of `classes`: the whole matrix, or of more than [`WIDEST_MATRIX`] classes the pairs that are taken for each
/// other most often.
///
/// ```
/// let classes = ["bad", "good"].map(String::from);
/// let table = lora_report::confusion_table("Test rows", &classes, &[vec![7, 1], vec![2, 5]]);
/// assert!(table.to_markdown().contains("| good | 2 | 5 |"));
/// ```
///
/// # Panics
/// Unless there is one row and one column for each class.
pub fn confusion_table(title: impl Into<String>, classes: &[String], counts: &[Vec<u64>]) -> Table {
    let is_square = counts.len() == classes.len() && counts.iter().all(|row| row.len() == classes.len());
    assert!(is_square, "a row and a column for each class");
    if classes.len() > WIDEST_MATRIX {
        return most_confused(title.into(), classes, counts);
    }
    let letters: usize = classes.iter().map(|class| class.chars().count()).sum();
    let is_numbered = letters > LONGEST_HEADINGS;
    let number = |class: usize| (class + 1).to_string();
    let heading = |(class, name): (usize, &String)| {
        let name = if is_numbered { number(class) } else { name.clone() };
        Column::new(name, Better::None, 0)
    };
    let columns = classes.iter().enumerate().map(heading).collect();
    let mut table = Table::new(title, "label \u{2193}, answer \u{2192}", columns).with_shades();
    for (class, (name, counts)) in classes.iter().zip(counts).enumerate() {
        let label = if is_numbered {
            format!("{} {name}", number(class))
        } else {
            name.clone()
        };
        table.push(
            label,
            counts.iter().map(|count| Cell::value(*count as f64)).collect(),
        );
    }
    table
}

/// The largest counts beside the diagonal, in the order of the classes where they are equal.
fn most_confused(title: String, classes: &[String], counts: &[Vec<u64>]) -> Table {
    let mut pairs = Vec::new();
    for (label, row) in counts.iter().enumerate() {
        for (answer, count) in row.iter().enumerate() {
            if label != answer && *count > 0 {
                pairs.push((*count, label, answer));
            }
        }
    }
    pairs.sort_by_key(|(count, ..)| std::cmp::Reverse(*count));
    let columns = vec![
        Column::new("answer", Better::None, 0),
        Column::new("rows", Better::None, 0),
        Column::new("rows of the label", Better::None, 0),
    ];
    let mut table = Table::new(title, "label", columns);
    for (count, label, answer) in pairs.iter().take(PAIRS) {
        let all: u64 = counts[*label].iter().sum();
        let cells = vec![
            Cell::text(&classes[*answer]),
            Cell::value(*count as f64),
            Cell::value(all as f64),
        ];
        table.push(&classes[*label], cells);
    }
    if pairs.len() > PAIRS {
        table.note = format!("The {PAIRS} most frequent of {} pairs.", pairs.len());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(count: usize, name: impl Fn(usize) -> String) -> Vec<String> {
        (0..count).map(name).collect()
    }

    #[test]
    fn rows_are_labels_and_columns_are_answers() {
        let classes = named(3, |class| format!("c{class}"));
        let counts = [vec![4, 1, 0], vec![0, 2, 3], vec![0, 0, 0]];
        assert_eq!(
            confusion_table("Test", &classes, &counts).to_markdown(),
            "**Test**\n\n| label \u{2193}, answer \u{2192} | c0 | c1 | c2 |\n| :--- | ---: | ---: | ---: |\n| c0 | 4 | 1 | 0 |\n\
             | c1 | 0 | 2 | 3 |\n| c2 | 0 | 0 | 0 |\n"
        );
    }

    #[test]
    fn a_cell_is_shaded_by_its_share_of_the_row_and_keeps_its_count() {
        let classes = named(2, |class| format!("c{class}"));
        let html = confusion_table("Test", &classes, &[vec![3, 1], vec![0, 0]]).to_html();
        // Three quarters and one quarter of 40 %; nothing for zeros and for a row without counts.
        for (percent, count) in [(30, 3), (10, 1)] {
            let cell = format!(
                "style=\"background:color-mix(in srgb,var(--accent) {percent}%,transparent)\">{count}</td>"
            );
            assert!(html.contains(&cell), "{cell}: {html}");
        }
        assert_eq!(html.matches("color-mix").count(), 2, "{html}");
    }

    #[test]
    fn names_that_are_long_together_are_numbered_in_the_headings() {
        let classes = named(10, |class| format!("a long name {class}"));
        let counts = vec![vec![1; 10]; 10];
        let table = confusion_table("", &classes, &counts);
        assert_eq!(table.columns[9].name, "10");
        assert_eq!(table.rows[9].label, "10 a long name 9");
        let short = confusion_table("", &named(10, |class| class.to_string()), &counts);
        assert_eq!(
            (short.columns[9].name.as_str(), short.rows[9].label.as_str()),
            ("9", "9")
        );
    }

    #[test]
    fn of_many_classes_the_most_confused_pairs_are_listed_largest_first() {
        let classes = named(WIDEST_MATRIX + 1, |class| format!("c{class}"));
        let mut counts = vec![vec![0; classes.len()]; classes.len()];
        counts[2][2] = 50;
        (counts[2][5], counts[0][1], counts[7][3]) = (4, 9, 4);
        let table = confusion_table("", &classes, &counts);
        let pairs: Vec<(&str, &[Cell])> = table
            .rows
            .iter()
            .map(|row| (row.label.as_str(), &row.cells[..]))
            .collect();
        let cells = |answer: &str, rows, of| [Cell::text(answer), Cell::value(rows), Cell::value(of)];
        assert_eq!(
            pairs,
            [
                ("c0", &cells("c1", 9.0, 9.0)[..]),
                ("c2", &cells("c5", 4.0, 54.0)[..]),
                ("c7", &cells("c3", 4.0, 4.0)[..]),
            ]
        );
    }
}
