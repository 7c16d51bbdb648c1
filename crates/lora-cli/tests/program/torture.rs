//! Commands that are killed at random moments: nothing that is half-written is ever taken for whole, nothing else is touched, and what
//! follows ends as if nobody had been killed. A few kills here; `cargo xtask torture` makes hundreds.
#![cfg(unix)] // SIGKILL

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use lora_core::random::seeded_uniform;
use serde_json::Value;

use crate::resuming::{assert_same_files, results};
use crate::workspace::{Workspace, recipe};

/// How many kills there are of each command, if nobody says otherwise.
const KILLS: usize = 3;
/// What all victims' shares come to.
const SHARES: usize = 25;
/// How many the environment asks for, of all commands together.
const KILLS_WANTED: &str = "LORA_TORTURE_KILLS";

pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A command that is killed.
struct Victim<'a> {
    what: &'a str,
    arguments: Vec<&'a str>,
    /// What it writes, a file or a folder.
    output: &'a str,
    /// What is compared of it.
    outcome: fn(&Workspace, &str) -> Files,
    /// Whether the output is there as a whole or not at all.
    is_at_once: bool,
    /// Its part of [`SHARES`] kills, the less the longer it takes.
    share: usize,
}

/// The file, or all files of the folder, below the name.
fn files(workspace: &Workspace, output: &str) -> Files {
    let root = workspace.path(output);
    let below = |path: &Path| path.strip_prefix(&root).ok().map(Path::to_owned);
    let all = workspace.everything().into_iter();
    all.filter_map(|(path, bytes)| Some((below(&path)?, bytes)))
        .collect()
}

/// The trials of a results file, without what a clock says.
pub fn of_sweep(workspace: &Workspace, output: &str) -> Files {
    let text = String::from_utf8(workspace.read(output)).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let trials = lines.filter_map(|mut line| {
        let mut trial = line.get_mut("cell")?.take();
        let done = trial["outcome"]["done"].as_object_mut().unwrap();
        done.retain(|key, _| !key.ends_with("seconds") && key != "peak_memory");
        Some((
            trial["key"].as_str().unwrap().into(),
            trial.to_string().into_bytes(),
        ))
    });
    trials.collect()
}

/// The trials of all workers.
pub fn of_workers(workspace: &Workspace, output: &str) -> Files {
    let entries = fs::read_dir(workspace.path(output)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let results = names.filter(|name| name.ends_with("results.jsonl"));
    results
        .flat_map(|name| of_sweep(workspace, &format!("{output}/{name}")))
        .collect()
}

/// What the folder holds beside the output and what killed processes were writing.
fn untouched(workspace: &Workspace, output: &str) -> Files {
    let output = workspace.path(output);
    // The members that a sweep keeps for its ensembles, the page of a comparison.
    let beside = output.with_extension("jsonl.members");
    let is_left_over = |path: &Path| {
        let mut parts = path.components();
        parts.any(|part| part.as_os_str().to_string_lossy().starts_with(".lora-"))
    };
    let mut all = workspace.everything();
    all.retain(|path, _| !path.starts_with(&output) && !path.starts_with(&beside) && !is_left_over(path));
    all
}

fn remove(workspace: &Workspace, name: &str) {
    let path = workspace.path(name);
    let _ = fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path));
}

/// Kills the command so many times, each at another moment of its work.
#[expect(clippy::print_stdout, reason = "cargo xtask torture shows it")]
fn kill(workspace: &Workspace, victim: &Victim<'_>, kills: usize) {
    let Victim {
        what,
        arguments,
        output,
        outcome,
        is_at_once,
        share: _,
    } = victim;
    let began = Instant::now();
    workspace.lora_works(arguments);
    let mut whole = began.elapsed().as_secs_f64();
    let expected = outcome(workspace, output);
    assert!(!expected.is_empty(), "{what} writes {output}");
    remove(workspace, output);
    let others = untouched(workspace, output);
    let mut moments = seeded_uniform(seed(), what, 100 * kills, 0.0, 1.0).into_iter();
    let mut killed = 0;
    // Whether nothing is there of an earlier attempt, with which it goes on.
    let mut begins = true;
    while killed < kills {
        let moment = moments.next().unwrap();
        let started = Instant::now();
        let mut child = workspace
            .command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The moment of the kill; nothing waits for anything.
        thread::sleep(Duration::from_secs_f64(whole * f64::from(moment)));
        child.kill().unwrap();
        let code = child.wait().unwrap().code();
        killed += usize::from(code.is_none());
        if code.is_some() && begins {
            // It takes less than it did.
            whole = whole.min(started.elapsed().as_secs_f64());
        }
        begins = false;
        assert!(matches!(code, None | Some(0)), "{what}: {code:?}");
        assert!(
            untouched(workspace, output) == others,
            "{what}: other files changed"
        );
        if code.is_some() || (*is_at_once && workspace.path(output).exists()) {
            assert!(outcome(workspace, output) == expected, "{what}: half-written");
            remove(workspace, output);
            begins = true;
        }
    }
    // Whatever the last one left.
    workspace.lora_works(arguments);
    let found = outcome(workspace, output);
    assert_same_files(&found, &expected, what);
    println!(
        "{what}: killed {killed} times in {:.0} s",
        began.elapsed().as_secs_f64()
    );
}

fn wanted() -> Option<usize> {
    std::env::var(KILLS_WANTED).ok()?.parse().ok()
}

/// Other moments for every number of kills.
fn seed() -> u64 {
    wanted().unwrap_or_default() as u64
}

pub const SWEEP: &str = "\
base:
  model_name_or_path: model
  learning_rate: 2e-2
  max_steps: 12
  per_device_train_batch_size: 8
  max_seq_length: 24
  r: 2
tasks:
  - name: films
    data: {train_file: train.csv, test_file: dev.csv}
    rows: [12]
methods:
  - name: lora
    predictions: [mean, {deep_ensemble: {members: 2}}]
  - name: dropout
    grid: {mask_probability: [0.3, 0.5]}
    predictions: [mean, {ensemble: {members: [1, 3]}}]
seeds: [1, 2]
validation_rows: 8
";

#[test]
fn whatever_is_killed_at_any_moment_ends_as_if_it_had_not_been() {
    let workspace = Workspace::new();
    workspace.write(
        "run.yaml",
        recipe(&[("max_steps", "60"), ("output_dir", "trained")]),
    );
    workspace.lora_works(&["train", "--config", "run.yaml"]);
    workspace.write("sweep.yaml", SWEEP);
    // As many as a comparison needs.
    let rows: Vec<String> = (0..120)
        .map(|row| {
            format!(
                "a {} film number {row},{}\n",
                ["gripping", "dull"][row % 2],
                ["good", "bad"][row % 2]
            )
        })
        .collect();
    workspace.write("films.csv", format!("text,label\n{}", rows.concat()));
    for victim in &victims() {
        let kills = wanted().map_or(KILLS, |all| (all * victim.share).div_ceil(SHARES));
        kill(&workspace, victim, kills);
    }
}

/// Arguments without spaces of their own.
fn words(arguments: &'static str) -> Vec<&'static str> {
    arguments.split_whitespace().collect()
}

/// What is killed; at length, all that writes.
fn victims() -> Vec<Victim<'static>> {
    let mut victims = vec![
        Victim {
            what: "train",
            arguments: words(
                "train --config run.yaml --output out --save-strategy steps --save-steps 7 --save-total-limit 2 --resume",
            ),
            output: "out",
            outcome: results,
            is_at_once: false,
            share: 5,
        },
        Victim {
            what: "sweep",
            arguments: words("sweep --config sweep.yaml --results results.jsonl"),
            output: "results.jsonl",
            outcome: of_sweep,
            is_at_once: false,
            share: 3,
        },
        Victim {
            what: "sweep --shared",
            arguments: words("sweep --config sweep.yaml --shared shared --claim-expires 1"),
            output: "shared",
            outcome: of_workers,
            is_at_once: false,
            share: 3,
        },
        Victim {
            what: "merge",
            arguments: words("merge --adapter trained --output merged"),
            output: "merged",
            outcome: files,
            is_at_once: true,
            share: 4,
        },
        Victim {
            what: "export",
            arguments: words("export --adapter trained --output exported"),
            output: "exported",
            outcome: files,
            is_at_once: true,
            share: 4,
        },
        Victim {
            what: "predict",
            arguments: words("predict --adapter trained --data films.csv --output predicted.csv"),
            output: "predicted.csv",
            outcome: files,
            is_at_once: true,
            share: 4,
        },
    ];
    let comparison = Victim {
        what: "compare",
        arguments: words(
            "compare films.csv --model model --max-seq-length 24 --num-train-epochs 2 --seeds 1 --output compared",
        ),
        output: "compared",
        outcome: |workspace, _| of_sweep(workspace, "compared/results.jsonl"),
        is_at_once: false,
        share: 2,
    };
    if wanted().is_some() {
        // Its results file is a sweep's.
        victims.push(comparison);
    }
    victims
}
