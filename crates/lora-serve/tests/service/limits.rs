//! What is too much: texts, bytes, a full queue, time.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::json;

use super::served::{
    ask, block_on, get, post, serve, settings, settings_that_wait, until_waiting, with_body,
};

#[test]
fn too_many_texts_or_bytes_are_refused() {
    let mut settings = settings();
    settings.requests.texts = 2;
    settings.requests.body = 200;
    let server = serve(settings, None, &["reviews"]);
    block_on(async {
        let router = server.router();
        let answer = ask(&router, post("/predict", &json!({"texts": ["a", "b", "c"]}))).await;
        assert_eq!(
            (answer.status, answer.error().0),
            (StatusCode::UNPROCESSABLE_ENTITY, json!("texts"))
        );
        let body = json!({"text": "x".repeat(200)});
        let answer = ask(&router, with_body(Method::POST, "/predict", body.to_string())).await;
        assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.body);
        assert!(
            answer.error().1.contains("more than the 200 bytes"),
            "{}",
            answer.body
        );
    });
}

#[test]
fn a_full_queue_turns_requests_away_and_loses_none_that_it_took() {
    let mut settings = settings_that_wait();
    settings.batches.queue = 3;
    settings.requests.texts = 3;
    let server = serve(settings, None, &["reviews"]);
    let router = server.router();
    block_on(async {
        let asking = router.clone();
        let first =
            tokio::spawn(async move { ask(&asking, post("/predict", &json!({"texts": ["a", "b"]}))).await });
        until_waiting(&router, 2).await;
        let refused = ask(&router, post("/predict", &json!({"texts": ["c", "d"]}))).await;
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(refused.headers["retry-after"], "1");
        assert!(refused.error().1.contains("2 texts wait"), "{}", refused.body);
        // The end of the server is the end of the wait.
        tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
        let answer = first.await.unwrap();
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.json()["predictions"].as_array().unwrap().len(), 2);
    });
}

#[test]
fn what_takes_too_long_is_ended_and_makes_room() {
    let mut settings = settings_that_wait();
    settings.requests.time = Duration::from_millis(1);
    settings.batches.queue = 1;
    settings.requests.texts = 1;
    let server = serve(settings, None, &["reviews"]);
    block_on(async {
        let router = server.router();
        for _ in 0..3 {
            let answer = ask(&router, post("/predict", &json!({"text": "a"}))).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{}", answer.body);
            assert_eq!(answer.headers["retry-after"], "1");
        }
        let text = ask(&router, get("/metrics")).await.body;
        assert!(
            text.contains("lora_requests_total{path=\"/predict\",status=\"503\"} 3"),
            "{text}"
        );
    });
}
