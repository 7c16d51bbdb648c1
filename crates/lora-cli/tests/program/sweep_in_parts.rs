//! A sweep that is computed in many places: shards, single trials, workers that share a folder. What comes out is what one process gives.

use std::collections::BTreeSet;
use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

#[cfg(unix)]
use crate::interrupted::send;
use crate::reporting::{cell, write};
use crate::sweep::{CELLS, cells_of, workspace};
use crate::workspace::Workspace;

/// lora with seeds 1, 2 and 3, dropout with two probabilities and two seeds.
const TRAININGS: usize = 7;
const RUN: [&str; 3] = ["sweep", "--config", "sweep.yaml"];

/// The names of the results files in a folder.
fn files(workspace: &Workspace, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(workspace.path(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let results = names.filter(|name| name.ends_with("results.jsonl"));
    let mut files: Vec<String> = results.map(|name| format!("{folder}/{name}")).collect();
    files.sort();
    files
}

/// The trainings of results files, each as often as it was done.
fn trainings(workspace: &Workspace, files: &[String]) -> usize {
    let texts = files
        .iter()
        .map(|file| String::from_utf8(workspace.read(file)).unwrap());
    texts.map(|text| text.matches("{\"training\":").count()).sum()
}

/// What `--list` says of these trials.
fn listed(workspace: &Workspace, arguments: &[&str]) -> Vec<Value> {
    let said = workspace.lora_works(&[&RUN, arguments, &["--list", "--json"]].concat());
    let list: Value = serde_json::from_str(&said.stdout).unwrap();
    list["trials"].as_array().unwrap().clone()
}

fn keys<'l>(trials: impl IntoIterator<Item = &'l Value>) -> BTreeSet<String> {
    let keys = trials
        .into_iter()
        .map(|trial| trial["key"].as_str().unwrap().to_owned());
    keys.collect()
}

#[test]
fn shards_trials_and_workers_give_what_one_process_gives_and_train_nothing_twice() {
    let workspace = workspace();
    workspace.lora_works(&[&RUN[..], &["--results", "one.jsonl"]].concat());
    let whole = cells_of(&workspace, &["one.jsonl".to_owned()]);
    assert_eq!(whole.len(), CELLS);

    for count in [2, 3] {
        let folder = format!("parts-{count}");
        for index in 1..=count {
            let shard = format!("{index}/{count}");
            let output = format!("{folder}/{index}.results.jsonl");
            let mut words = vec!["--shard", &shard, "--output", &output];
            if index == 1 {
                // Where a training runs changes nothing.
                words.extend(["--devices", "flex,flex"]);
            }
            workspace.lora_works(&[&RUN, &words[..]].concat());
        }
        let parts = files(&workspace, &folder);
        assert_eq!(parts.len(), count);
        assert_eq!(cells_of(&workspace, &parts), whole, "{count} shards");
        assert_eq!(trainings(&workspace, &parts), TRAININGS, "{count} shards");
        let sizes: Vec<usize> = parts
            .iter()
            .map(|part| cells_of(&workspace, std::slice::from_ref(part)).len())
            .collect();
        assert!(sizes.iter().all(|size| *size > 0), "{sizes:?}");
    }

    // Together they are the whole, to the next sweep and to the report.
    let next = ["--results", "parts-3", "--output", "more.results.jsonl"];
    let said = workspace.lora_works(&[&RUN[..], &next].concat());
    assert!(
        said.stderr
            .contains(&format!("{CELLS} of {CELLS} trials are done")),
        "{}",
        said.stderr
    );
    let tables = |results: &str| {
        workspace.lora_works(&[
            "report",
            results,
            "--output",
            "p.html",
            "--csv",
            "r.csv",
            "--overwrite",
        ]);
        let csv = String::from_utf8(workspace.read("r.csv")).unwrap();
        csv.lines().count()
    };
    assert_eq!(tables("parts-2"), CELLS + 1);
    let refused = workspace.lora(&[&RUN[..], &["--results", "parts-2"]].concat());
    assert!(
        refused.code == Some(2) && refused.stderr.contains("with --output"),
        "{}",
        refused.stderr
    );

    // One trial, under its own name.
    let trial = &whole[CELLS / 2];
    workspace.lora_works(&[&RUN[..], &["--trial", &trial.0]].concat());
    let alone = cells_of(&workspace, &[format!("sweep.trial-{}.results.jsonl", trial.0)]);
    assert_eq!(alone, std::slice::from_ref(trial));

    // Two workers at once, and the claim of a third that died and will never be heard of again.
    let dead = listed(&workspace, &[])[0]["unit"].as_str().unwrap().to_owned();
    let claim = json!({"worker": "worker-9", "beat": 3, "expires_after": 1.0, "released": false});
    workspace.write(&format!("shared/claims/{dead}.1.json"), claim.to_string());
    let words = [
        &RUN[..],
        &["--shared", "shared", "--claim-expires", "1", "--quiet"],
    ]
    .concat();
    let workers = [(); 2].map(|()| workspace.command(&words).stdout(Stdio::null()).spawn().unwrap());
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    let shared = files(&workspace, "shared");
    assert_eq!(cells_of(&workspace, &shared), whole);
    assert_eq!(trainings(&workspace, &shared), TRAININGS);
    assert!(workspace.path(&format!("shared/claims/{dead}.2.json")).exists());
    assert!(!workspace.path("shared/members").exists());
    let again = workspace.lora_works(&words);
    assert_eq!(
        (
            again.stdout.contains("lora report shared"),
            files(&workspace, "shared")
        ),
        (true, shared)
    );
}

#[cfg(unix)] // elsewhere a signal cannot be sent to one process without unsafe code
#[test]
fn a_worker_that_is_asked_to_end_gives_back_what_it_has() {
    let workspace = workspace();
    let endless = String::from_utf8(workspace.read("sweep.yaml")).unwrap();
    workspace.write(
        "sweep.yaml",
        endless.replace("max_steps: 6", "max_steps: 100000000"),
    );
    let words = [&RUN[..], &["--shared", "shared", "--quiet"]].concat();
    let mut worker = workspace.command(&words).stderr(Stdio::null()).spawn().unwrap();
    let claims = workspace.path("shared/claims");
    let claim = loop {
        assert!(worker.try_wait().unwrap().is_none(), "the worker ended by itself");
        let made = fs::read_dir(&claims).into_iter().flatten();
        let mut made = made.map(|entry| entry.unwrap().path());
        if let Some(claim) = made.find(|path| path.extension().is_some_and(|ending| ending == "json")) {
            break claim;
        }
        std::thread::yield_now();
    };
    send("-TERM", &worker);
    assert_eq!(worker.wait().unwrap().code(), Some(130));
    let claim: Value = serde_json::from_slice(&fs::read(claim).unwrap()).unwrap();
    assert_eq!(
        (&claim["worker"], &claim["released"]),
        (&json!("worker-1"), &json!(true))
    );
}

#[test]
fn the_list_has_a_line_a_trial_and_shards_part_it() {
    let workspace = workspace();
    let before = workspace.everything();
    let all = listed(&workspace, &[]);
    assert_eq!(keys(&all).len(), CELLS);
    assert!(all.iter().all(|trial| trial["state"] == "open"));
    // More members cost more; what shares a training is in one unit.
    let of = |prediction: &str| {
        all.iter()
            .filter(|trial| trial["prediction"] == prediction)
            .map(|trial| trial["tokens"].as_u64().unwrap())
            .collect::<BTreeSet<_>>()
    };
    assert!(of("ensemble of 1").last() < of("ensemble of 3").first());
    let units: BTreeSet<&str> = all.iter().map(|trial| trial["unit"].as_str().unwrap()).collect();
    // The deep ensembles of two seeds have the second seed in common.
    assert_eq!(units.len(), 1 + 4);
    for count in 1..=6 {
        let shards: Vec<Vec<Value>> = (1..=count)
            .map(|index| listed(&workspace, &["--shard", &format!("{index}/{count}")]))
            .collect();
        let sum: usize = shards.iter().map(Vec::len).sum();
        assert_eq!(
            (sum, keys(shards.iter().flatten())),
            (CELLS, keys(&all)),
            "{count}"
        );
    }
    let text = workspace.lora_works(&[&RUN[..], &["--list"]].concat()).stdout;
    assert!(keys(&all).iter().all(|key| text.contains(key.as_str())), "{text}");
    // Rows of one method differ in what its grid varies.
    let of_dropout = |p: f64| {
        all.iter()
            .filter(move |trial| trial["settings"]["mask_probability"] == p)
    };
    assert_eq!((of_dropout(0.3).count(), of_dropout(0.5).count()), (8, 8));
    let lines = |words: &str| text.lines().filter(|line| line.contains(words)).count();
    assert_eq!(
        [lines("mask_probability 0.3"), lines("mask_probability 0.5")],
        [8, 8],
        "{text}"
    );
    assert_eq!(workspace.everything(), before);
}

#[test]
fn parts_know_of_each_other_and_the_hint_names_them_all() {
    let workspace = workspace();
    let said = workspace.lora_works(&[&RUN[..], &["--shard", "1/2"]].concat());
    let report = "lora report sweep.shard-1-of-2.results.jsonl sweep.shard-2-of-2.results.jsonl";
    assert!(
        said.stdout
            .contains(&format!("the other parts are there too (2/2): {report}")),
        "{}",
        said.stdout
    );
    let is_open = |trial: &&Value| trial["state"] == "open";
    let own = listed(&workspace, &["--shard", "1/2"]);
    assert_eq!(own.iter().filter(is_open).count(), 0);
    let open = listed(&workspace, &[]).iter().filter(is_open).count();
    assert_eq!(open, CELLS - own.len());
    let said = workspace.lora_works(&[&RUN[..], &["--shard", "2/2"]].concat());
    assert!(said.stdout.contains(&format!("now: {report}")), "{}", said.stdout);
    let words: Vec<&str> = report.split(' ').skip(1).collect();
    let said = workspace.lora_works(&words);
    assert!(
        said.stdout.contains("the page: sweep.results.html"),
        "{}",
        said.stdout
    );
}

#[test]
fn wrong_choices_are_refused_before_anything_is_written() {
    let workspace = workspace();
    let before = workspace.everything();
    for (words, part) in [
        (&["--shard", "0/2"][..], "expected i/n with i from 1 to n"),
        (&["--shard", "3/2"], "`3/2` is no shard"),
        (&["--trial", "abc"], "has the key `abc`"),
        (
            &["--results", "."],
            "holds no file whose name ends in results.jsonl",
        ),
        (&["--shared", "s", "--retry-failed"], "cannot be used with"),
        (&["--shared", "s", "--shard", "1/2"], "cannot be used with"),
        (&["--claim-expires", "5"], "--shared <DIR>"),
        (&["--devices", "flex,none"], "device is `none`"),
    ] {
        let mut said = workspace.lora(&[&RUN[..], words].concat());
        if words[0] == "--results" {
            said = workspace.lora(&[&RUN[..], words, &["--output", "o.jsonl"]].concat());
        }
        assert_eq!(said.code, Some(2), "{words:?}: {}", said.stderr);
        assert!(said.stderr.contains(part), "{words:?}: {}", said.stderr);
        assert_eq!(workspace.everything(), before, "{words:?}");
    }
}

#[test]
fn one_trial_in_two_files_is_one_and_two_results_that_contradict_each_other_name_both_files() {
    let workspace = Workspace::new();
    let file = |name: &str, cells: &[Value]| {
        write(&workspace, cells);
        fs::rename(workspace.path("planted.jsonl"), workspace.path(name)).unwrap();
    };
    let trial = |losses| cell("lora", &json!({}), 1, 0.9, losses);
    let mut slower = trial([700, 900]);
    slower["cell"]["outcome"]["done"]["training_seconds"] = json!(99.0);
    let mut failed = trial([700, 900]);
    failed["cell"]["outcome"] = json!({"failed": "the disk was full"});
    file("a.jsonl", &[trial([700, 900])]);
    file("slower.jsonl", &[slower]);
    // As far as sums in another order go.
    file("rounded.jsonl", &[trial([701, 900])]);
    file("failed.jsonl", &[failed]);
    file("other.jsonl", &[trial([100, 900])]);
    for second in ["slower.jsonl", "rounded.jsonl", "failed.jsonl"] {
        for files in [["a.jsonl", second], [second, "a.jsonl"]] {
            let words = ["report", "--output", "p.html", "--csv", "r.csv", "--overwrite"];
            workspace.lora_works(&[&words[..], &files].concat());
            let csv = String::from_utf8(workspace.read("r.csv")).unwrap();
            assert_eq!(csv.lines().count(), 2, "{files:?}: {csv}");
        }
    }
    let said = workspace.lora(&["report", "a.jsonl", "other.jsonl"]);
    assert_eq!(said.code, Some(2), "{}", said.stderr);
    for part in [
        "a loss of 0.8000 in `a.jsonl`",
        "of 0.5000 on the same test rows in `other.jsonl`",
        "planted, lora, seed 1",
    ] {
        assert!(said.stderr.contains(part), "{}", said.stderr);
    }
}
