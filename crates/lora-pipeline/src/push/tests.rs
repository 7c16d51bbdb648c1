//! What a hub is asked, by its documented API. No test asks the real one.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::*;
use crate::base::hub::HubAccount;
use crate::loopback::{Asked, Loopback};

const WEIGHTS: &[u8] = b"abc";
/// Of these three letters, by the standard (FIPS 180-4).
const HASH: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

/// A folder with files, and what is to be pushed of it. Whether it is an adapter is not asked again.
fn plan() -> (tempfile::TempDir, PushPlan) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(TENSOR_FILE), WEIGHTS).unwrap();
    fs::write(folder.path().join(CONFIG_FILE), "{}\n").unwrap();
    let files = [CONFIG_FILE, TENSOR_FILE].map(|name| PushedFile { name, bytes: 3 });
    let plan = PushPlan {
        repo: "jane/reviews".to_owned(),
        folder: folder.path().to_owned(),
        files: files.into(),
        local_base: None,
    };
    (folder, plan)
}

fn account(hub: &Loopback) -> HubAccount {
    HubAccount {
        endpoint: format!("{}/", hub.address),
        token: Some("hf_secret".to_owned()),
    }
}

/// As the hub answers.
fn answer(address: &str, asked: &Asked) -> (u16, String) {
    let answer = match asked.what.as_str() {
        "POST /api/repos/create" => json!({"url": format!("{address}/jane/reviews")}),
        "POST /api/models/jane/reviews/preupload/main" => json!({"files": [
            {"path": CONFIG_FILE, "uploadMode": "regular", "shouldIgnore": false},
            {"path": TENSOR_FILE, "uploadMode": "lfs", "shouldIgnore": false},
        ]}),
        "POST /jane/reviews.git/info/lfs/objects/batch" => {
            json!({"transfer": "basic", "objects": [{"oid": HASH, "size": 3, "actions": {
                "upload": {"href": format!("{address}/storage/{HASH}?signature=s")},
                "verify": {"href": format!("{address}/jane/reviews.git/info/lfs/objects/verify")},
            }}]})
        }
        "POST /api/models/jane/reviews/commit/main" => json!({"commitOid": "c0ffee", "commitUrl": address}),
        _ => Value::Null,
    };
    (200, answer.to_string())
}

#[test]
fn weights_go_by_lfs_and_small_files_in_the_one_commit_that_names_both() {
    let hub = Loopback::start(answer);
    let (_folder, plan) = plan();
    let pushed = plan.push(&account(&hub), true).unwrap();
    let expected = PushedCommit {
        url: format!("{}/jane/reviews", hub.address),
        commit: "c0ffee".to_owned(),
        is_new: true,
    };
    assert_eq!(pushed, expected);
    let asked = hub.asked();
    let calls: Vec<&str> = asked.iter().map(|asked| asked.what.as_str()).collect();
    let put = format!("PUT /storage/{HASH}?signature=s");
    let expected = [
        "POST /api/repos/create",
        "POST /api/models/jane/reviews/preupload/main",
        "POST /jane/reviews.git/info/lfs/objects/batch",
        put.as_str(),
        "POST /jane/reviews.git/info/lfs/objects/verify",
        "POST /api/models/jane/reviews/commit/main",
    ];
    assert_eq!(calls, expected);
    // The storage has a signature, and no business with the token.
    for asked in &asked {
        let is_known = asked.header("authorization") == Some("Bearer hf_secret");
        assert_eq!(is_known, !asked.what.starts_with("PUT"), "{}", asked.what);
    }
    let expected =
        json!({"type": "model", "name": "reviews", "organization": "jane", "visibility": "private"});
    assert_eq!(asked[0].json(), expected);
    let sample = &asked[1].json()["files"][1];
    assert_eq!(
        *sample,
        json!({"path": TENSOR_FILE, "sample": STANDARD.encode(WEIGHTS), "size": 3})
    );
    assert_eq!(asked[2].json()["objects"], json!([{"oid": HASH, "size": 3}]));
    assert_eq!(asked[2].header("accept"), Some("application/vnd.git-lfs+json"));
    assert_eq!(asked[3].body, WEIGHTS);
    assert_eq!(asked[4].json(), json!({"oid": HASH, "size": 3}));
    assert_eq!(asked[5].header("content-type"), Some("application/x-ndjson"));
    let lines = String::from_utf8(asked[5].body.clone()).unwrap();
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((lines.len(), &lines[0]["key"]), (3, &json!("header")));
    let file = json!({"path": CONFIG_FILE, "encoding": "base64", "content": STANDARD.encode("{}\n")});
    assert_eq!(lines[1], json!({"key": "file", "value": file}));
    let file = json!({"path": TENSOR_FILE, "algo": "sha256", "oid": HASH, "size": 3});
    assert_eq!(lines[2], json!({"key": "lfsFile", "value": file}));
}

#[test]
fn a_repository_and_weights_that_are_there_already_are_taken_as_they_are() {
    let hub = Loopback::start(|address, asked| {
        if asked.what.ends_with("/create") {
            return (
                409,
                json!({"error": "You already created this model repo"}).to_string(),
            );
        }
        if asked.what.ends_with("/batch") {
            return (200, json!({"objects": [{"oid": HASH, "size": 3}]}).to_string());
        }
        answer(address, asked)
    });
    let (_folder, plan) = plan();
    let pushed = plan.push(&account(&hub), false).unwrap();
    assert!(!pushed.is_new);
    let calls: Vec<String> = hub.asked().into_iter().map(|asked| asked.what).collect();
    assert!(!calls.iter().any(|call| call.starts_with("PUT")), "{calls:?}");
    assert!(calls.last().unwrap().ends_with("/commit/main"), "{calls:?}");
    assert_eq!(hub.asked()[0].json()["visibility"], Value::Null);
}

#[test]
fn without_leave_or_room_there_is_no_commit_and_the_hub_is_quoted() {
    for (refused, status, body, expected) in [
        (
            "/create",
            401,
            json!({"error": "Invalid credentials"}),
            "401 (Invalid credentials); the token must be one that may write",
        ),
        (
            "/preupload/main",
            403,
            json!({"error": "Forbidden"}),
            "403 (Forbidden); the token",
        ),
        (
            "/batch",
            200,
            json!({"objects": [{"oid": HASH, "size": 3, "error": {"code": 413, "message": "quota exceeded"}}]}),
            "does not take adapter_model.safetensors: quota exceeded",
        ),
        ("/batch", 200, json!({"objects": []}), "no object for each file"),
        ("PUT", 500, json!({}), "is answered by 500"),
        (
            "/commit/main",
            412,
            json!({"error": "the branch has moved"}),
            "412 (the branch has moved)",
        ),
    ] {
        let hub = Loopback::start(move |address, asked| {
            if asked.what.ends_with(refused) || asked.what.starts_with(refused) {
                return (status, body.to_string());
            }
            answer(address, asked)
        });
        let (_folder, plan) = plan();
        let error = plan.push(&account(&hub), false).unwrap_err().to_string();
        assert!(
            error.starts_with("jane/reviews was not changed: ") && error.contains(expected),
            "{refused}: {error}"
        );
        let calls: Vec<String> = hub.asked().into_iter().map(|asked| asked.what).collect();
        let is_last = calls
            .last()
            .is_some_and(|last| last.ends_with(refused) || last.starts_with(refused));
        assert!(is_last, "{refused}: {calls:?}");
    }
}

#[test]
fn names_that_are_no_repository_are_refused_before_anything_is_read() {
    for repo in [
        "reviews",
        "",
        "/",
        "jane/",
        "a/b/c",
        "jane/my reviews",
        "jane/.hidden",
        "../x",
        "jane/ä",
    ] {
        let error = PushPlan::of(Path::new("no-such-folder"), repo)
            .unwrap_err()
            .to_string();
        assert!(error.contains("expected USER/NAME"), "{repo}: {error}");
    }
    let error = PushPlan::of(Path::new("no-such-folder"), "jane/reviews_1.0-b")
        .unwrap_err()
        .to_string();
    assert!(error.contains("no-such-folder"), "{error}");
}
