//! What is answered, and every way to ask wrongly.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::served::{Answered, ask, block_on, get, post, predict, serve, settings, with_body};

/// Asks a server of two adapters.
fn answered(request: Request<Body>) -> Answered {
    let server = serve(settings(), None, &["reviews", "pairs"]);
    block_on(ask(&server.router(), request))
}

#[test]
fn one_adapter_needs_no_name_and_two_do() {
    let server = serve(settings(), None, &["reviews"]);
    let body = json!({"text": "a gripping film"});
    let answer = block_on(ask(&server.router(), post("/predict", &body)));
    assert_eq!(
        (answer.status, &answer.json()["adapter"]),
        (StatusCode::OK, &json!("reviews"))
    );
    let (field, reason) = answered(post("/predict", &body)).error();
    assert_eq!(field, "adapter");
    assert!(reason.contains("pairs, reviews"), "{reason}");
}

#[test]
fn an_answer_says_how_it_came_about() {
    let server = serve(settings(), None, &["reviews", "stars"]);
    block_on(async {
        let router = server.router();
        let answer = predict(&router, "reviews", json!(["a gripping film"])).await;
        assert_eq!(
            (&answer["inference"], &answer["members"]),
            (&json!("ensemble"), &json!(8))
        );
        let row = &answer["predictions"][0];
        let sum: f64 = row["probabilities"]
            .as_object()
            .unwrap()
            .values()
            .map(|one| one.as_f64().unwrap())
            .sum();
        assert!(
            (sum - 1.0).abs() < 1e-12 && row["mutual_information"].as_f64().unwrap() >= 0.0,
            "{row}"
        );
        let answer = predict(&router, "stars", json!(["a gripping film"])).await;
        assert_eq!(
            (&answer["inference"], &answer["members"], &answer["temperature"]),
            (&json!("mean"), &json!(1), &json!(1.0))
        );
        assert!(answer["predictions"][0]["value"].is_f64());
    });
}

#[test]
fn a_text_that_is_too_long_is_cut_and_said_to_be() {
    let server = serve(settings(), None, &["reviews"]);
    // The model reads 16 tokens, two of which are not the text's.
    let texts = json!(["film ".repeat(14), "film ".repeat(15), "film ".repeat(400)]);
    let answer = block_on(predict(&server.router(), "reviews", texts));
    let rows = answer["predictions"].as_array().unwrap();
    let cut: Vec<&Value> = rows.iter().map(|row| &row["truncated"]).collect();
    assert_eq!(cut, [false, true, true]);
    assert_eq!(
        rows[0]["probabilities"], rows[2]["probabilities"],
        "what is read is the same"
    );
}

#[test]
fn prediction_sets_come_where_they_were_fitted() {
    let server = serve(settings(), None, &["reviews", "stars", "topics"]);
    block_on(async {
        let router = server.router();
        let body = |adapter: &str| json!({"text": "a gripping film", "adapter": adapter, "coverage": 0.8});
        let answer = ask(&router, post("/predict", &body("reviews"))).await;
        let row = &answer.json()["predictions"][0];
        assert!(row["prediction_set"].is_array(), "{row}");
        // Of 48 rows a part was for validation: too few to be sure of a coverage.
        let caution = answer.json()["caution"].to_string();
        assert!(caution.contains("few validation rows"), "{caution}");
        let without = json!({"text": "a gripping film", "adapter": "reviews"});
        let without = ask(&router, post("/predict", &without)).await.json();
        assert!(without["caution"].is_null(), "{without}");
        for without in ["stars", "topics"] {
            let answer = ask(&router, post("/predict", &body(without))).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
            let (field, reason) = answer.error();
            assert!(field == "coverage" && !reason.contains("--"), "{reason}");
        }
        let body = json!({"text": "a", "adapter": "reviews", "coverage": 0.999});
        let (field, reason) = ask(&router, post("/predict", &body)).await.error();
        assert!(
            field == "coverage" && reason.contains("validation rows"),
            "{reason}"
        );
    });
}

#[test]
fn pairs_are_for_adapters_of_pairs() {
    let pair = json!({"text": "a", "text_pair": "b", "adapter": "pairs"});
    assert_eq!(answered(post("/predict", &pair)).status, StatusCode::OK);
    let wrong = [
        json!({"texts": [{"text": "a", "text_pair": "b"}, "c"], "adapter": "pairs"}),
        json!({"texts": ["a", {"text": "b", "text_pair": "c"}], "adapter": "reviews"}),
    ];
    for body in wrong {
        let answer = answered(post("/predict", &body));
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.error().0, "texts[1]", "{body}");
    }
}

#[test]
fn wrong_requests_get_an_error_in_json() {
    let unknown = json!({"text": "a", "adapter": "review"});
    let no_json = Request::post("/predict").body(Body::from("text=a")).unwrap();
    let cases = [
        (post("/predict", &unknown), 404, json!("adapter")),
        (post("/predict", &json!({"text": ""})), 422, json!("text")),
        (with_body(Method::POST, "/predict", "{"), 400, Value::Null),
        (no_json, 415, Value::Null),
        (get("/predict"), 405, Value::Null),
        (get("/predictions"), 404, Value::Null),
        (with_body(Method::DELETE, "/adapters/none", ""), 404, Value::Null),
        (
            post("/adapters", &json!({"folder": "/nowhere/x"})),
            422,
            json!("folder"),
        ),
        (
            post("/adapters", &json!({"folder": "/nowhere/x", "name": "a b"})),
            422,
            json!("name"),
        ),
        (
            post("/adapters", &json!({"folder": "a=/nowhere/x y"})),
            422,
            json!("name"),
        ),
        (post("/adapters", &json!({"name": "a"})), 422, json!("folder")),
    ];
    for (request, status, field) in cases {
        let what = format!("{} {}", request.method(), request.uri());
        let answer = answered(request);
        assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/json", "{what}");
        assert_eq!(answer.error().0, field, "{what}: {}", answer.body);
        let of_the_program = ["NAME=FOLDER", "--"];
        assert!(
            of_the_program.iter().all(|word| !answer.error().1.contains(word)),
            "{what}: {}",
            answer.body
        );
    }
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let answer = answered(get("/"));
    assert_eq!(answer.status, StatusCode::OK);
    assert!(
        answer.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("default-src 'none'")
    );
    assert!(!answer.body.contains("http://") && !answer.body.contains("https://"));
}

#[test]
fn metrics_count_and_hold_no_text() {
    let server = serve(settings(), None, &["reviews"]);
    block_on(async {
        let router = server.router();
        predict(
            &router,
            "reviews",
            json!(["unmistakable words", "film ".repeat(99)]),
        )
        .await;
        ask(&router, get("/no/such/place")).await;
        let text = ask(&router, get("/metrics")).await.body;
        for line in [
            "lora_requests_total{path=\"/predict\",status=\"200\"} 1",
            "lora_requests_total{path=\"other\",status=\"404\"} 1",
            "lora_texts_total{adapter=\"reviews\"} 2",
            "lora_truncated_texts_total 1",
            "lora_batch_texts_sum 2",
            "lora_queue_texts 0",
            "lora_predict_seconds_count 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("unmistakable") && !text.contains("/no/such"));
    });
}

#[test]
fn a_server_without_adapters_is_healthy_and_not_ready() {
    let server = serve(settings(), None, &[]);
    block_on(async {
        let router = server.router();
        assert_eq!(ask(&router, get("/health")).await.status, StatusCode::OK);
        for request in [get("/ready"), post("/predict", &json!({"text": "a"}))] {
            let answer = ask(&router, request).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(answer.headers["retry-after"], "1");
        }
    });
}
