//! Libraries are silent: they return values; the program prints, reads the environment and exits.

use super::Finding;
use super::rust_code::{calls_macro, code_only};
use super::tree::Tree;

/// May do all of it.
const PROGRAM: &str = "lora-cli";

/// Read the environment, and nothing else does: the variables that Hugging Face's libraries obey, and what made a result.
const READERS: [&str; 2] = [
    "crates/lora-pipeline/src/base/hub.rs",
    "crates/lora-pipeline/src/files/provenance.rs",
];

pub(super) fn libraries_are_silent(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust_files() {
        if file.crate_of_source().is_none_or(|name| name == PROGRAM) {
            continue;
        }
        for (index, line) in code_only(&file.text).lines().enumerate() {
            if let Some(name) = ["println", "print", "eprintln", "eprint"]
                .into_iter()
                .find(|name| calls_macro(line, name))
            {
                findings.push(file.finding_at(
                    index,
                    format!("a library does not print (`{name}!`); return it or emit an event"),
                ));
            }
            if line.contains("process::exit") {
                findings.push(file.finding_at(index, "a library does not exit; return an error"));
            }
            let reads = ["env::var", "env::args", "env::vars"]
                .iter()
                .any(|call| line.contains(call));
            if reads && !READERS.contains(&file.path.as_str()) {
                findings.push(file.finding_at(
                    index,
                    "a library reads no flags and no environment; take it as an argument",
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    //! What a library may not do, and who may.

    use super::libraries_are_silent;
    use crate::tidy::tree::Tree;

    const NOISY: &str = "//! Noisy.\nfn f() { println!(\"x\"); }\nfn g() { std::process::exit(1) }\nfn h() { std::env::var(\"X\"); }\n";

    #[test]
    fn a_library_does_not_print_exit_or_read_the_environment() {
        let tree = Tree::made_up(&[("crates/lora-core/src/a.rs", NOISY)]);
        let places = tree.places(libraries_are_silent);
        assert_eq!(
            places,
            [2, 3, 4].map(|line| format!("crates/lora-core/src/a.rs:{line}"))
        );
    }

    #[test]
    fn the_program_examples_and_tests_may() {
        let places = [
            "crates/lora-cli/src/a.rs",
            "crates/lora-core/examples/a.rs",
            "crates/lora-core/tests/a.rs",
            "xtask/src/a.rs",
        ];
        assert_eq!(
            Tree::made_up(&places.map(|path| (path, NOISY))).places(libraries_are_silent),
            [""; 0]
        );
    }

    #[test]
    fn words_about_printing_are_not_printing() {
        let tree = Tree::made_up(&[(
            "crates/lora-core/src/a.rs",
            "//! Never `println!`.\nconst A: &str = \"print!(1)\"; // print!\nenv!(\"X\");\n",
        )]);
        assert_eq!(tree.places(libraries_are_silent), [""; 0]);
    }
}
