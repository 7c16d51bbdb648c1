//! `lora report`: curves over settings, and the bound beside the measured gap, of planted results.

use serde_json::json;

use crate::reporting::{cell, lora_and_masks, table, write};
use crate::workspace::Workspace;

#[test]
fn the_page_shows_the_gap_over_p_beside_a_bound_computed_by_hand_and_pictures_go_to_files() {
    let workspace = Workspace::new();
    write(
        &workspace,
        &lora_and_masks(&[(0.1, [600, 800]), (0.5, [500, 700])]),
    );
    let report = [
        "report",
        "planted.jsonl",
        "--markdown",
        "r.md",
        "--figures",
        "pictures",
    ];
    workspace.lora_works(&report);
    let markdown = String::from_utf8(workspace.read("r.md")).unwrap();
    let rows = table(&markdown, "Measured gap and bound");
    // 0.8, 0.7 and 0.6 on test rows, 0.25 on training rows. n is 64, δ 0.05, C 0.9, η²/Λ_min 1, λ/Λ_min 1 in the middle one:
    // sqrt((0.81 + 21.6 / (1 + 2 (2p − p²))) / 6.4), with 2p − p² = 0, 0.19 and 0.75.
    let expected = [("0.550", "1.871"), ("0.450", "1.604"), ("0.350", "1.215")];
    for (row, (gap, bound)) in rows[2..].iter().zip(expected) {
        assert_eq!(
            (row[2], row[5]),
            (format!("{gap} ±0.000").as_str(), bound),
            "{row:?}"
        );
    }
    assert_eq!(rows.len(), 5, "{rows:?}");
    assert!(markdown.contains("from 0.550 nats at p = 0 to 0.350 at p = 0.5"));
    // 0.9 / sqrt(6.4).
    assert!(markdown.contains("= 0.36 nats"));

    let links: Vec<&str> = markdown
        .lines()
        .filter_map(|line| line.strip_prefix("![")?.split_once("](")?.1.strip_suffix(')'))
        .collect();
    for link in &links {
        let svg = String::from_utf8(workspace.read(link)).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("<style>"), "{link}");
    }
    assert!(
        links.contains(&"pictures/planted-64-training-rows-measured-nll-test-train.svg"),
        "{links:?}"
    );
    let before = workspace.everything();
    let said = workspace.lora(&["report", "planted.jsonl", "--figures", "pictures"]);
    assert!(
        said.code == Some(2) && said.stderr.contains("holds files already"),
        "{}",
        said.stderr
    );
    assert_eq!(workspace.everything(), before);
    workspace.lora_works(&[&report[..], &["--overwrite"]].concat());
}

#[test]
fn a_curve_over_a_setting_has_a_point_where_the_setting_is_the_usual_one() {
    let workspace = Workspace::new();
    let mut cells = Vec::new();
    for seed in [1, 2, 3] {
        for (settings, loss) in [(json!({"r": 2}), 900), (json!({}), 800), (json!({"r": 16}), 700)] {
            cells.push(cell("lora", &settings, seed, 0.9, [loss, loss]));
        }
    }
    write(&workspace, &cells);
    workspace.lora_works(&["report", "planted.jsonl", "--markdown", "r.md"]);
    let markdown = String::from_utf8(workspace.read("r.md")).unwrap();
    let rows = table(&markdown, "**The rank of the adapters**");
    let ranks: Vec<&str> = rows[2..].iter().map(|row| row[1]).collect();
    assert_eq!(ranks, ["2", "8", "16"], "{rows:?}");
    assert!(rows[3][2].starts_with("0.800"), "{rows:?}");
}
