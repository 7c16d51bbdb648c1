//! Windows of long contexts against those of Transformers.

use std::path::Path;

use lora_data::tasks::{Answer, SpanQuestion, Spans};
use lora_data::{DataError, Padding, Targets, TaskError, TextTokenizer, Windows, window_dataset};
use serde::Deserialize;

/// `tests/golden/windows.json`, made by `make_windows.py` beside it.
#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    question: String,
    context: String,
    answer: Option<String>,
    max_length: usize,
    overlap: usize,
    max_question: usize,
    windows: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    input_ids: Vec<u32>,
    token_type_ids: Vec<u32>,
    offsets: Vec<Option<(usize, usize)>>,
    target: (usize, usize),
}

pub(super) fn minilm() -> TextTokenizer {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets");
    TextTokenizer::from_file(assets.join("minilm-l6/tokenizer.json")).unwrap()
}

pub(super) fn spans(question: &str, context: &str, answer: Option<&str>) -> Spans {
    let answer = answer.map(|text| Answer {
        text: text.to_owned(),
        start: context.find(text).unwrap(),
    });
    Spans {
        contexts: vec![context.to_owned()],
        questions: vec![SpanQuestion {
            id: "q".to_owned(),
            question: question.to_owned(),
            context: 0,
            answers: answer.into_iter().collect(),
        }],
    }
}

#[test]
fn windows_offsets_and_targets_are_those_of_transformers() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/windows.json");
    let golden: Golden = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    assert!(golden.cases.len() > 40);
    let tokenizer = minilm();
    let (mut several, mut held) = (0, 0);
    for case in golden.cases {
        let spans = spans(&case.question, &case.context, case.answer.as_deref());
        let settings = Windows {
            max_length: case.max_length,
            overlap: case.overlap,
            max_question: case.max_question,
        };
        let windows = tokenizer.encode_windows(&spans, settings).unwrap();
        let about = format!("{:?} in {settings:?}", case.question);
        assert_eq!(windows.len(), case.windows.len(), "{about}");
        several += usize::from(windows.len() > 1);
        for (window, expected) in windows.iter().zip(&case.windows) {
            assert_eq!(window.encoded.input_ids, expected.input_ids, "{about}");
            assert_eq!(window.encoded.token_type_ids, expected.token_type_ids, "{about}");
            assert_eq!(window.offsets, expected.offsets, "{about}");
            assert_eq!(window.target, expected.target, "{about}");
            if window.target != (0, 0) {
                held += 1;
                // The tokens of the target hold the answer.
                let (first, last) = (
                    window.offsets[window.target.0].unwrap().0,
                    window.offsets[window.target.1].unwrap().1,
                );
                assert!(
                    case.context[first..last].contains(case.answer.as_deref().unwrap()),
                    "{about}"
                );
            }
        }
    }
    assert!(several > 20 && held > 30, "{several} {held}");
}

#[test]
fn a_window_without_room_for_new_context_is_refused() {
    let windows = Windows {
        max_length: 12,
        overlap: 8,
        max_question: 64,
    };
    let error = minilm()
        .encode_windows(&spans("Who rows?", "Ana rows.", None), windows)
        .unwrap_err();
    let DataError::Task(TaskError::NoRoomForContext { room, overlap, .. }) = &error else {
        panic!("{error}")
    };
    assert_eq!((*room, *overlap), (6, 8));
}

#[test]
fn windows_become_batches_with_their_places_as_targets() {
    let spans = spans("Who rows?", "Ana rows a boat.", Some("a boat"));
    let windows = minilm().encode_windows(&spans, Windows::default()).unwrap();
    let dataset = window_dataset(&windows);
    let batch = dataset.batch(&[0, 0], Padding::with(0));
    assert_eq!(batch.targets, Targets::Spans(vec![windows[0].target; 2]));
    assert_eq!(
        (
            batch.targets.judged(),
            batch.repeat(3).split(2)[1].targets.judged()
        ),
        (2, 3)
    );
}
