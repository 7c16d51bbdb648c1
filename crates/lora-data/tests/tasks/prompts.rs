//! Prompts, letter by letter.

use lora_data::TaskError;
use lora_data::tasks::{ChoiceQuestion, Instruction, PromptStyle, prompts};

fn question(question: &str, choices: &[&str], answer: usize, subject: Option<&str>) -> ChoiceQuestion {
    ChoiceQuestion {
        passage: None,
        question: question.to_owned(),
        choices: choices.iter().map(|&choice| choice.to_owned()).collect(),
        answer: Some(answer),
        subject: subject.map(str::to_owned),
    }
}

#[test]
fn letters_stand_before_their_choices() {
    let asked = question("What floats?", &["a stone", "a cork", "a nail"], 1, None);
    let prompt = &prompts(&[asked], PromptStyle::Letters, &[], 0).unwrap()[0];
    assert_eq!(
        prompt.text,
        "Return the label of the correct answer for the question below.\n\nQuestion: What floats?\nChoices:\nA) a stone\nB) a cork\n\
         C) a nail\nAnswer:"
    );
    assert_eq!(
        (prompt.answers.join(""), prompt.answer),
        ("ABC".to_owned(), Some(1))
    );
    assert_eq!(prompt.completion().unwrap().completion, " B");
}

#[test]
fn yes_and_no_follow_a_passage_that_is_cut() {
    let mut asked = question("is ice light", &["false", "true"], 1, None);
    asked.passage = Some("é".repeat(2000));
    let prompt = &prompts(&[asked], PromptStyle::TrueFalse, &[], 0).unwrap()[0];
    let expected = format!(
        "Passage: {}\nQuestion: is ice light\nAnswer (true or false):",
        "é".repeat(1024)
    );
    assert!(prompt.text.ends_with(&expected));
    assert_eq!(prompt.completion().unwrap().completion, " True");
}

#[test]
fn shots_of_the_same_subject_come_before_the_question() {
    let sums = |asked, answer| question(asked, &["1", "2"], answer, Some("easy_sums"));
    let dev = [
        question("How many oars?", &["1", "2"], 1, Some("rowing")),
        sums("What is 1 + 1?", 1),
        sums("What is 0 + 1?", 0),
    ];
    let asked = [sums(" What is 2 - 1? ", 0)];
    let prompt = &prompts(&asked, PromptStyle::Mmlu, &dev, 1).unwrap()[0];
    assert_eq!(
        prompt.text,
        "The following are multiple choice questions (with answers) about easy sums.\n\nWhat is 1 + 1?\nA. 1\nB. 2\nAnswer: B\n\n\
         What is 2 - 1?\nA. 1\nB. 2\nAnswer:"
    );
    let error = prompts(&asked, PromptStyle::Mmlu, &dev, 5).unwrap_err();
    assert!(matches!(
        error,
        TaskError::TooFewShots {
            wanted: 5,
            found: 2,
            ..
        }
    ));
}

#[test]
fn an_instruction_says_whether_an_input_follows() {
    let mut instruction = Instruction {
        instruction: "Add.".to_owned(),
        input: "1, 2".to_owned(),
        output: "3".to_owned(),
    };
    let with = instruction.alpaca();
    assert!(
        with.prompt
            .ends_with("### Instruction:\nAdd.\n\n### Input:\n1, 2\n\n### Response:\n")
    );
    assert!(with.prompt.contains("further context") && with.completion == "3");
    instruction.input = String::new();
    let without = instruction.alpaca();
    assert!(
        without
            .prompt
            .ends_with("completes the request.\n\n### Instruction:\nAdd.\n\n### Response:\n")
    );
}
