//! What the service answers is what the library predicts, to the last bit, whatever shares the batch.

use std::sync::OnceLock;

use lora_data::{Dataset, Example, LabelNames, Task};
use lora_pipeline::Predictor;
use lora_serve::Server;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::served::{KINDS, TrainedFolders, block_on, expected, predict, said, serve, settings};

/// Words that make texts of one token to more than the model reads.
const WORDS: [&str; 8] = [
    "a",
    "gripping",
    "film",
    "dull",
    "rates",
    "soup",
    "unbelievably",
    "—",
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(&WORDS), 1..24).prop_map(|words| words.join(" "))
}

/// A request: the number of an adapter, and texts with their pairs.
fn request(adapters: usize) -> impl Strategy<Value = (usize, Vec<(String, String)>)> {
    (0..adapters, prop::collection::vec((text(), text()), 1..7))
}

/// What is asked, as the library takes it. Names of classes do not matter there.
fn dataset(texts: &[(String, String)], adapter: &str) -> Dataset {
    let names = |names: &[&str]| Task::Classification {
        labels: LabelNames::new(names.iter().copied()).unwrap(),
    };
    let example = |(text, pair): &(String, String)| Example {
        text: text.clone(),
        text_pair: (adapter == "pairs").then(|| pair.clone()),
        target: None,
    };
    Dataset {
        examples: texts.iter().map(example).collect(),
        task: match adapter {
            "stars" => Task::Regression,
            "topics" => names(&["food", "money", "sport"]),
            "pairs" => names(&["no", "yes"]),
            _ => names(&["bad", "good"]),
        },
    }
}

fn body(texts: &[(String, String)], adapter: &str) -> Value {
    let text = |(text, pair): &(String, String)| match adapter {
        "pairs" => json!({"text": text, "text_pair": pair}),
        _ => json!(text),
    };
    texts.iter().map(text).collect()
}

/// All requests at once; each answer is compared.
fn check(
    server: &Server,
    names: &[&'static str],
    members: Option<u64>,
    requests: &[(usize, Vec<(String, String)>)],
) {
    let router = server.router();
    let answers: Vec<Value> = block_on(async {
        let asked: Vec<_> = requests
            .iter()
            .map(|(adapter, texts)| {
                let (router, name, texts) = (router.clone(), names[*adapter], body(texts, names[*adapter]));
                tokio::spawn(async move { predict(&router, name, texts).await })
            })
            .collect();
        let mut answers = Vec::new();
        for answer in asked {
            answers.push(answer.await.unwrap());
        }
        answers
    });
    for ((adapter, texts), answer) in requests.iter().zip(answers) {
        let name = names[*adapter];
        let predictor = predictor(name);
        assert_eq!(answer["adapter"], name);
        assert_eq!(
            said(&answer),
            expected(predictor, &dataset(texts, name), members),
            "{name}: {texts:?}"
        );
    }
}

/// Loaded once: not the one that is served.
fn predictor(name: &str) -> &'static Predictor {
    static PREDICTORS: OnceLock<Vec<Predictor>> = OnceLock::new();
    let all = PREDICTORS.get_or_init(|| {
        KINDS
            .iter()
            .map(|name| TrainedFolders::once().predictor(name))
            .collect()
    });
    &all[KINDS.iter().position(|kind| *kind == name).unwrap()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// With what training recommends: an ensemble for one, mean passes for the others.
    #[test]
    fn mixed_requests_are_answered_as_the_library_predicts(requests in prop::collection::vec(request(KINDS.len()), 1..9)) {
        static SERVER: OnceLock<Server> = OnceLock::new();
        let server = SERVER.get_or_init(|| serve(settings(), None, &KINDS));
        check(server, &KINDS, None, &requests);
    }

    /// With input dropout the noise of a text depends on its place in its request: not on its batch.
    #[test]
    fn members_are_those_of_the_library(requests in prop::collection::vec(request(2), 1..9)) {
        static SERVER: OnceLock<Server> = OnceLock::new();
        const MASKED: [&str; 2] = ["reviews", "topics"];
        let server = SERVER.get_or_init(|| serve(settings(), Some(3), &MASKED));
        check(server, &MASKED, Some(3), &requests);
    }
}
