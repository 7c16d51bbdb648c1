//! Adapters that come and go while the server runs, and who may do that.

use axum::body::Body;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use lora_serve::{BearerToken, ServeError, ServeSettings, Server};
use serde_json::json;

use super::served::{TrainedFolders, ask, block_on, get, options, post, predict, serve, settings, with_body};

fn load(name: &str) -> Request<Body> {
    post(
        "/adapters",
        &json!({"name": name, "folder": TrainedFolders::once().folder(name)}),
    )
}

fn forget(name: &str) -> Request<Body> {
    with_body(Method::DELETE, &format!("/adapters/{name}"), Body::empty())
}

#[test]
fn an_adapter_is_loaded_used_and_dropped_while_the_server_runs() {
    let server = serve(settings(), None, &["reviews"]);
    block_on(async {
        let router = server.router();
        let answer = ask(&router, load("topics")).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        assert_eq!(answer.json()["labels"], json!(["food", "money", "sport"]));
        let of_new = predict(&router, "topics", json!(["a tasty soup"])).await;
        assert_eq!(
            of_new["predictions"][0]["probabilities"]
                .as_object()
                .unwrap()
                .len(),
            3
        );
        assert_eq!(ask(&router, load("topics")).await.status, StatusCode::CONFLICT);
        let names = |body: serde_json::Value| -> Vec<String> {
            let all = body.as_array().unwrap().iter();
            all.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(
            names(ask(&router, get("/adapters")).await.json()),
            ["reviews", "topics"]
        );
        assert_eq!(
            ask(&router, forget("reviews")).await.status,
            StatusCode::NO_CONTENT
        );
        assert_eq!(
            names(ask(&router, get("/info")).await.json()["adapters"].clone()),
            ["topics"]
        );
        let gone = ask(
            &router,
            post("/predict", &json!({"text": "a", "adapter": "reviews"})),
        )
        .await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND);
        assert_eq!(
            predict(&router, "topics", json!(["a tasty soup"])).await,
            of_new,
            "the other one is as before"
        );
    });
}

#[test]
fn strangers_change_nothing() {
    let from = |host: &'static str, mut request: Request<Body>| {
        request
            .headers_mut()
            .insert("host", HeaderValue::from_static(host));
        request
    };
    let open = ServeSettings {
        address: "0.0.0.0:0".parse().unwrap(),
        allow_without_token: true,
        ..settings()
    };
    let local = serve(settings(), None, &["reviews"]);
    let open = serve(open, None, &["reviews"]);
    block_on(async {
        for request in [load("topics"), forget("reviews")] {
            let rebound = ask(&local.router(), from("example.org", request)).await;
            assert_eq!(rebound.status, StatusCode::FORBIDDEN);
        }
        for request in [load("topics"), forget("reviews")] {
            assert_eq!(ask(&open.router(), request).await.status, StatusCode::FORBIDDEN);
        }
        // What a form of another page can send without asking.
        let mut form = load("topics");
        form.headers_mut()
            .insert("content-type", HeaderValue::from_static("text/plain"));
        assert_eq!(
            ask(&local.router(), form).await.status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        );
    });
}

#[test]
fn a_token_opens_everything_and_only_the_token() {
    let settings = ServeSettings {
        token: Some(BearerToken::new("open-sesame").unwrap()),
        ..settings()
    };
    let server = serve(settings, None, &["reviews"]);
    let with = |token: &'static str, mut request: Request<Body>| {
        request
            .headers_mut()
            .insert(AUTHORIZATION, HeaderValue::from_static(token));
        request
    };
    let guarded = || {
        [
            post("/predict", &json!({"text": "a"})),
            get("/info"),
            get("/metrics"),
            get("/adapters"),
            load("topics"),
            forget("none"),
        ]
    };
    block_on(async {
        let router = server.router();
        for request in guarded()
            .into_iter()
            .chain(guarded().map(|request| with("Bearer open-sesami", request)))
        {
            let answer = ask(&router, request).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            assert_eq!(answer.headers["www-authenticate"], "Bearer");
        }
        for request in guarded() {
            let answer = ask(&router, with("Bearer open-sesame", request)).await;
            assert!(
                ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&answer.status),
                "{}",
                answer.body
            );
        }
        for open in ["/", "/health", "/ready", "/openapi.json"] {
            assert_eq!(ask(&router, get(open)).await.status, StatusCode::OK, "{open}");
        }
    });
}

#[test]
fn what_cannot_be_served_is_refused_at_the_start() {
    let named = |given: &str| given.parse().unwrap();
    let start = |adapters: &[_]| Server::start(settings(), options(None), adapters);
    let reviews = format!("a={}", TrainedFolders::once().folder("reviews").display());
    assert!(
        matches!(start(&[named(&reviews), named(&reviews)]), Err(ServeError::Taken { name }) if name == "a")
    );
    assert!(matches!(start(&[named("a=/nowhere/x")]), Err(ServeError::Adapter { name, .. }) if name == "a"));
    // Of an adapter without masks there are no members.
    let without_masks = format!("a={}", TrainedFolders::once().folder("stars").display());
    assert!(matches!(
        Server::start(settings(), options(Some(4)), &[named(&without_masks)]),
        Err(ServeError::Adapter { .. })
    ));
}
