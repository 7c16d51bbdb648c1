//! What a server is asked, and what happens where it does not answer. `xtask/formats.py` asks a real one.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::loopback::{Asked, Loopback};

fn settings(address: &str) -> RunSettings {
    RunSettings {
        address: address.to_owned(),
        experiment: "reviews and more".to_owned(),
        name: "first".to_owned(),
        params: params(&json!({"r": 8, "seed": null, "bias": "none", "target_modules": ["query"]})),
        events: "out/events.jsonl".to_owned(),
        retry: Duration::from_millis(1),
    }
}

/// As MLflow answers; the experiment is not there.
fn answer(asked: &Asked) -> (u16, String) {
    let path = asked.what.split(['?', ' ']).nth(1).unwrap();
    let (status, body) = match path.strip_prefix("/api/2.0/mlflow/").unwrap() {
        "experiments/get-by-name" => {
            let error =
                json!({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "there is no such experiment"});
            (404, error)
        }
        "experiments/create" => (200, json!({"experiment_id": "17"})),
        "runs/create" => (200, json!({"run": {"info": {"run_id": "a1b2"}}})),
        "runs/log-batch" | "runs/update" => (200, json!({})),
        other => panic!("{other} is no path of MLflow that is used"),
    };
    (status, body.to_string())
}

fn losses(steps: std::ops::Range<u64>) -> impl Iterator<Item = (u64, Vec<(String, f64)>)> {
    steps.map(|step| (step, vec![("train/loss".to_owned(), 1.0 / (step + 1) as f64)]))
}

/// The values that a server took, step by step.
fn values(asked: &[Asked]) -> Vec<(u64, f64)> {
    let batches = asked
        .iter()
        .filter(|asked| asked.what.ends_with("runs/log-batch"));
    let metrics = batches.flat_map(|asked| asked.json()["metrics"].as_array().unwrap().clone());
    metrics
        .map(|metric| {
            (
                metric["step"].as_u64().unwrap(),
                metric["value"].as_f64().unwrap(),
            )
        })
        .collect()
}

#[test]
fn a_training_is_a_run_with_its_settings_values_and_end() {
    let server = Loopback::start(|_, asked| answer(asked));
    let mut run = MlflowRun::start_with(settings(&server.address), Some("secret"));
    let steps = METRICS_AT_ONCE as u64 + 7;
    for (step, values) in losses(0..steps) {
        run.record(step, values);
    }
    run.record(steps, vec![("eval/loss".to_owned(), f64::NAN)]);
    run.finish(FinishReason::EarlyStopping);

    let asked = server.asked();
    let calls: Vec<&str> = asked.iter().map(|asked| asked.what.as_str()).collect();
    assert_eq!(
        calls[..3],
        [
            "GET /api/2.0/mlflow/experiments/get-by-name?experiment_name=reviews+and+more",
            "POST /api/2.0/mlflow/experiments/create",
            "POST /api/2.0/mlflow/runs/create",
        ]
    );
    assert!(
        asked
            .iter()
            .all(|asked| asked.header("authorization") == Some("Bearer secret"))
    );
    assert_eq!(asked[1].json(), json!({"name": "reviews and more"}));
    let begun = asked[2].json();
    assert_eq!(
        (&begun["experiment_id"], &begun["run_name"]),
        (&json!("17"), &json!("first"))
    );
    // What is not set is no parameter; texts are as they are.
    let expected = json!([
        {"key": "r", "value": "8"}, {"key": "bias", "value": "none"}, {"key": "target_modules", "value": "[\"query\"]"},
    ]);
    assert_eq!(asked[3].json()["params"], expected);
    let batches: Vec<Value> = asked[3..asked.len() - 1].iter().map(Asked::json).collect();
    let sizes: Vec<usize> = batches
        .iter()
        .map(|batch| batch["metrics"].as_array().unwrap().len())
        .collect();
    assert!(sizes.iter().all(|size| *size <= METRICS_AT_ONCE), "{sizes:?}");
    let last = batches.last().unwrap()["metrics"]
        .as_array()
        .unwrap()
        .last()
        .unwrap()
        .clone();
    assert_eq!(
        (&last["key"], &last["value"]),
        (&json!("eval/loss"), &json!("NaN"))
    );
    let ended = asked.last().unwrap();
    assert_eq!(ended.what, "POST /api/2.0/mlflow/runs/update");
    assert_eq!(ended.json()["status"], "FINISHED");
    assert!(ended.json()["end_time"].as_u64() >= begun["start_time"].as_u64());
    assert_eq!(
        run.notes(),
        [format!("MLflow: {}/#/experiments/17/runs/a1b2", server.address)]
    );
}

#[test]
fn what_a_server_did_not_take_is_sent_when_it_answers_again_each_value_once() {
    // Each of the first requests: experiment, its making, run, parameters, values.
    for busy in 0..5 {
        let count = AtomicUsize::new(0);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let keep = taken.clone();
        let server = Loopback::start(move |_, asked| {
            if count.fetch_add(1, Ordering::SeqCst) == busy {
                return (503, "busy".to_owned());
            }
            keep.lock().unwrap().push(asked.clone());
            answer(asked)
        });
        let mut run = MlflowRun::start_with(settings(&server.address), None);
        losses(0..20).for_each(|(step, values)| run.record(step, values));
        let mut told = run.notes.iter();
        let warning = told.find(|note| note.starts_with("warning: ")).unwrap();
        assert!(warning.contains("503"), "{warning}");
        run.finish(FinishReason::AllSteps);
        let taken = taken.lock().unwrap();
        let expected: Vec<(u64, f64)> = (0..20).map(|step| (step, 1.0 / (step + 1) as f64)).collect();
        assert_eq!(values(&taken), expected, "request {busy}");
        assert_eq!(taken.last().unwrap().json()["status"], "FINISHED");
    }
}

#[test]
fn a_server_that_is_not_there_is_told_with_what_is_lost_and_where_it_is() {
    // A port that nobody listens at any more.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut run = MlflowRun::start_with(settings(&format!("http://{gone}")), None);
    for (step, values) in losses(0..5) {
        run.record(step, values);
    }
    run.finish(FinishReason::AllSteps);
    let notes = run.notes();
    assert!(notes.len() == 2, "{notes:?}");
    for note in &notes {
        assert!(
            note.contains(&gone.to_string()) && note.contains("out/events.jsonl"),
            "{note}"
        );
    }
    assert!(notes[0].contains("the training goes on"), "{notes:?}");
    assert!(notes[1].contains("lacks 5 values"), "{notes:?}");
}

#[test]
fn a_server_that_refuses_the_run_is_asked_no_more_and_quoted() {
    let server = Loopback::start(|_, _| (403, json!({"message": "not yours"}).to_string()));
    let mut run = MlflowRun::start_with(settings(&server.address), None);
    let first = run.notes.recv().unwrap();
    for (step, values) in losses(0..5) {
        run.record(step, values);
    }
    run.finish(FinishReason::AllSteps);
    assert!(first.contains("403 (not yours)"), "{first}");
    assert_eq!(run.notes(), Vec::<String>::new());
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_training_that_breaks_off_is_a_run_that_failed_and_one_that_is_stopped_was_killed() {
    for (reason, expected) in [(None, "FAILED"), (Some(FinishReason::Stopped), "KILLED")] {
        let server = Loopback::start(|_, asked| answer(asked));
        let mut run = MlflowRun::start_with(settings(&server.address), None);
        losses(0..3).for_each(|(step, values)| run.record(step, values));
        if let Some(reason) = reason {
            run.finish(reason);
        }
        drop(run);
        let asked = server.asked();
        assert_eq!(values(&asked), [(0, 1.0), (1, 0.5), (2, 1.0 / 3.0)], "{expected}");
        assert_eq!(asked.last().unwrap().json()["status"], expected);
    }
}
