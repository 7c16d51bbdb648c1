//! Texts, questions and instructions in the forms in which sets come, with their quirks.

use lora_data::tasks::{ALL, find};
use lora_data::{Target, TaskError};

use super::{classes, read, read_from};

#[test]
fn every_task_is_found_by_its_name_and_a_slip_finds_the_nearest() {
    let mut names: Vec<&str> = ALL.iter().map(|task| task.name).collect();
    assert!(names.iter().all(|name| find(name).unwrap().name == *name));
    assert!(
        ALL.iter()
            .all(|task| !task.splits.is_empty() && !task.title.is_empty() && !task.license.is_empty())
    );
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
    let error = find("sst-2").unwrap_err().to_string();
    assert!(
        error.contains("did you mean `sst2`?") && error.contains("mrpc"),
        "{error}"
    );
}

#[test]
fn cola_has_a_header_only_in_its_test_set() {
    let train = "abc1\t1\t\tThe boat leaked.\nabc1\t0\t*\tBoat the leaked.\r\nxyz\t1\t\tShe said \"row.\n";
    let train = read("cola", "train", "train.tsv", train)
        .unwrap()
        .into_texts()
        .unwrap();
    assert_eq!(classes(&train), ["acceptable", "unacceptable", "acceptable"]);
    assert_eq!(train.examples[2].text, "She said \"row.");
    let test = read("cola", "test", "test.tsv", "index\tsentence\n0\tWho rows?\n")
        .unwrap()
        .into_texts()
        .unwrap();
    assert_eq!(
        (test.examples[0].text.as_str(), &test.examples[0].target),
        ("Who rows?", &None)
    );
}

#[test]
fn both_parts_of_colas_validation_set_are_put_together() {
    let files: [(&str, &[u8]); 2] = [
        ("in_domain_dev.tsv", b"a\t1\t\tOne rows.\n"),
        ("out_of_domain_dev.tsv", b"b\t0\t*\tRows one."),
    ];
    let both = read_from("cola", "validation", &files).unwrap();
    assert_eq!(both.files.len(), 2);
    assert_eq!(
        classes(&both.into_texts().unwrap()),
        ["acceptable", "unacceptable"]
    );
    let outside = read_from("cola", "validation_out_of_domain", &files).unwrap();
    assert_eq!(outside.rows.len(), 1);
}

#[test]
fn pairs_of_sentences_are_read_under_the_names_of_glue_and_of_the_hub() {
    let glue =
        "\u{FEFF}Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tA man rows .\t\" A man is rowing .\n";
    let hub = "sentence1,sentence2,label,idx\nA man rows .,\"\"\" A man is rowing .\",1,0\n";
    for (name, content) in [("train.tsv", glue), ("train.csv", hub)] {
        let read = read("mrpc", "train", name, content)
            .unwrap()
            .into_texts()
            .unwrap();
        assert_eq!(
            read.examples[0].text_pair.as_deref(),
            Some("\" A man is rowing ."),
            "{name}"
        );
        assert_eq!(classes(&read), ["equivalent"], "{name}");
    }
    let mnli = "index\tgenre\tsentence1\tsentence2\tlabel1\tgold_label\n0\tx\tIt snows.\tIt is hot.\tneutral\tcontradiction\n";
    let mnli = read("mnli", "validation_matched", "MNLI/dev_matched.tsv", mnli)
        .unwrap()
        .into_texts()
        .unwrap();
    assert_eq!(mnli.examples[0].target, Some(Target::Class(2)));
    let qnli = "index\tquestion\tsentence\tlabel\n0\tWho rows?\tAna rows.\tentailment\n";
    let qnli = read("qnli", "dev", "dev.tsv", qnli)
        .unwrap()
        .into_texts()
        .unwrap();
    assert_eq!(qnli.examples[0].target, Some(Target::Class(0)));
}

#[test]
fn truncated_lines_of_qqp_are_left_out_and_counted() {
    let content = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n\
        1\t1\t2\tWho rows?\tWho is rowing?\t1\n2\t3\t4\tWhat is\nthis?\tWhat?\t0\n3\t5\t6\tWhy?\tHow?\t0\n";
    let read = read("qqp", "train", "train.tsv", content).unwrap();
    assert_eq!((read.rows.len(), read.left_out), (2, 2));
    assert_eq!(
        classes(&read.into_texts().unwrap()),
        ["duplicate", "not_duplicate"]
    );
}

#[test]
fn similarities_are_numbers_with_and_without_a_header() {
    let glue = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n\
        0\tg\tf\t2012\t1\tnone\tnone\tA man rows.\tA man is rowing.\t4.750\n";
    let original = "g\tf\t2012\t0001\t4.750\tA man rows.\tA man is rowing.\n\
        g\tf\t2012\t0002\t0.0\tIt snows.\tA cat \"sleeps.\tsource one\tsource two\n";
    for (name, content) in [("train.tsv", glue), ("original/sts-train.tsv", original)] {
        let read = read("stsb", "train", name, content)
            .unwrap()
            .into_texts()
            .unwrap();
        assert_eq!(read.examples[0].target, Some(Target::Value(4.75)), "{name}");
        assert_eq!(
            read.examples[0].text_pair.as_deref(),
            Some("A man is rowing."),
            "{name}"
        );
    }
}

#[test]
fn a_test_set_whose_labels_are_all_minus_one_has_none() {
    let content =
        "{\"sentence\": \"Who rows?\", \"label\": -1}\n{\"sentence\": \"Rows who.\", \"label\": -1}\n";
    let test = read("cola", "test", "test.jsonl", content)
        .unwrap()
        .into_texts()
        .unwrap();
    assert_eq!(classes(&test), ["-", "-"]);
}

#[test]
fn trec_is_read_in_latin_1_and_in_utf_8_with_six_classes_or_fifty() {
    let latin: &[u8] = b"NUM:dist How far is Malm\xF6 ?\nHUM:ind Who rows ?\n";
    let utf8 = "NUM:dist How far is Malmö ?\nHUM:ind Who rows ?\n";
    for content in [latin, utf8.as_bytes()] {
        let files: [(&str, &[u8]); 1] = [("train_5500.label", content)];
        let coarse = read_from("trec", "train", &files).unwrap().into_texts().unwrap();
        assert_eq!((coarse.task.outputs(), classes(&coarse)), (6, vec!["NUM", "HUM"]));
        assert_eq!(coarse.examples[0].text, "How far is Malmö ?");
        let fine = read_from("trec-fine", "train", &files)
            .unwrap()
            .into_texts()
            .unwrap();
        assert_eq!(
            (fine.task.outputs(), classes(&fine)),
            (50, vec!["NUM:dist", "HUM:ind"])
        );
    }
}

#[test]
fn out_of_scope_queries_are_splits_of_their_own_without_labels() {
    let json = r#"{"train": [["book a boat", "booking"], ["how deep is it", "depth"]], "val": [["any boats", "booking"]],
        "test": [["is it deep", "depth"]], "oos_test": [["sing to me", "oos"], ["why", "oos"]], "oos_val": [], "oos_train": []}"#;
    let of = |split| read("clinc150", split, "data_full.json", json).map(|read| read.into_texts().unwrap());
    let test = of("test").unwrap();
    assert_eq!(
        (test.task.labels().unwrap().names(), classes(&test)),
        (&["booking".to_owned(), "depth".into()][..], vec!["depth"])
    );
    let outside = of("oos_test").unwrap();
    assert_eq!(
        (outside.task, classes(&of("oos_test").unwrap())),
        (test.task, vec!["-", "-"])
    );

    let csv = "text,intent\nbook a boat,booking\nsing to me,oos\nhow deep is it,depth\n";
    let inside = read("clinc150", "validation", "validation.csv", csv)
        .unwrap()
        .into_texts()
        .unwrap();
    assert_eq!(classes(&inside), ["booking", "depth"]);
    let outside = read("clinc150", "oos_validation", "oos_validation.csv", csv)
        .unwrap()
        .into_texts()
        .unwrap();
    assert_eq!(outside.examples[0].text, "sing to me");
}

const SQUAD: &str = r#"{"version": "v2.0", "data": [{"title": "Mill", "paragraphs": [{"context": "Über dem See stand die Mühle of 1871.",
    "qas": [{"id": "a", "question": "When?", "is_impossible": false, "answers": [{"text": "1871", "answer_start": 32}, {"text": "Mühle", "answer_start": 23}]},
            {"id": "b", "question": "Who?", "is_impossible": true, "answers": [], "plausible_answers": [{"text": "See", "answer_start": 9}]}]}]}]}"#;

#[test]
fn answers_are_placed_in_bytes_of_their_context() {
    let spans = read("squad-v2", "validation", "dev-v2.0.json", SQUAD)
        .unwrap()
        .into_spans()
        .unwrap();
    assert_eq!((spans.contexts.len(), spans.questions.len()), (1, 2));
    for answer in &spans.questions[0].answers {
        assert!(
            spans.context(0)[answer.start..].starts_with(&answer.text),
            "{answer:?}"
        );
    }
    assert_eq!(spans.questions[0].answers[1].start, 24);
    assert!(spans.questions[1].answers.is_empty());
}

#[test]
fn questions_of_the_users_are_read_from_plain_tables() {
    let csv = "question,context,answer\nWhen?,Built in 1871.,1871\nWho?,Built in 1871.,\n";
    let spans = read("spans", "train", "train.csv", csv)
        .unwrap()
        .into_spans()
        .unwrap();
    assert_eq!(
        (spans.contexts.len(), spans.questions[0].answers[0].start),
        (1, 9)
    );
    assert!(spans.questions[1].answers.is_empty() && spans.questions[1].id == "1");
    let jsonl = "{\"id\": \"x\", \"question\": \"Which?\", \"context\": \"é a, a\", \"answer\": \"a\", \"answer_start\": 5}\n";
    let spans = read("spans", "train", "train.jsonl", jsonl)
        .unwrap()
        .into_spans()
        .unwrap();
    assert_eq!(
        (
            spans.questions[0].id.as_str(),
            spans.questions[0].answers[0].start
        ),
        ("x", 6)
    );
    // As the hub has rows, in a list under a key and a row a line.
    let row = r#"{"id": "x", "question": "When?", "context": "Built in 1871.", "answers": {"text": ["1871"], "answer_start": [9]}}"#;
    let second = row.replace("\"x\"", "\"y\"");
    for json in [
        format!("{{\"version\": 1, \"data\": [{row}, {second}]}}"),
        format!("{row}\n{second}\n"),
    ] {
        let spans = read("spans", "train", "train.json", &json)
            .unwrap()
            .into_spans()
            .unwrap();
        let ids: Vec<&str> = spans
            .questions
            .iter()
            .map(|question| question.id.as_str())
            .collect();
        assert_eq!(ids, ["x", "y"]);
        assert_eq!(spans.questions[1].answers[0].start, 9);
    }
}

#[test]
fn choices_are_read_in_every_form() {
    let forms: [(&str, &str); 8] = [
        ("train.csv", "What floats?,a stone,a cork,B\n"),
        (
            "train.csv",
            "question;A;B;answer\nWhat floats?;a stone;a cork;B\n",
        ),
        (
            "train.csv",
            "question,A,B,C,answer\nWhat floats?,a stone,a cork,,B\n",
        ),
        (
            "train.tsv",
            "sentence\toption1\toption2\tanswer\nWhat floats?\ta stone\ta cork\t2\n",
        ),
        (
            "train.jsonl",
            "{\"question\": \"What floats?\", \"choices\": [\"a stone\", \"a cork\"], \"answer\": 1}\n",
        ),
        (
            "train.jsonl",
            "{\"question\": \"What floats?\", \"choices\": [\"a stone\", \"a cork\"], \"answer\": \"a cork\"}\n",
        ),
        (
            "train.jsonl",
            "{\"question_stem\": \"What floats?\", \"choices\": {\"text\": [\"a stone\", \"a cork\"], \"label\": [\"P\", \"Q\"]}, \"answerKey\": \"Q\"}\n",
        ),
        (
            "train.json",
            r#"[{"instruction": "Please choose the correct answer to the question: What floats?\n\nAnswer1: a stone Answer2: a cork\n\nAnswer format: answer1/answer2",
                "input": "", "output": "the correct answer is answer2", "answer": "answer2"}]"#,
        ),
    ];
    for (name, content) in forms {
        let questions = read("choices", "train", name, content)
            .unwrap()
            .into_choices()
            .unwrap();
        let question = &questions[0];
        assert_eq!(question.question, "What floats?", "{content}");
        assert_eq!(question.choices, ["a stone", "a cork"], "{content}");
        assert_eq!(question.answer, Some(1), "{content}");
    }
}

#[test]
fn true_and_false_are_choices_too() {
    let jsonl = "{\"question\": \"is ice light\", \"passage\": \"Ice floats.\", \"answer\": true}\n";
    let instruction = r#"[{"instruction": "Please answer the following question with true or false, question: is ice light\n\nAnswer format: true/false",
        "answer": "true"}]"#;
    for (name, content, passage) in [
        ("train.jsonl", jsonl, Some("Ice floats.")),
        ("train.json", instruction, None),
    ] {
        let question = &read("boolq", "train", name, content)
            .unwrap()
            .into_choices()
            .unwrap()[0];
        assert_eq!(
            (question.choices.as_slice(), question.answer),
            (&["false".to_owned(), "true".into()][..], Some(1))
        );
        assert_eq!(
            (question.question.as_str(), question.passage.as_deref()),
            ("is ice light", passage)
        );
    }
}

#[test]
fn a_question_that_has_lost_its_right_choice_on_the_way_into_a_csv_is_left_out() {
    let csv = "What floats?,a stone,a cork,a nail,oil,E\nWhat sinks?,a stone,a cork,,,A\n";
    let read = read("arc-easy", "train", "ARC-E/arc_easy_dev.csv", csv).unwrap();
    assert_eq!((read.rows.len(), read.left_out), (1, 1));
    assert_eq!(read.into_choices().unwrap()[0].choices.len(), 2);
}

#[test]
fn subjects_of_mmlu_are_in_the_names_of_its_files() {
    let files: [(&str, &[u8]); 3] = [
        ("mmlu/test/sums_test.csv", b"\"What is 2, and 2?\",1,2,3,4,D\n"),
        (
            "mmlu/test/rowing_sports_test.csv",
            b"How many oars?,1,2,3,4,B\nHow many boats?,1,2,3,4,A\n",
        ),
        ("mmlu/dev/sums_dev.csv", b"What is 1 + 1?,1,2,3,4,B\n"),
    ];
    let questions = read_from("mmlu", "test", &files).unwrap().into_choices().unwrap();
    let subjects: Vec<_> = questions
        .iter()
        .map(|question| question.subject.as_deref().unwrap())
        .collect();
    assert_eq!(subjects, ["rowing_sports", "rowing_sports", "sums"]);
    assert_eq!(
        (questions[2].question.as_str(), questions[2].answer),
        ("What is 2, and 2?", Some(3))
    );
    assert_eq!(read_from("mmlu", "dev", &files).unwrap().rows.len(), 1);
}

#[test]
fn instructions_with_an_empty_answer_are_left_out() {
    let json = r#"[{"instruction": "Add.", "input": "1, 2", "output": "3"}, {"instruction": "Say nothing.", "input": "", "output": ""}]"#;
    let read = read("alpaca", "train", "alpaca_data.json", json).unwrap();
    assert_eq!((read.rows.len(), read.left_out), (1, 1));
}

#[test]
fn rows_of_another_kind_are_refused() {
    let error = read(
        "boolq",
        "train",
        "train.jsonl",
        "{\"question\": \"q\", \"answer\": false}\n",
    )
    .unwrap()
    .into_texts();
    assert!(matches!(error, Err(TaskError::OtherRows { task: "boolq", .. })));
}
