//! When events are written, and that what others left stays.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use lora_train::MaskChange;
use lora_train::event::FinishReason;

use super::*;

fn stepped(step: u64) -> Event {
    Event::Stepped {
        report: StepReport {
            step,
            loss: 0.75,
            grad_norm: 2.5,
            learning_rate: 1e-3,
        },
        epoch: 0.5,
    }
}

fn evaluated() -> Event {
    Event::Evaluated(Evaluation {
        step: 2,
        epoch: 1.0,
        loss: 0.5,
        metric: Some(0.875),
        ece: Some(0.125),
        is_best: true,
    })
}

#[test]
fn nothing_is_written_before_the_folder_is_a_runs_and_everything_after() {
    let folder = tempfile::tempdir().unwrap();
    let events = || fs::read_to_string(folder.path().join(EVENTS_FILE));
    let mut log = EventLog::new(ReportTo::Json, folder.path(), "r: 8", Metric::Accuracy).unwrap();
    log.record(&stepped(1)).unwrap();
    log.record(&evaluated()).unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    log.begin().unwrap();
    assert_eq!(events().unwrap().lines().count(), 2);
    log.begin().unwrap();
    log.record(&Event::Evaluating { done: 1, examples: 2 }).unwrap();
    let change = MaskChange {
        step: 2,
        back_to: Some(1),
        probability: 0.5,
    };
    log.record(&Event::MasksChanged(change)).unwrap();
    log.record(&Event::Finished(FinishReason::EarlyStopping)).unwrap();
    let lines: Vec<Value> = events()
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["stepped", "evaluated", "masks_changed", "finished"]);
    assert_eq!(
        (&lines[0]["loss"], &lines[0]["epoch"]),
        (&json!(0.75), &json!(0.5))
    );
    assert_eq!(
        (&lines[1]["metric"], &lines[1]["ece"]),
        (&json!(0.875), &json!(0.125))
    );
    assert_eq!(
        (&lines[2]["step"], &lines[2]["back_to"], &lines[2]["probability"]),
        (&json!(2), &json!(1), &json!(0.5))
    );
    assert_eq!(lines[3]["reason"], "early_stopping");
}

#[test]
fn the_files_of_an_earlier_training_go_and_those_of_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| fs::write(folder.path().join(name), "x").unwrap();
    let others = ["events.out.tfevents.17.host.3.0", "notes.lora"];
    others.into_iter().for_each(write);
    let ours = [EVENTS_FILE, "events.out.tfevents.0000000017.lora"];
    ours.into_iter().for_each(write);
    remove_earlier(folder.path()).unwrap();
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, others);
}

#[test]
fn every_number_has_a_tag_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    for (metric, expected) in [
        (Metric::Loss, vec![("eval/loss", 0.5), ("eval/ece", 0.125)]),
        (Metric::Ece, vec![("eval/loss", 0.5), ("eval/ece", 0.875)]),
        (
            Metric::F1,
            vec![("eval/loss", 0.5), ("eval/f1", 0.875), ("eval/ece", 0.125)],
        ),
    ] {
        let log = EventLog::new(ReportTo::TensorBoard, folder.path(), "", metric).unwrap();
        let Event::Evaluated(evaluation) = evaluated() else {
            unreachable!("it is one")
        };
        let found = log.evaluation_values(&evaluation);
        let expected = expected.into_iter().map(|(tag, value)| (tag.to_owned(), value));
        assert_eq!(found, expected.collect::<Vec<_>>());
    }
    assert!(EventLog::new(ReportTo::None, folder.path(), "", Metric::Loss).is_none());
}
