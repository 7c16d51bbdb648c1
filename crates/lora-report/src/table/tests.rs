//! Tables: what is marked as best, and how each format reads.
#![expect(clippy::unwrap_used, reason = "a failed step fails the test")]

use insta::assert_snapshot;
use proptest::prelude::*;

use super::{Better, Cell, Column, Table};

fn scores() -> Table {
    let columns = vec![
        Column::new("accuracy", Better::Higher, 3),
        Column::new("ECE", Better::Lower, 3).with_unit("15 bins"),
        Column::new("difference", Better::None, 2),
        Column::new("device", Better::None, 0),
    ];
    let mut table = Table::new("Test set", "method", columns).with_note("Mean over 3 seeds.");
    let difference = Cell::interval(-1.5, [-2.25, -0.5]);
    table.push(
        "LoRA",
        vec![
            Cell::with_deviation(0.875, 0.0125),
            Cell::value(0.0936),
            Cell::Empty,
            Cell::text("cpu"),
        ],
    );
    table.push(
        "LoRA | Dropout",
        vec![
            Cell::with_deviation(0.9, 0.008),
            Cell::value(0.0414),
            difference,
            Cell::text("gpu, 1"),
        ],
    );
    table
}

/// The marks of a column with these means, shown with one decimal.
fn best_of(better: Better, means: &[f64]) -> Vec<bool> {
    let mut table = Table::new("", "", vec![Column::new("", better, 1)]);
    for mean in means {
        table.push("", vec![Cell::value(*mean)]);
    }
    super::printed::PrintedTable::new(&table)
        .rows
        .iter()
        .map(|row| row.cells[0].best)
        .collect()
}

#[test]
fn the_best_value_is_the_largest_or_the_smallest_as_the_column_says() {
    assert_eq!(best_of(Better::Higher, &[0.5, 0.9, 0.7]), [false, true, false]);
    assert_eq!(best_of(Better::Lower, &[0.5, 0.9, 0.7]), [true, false, false]);
    assert_eq!(best_of(Better::None, &[0.5, 0.9, 0.7]), [false, false, false]);
}

#[test]
fn values_that_print_the_same_are_all_best() {
    assert_eq!(best_of(Better::Higher, &[0.91, 0.94, 0.8]), [true, true, false]);
}

#[test]
fn nothing_is_best_where_all_values_print_the_same() {
    assert_eq!(best_of(Better::Higher, &[0.91, 0.94, 0.9]), [false, false, false]);
    assert_eq!(
        best_of(Better::Lower, &[0.5, f64::NAN, 0.5]),
        [false, false, false]
    );
}

#[test]
fn a_single_value_and_values_that_are_not_finite_are_never_best() {
    assert_eq!(best_of(Better::Higher, &[0.5]), [false]);
    assert_eq!(
        best_of(Better::Higher, &[0.5, f64::NAN, 0.25, f64::INFINITY]),
        [true, false, false, false]
    );
}

#[test]
fn a_lead_within_the_standard_deviations_is_no_win() {
    let is_marked = |std: f64| {
        let mut table = Table::new("", "", vec![Column::new("", Better::Higher, 1)]);
        table.push("", vec![Cell::with_deviation(0.5, 0.15)]);
        table.push("", vec![Cell::with_deviation(0.8, std)]);
        super::printed::PrintedTable::new(&table).has_best()
    };
    assert!(is_marked(0.1) && !is_marked(0.2));
}

#[test]
fn a_table_may_go_without_marks() {
    let marks = |table: &Table| super::printed::PrintedTable::new(table).has_best();
    assert!(marks(&scores()) && !marks(&scores().without_marks()));
}

#[test]
fn a_difference_that_rounds_to_zero_has_no_sign() {
    let mut table = Table::new("", "", vec![Column::new("d", Better::None, 2)]);
    table.push("a", vec![Cell::interval(-0.001, [-0.004, 0.001])]);
    assert!(table.to_markdown().contains("| 0.00 [0.00, 0.00] |"));
}

#[test]
#[should_panic(expected = "cells of row \"LoRA\"")]
fn a_row_of_another_length_than_the_columns_is_refused() {
    Table::new("", "", vec![Column::new("x", Better::None, 1)]).push("LoRA", Vec::new());
}

#[test]
fn a_row_that_was_read_with_cells_missing_is_shown_with_dashes() {
    let mut table = scores();
    table.rows[0].cells.truncate(1);
    assert!(
        table
            .to_markdown()
            .contains("| LoRA | 0.875 ±0.013 | – | – | – |")
    );
}

#[test]
fn text_aligns_numbers_and_marks_the_best() {
    assert_snapshot!(scores().to_text(None), @r"
    Test set
     method             accuracy ↑     ECE (15 bins) ↓               difference   device
    ─────────────────────────────────────────────────────────────────────────────────────
     LoRA             0.875 ±0.013               0.094                        –   cpu
     LoRA | Dropout   0.900 ±0.008 *             0.041 *   -1.50 [-2.25, -0.50]   gpu, 1
    ─────────────────────────────────────────────────────────────────────────────────────
     * best of its column
     Mean over 3 seeds.
    ");
}

#[test]
fn text_wraps_cells_at_the_given_width() {
    assert_snapshot!(scores().to_text(Some(56)), @r"
    Test set
     method      accuracy     ECE (15   difference   device
                      ↑      bins) ↓
    ────────────────────────────────────────────────────────
     LoRA           0.875     0.094              –   cpu
                  ±0.013
    ························································
     LoRA |         0.900     0.041 *        -1.50   gpu, 1
     Dropout     ±0.008 *                  [-2.25,
                                            -0.50]
    ────────────────────────────────────────────────────────
     * best of its column
     Mean over 3 seeds.
    ");
}

#[test]
fn markdown_is_bold_where_best_and_escapes_cell_borders() {
    assert_snapshot!(scores().to_markdown(), @r"
    **Test set**

    | method | accuracy ↑ | ECE (15 bins) ↓ | difference | device |
    | :--- | ---: | ---: | ---: | :--- |
    | LoRA | 0.875 ±0.013 | 0.094 | – | cpu |
    | LoRA \| Dropout | **0.900** ±0.008 | **0.041** | -1.50 [-2.25, -0.50] | gpu, 1 |

    Mean over 3 seeds.
    ");
}

#[test]
fn csv_has_unrounded_numbers_and_a_column_for_each_part() {
    assert_snapshot!(scores().to_csv(), @r#"
    method,accuracy,accuracy std,ECE (15 bins),difference,difference low,difference high,device
    LoRA,0.875,0.0125,0.0936,,,,cpu
    LoRA | Dropout,0.9,0.008,0.0414,-1.5,-2.25,-0.5,"gpu, 1"
    "#);
}

#[test]
fn html_says_best_in_words_too() {
    let mut table = scores();
    table.columns.truncate(2);
    table.columns.remove(0);
    table.rows.iter_mut().for_each(|row| drop(row.cells.remove(0)));
    assert_snapshot!(table.to_html(), @r#"
    <figure class="table" data-markdown="**Test set**

    | method | ECE (15 bins) ↓ |
    | :--- | ---: |
    | LoRA | 0.094 |
    | LoRA \| Dropout | **0.041** |

    Mean over 3 seeds.
    ">
    <div class="scroll" tabindex="0" role="group" aria-label="Test set">
    <table>
    <caption>Test set</caption>
    <thead>
    <tr>
    <th scope="col">method</th>
    <th scope="col" class="number">ECE (15 bins)&nbsp;<span class="arrow" role="img" aria-label="(lower is better)" title="lower is better">↓</span></th>
    </tr>
    </thead>
    <tbody>
    <tr>
    <th scope="row">LoRA</th>
    <td class="number" data-value="0.0936">0.094</td>
    </tr>
    <tr>
    <th scope="row">LoRA | Dropout</th>
    <td class="number" data-value="0.0414"><strong>0.041</strong><span class="unseen"> (best)</span></td>
    </tr>
    </tbody>
    </table>
    </div>
    <figcaption>Mean over 3 seeds.</figcaption>
    </figure>
    "#);
}

#[test]
fn a_value_that_json_cannot_write_comes_back_as_not_a_number() {
    let cell = Cell::Value {
        mean: f64::INFINITY,
        std: Some(0.5),
        interval: Some([f64::NEG_INFINITY, 1.0]),
    };
    let text = serde_json::to_string(&cell).unwrap();
    assert_eq!(text, r#"{"mean":null,"std":0.5,"interval":[null,1.0]}"#);
    let Cell::Value {
        mean,
        std,
        interval: Some([low, high]),
    } = serde_json::from_str(&text).unwrap()
    else {
        panic!("{text} is a value with an interval");
    };
    assert!(mean.is_nan() && low.is_nan());
    assert_eq!((std, high), (Some(0.5), 1.0));
}

#[test]
fn cells_in_json_are_a_string_an_object_or_null() {
    let cells = serde_json::to_string(&scores().rows[0].cells).unwrap();
    assert_eq!(
        cells,
        r#"[{"mean":0.875,"std":0.0125},{"mean":0.0936},null,"cpu"]"#
    );
}

fn any_cell() -> impl Strategy<Value = Cell> {
    let number = || any::<f32>().prop_map(f64::from);
    let finite = || number().prop_filter("finite", |value| value.is_finite());
    prop_oneof![
        Just(Cell::Empty),
        ".*".prop_map(Cell::Text),
        (
            finite(),
            proptest::option::of(finite()),
            proptest::option::of([finite(), finite()])
        )
            .prop_map(|(mean, std, interval)| Cell::Value { mean, std, interval }),
    ]
}

fn any_table() -> impl Strategy<Value = Table> {
    let better = prop_oneof![Just(Better::Higher), Just(Better::Lower), Just(Better::None)];
    let column =
        (".*", proptest::option::of(".*"), better, 0..5usize).prop_map(|(name, unit, better, decimals)| {
            Column {
                name,
                unit,
                better,
                decimals,
            }
        });
    let rows = proptest::collection::vec((".*", [any_cell(), any_cell(), any_cell()]), 0..5);
    let columns = [column.clone(), column.clone(), column];
    (".*", ".*", ".*", columns, rows, any::<bool>()).prop_map(
        |(title, note, row_heading, columns, rows, shades_shares)| {
            let rows = rows
                .into_iter()
                .map(|(label, cells)| super::Row {
                    label,
                    cells: cells.to_vec(),
                })
                .collect();
            Table {
                title,
                note,
                row_heading,
                columns: columns.to_vec(),
                marks_best: true,
                shades_shares,
                rows,
            }
        },
    )
}

proptest! {
    #[test]
    fn any_table_comes_back_from_json_as_it_was(table in any_table()) {
        let text = serde_json::to_string(&table).unwrap();
        prop_assert_eq!(serde_json::from_str::<Table>(&text).unwrap(), table);
    }

    #[test]
    fn any_table_has_one_csv_record_a_row_with_its_label_first(table in any_table()) {
        let text = table.to_csv();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let labels: Vec<String> = reader.records().map(|record| record.unwrap()[0].to_owned()).collect();
        let expected: Vec<_> = table.rows.iter().map(|row| row.label.clone()).collect();
        prop_assert_eq!(labels, expected);
    }

    #[test]
    fn any_table_stays_within_the_width_of_the_terminal(table in any_table(), width in 60..200u16) {
        for line in table.to_text(Some(width)).lines() {
            prop_assert!(unicode_width::UnicodeWidthStr::width(line) <= usize::from(width), "{line:?}");
        }
    }

    #[test]
    fn any_table_is_one_markdown_line_a_row(table in any_table()) {
        let markdown = table.to_markdown();
        let lines = markdown.lines().filter(|line| line.starts_with("| ")).count();
        prop_assert!(lines >= table.rows.len() + 2);
    }
}
