//! Adapters that are trained once, a server on them, and a client.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use lora_core::{LoraConfig, Rescale, TargetModules};
use lora_data::{Dataset, ReadOptions, read_file};
use lora_pipeline::device::{DEFAULT_DEVICE, Precision};
use lora_pipeline::predict::ensemble::EnsembleChoice;
use lora_pipeline::progress::Silent;
use lora_pipeline::saved::adapter::AdapterOptions;
use lora_pipeline::{FitSettings, Predictor};
use lora_serve::{BatchLimits, NamedFolder, OpenOptions, ServeSettings, Server};
use lora_train::TrainConfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// Folders with one adapter of each kind, all on the embedded model.
pub struct TrainedFolders(TempDir);

/// What was trained.
pub const KINDS: [&str; 4] = ["reviews", "topics", "stars", "pairs"];

impl TrainedFolders {
    /// Trained once for all tests.
    pub fn once() -> &'static Self {
        static TRAINED: OnceLock<TrainedFolders> = OnceLock::new();
        TRAINED.get_or_init(|| {
            let trained = Self(tempfile::tempdir().unwrap());
            let lora = || LoraConfig::new(2, 8.0, TargetModules::names(["query", "value"]));
            let with_noise = LoraConfig {
                input_dropout: 0.3,
                ..lora()
            };
            trained.train(
                "reviews",
                lora().with_dropout(0.4, Rescale::Rescaled),
                0.5,
                "text,label",
                |row| ["a gripping film,good", "dull and far too long,bad"][row % 2].to_owned(),
            );
            trained.train("topics", with_noise, 0.0, "text,label", |row| {
                [
                    "the striker scored,sport",
                    "the bank raised rates,money",
                    "a tasty soup,food",
                ][row % 3]
                    .to_owned()
            });
            trained.train("stars", lora(), 0.0, "text,label", |row| {
                ["a gripping film,4.5", "dull and far too long,1.25"][row % 2].to_owned()
            });
            trained.train("pairs", lora(), 0.0, "text,text_pair,label", |row| {
                ["a cat sleeps,an animal rests,yes", "a cat sleeps,nobody rests,no"][row % 2].to_owned()
            });
            trained
        })
    }

    /// `validation`: a share of the 48 rows, for temperature and prediction sets.
    fn train(
        &self,
        name: &str,
        config: LoraConfig,
        validation: f64,
        header: &str,
        row: impl Fn(usize) -> String,
    ) {
        let file = self.0.path().join(format!("{name}.csv"));
        let rows: Vec<String> = (0..48).map(row).collect();
        std::fs::write(&file, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
        let options = if name == "stars" {
            ReadOptions {
                labels: lora_data::LabelRule::Values,
                ..ReadOptions::default()
            }
        } else {
            ReadOptions::default()
        };
        let dataset = read_file(&file, &options).unwrap().dataset;
        let settings = FitSettings {
            validation_fraction: validation,
            max_seq_length: 16,
            ..FitSettings::new(TrainConfig::new(5e-3, 1.0, 4))
        };
        let base = Predictor::open("minilm-l6").unwrap();
        let predictor = base.lora(config).fit(&dataset, &settings, &Silent).unwrap();
        predictor.save(self.folder(name)).unwrap();
    }

    /// Where an adapter is.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}-adapter"))
    }

    /// The adapter, as a library has it.
    pub fn predictor(&self, name: &str) -> Predictor {
        Predictor::load(self.folder(name)).unwrap()
    }

    fn named(&self, name: &str) -> NamedFolder {
        NamedFolder::new(name, &self.folder(name)).unwrap()
    }
}

/// How a test's server runs: on a free port of this machine.
pub fn settings() -> ServeSettings {
    ServeSettings {
        batches: BatchLimits {
            texts: 5,
            wait: Duration::ZERO,
            queue: 256,
        },
        workers: 2,
        ..ServeSettings::new("127.0.0.1:0".parse().unwrap())
    }
}

/// For ever, as far as a test goes.
pub const LONG: Duration = Duration::from_hours(1);

/// Settings under which texts stay in the queue until the server ends.
pub fn settings_that_wait() -> ServeSettings {
    let mut settings = settings();
    settings.batches.wait = LONG;
    settings.batches.texts = 1000;
    settings
}

/// As `lora serve` opens folders without flags, or with so many members.
pub fn options(members: Option<u64>) -> OpenOptions {
    OpenOptions {
        adapter: AdapterOptions {
            adapter: PathBuf::new(),
            base: None,
            revision: None,
            labels: None,
            max_seq_length: None,
            device: DEFAULT_DEVICE.parse().unwrap(),
            dtype: Precision::F32,
            fp32_precision: lora_core::Fp32Precision::Ieee,
        },
        ensemble: EnsembleChoice {
            members,
            ..EnsembleChoice::default()
        },
        inference: None,
    }
}

/// A server with these adapters.
pub fn serve(settings: ServeSettings, members: Option<u64>, adapters: &[&str]) -> Server {
    let named: Vec<NamedFolder> = adapters
        .iter()
        .map(|name| TrainedFolders::once().named(name))
        .collect();
    Server::start(settings, options(members), &named).unwrap()
}

/// Runs a test that waits for answers.
pub fn block_on<R>(test: impl Future<Output = R>) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap().block_on(test)
}

/// What was answered.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Field and reason of an error.
    pub fn error(&self) -> (Value, String) {
        let body = self.json();
        assert_eq!(body["error"]["status"], self.status.as_u16(), "{body}");
        let reason = body["error"]["reason"].as_str().unwrap().to_owned();
        (body["error"]["field"].clone(), reason)
    }
}

/// Asks without a socket.
pub async fn ask(router: &Router, request: Request<Body>) -> Answered {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Answered {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(path)
        .header("host", "localhost")
        .body(Body::empty())
        .unwrap()
}

pub fn post(path: &str, body: &Value) -> Request<Body> {
    with_body(Method::POST, path, body.to_string())
}

pub fn with_body(method: Method, path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost");
    request
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

/// Asks for predictions, and gives them.
pub async fn predict(router: &Router, adapter: &str, texts: Value) -> Value {
    let answered = ask(
        router,
        post("/predict", &json!({"adapter": adapter, "texts": texts})),
    )
    .await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.body);
    answered.json()
}

/// Waits until so many texts are in the queue.
pub async fn until_waiting(router: &Router, texts: usize) {
    let line = format!("lora_queue_texts {texts}\n");
    while !ask(router, get("/metrics")).await.body.contains(&line) {
        tokio::task::yield_now().await;
    }
}

/// Predictions of the library for the same texts, as JSON without the texts.
pub fn expected(predictor: &Predictor, dataset: &Dataset, members: Option<u64>) -> Value {
    let calibrated = predictor.calibrated_ensemble();
    let seed = calibrated.map_or(42, |settings| settings.seed);
    let ensemble = members
        .map(|members| lora_pipeline::Ensemble::new(members, seed))
        .or(calibrated);
    let rows = predictor.predict_rows(dataset, ensemble).unwrap();
    let row = |prediction| {
        let mut json = serde_json::to_value(prediction).unwrap();
        let fields = json.as_object_mut().unwrap();
        fields.remove("text");
        fields.remove("text_pair");
        json
    };
    rows.into_iter().map(row).collect()
}

/// The predictions of an answer, without what the library does not say.
pub fn said(answer: &Value) -> Value {
    let rows = answer["predictions"].as_array().unwrap().iter().cloned();
    rows.map(|mut row| {
        assert!(
            row.as_object_mut()
                .unwrap()
                .remove("truncated")
                .unwrap()
                .is_boolean()
        );
        row
    })
    .collect()
}
