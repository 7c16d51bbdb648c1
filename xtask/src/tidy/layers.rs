//! The floors of the workspace: a crate knows only crates below it.

use toml::{Table, Value};

use super::Finding;
use super::tree::Tree;

/// The crates from the bottom up, each with those below it that it must not know, for tests too. A crate knows none above it:
/// `lora-models` and `lora-train` never know each other, no library depends on the program, and `workbench` stands above
/// everything, for it times and compares it.
const FLOORS: [(&str, &[&str]); 14] = [
    ("lora-kernels", &[]),
    ("lora-core", &[]),
    ("lora-data", &["lora-core"]),
    ("lora-models", &[]),
    ("lora-eval", &["lora-data", "lora-models"]),
    (
        "lora-report",
        &[
            "lora-kernels",
            "lora-core",
            "lora-data",
            "lora-models",
            "lora-eval",
        ],
    ),
    ("lora-train", &["lora-models", "lora-report"]),
    ("lora-pipeline", &[]),
    ("lora-experiments", &[]),
    ("lora-serve", &["lora-experiments"]),
    ("lora-cli", &[]),
    (
        "benches",
        &["lora-pipeline", "lora-experiments", "lora-serve", "lora-cli"],
    ),
    ("lora-fuzz", &["benches", "lora-cli"]),
    ("workbench", &["lora-fuzz"]),
];

/// Depends on no crate of the workspace, so that it starts in seconds.
const ALONE: &str = "xtask";

pub(super) fn crates_depend_downwards(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files().iter().filter(|file| file.name() == "Cargo.toml") {
        let manifest: Table = match file.text.parse() {
            Ok(manifest) => manifest,
            Err(error) => {
                findings.push(file.finding(format!("is not TOML: {error}")));
                continue;
            }
        };
        let Some(name) = manifest
            .get("package")
            .and_then(|package| package.get("name"))
            .and_then(Value::as_str)
        else {
            continue;
        };
        let found = FLOORS.iter().position(|(known, _)| *known == name);
        let Some(floor) = found.or((name == ALONE).then_some(0)) else {
            findings.push(file.finding(format!(
                "crate {name} has no floor; add it to FLOORS in xtask/src/tidy/layers.rs"
            )));
            continue;
        };
        // The lowest floor forbids nothing, and has nothing below it.
        let (_, forbidden) = FLOORS[floor];
        let below = FLOORS[..floor].iter().map(|(known, _)| *known);
        let allowed: Vec<&str> = below.filter(|known| !forbidden.contains(known)).collect();
        let known = |dependency: &str| FLOORS.iter().any(|(known, _)| *known == dependency);
        for dependency in dependencies(&manifest) {
            if known(&dependency) && dependency != name && !allowed.contains(&dependency.as_str()) {
                let allowed = if allowed.is_empty() {
                    "no other crate of the workspace".to_owned()
                } else {
                    allowed.join(", ")
                };
                findings.push(file.finding(format!(
                    "{name} depends on {dependency}, but may depend on {allowed} only; \
                     move what it needs to a floor below, or pass it in through a trait"
                )));
            }
        }
    }
    findings
}

/// Names of the packages in every kind of dependency table, for every target.
fn dependencies(manifest: &Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let tables = std::iter::once(manifest).chain(
        targets
            .into_iter()
            .flat_map(Table::values)
            .filter_map(Value::as_table),
    );
    let mut names = Vec::new();
    for table in tables {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, value) in table.get(kind).and_then(Value::as_table).into_iter().flatten() {
                let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
                names.push(package.to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    //! Which dependencies are found, and which are allowed.

    use super::crates_depend_downwards;
    use crate::tidy::tree::Tree;

    fn findings(manifests: &[(&str, &str)]) -> Vec<String> {
        let texts: Vec<_> = manifests
            .iter()
            .map(|(name, rest)| {
                (
                    format!("crates/{name}/Cargo.toml"),
                    format!("[package]\nname = \"{name}\"\n{rest}"),
                )
            })
            .collect();
        let files: Vec<_> = texts
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        crates_depend_downwards(&Tree::made_up(&files))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn dependencies_on_lower_floors_and_on_others_are_allowed() {
        let train = "[dependencies]\nlora-core.workspace = true\nserde = \"1\"\n[dev-dependencies]\nlora-eval.workspace = true";
        assert_eq!(
            findings(&[
                ("lora-train", train),
                ("lora-cli", "[dependencies]\nlora-train.workspace = true")
            ]),
            [""; 0]
        );
    }

    #[test]
    fn models_and_train_do_not_know_each_other_even_in_tests() {
        let found = findings(&[
            ("lora-train", "[dev-dependencies]\nlora-models.workspace = true"),
            ("lora-models", "[dependencies]\nlora-train.workspace = true"),
        ]);
        assert_eq!(found.len(), 2);
        assert!(found[0].starts_with(
            "crates/lora-train/Cargo.toml: lora-train depends on lora-models, but may depend on lora-kernels, lora-core"
        ));
    }

    #[test]
    fn a_renamed_or_target_dependency_is_found() {
        let renamed = "[dependencies]\nprogram = { package = \"lora-cli\", path = \"../lora-cli\" }";
        let target = "[target.'cfg(unix)'.build-dependencies]\nlora-core.workspace = true";
        assert_eq!(
            findings(&[("lora-eval", renamed), ("lora-data", target)]).len(),
            2
        );
    }

    #[test]
    fn only_the_workbench_knows_the_program() {
        let program = "[dependencies]\nlora-cli.workspace = true";
        assert_eq!(findings(&[("workbench", program)]), [""; 0]);
        assert_eq!(
            findings(&[("benches", program), ("lora-train", program), ("xtask", program)]).len(),
            3
        );
    }

    #[test]
    fn a_crate_without_a_floor_is_a_finding() {
        assert!(findings(&[("lora-new", "")])[0].contains("crate lora-new has no floor"));
    }

    #[test]
    fn the_workspace_manifest_has_no_floor_to_keep() {
        let tree = Tree::made_up(&[(
            "Cargo.toml",
            "[workspace]\nmembers = []\n[workspace.dependencies]\nlora-cli = \"1\"",
        )]);
        assert_eq!(crates_depend_downwards(&tree), []);
    }
}
