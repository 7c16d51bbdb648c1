//! What is answered under which path.

use std::path::Path as FolderPath;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, MatchedPath, Path, Request, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use lora_data::Example;
use lora_pipeline::predict::prepared::PreparedPredictor;
use serde_json::{Value, json};

use crate::access::names_this_machine;
use crate::adapters::NamedFolder;
use crate::answer::{AnsweredText, PredictAnswer, PredictMethod, adapter_info, info};
use crate::call::{LoadCall, PredictCall};
use crate::error::{CallError, ServeError};
use crate::question::Question;
use crate::server::Service;

/// Why a server that ends takes no work.
const ENDING: &str = "the server ends; ask another one";

/// All routes, with who may ask, how long, and what is counted.
pub(crate) fn router(service: Arc<Service>) -> Router {
    // Whoever has no token may know that there is a server, and how to ask it.
    let open = Router::new()
        .route("/", get(page))
        .route("/openapi.json", get(openapi))
        .route("/health", get(health))
        .route("/ready", get(ready));
    let work = Router::new()
        .route("/predict", post(predict))
        .route("/adapters", get(adapters).post(load_adapter))
        .route("/adapters/{name}", delete(drop_adapter))
        .layer(middleware::from_fn_with_state(Arc::clone(&service), admit));
    let guarded = Router::new()
        .route("/info", get(server_info))
        .route("/metrics", get(metrics))
        .merge(work)
        .layer(middleware::from_fn_with_state(Arc::clone(&service), check_token));
    open.merge(guarded)
        .fallback(|| async {
            CallError::new(
                StatusCode::NOT_FOUND,
                "there is nothing here; /openapi.json says what there is",
            )
        })
        .method_not_allowed_fallback(|| async {
            CallError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the path has no such method; /openapi.json says which",
            )
        })
        .layer(DefaultBodyLimit::max(service.settings.requests.body))
        .layer(middleware::from_fn_with_state(Arc::clone(&service), observe))
        .with_state(service)
}

type Body = Result<Bytes, BytesRejection>;

/// Labels texts.
async fn predict(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, CallError> {
    let body = json_body(&service, &headers, body)?;
    let call = PredictCall::parse(&body, service.settings.requests.texts)?;
    let (name, predictor) = choose(&service, call.adapter)?;
    check_pairs(&call.examples, &predictor)?;
    let PredictCall { examples, sets, .. } = call;
    let tokenizing = Arc::clone(&predictor);
    let encode = move || {
        examples
            .iter()
            .map(|example| tokenizing.encode(example))
            .collect()
    };
    // Tokens take a processor, not a socket.
    let texts: Result<Vec<_>, lora_pipeline::Error> =
        tokio::task::spawn_blocking(encode).await.map_err(|_| bug())?;
    let texts = texts.map_err(|error| CallError::field("texts", error.sentence()))?;
    let truncated: Vec<bool> = texts.iter().map(|text| text.is_truncated).collect();
    let (question, outputs) = Question::new(Arc::clone(&predictor), texts);
    service.queue.push(question.rows()).map_err(|full| {
        let reason = format!("{} texts wait already; ask again later", full.waiting);
        CallError::new(StatusCode::TOO_MANY_REQUESTS, reason)
    })?;
    drop(question);
    let outputs = outputs.await.map_err(|_| bug())?;
    let refuse = |error: lora_pipeline::Error| match error {
        // The request's part: sets that were not fitted.
        lora_pipeline::Error::Input(reason) => CallError::field("coverage", in_fields(&reason)),
        error => CallError::new(StatusCode::INTERNAL_SERVER_ERROR, error.sentence()),
    };
    let labels = predictor.labels(outputs, sets).map_err(refuse)?;
    let caution = sets.map(|sets| predictor.caution(&sets)).transpose();
    let caution = caution.map_err(refuse)?.flatten();
    let cut = truncated.iter().filter(|is_truncated| **is_truncated).count();
    service.metrics.texts(&name, labels.len(), cut);
    let predictions = labels.into_iter().zip(truncated);
    let predictions = predictions.map(|(label, truncated)| AnsweredText { label, truncated });
    let answer = PredictAnswer {
        adapter: &name,
        method: PredictMethod::of(&predictor),
        predictions: predictions.collect(),
        caution,
    };
    Ok(Json(answer).into_response())
}

/// The adapter of this name, or the only one.
fn choose(service: &Service, name: Option<String>) -> Result<(String, Arc<PreparedPredictor>), CallError> {
    if let Some(name) = name {
        let found = service.adapters.find(&name);
        return match found {
            Some(predictor) => Ok((name, predictor)),
            None => Err(CallError {
                status: StatusCode::NOT_FOUND,
                ..CallError::field(
                    "adapter",
                    format!("there is no adapter `{name}`; there are {}", names(service)),
                )
            }),
        };
    }
    let mut all = service.adapters.all();
    match all.pop() {
        None => Err(CallError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "there is no adapter in memory",
        )),
        Some(only) if all.is_empty() => Ok(only),
        Some(_) => Err(CallError::field(
            "adapter",
            format!("is missing, and there are several: {}", names(service)),
        )),
    }
}

fn names(service: &Service) -> String {
    let names: Vec<String> = service.adapters.all().into_iter().map(|(name, _)| name).collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// Pairs for an adapter that reads pairs, and for no other.
fn check_pairs(examples: &[Example], predictor: &PreparedPredictor) -> Result<(), CallError> {
    let reads_pairs = predictor.opened().reads_pairs();
    let wrong = examples
        .iter()
        .position(|example| example.text_pair.is_some() != reads_pairs);
    let Some(place) = wrong else { return Ok(()) };
    Err(CallError::field(
        format!("texts[{place}]"),
        if reads_pairs {
            r#"the adapter reads pairs; write {"text": …, "text_pair": …}"#
        } else {
            "the adapter reads single texts; leave text_pair out"
        },
    ))
}

/// A sentence about the flags of `lora predict` as one about fields.
fn in_fields(reason: &str) -> String {
    reason
        .replace("--coverage", "coverage")
        .replace("--per-class", "per_class")
}

/// The body of a request that says that it is JSON. A page of another site cannot send that without asking first.
fn json_body(service: &Service, headers: &HeaderMap, body: Body) -> Result<Bytes, CallError> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let media = kind.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        let reason = "send JSON, with the header content-type: application/json";
        return Err(CallError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, reason));
    }
    body.map_err(|error| {
        let reason = if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let most = service.settings.requests.body;
            format!("the body has more than the {most} bytes that a request may have; send several requests")
        } else {
            "the body did not come as a whole; send it again".to_owned()
        };
        CallError::new(error.status(), reason)
    })
}

fn bug() -> CallError {
    CallError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the model failed on this batch; this is a bug, and the server's log says more",
    )
}

async fn adapters(State(service): State<Arc<Service>>) -> Json<Value> {
    let all = service.adapters.all();
    Json(all.iter().map(|(name, one)| adapter_info(name, one)).collect())
}

/// Loads an adapter folder of this machine.
async fn load_adapter(
    State(service): State<Arc<Service>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, CallError> {
    check_change(&service, &headers)?;
    let call = LoadCall::parse(&json_body(&service, &headers, body)?)?;
    let named = match &call.name {
        Some(name) => NamedFolder::new(name, FolderPath::new(&call.folder)),
        None => NamedFolder::of_folder(FolderPath::new(&call.folder)),
    };
    let named = named.map_err(|error| CallError::field("name", error.to_string()))?;
    let (name, loading) = (named.name.clone(), Arc::clone(&service));
    let loaded = tokio::task::spawn_blocking(move || loading.adapters.load(&named)).await;
    match loaded.map_err(|_| bug())? {
        Ok(predictor) => {
            tracing::info!(adapter = name, "loaded");
            Ok((StatusCode::CREATED, Json(adapter_info(&name, &predictor))).into_response())
        }
        Err(ServeError::Taken { name }) => Err(CallError {
            status: StatusCode::CONFLICT,
            ..CallError::field("name", ServeError::Taken { name }.to_string())
        }),
        Err(error) => Err(CallError::field("folder", lora_pipeline::error::sentence(&error))),
    }
}

async fn drop_adapter(
    State(service): State<Arc<Service>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, CallError> {
    check_change(&service, &headers)?;
    match service.adapters.drop_one(&name) {
        Some(_) => {
            tracing::info!(adapter = name, "dropped");
            Ok(StatusCode::NO_CONTENT)
        }
        None => Err(CallError::new(
            StatusCode::NOT_FOUND,
            format!("there is no adapter `{name}`; there are {}", names(&service)),
        )),
    }
}

/// Changes need a token, or come from this machine.
fn check_change(service: &Service, headers: &HeaderMap) -> Result<(), CallError> {
    let settings = &service.settings;
    if settings.token.is_some() || (settings.is_local() && names_this_machine(headers)) {
        return Ok(());
    }
    Err(CallError::new(
        StatusCode::FORBIDDEN,
        "adapters are changed from this machine (as localhost), or with the server's token, and this server has none",
    ))
}

async fn server_info(State(service): State<Arc<Service>>) -> Json<Value> {
    Json(info(&service.adapters.all(), &service.settings))
}

async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// Whether requests are taken: not without an adapter, and not while the server ends.
async fn ready(State(service): State<Arc<Service>>) -> Result<Json<Value>, CallError> {
    let reason = if service.is_ending() {
        ENDING
    } else if service.adapters.all().is_empty() {
        "there is no adapter in memory"
    } else {
        return Ok(Json(json!({"status": "ready"})));
    };
    Err(CallError::new(StatusCode::SERVICE_UNAVAILABLE, reason))
}

async fn metrics(State(service): State<Arc<Service>>) -> Result<Response, CallError> {
    let text = service.metrics.text(service.queue.len()).map_err(|_| bug())?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text).into_response())
}

async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/json")], include_str!("openapi.json")).into_response()
}

/// A page to try it on. It loads nothing from anywhere else.
async fn page() -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; \
                  base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    (
        [(CONTENT_SECURITY_POLICY, policy)],
        Html(include_str!("page.html")),
    )
        .into_response()
}

async fn check_token(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    match &service.settings.token {
        Some(token) if !token.is_in(request.headers()) => {
            let reason = "give the server's token, in the header authorization: Bearer …";
            CallError::new(StatusCode::UNAUTHORIZED, reason).into_response()
        }
        _ => next.run(request).await,
    }
}

/// Takes no work any more while the server ends; work that was taken is waited for.
async fn admit(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let Some(_admitted) = service.admit() else {
        return CallError::new(StatusCode::SERVICE_UNAVAILABLE, ENDING).into_response();
    };
    next.run(request).await
}

/// Ends what takes too long, counts, and writes a line to the log: never a text.
async fn observe(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "other".to_owned());
    let limit = service.settings.requests.time;
    let response = tokio::time::timeout(limit, next.run(request))
        .await
        .unwrap_or_else(|_| {
            let reason = format!(
                "there is no answer after {} s; ask again later, or for fewer texts",
                limit.as_secs_f64()
            );
            CallError::new(StatusCode::SERVICE_UNAVAILABLE, reason).into_response()
        });
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    service.metrics.request(&route, status, took);
    let milliseconds = took.as_secs_f64() * 1000.0;
    if response.status().is_server_error() {
        tracing::warn!(%method, route, status, milliseconds, "request");
    } else {
        tracing::debug!(%method, route, status, milliseconds, "request");
    }
    response
}
