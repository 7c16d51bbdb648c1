//! The machine's clock jumps by a day or a year while the program runs: only the times that it writes follow. Made with
//! [libfaketime](https://github.com/wolfcw/libfaketime), a package of most distributions; without it the tests say that they are skipped.
#![cfg(target_os = "linux")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, iter};

use serde_json::Value;

use crate::interrupted::stopped_in_time;
use crate::resuming::{assert_same_files, results};
use crate::torture::{Files, SWEEP, of_sweep, of_workers};
use crate::workspace::{Workspace, recipe};

const DAY: f64 = 24.0 * 3600.0;

/// Reads of the clock before it jumps: the first of these that falls between two events will do. There are some 40 events, each with one
/// read, and what else reads the clock before them is nobody's promise.
const READS: [u32; 4] = [5, 10, 20, 40];

/// The library, where distributions put it.
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn libfaketime() -> Option<PathBuf> {
    let of_systems = fs::read_dir("/usr/lib").into_iter().flatten();
    let folders = of_systems.filter_map(|entry| Some(entry.ok()?.path()));
    let found = folders
        .chain(["/usr/lib64".into(), "/usr/lib".into()])
        .map(|folder| folder.join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists());
    if found.is_none() {
        println!("skipped: there is no libfaketime (the package libfaketime)");
    }
    found
}

/// The program with a clock that is right until it was read so many times, and then this far off.
fn with_jump(workspace: &Workspace, library: &Path, jump: &str, reads: u32, arguments: &[&str]) -> Command {
    let mut command = workspace.command(arguments);
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME", jump)
        // What only goes forward does so on such a machine too.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("FAKETIME_START_AFTER_NUMCALLS", reads.to_string());
    command
}

fn train(output: &str) -> [&str; 11] {
    [
        "train",
        "--config",
        "run.yaml",
        "--report-to",
        "json",
        "--save-strategy",
        "steps",
        "--save-steps",
        "7",
        "--output",
        output,
    ]
}

#[test]
fn a_clock_that_jumps_changes_the_times_of_events_and_nothing_else() {
    let Some(library) = libfaketime() else { return };
    let workspace = Workspace::new();
    workspace.lora_works(&train("whole/out"));
    let expected = without_events(&workspace, "whole/out");
    for (jump, least) in [("-1d", -1.5 * DAY), ("+365d", 364.5 * DAY)] {
        let jumps_between_events = READS.into_iter().any(|reads| {
            let output = with_jump(&workspace, &library, jump, reads, &train("out"))
                .output()
                .unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(0), "{jump}: {said}");
            let passed = seconds_of_events(&workspace);
            let document: Value = serde_json::from_slice(&workspace.read("out/results.json")).unwrap();
            let seconds = document["seconds"]["train"].as_f64().unwrap();
            assert!((0.0..DAY).contains(&seconds), "{jump}: {seconds}");
            assert_same_files(&without_events(&workspace, "out"), &expected, jump);
            fs::remove_dir_all(workspace.path("out")).unwrap();
            (least..least + DAY).contains(&passed)
        });
        assert!(jumps_between_events, "{jump}: in no event's time");
    }
}

/// From the first event to the last, as the events have it.
fn seconds_of_events(workspace: &Workspace) -> f64 {
    let events = String::from_utf8(workspace.read("out/events.jsonl")).unwrap();
    let times: Vec<f64> = events
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["time"]
                .as_f64()
                .unwrap()
        })
        .collect();
    times[times.len() - 1] - times[0]
}

#[test]
fn a_training_goes_on_from_a_checkpoint_of_next_year() {
    let Some(library) = libfaketime() else { return };
    let workspace = Workspace::new();
    let long = [
        ("max_steps", "60"),
        ("eval_strategy", "steps"),
        ("eval_steps", "10"),
    ];
    workspace.write("run.yaml", recipe(&long));
    workspace.lora_works(&train("whole/out"));
    let expected = without_events(&workspace, "whole/out");
    let arguments: Vec<&str> = train("out").into_iter().chain(iter::once("--resume")).collect();
    let next_year = || with_jump(&workspace, &library, "+365d", 0, &arguments);
    stopped_in_time(&workspace, &next_year, 2);
    let output = with_jump(&workspace, &library, "-1d", 5, &arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_same_files(&without_events(&workspace, "out"), &expected, "resumed");
}

#[test]
fn workers_whose_clocks_are_a_year_apart_share_a_grid() {
    let Some(library) = libfaketime() else { return };
    let workspace = Workspace::new();
    workspace.write("sweep.yaml", SWEEP);
    workspace.lora_works(&["sweep", "--config", "sweep.yaml", "--results", "results.jsonl"]);
    let arguments = [
        "sweep",
        "--config",
        "sweep.yaml",
        "--shared",
        "shared",
        "--claim-expires",
        "60",
    ];
    let workers = ["+365d", "-1d"].map(|jump| {
        with_jump(&workspace, &library, jump, 0, &arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    });
    for worker in workers {
        let output = worker.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    assert_same_files(
        &of_workers(&workspace, "shared"),
        &of_sweep(&workspace, "results.jsonl"),
        "two workers",
    );
}

/// Every file of a run but the events.
fn without_events(workspace: &Workspace, folder: &str) -> Files {
    let mut files = results(workspace, folder);
    files.retain(|path, _| !path.ends_with("events.jsonl"));
    files
}
