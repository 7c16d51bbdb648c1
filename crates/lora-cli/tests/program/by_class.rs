//! Scores by class, and the surest wrong rows, beside what `predict` answers on the same rows.

use serde_json::{Value, json};

use crate::workspace::{Workspace, recipe};

/// Each text twice, with either label: whatever is answered, exactly one of two rows is wrong.
fn contradictory_rows(texts: usize) -> String {
    let mut lines = vec!["text,label".to_owned()];
    for number in 0..texts {
        let adjective = ["gripping", "dull"][number % 2];
        lines.push(format!("one {adjective} movie of the year {number},good"));
        lines.push(format!("one {adjective} movie of the year {number},bad"));
    }
    lines.join("\n")
}

fn document(workspace: &Workspace, arguments: &[&str]) -> Value {
    serde_json::from_str(&workspace.lora_works(arguments).stdout).unwrap()
}

/// Text, label and answer of each row, by `lora predict`.
fn answers(workspace: &Workspace, data: &str) -> Vec<[String; 3]> {
    let predict = ["predict", "--adapter", "out", "--data", data];
    workspace.lora_works(&[&predict[..], &["--output", "answers.csv", "--quiet"]].concat());
    let answers = String::from_utf8(workspace.read("answers.csv")).unwrap();
    let row = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        [cells[0], cells[1], cells[2]].map(str::to_owned)
    };
    answers.lines().skip(1).map(row).collect()
}

/// Number, label, answer and text of the surest wrong rows of a page.
fn wrong_rows(page: &str) -> Vec<(usize, [String; 3])> {
    let (_, table) = page.split_once("<h3>Wrong and sure</h3>").unwrap();
    let (table, _) = table.split_once("</table>").unwrap();
    let row = |row: &str| {
        let (number, cells) = row.split_once("</th>").unwrap();
        let cells = cells.split("</td>").take(4);
        let cells: Vec<&str> = cells.map(|cell| cell.rsplit_once('>').unwrap().1).collect();
        let words = [cells[0], cells[1], cells[3]].map(str::to_owned);
        (number.parse().unwrap(), words)
    };
    table.split("<th scope=\"row\">").skip(1).map(row).collect()
}

fn page_of(workspace: &Workspace, name: &str) -> String {
    String::from_utf8(workspace.read(name)).unwrap()
}

#[test]
fn counts_and_recall_by_class_are_those_of_what_predict_answers() {
    let workspace = Workspace::new();
    workspace.write("test.csv", contradictory_rows(6));
    workspace.write("run.yaml", recipe(&[("test_file", "test.csv")]));
    let trained = document(&workspace, &["train", "--config", "run.yaml", "--json"]);
    let scored = document(
        &workspace,
        &[
            "eval",
            "out",
            "--data",
            "test.csv",
            "--json",
            "--report",
            "page.html",
        ],
    );
    let answers = answers(&workspace, "test.csv");
    assert_eq!(answers.len(), 12);

    let classes = ["bad", "good"];
    let count = |label: &str, answer: &str| {
        let rows = answers.iter();
        rows.filter(|[_, of_row, answered]| of_row == label && answered == answer)
            .count()
    };
    let matrix = classes.map(|label| classes.map(|answer| count(label, answer)));
    for found in [&trained["by_class"], &scored["by_class"]] {
        assert_eq!(found["confusion_matrix"], json!(matrix));
        for (index, class) in classes.into_iter().enumerate() {
            let of_class = &found["classes"][index];
            assert_eq!(
                (&of_class["class"], &of_class["rows"]),
                (&json!(class), &json!(6))
            );
            let recall = count(class, class) as f64 / 6.0;
            assert!(
                (of_class["recall"].as_f64().unwrap() - recall).abs() < 1e-12,
                "{of_class}"
            );
        }
    }
    assert_eq!(trained["by_class"]["on"], "the test rows");

    let page = page_of(&workspace, "out/report.html");
    let order = [
        "Accuracy 0.500 ",
        "Weakest class",
        ": the answers are ",
        "minus that of the mean pass",
        ">Scores on test rows</h2>",
        ">By class</h2>",
        ">Scores on validation rows</h2>",
        ">Scores on training rows</h2>",
    ];
    let places = order.map(|part| page.find(part).unwrap_or_else(|| panic!("{part}: {page}")));
    assert!(places.is_sorted(), "{places:?}");

    for page in ["out/report.html", "page.html"] {
        let page = page_of(&workspace, page);
        for part in ["By class", "Which class is taken for which"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let mut wrong = wrong_rows(&page);
        wrong.sort_unstable();
        let expected = answers.iter().zip(1..);
        let expected = expected.filter(|([_, label, answer], _)| label != answer);
        let expected: Vec<(usize, [String; 3])> = expected
            .map(|([text, label, answer], number)| (number, [label, answer, text].map(String::clone)))
            .collect();
        assert_eq!(wrong, expected);
    }
    // Texts are on the page for whoever has the rows, and in nothing that is given away or read by programs.
    for file in ["out/results.json", "out/README.md", "out/task.json"] {
        let text = page_of(&workspace, file);
        assert!(!text.contains("movie of the year"), "{file}: {text}");
    }
}

#[test]
fn rows_that_were_split_off_have_their_numbers_in_the_file() {
    let workspace = Workspace::new();
    let rows = contradictory_rows(20);
    workspace.write("films.csv", &rows);
    let changes = [
        ("train_file", ""),
        ("validation_file", ""),
        ("data_file", "films.csv"),
        ("test_fraction", "0.25"),
        ("max_steps", "5"),
    ];
    workspace.write("run.yaml", recipe(&changes));
    let trained = document(&workspace, &["train", "--config", "run.yaml", "--json"]);
    let tested = trained["run"]["rows"]["test"].as_u64().unwrap();
    let wrong = wrong_rows(&page_of(&workspace, "out/report.html"));
    assert_eq!(wrong.len() as u64, (tested / 2).min(10));
    let lines: Vec<&str> = rows.lines().collect();
    for (number, [label, _, text]) in wrong {
        assert_eq!(lines[number], format!("{text},{label}"), "the header is line 0");
    }
}

#[test]
fn a_class_without_a_row_is_told() {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml", "--quiet"]);
    workspace.write("good.csv", "text,label\na gripping film,good\na film,good\n");
    let said = workspace.lora_works(&["eval", "out", "--data", "good.csv"]);
    assert!(
        said.stdout.contains("no row of good.csv has the label `bad`"),
        "{}",
        said.stdout
    );
    assert!(said.stdout.starts_with("accuracy "), "{}", said.stdout);
    let scored = document(&workspace, &["eval", "out", "--data", "good.csv", "--json"]);
    let bad = &scored["by_class"]["classes"][0];
    assert_eq!((&bad["rows"], &bad["recall"]), (&json!(0), &Value::Null));
    // A training has told it before it began.
    workspace.write("run.yaml", recipe(&[("test_file", "good.csv")]));
    let said = workspace.lora_works(&["train", "--config", "run.yaml", "--overwrite"]);
    let told = "1 of 2 classes has no test row (`bad`): scores there say nothing about it";
    assert_eq!(said.stderr.matches(told).count(), 1, "{}", said.stderr);
    assert!(!said.stdout.contains("has the label"), "{}", said.stdout);
    let order = [
        "accuracy ",
        ": the answers are ",
        "\ntest rows\n",
        "\nvalidation rows\n",
    ];
    let places = order.map(|part| {
        said.stdout
            .find(part)
            .unwrap_or_else(|| panic!("{part}: {}", said.stdout))
    });
    assert!(places[0] == 0 && places.is_sorted(), "{}", said.stdout);
}
