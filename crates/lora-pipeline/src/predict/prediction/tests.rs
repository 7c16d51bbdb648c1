//! How predictions are written.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_data::{Format, LabelRule, ReadOptions, Separator, Task, read_str};

use super::*;

fn prediction() -> Prediction {
    Prediction {
        text: "plain, \"quoted\"".to_owned(),
        text_pair: None,
        label: PredictedLabel::Class {
            label: "good".to_owned(),
            probability: 0.75,
            probabilities: vec![("bad".to_owned(), 0.25), ("good".to_owned(), 0.75)],
            predictive_entropy: 0.5,
            mutual_information: Some(0.125),
            prediction_set: None,
        },
    }
}

#[test]
fn a_table_has_a_header_and_quotes_where_needed() {
    let expected = "text,label,probability,p_bad,p_good,predictive_entropy,mutual_information\n\
        \"plain, \"\"quoted\"\"\",good,0.750000,0.250000,0.750000,0.500000,0.125000\n";
    assert_eq!(
        to_csv(&[prediction()], None).unwrap(),
        (expected.to_owned(), Vec::new())
    );
}

#[test]
fn a_small_number_and_a_large_one_keep_their_digits_in_a_table() {
    let of = |value, deviation| Prediction {
        text: "a".to_owned(),
        text_pair: None,
        label: PredictedLabel::Value { value, deviation },
    };
    let small = [of(-1.25e-7, Some(2.5e-9))];
    let expected = "text,value,deviation\na,-0.000000125,0.0000000025\n";
    assert_eq!(to_csv(&small, None).unwrap().0, expected);
    let large = [of(1_234_567.5, None)];
    assert_eq!(to_csv(&large, None).unwrap().0, "text,value\na,1234567.5\n");
}

#[test]
fn the_columns_that_were_read_stay_and_keep_their_names() {
    let cells = Cells {
        names: ["id", "review", "label"].map(str::to_owned).into(),
        separator: None,
        has_mark: false,
        rows: vec![["7", "a film", "bad"].map(str::to_owned).into()],
    };
    let (table, renamed) = to_csv(&[prediction()], Some(&cells)).unwrap();
    assert_eq!(
        renamed,
        ["there is a column `label` already; the further one is called `predicted_label`"]
    );
    assert!(
        table.starts_with("id,review,label,predicted_label,probability,"),
        "{table}"
    );
    assert!(table.contains("\n7,a film,bad,good,0.750000,"), "{table}");
}

#[test]
fn a_table_between_semicolons_is_written_so_and_read_back() {
    let mut predicted = prediction();
    if let PredictedLabel::Class { probabilities, .. } = &mut predicted.label {
        // In the header this comma would be the separator.
        probabilities[0].0 = "bad, at least; or dull".to_owned();
    }
    let cells = Cells {
        names: ["id", "text"].map(str::to_owned).into(),
        separator: Some(Separator(b';')),
        has_mark: false,
        rows: vec![["7", "long; and, at the end, dull"].map(str::to_owned).into()],
    };
    let (table, _) = to_csv(&[predicted], Some(&cells)).unwrap();
    let options = ReadOptions {
        labels: LabelRule::Unlabelled(Task::Regression),
        keep_cells: true,
        ..ReadOptions::default()
    };
    let read = read_str(&table, "labelled.csv", Format::Csv, &options).unwrap();
    let found = read.cells.unwrap();
    assert_eq!(found.separator, Some(Separator(b';')));
    assert_eq!(
        &found.names[..5],
        ["id", "text", "label", "probability", "p_bad, at least; or dull"]
    );
    assert_eq!(
        &found.rows[0][..4],
        ["7", "long; and, at the end, dull", "good", "0.750000"]
    );
}

#[test]
fn no_name_stands_twice_however_often_its_own_output_is_read() {
    let mut names: Vec<String> = ["text", "label", "text"].map(str::to_owned).into();
    let mut row: Vec<String> = ["a film", "bad", "again"].map(str::to_owned).into();
    for round in 1..=3 {
        let cells = Cells {
            names: names.clone(),
            separator: None,
            has_mark: false,
            rows: vec![row.clone()],
        };
        let (table, _) = to_csv(&[prediction()], Some(&cells)).unwrap();
        let mut reader = csv::Reader::from_reader(table.as_bytes());
        names = reader.headers().unwrap().iter().map(str::to_owned).collect();
        row = reader
            .records()
            .next()
            .unwrap()
            .unwrap()
            .iter()
            .map(str::to_owned)
            .collect();
        let different: HashSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "round {round}: {names:?}");
    }
    for name in [
        "text_2",
        "predicted_label",
        "predicted_label_2",
        "predicted_label_3",
        "predicted_p_bad_2",
    ] {
        assert!(
            names.iter().any(|found| found == name),
            "{name} is not in {names:?}"
        );
    }
    assert_eq!(row[1], "bad", "what was read stays");
}

#[test]
fn a_row_without_a_text_has_null_for_everything_that_is_said() {
    let nothing = prediction().without_text().unwrap();
    let line = &serde_json::to_string(&nothing).unwrap();
    assert_eq!(
        line,
        r#"{"text":"","label":null,"probability":null,"probabilities":null,"predictive_entropy":null,"mutual_information":null}"#
    );
    let cells = Cells {
        names: vec!["text".to_owned()],
        separator: None,
        has_mark: false,
        rows: ["", "plain"].map(|text| vec![text.to_owned()]).into(),
    };
    let (table, _) = to_csv(&[nothing, prediction()], Some(&cells)).unwrap();
    let mut lines = table.lines();
    assert_eq!(
        [lines.next(), lines.next()],
        [
            Some("text,label,probability,p_bad,p_good,predictive_entropy,mutual_information"),
            Some(",,,,,,"),
        ]
    );
}

#[test]
fn a_line_of_json_is_flat() {
    let line = &serde_json::to_string(&prediction()).unwrap();
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&value["label"], &value["probabilities"]["good"]),
        (&"good".into(), &0.75.into())
    );
}

#[test]
fn doubt_is_told_with_its_scale() {
    // The entropy of two equal probabilities is ln 2.
    let said = in_words(&prediction());
    assert!(
        said.contains("entropy 0.500 of 0.693 nats · mutual information 0.125"),
        "{said}"
    );
}
