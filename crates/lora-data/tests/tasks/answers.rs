//! Scores of tokens read back to text.

use lora_data::Windows;
use lora_data::tasks::{AnswerSettings, read_answers};

use super::windows::{minilm, spans};

const CONTEXT: &str =
    "Über dem See stand die alte Mühle. It was built in 1871 by Ana Lund, and it burnt in 1923.";

#[test]
fn the_target_of_a_window_reads_back_to_the_answer() {
    let tokenizer = minilm();
    for answer in ["1871", "Ana Lund", "Mühle", "burnt in 1923"] {
        let spans = spans("What?", CONTEXT, Some(answer));
        let windows = Windows {
            max_length: 20,
            overlap: 6,
            max_question: 8,
        };
        let windows = tokenizer.encode_windows(&spans, windows).unwrap();
        assert!(windows.len() > 1);
        // A model that is sure: 5 at the target, 0 elsewhere.
        let scores = |place: fn((usize, usize)) -> usize| -> Vec<Vec<f32>> {
            let of = |window: &lora_data::Window| {
                (0..window.encoded.len())
                    .map(|token| if token == place(window.target) { 5.0 } else { 0.0 })
                    .collect()
            };
            windows.iter().map(of).collect()
        };
        let answers = read_answers(
            &spans,
            &windows,
            &scores(|t| t.0),
            &scores(|t| t.1),
            AnswerSettings::default(),
        );
        assert_eq!(answers.len(), 1);
        assert_eq!((answers[0].text.as_str(), answers[0].score), (answer, 10.0));
        // The window that holds the answer says that there is one.
        assert_eq!(answers[0].no_answer, -10.0, "{answer}");
    }
}

#[test]
fn an_answer_stays_in_the_context_in_order_and_short_enough() {
    let spans = spans("Who was it?", CONTEXT, None);
    let windows = minilm().encode_windows(&spans, Windows::default()).unwrap();
    let tokens = windows[0].encoded.len();
    let context = windows[0].offsets.iter().position(Option::is_some).unwrap();
    let mut starts = vec![0.0; tokens];
    let mut ends = vec![0.0; tokens];
    // The question's tokens score highest, then an end before the start, then a span of four tokens, then one of two.
    (starts[1], ends[2]) = (9.0, 9.0);
    starts[context + 5] = 4.0;
    ends[context + 1] = 5.0;
    ends[context + 8] = 3.0;
    ends[context + 6] = 2.0;
    let best = |longest| {
        let settings = AnswerSettings {
            longest,
            ..AnswerSettings::default()
        };
        read_answers(&spans, &windows, &[starts.clone()], &[ends.clone()], settings)[0].clone()
    };
    assert_eq!((best(30).score, best(3).score), (7.0, 6.0));
    assert!(best(30).text.starts_with(&best(3).text));
    assert_eq!(best(30).no_answer, -7.0);
    let nothing = AnswerSettings {
        candidates: 1,
        longest: 30,
    };
    let answer = &read_answers(&spans, &windows, &[starts.clone()], &[ends.clone()], nothing)[0];
    assert_eq!((answer.text.as_str(), answer.no_answer), ("", 0.0));
}
