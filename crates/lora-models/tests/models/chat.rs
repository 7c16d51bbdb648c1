//! What is learnt of a chat is what Transformers' `apply_chat_template` writes, up to the token that ends an answer
//! (`golden/make_chat.py`).

use std::path::{Path, PathBuf};

use lora_data::TextTokenizer;
use lora_models::generation::{ChatMessage, ChatTemplate};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    question: String,
    answer: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    tokenizer: String,
    template: String,
    prompt: Vec<u32>,
    /// Prompt and answer, up to the end token if there is one.
    whole: Vec<u32>,
    end: Option<u32>,
}

/// The model's own end of text, where a template has no special token.
const END_OF_TEXT: u32 = 7;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chat")
}

fn golden() -> Golden {
    serde_json::from_slice(&std::fs::read(folder().join("turns.json")).unwrap()).unwrap()
}

/// Ids of the row that is learnt, and how many of them are its prompt's.
fn learnt(golden: &Golden, case: &Case) -> (Vec<u32>, usize) {
    let tokenizer = TextTokenizer::from_file(folder().join(&case.tokenizer)).unwrap();
    let special = |text: &str| Some(text.to_owned());
    let template = ChatTemplate::from_source(&case.template, "template");
    let template = template.with_special_tokens(special("<s>"), special("</s>"));
    let question = [ChatMessage {
        role: "user".into(),
        content: golden.question.clone(),
    }];
    let end = template.turn_end(&tokenizer).unwrap();
    assert_eq!(end.as_ref().map(|end| end.token), case.end, "{}", case.name);
    let turn = template.turn(&question, &golden.answer, end.as_ref()).unwrap();
    let end = end.map_or(END_OF_TEXT, |end| end.token);
    let encoded = tokenizer.encode_turns(&[turn], end, 200).unwrap().dataset;
    let lora_data::Targets::Positions(targets) = &encoded.targets else {
        panic!("targets are positions");
    };
    let first = targets[0].iter().position(Option::is_some).unwrap();
    (encoded.encoded[0].input_ids.clone(), first + 1)
}

#[test]
fn a_turn_has_the_ids_of_transformers_up_to_the_templates_own_end() {
    let golden = golden();
    let mut whole = 0;
    for case in &golden.cases {
        let place = format!("{} with {}", case.name, case.tokenizer);
        let (ids, prompt_len) = learnt(&golden, case);
        assert_eq!(ids[..prompt_len], case.prompt, "{place}");
        if case.whole.starts_with(&case.prompt) && case.end.is_some() {
            assert_eq!(ids, case.whole, "{place}");
            whole += 1;
        }
    }
    assert_eq!(whole, 14);
}

#[test]
fn an_answer_whose_beginning_is_written_otherwise_follows_the_prompt_as_it_is() {
    let golden = golden();
    let case = |name: &str| {
        let mut cases = golden.cases.iter();
        cases
            .find(|case| case.name == name && case.tokenizer == "bytes.json")
            .unwrap()
    };
    let case = case("thinking_prompt");
    let (ids, prompt_len) = learnt(&golden, case);
    let answer = &ids[prompt_len..];
    assert_eq!(answer.len(), golden.answer.len() + 1);
    assert!(case.whole.ends_with(answer));
}

#[test]
fn an_answer_that_no_special_token_ends_ends_with_the_text() {
    let golden = golden();
    let case = golden.cases.iter().find(|case| case.name == "plain").unwrap();
    let (ids, _) = learnt(&golden, case);
    // Without the template's new line.
    let mut expected = case.whole.clone();
    expected.pop();
    expected.push(END_OF_TEXT);
    assert_eq!(ids, expected);
}

#[test]
fn a_template_that_does_not_end_is_refused_with_its_file_and_the_limits() {
    let user = [ChatMessage {
        role: "user".into(),
        content: "Name a river.".into(),
    }];
    for source in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
        "{% set all = namespace(x='a') %}{% for i in range(60) %}{% set all.x = all.x ~ all.x %}{% endfor %}",
        "{% set a = 'x' * 1000000 %}{{ a.replace('', a) }}",
        "{% set a = 'x' * 1000000 %}{{ ([a] * 100000) | tojson }}",
        "{% set a = 'x' * 1000000 %}{{ [a] * 100000 }}",
        "{% set a = 'x' * 1000000 %}{{ ([a] * 100000) | join }}",
        "{% set a = 'x' * 1000000 %}{{ ([a] * 100000) | string | length }}",
        "{% set a = 'x' * 1000000 %}{{ 'x' | replace('x', [a] * 100000) }}",
        "{% set a = 'x' * 1000000 %}{{ '%s' | format([a] * 100000) }}",
        "{% set a = 'x' * 1000000 %}{{ a | replace('', a) }}",
        "{{ '%1000000000d' | format(1) }}",
        "{{ 'a\\nb' | indent(1000000000) }}",
        // A list that holds the one before twice: 2⁴⁰ texts.
        "{% set all = namespace(x='a') %}{% for i in range(40) %}{% set all.x = [all.x, all.x] %}{% endfor %}{{ all.x }}",
        "{% set all = namespace(x='a') %}{% for i in range(40) %}{% set all.x = {'a': all.x, 'b': all.x} %}{% endfor %}{{ all.x | tojson }}",
    ] {
        let template = ChatTemplate::from_source(source, "model/chat_template.jinja");
        let error = template.render(&user, true).unwrap_err().to_string();
        assert!(
            error.starts_with("the chat template of model/chat_template.jinja does not end within 1000000 instructions and 61 MiB"),
            "{source}: {error}"
        );
    }
}

#[test]
fn a_template_that_writes_lists_in_lists_without_end_is_refused_before_the_stack_is_full() {
    let user = [ChatMessage {
        role: "user".into(),
        content: "Name a river.".into(),
    }];
    let nested =
        "{% set all = namespace(x='a') %}{% for i in range(1000) %}{% set all.x = [all.x] %}{% endfor %}";
    for end in ["{{ all.x }}", "{{ all.x | tojson }}", "{{ all.x | string }}"] {
        let template = ChatTemplate::from_source(format!("{nested}{end}"), "model/chat_template.jinja");
        let error = template.render(&user, true).unwrap_err().to_string();
        assert!(error.contains("more than 100 deep"), "{end}: {error}");
    }
}

#[test]
fn filters_write_lists_and_numbers_as_the_engine_does() {
    for (source, text) in [
        ("{{ ['a', 'b'] | join(', ') }}", "a, b"),
        ("{{ [1, [2, 3]] }}", "[1, [2, 3]]"),
        ("{{ 3 | string ~ [1] | string }}", "3[1]"),
        ("{{ 'ab' | replace('a', 'c') | upper | trim }}", "CB"),
        ("{{ '%s-%d' | format('a', 2) }}", "a-2"),
        ("{{ [{'k': 'v'}] | join(attribute='k') }}", "v"),
    ] {
        let template = ChatTemplate::from_source(source, "template");
        assert_eq!(template.render(&[], false).unwrap(), text, "{source}");
    }
}

#[test]
fn numbers_are_summed_and_texts_and_lists_are_not() {
    let render = |source: &str| ChatTemplate::from_source(source, "template").render(&[], false);
    assert_eq!(render("{{ [1, 2] | sum }}").unwrap(), "3");
    assert_eq!(
        render("{{ [{'k': 2}] | sum(attribute='k', start=1) }}").unwrap(),
        "3"
    );
    for copied in [
        "{% set a = 'x' * 1000000 %}{{ ([a] * 100000) | sum(start='') }}",
        "{{ ([[1, 2]] * 100000) | sum(start=[]) | length }}",
        "{{ ([[1, 2]] * 100000) | sum(none, []) | length }}",
    ] {
        let error = render(copied).unwrap_err().to_string();
        assert!(error.contains("sum adds numbers"), "{copied}: {error}");
    }
}
