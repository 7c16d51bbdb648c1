//! `lora serve`: the answers of `lora predict` over HTTP, and an end that loses nothing.
#![cfg(all(unix, feature = "serve"))] // elsewhere a signal cannot be sent to one process without unsafe code

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::workspace::Workspace;

/// The running program and its address.
struct Serving {
    child: Child,
    address: String,
}

impl Drop for Serving {
    /// A test that failed leaves no server behind.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    /// On a free port, once it listens.
    fn start(workspace: &Workspace, arguments: &[&str]) -> Self {
        let arguments = [&["serve", "--port", "0"], arguments].concat();
        let mut child = workspace
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = child.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap_or_default().to_owned();
        Self { child, address }
    }

    /// Status and body of an answer.
    fn ask(&self, request: &str, body: Option<&Value>) -> (u16, String) {
        ask(&self.address, request, body)
    }

    /// Sends SIGTERM; the exit code, and what was logged.
    fn end(mut self) -> (Option<i32>, String) {
        let killed = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(killed.unwrap().success());
        let mut log = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

fn ask(address: &str, request: &str, body: Option<&Value>) -> (u16, String) {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(address).unwrap();
    let head = "host: localhost\r\nconnection: close\r\ncontent-type: application/json";
    write!(
        stream,
        "{request} HTTP/1.1\r\n{head}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

fn trained() -> Workspace {
    let workspace = Workspace::new();
    workspace.lora_works(&["train", "--config", "run.yaml"]);
    workspace
}

const TEXTS: [&str; 4] = ["a good film", "bad", "a film that is good and bad", "good"];

#[test]
fn the_server_answers_as_predict_does_and_ends_in_order() {
    let workspace = trained();
    let command: Vec<&str> = ["predict", "--json", "--adapter", "out"]
        .into_iter()
        .chain(TEXTS)
        .collect();
    let predicted: Vec<Value> = workspace
        .lora_works(&command)
        .stdout
        .lines()
        .map(|line| {
            let mut row: Value = serde_json::from_str(line).unwrap();
            let fields = row.as_object_mut().unwrap();
            fields.remove("text");
            fields.insert("truncated".to_owned(), json!(false));
            row
        })
        .collect();
    let server = Serving::start(&workspace, &["first=out"]);
    let (status, body) = server.ask("POST /predict", Some(&json!({"texts": TEXTS})));
    assert_eq!(status, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["adapter"], "first");
    assert_eq!(body["predictions"], json!(predicted));
    let (code, log) = server.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("listening") && log.contains("ended"), "{log}");
    assert!(
        TEXTS.iter().all(|text| text.len() < 4 || !log.contains(text)),
        "no text is logged: {log}"
    );
}

#[test]
fn requests_under_way_are_answered_after_a_sigterm() {
    let workspace = trained();
    // Nothing is answered before the end.
    let server = Serving::start(
        &workspace,
        &["out", "--max-wait-ms", "60000", "--max-batch-size", "1000"],
    );
    let address = server.address.clone();
    std::thread::scope(|scope| {
        let clients: Vec<_> = TEXTS
            .iter()
            .map(|text| {
                let (address, body) = (address.clone(), json!({"text": text}));
                scope.spawn(move || ask(&address, "POST /predict", Some(&body)))
            })
            .collect();
        let waiting = format!("lora_queue_texts {}\n", TEXTS.len());
        while !server.ask("GET /metrics", None).1.contains(&waiting) {
            std::thread::yield_now();
        }
        let (code, log) = server.end();
        assert_eq!(code, Some(0), "{log}");
        for client in clients {
            let (status, body) = client.join().unwrap();
            assert_eq!(status, 200, "{body}");
        }
    });
}

#[test]
fn what_cannot_be_served_is_said_before_anything_listens() {
    let workspace = trained();
    workspace.write("empty.txt", "\n");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let cases: [(&[&str], &str); 8] = [
        (&["out", "--host", "0.0.0.0"], "--token-file"),
        (
            &["out", "--host", "0.0.0.0", "--token-file", "empty.txt"],
            "the token is empty",
        ),
        (&["out", "--token-file", "missing.txt"], "`missing.txt`"),
        (&["out", "--port", &port], "give another --host or --port"),
        (&["out", "--host", "example"], "127.0.0.1"),
        (&["a=out", "a=out", "--port", "0"], "an adapter named `a` already"),
        (&["missing", "--port", "0"], "adapter `missing`"),
        (&["out", "--max-queue", "3"], "--max-queue is 3"),
    ];
    for (arguments, expected) in cases {
        let said = workspace.lora(&[&["serve"], arguments].concat());
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.stderr);
        assert!(
            said.stderr.contains(expected) && said.stdout.is_empty(),
            "{arguments:?}: {}",
            said.stderr
        );
    }
}
