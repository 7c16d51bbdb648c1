//! The OpenAPI document says what the server does.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::served::{ask, block_on, get, post, predict, serve, settings, with_body};

/// Names that a schema allows, and those that it wants.
fn names(schema: &Value) -> (Vec<&str>, Vec<&str>) {
    let allowed = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str);
    let wanted = schema["required"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap());
    (allowed.collect(), wanted.collect())
}

fn check(value: &Value, schema: &Value) {
    let (allowed, wanted) = names(schema);
    let fields = value.as_object().unwrap();
    for name in fields.keys() {
        assert!(
            allowed.contains(&name.as_str()),
            "{name} is not in the document: {value}"
        );
    }
    for name in wanted {
        assert!(fields.contains_key(name), "{name} is not in {value}");
    }
}

#[test]
fn every_route_is_there_and_answers_are_as_described() {
    let server = serve(settings(), None, &["reviews", "stars"]);
    block_on(async {
        let router = server.router();
        let document = ask(&router, get("/openapi.json")).await.json();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let method = method.to_uppercase().parse().unwrap();
                let answer = ask(&router, with_body(method, &path.replace("{name}", "none"), "{}")).await;
                assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
                let is_route = !answer.body.contains("there is nothing here");
                assert!(is_route, "{path}");
            }
        }
        let schemas = &document["components"]["schemas"];
        for adapter in ["reviews", "stars"] {
            let answer = predict(&router, adapter, json!(["a film", "a book"])).await;
            check(&answer, &schemas["PredictAnswer"]);
            for prediction in answer["predictions"].as_array().unwrap() {
                check(prediction, &schemas["Prediction"]);
            }
        }
        for adapter in ask(&router, get("/adapters")).await.json().as_array().unwrap() {
            check(adapter, &schemas["Adapter"]);
        }
        let error = ask(&router, post("/predict", &json!({"text": 3}))).await.json();
        check(&error["error"], &schemas["Error"]["properties"]["error"]);
        // Every field of a request is one that the server knows, and it knows no other.
        let (_, reason) = ask(&router, post("/predict", &json!({"other": 1}))).await.error();
        let known = reason.rsplit("there are ").next().unwrap();
        let mut known: Vec<&str> = known.split(", ").collect();
        let fields = schemas["PredictRequest"]["properties"].as_object().unwrap();
        let mut described: Vec<&str> = fields.keys().map(String::as_str).collect();
        known.sort_unstable();
        described.sort_unstable();
        assert_eq!(known, described);
    });
}
