//! The book's pages of results are what `lora report` makes of the results in `configs/here`, to the letter; so is what it says.

use std::fs;
use std::path::Path;

use crate::workspace::Workspace;

#[test]
fn the_books_pages_are_made_from_the_results_that_stand_beside_the_recipes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let pages = fs::read_dir(root.join("docs/src")).unwrap();
    let pages = pages.map(|page| format!("docs/src/{}", page.unwrap().file_name().display()));
    let mut made_pages = 0;
    let is_markdown = |page: &String| Path::new(page).extension().is_some_and(|ending| ending == "md");
    for page in pages.filter(is_markdown) {
        let committed = fs::read_to_string(root.join(&page)).unwrap();
        // A page that was made says by which command.
        let Some(command) = committed
            .lines()
            .find_map(|line| line.strip_prefix("lora ").filter(|_| line.contains(&page)))
        else {
            continue;
        };
        made_pages += 1;
        // Every other part stands in quotes.
        let parts = command.split('\'').enumerate();
        let arguments: Vec<&str> = parts
            .flat_map(|(place, part)| match place % 2 {
                0 => part.split_whitespace().collect(),
                _ => vec![part],
            })
            .collect();
        let workspace = Workspace::new();
        fs::create_dir_all(workspace.path("docs/src")).unwrap();
        for name in arguments.iter().filter(|name| name.ends_with(".results.jsonl")) {
            workspace.write(name, fs::read(root.join(name)).unwrap());
        }
        workspace.lora_works(&arguments);
        let made = String::from_utf8(workspace.read(&page)).unwrap();
        for (line, (made, committed)) in made.lines().zip(committed.lines()).enumerate() {
            assert_eq!(made, committed, "{page}, line {}", line + 1);
        }
        assert_eq!(made.len(), committed.len(), "{page}");
        let figures = page.trim_end_matches(".md");
        let mut pictures: Vec<_> = fs::read_dir(root.join(figures)).unwrap().collect();
        assert!(!pictures.is_empty(), "{page} has no pictures");
        for picture in pictures.drain(..) {
            let name = format!("{figures}/{}", picture.unwrap().file_name().display());
            let committed = fs::read(root.join(&name)).unwrap();
            assert!(workspace.read(&name) == committed, "{name}");
        }
    }
    assert!(made_pages > 0);
}

/// What a user reads. After a change of words: `INSTA_UPDATE=always cargo test --workspace --test program what_report_says`.
#[test]
fn what_report_says_of_committed_results_is_as_reviewed() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/here");
    for name in ["movies-64", "overfitting-heldout"] {
        let workspace = Workspace::new();
        let file = format!("{name}.results.jsonl");
        workspace.write(&file, fs::read(results.join(&file)).unwrap());
        let said = workspace.lora_works(&["report", &file]);
        insta::assert_snapshot!(format!("report_{}", name.replace('-', "_")), said.stdout);
    }
}
