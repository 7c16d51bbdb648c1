//! Sampling and chat templates do what Transformers does (`golden/make_sampling.py`).

use lora_models::generation::{ChatMessage, ChatTemplate, Sampling};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    cases: Vec<Case>,
    chats: Vec<Chat>,
}

#[derive(Deserialize)]
struct Case {
    temperature: f64,
    top_k: Option<usize>,
    top_p: Option<f64>,
    repetition_penalty: Option<f64>,
    logits: Vec<f32>,
    history: Vec<i32>,
    /// `None` where the token must not be drawn.
    processed: Vec<Option<f32>>,
}

#[derive(Deserialize)]
struct Chat {
    name: String,
    template: String,
    messages: Vec<ChatMessage>,
    add_generation_prompt: bool,
    text: String,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../golden/sampling.json")).unwrap()
}

#[test]
fn logits_are_processed_as_by_transformers() {
    let cases = golden().cases;
    assert_eq!(cases.len(), 10);
    for (index, case) in cases.into_iter().enumerate() {
        let sampling = Sampling {
            temperature: case.temperature,
            top_k: case.top_k,
            top_p: case.top_p.unwrap_or(1.0),
            repetition_penalty: case.repetition_penalty.unwrap_or(1.0),
        };
        let mut logits = case.logits;
        sampling.process(&mut logits, &case.history);
        for (token, (found, expected)) in logits.iter().zip(&case.processed).enumerate() {
            let expected = expected.unwrap_or(f32::NEG_INFINITY);
            let same = *found == expected || (found - expected).abs() < 1e-5;
            assert!(same, "case {index}, token {token}: {found}, not {expected}");
        }
    }
}

#[test]
fn chats_are_written_as_by_transformers() {
    let chats = golden().chats;
    assert_eq!(chats.len(), 20);
    for chat in chats {
        let template = ChatTemplate::from_source(chat.template, "template")
            .with_special_tokens(Some("<s>".to_owned()), Some("</s>".to_owned()));
        let text = template
            .render(&chat.messages, chat.add_generation_prompt)
            .unwrap();
        assert_eq!(text, chat.text, "{}", chat.name);
    }
}

#[test]
fn a_template_that_refuses_a_conversation_is_quoted() {
    let source =
        "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}";
    let template = ChatTemplate::from_source(source, "model/chat_template.jinja");
    let message = ChatMessage {
        role: "system".to_owned(),
        content: "Be brief.".to_owned(),
    };
    let error = template.render(&[message], true).unwrap_err().to_string();
    assert!(
        error.contains("System role not supported") && error.contains("chat_template.jinja"),
        "{error}"
    );
}
