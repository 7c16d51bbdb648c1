//! The end: over a real socket, with requests under way.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use super::served::{block_on, serve, settings, settings_that_wait, until_waiting};

/// Sends a request for so many texts, and reads everything that comes back until the server closes.
fn ask(address: SocketAddr, texts: usize) -> (String, Value) {
    let body = json!({"texts": vec!["a gripping film"; texts]}).to_string();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap())
}

#[test]
fn what_was_accepted_is_answered_before_the_end() {
    let server = serve(settings_that_wait(), None, &["reviews"]);
    let (address, router) = (server.address(), server.router());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (1..=4)
            .map(|texts| scope.spawn(move || ask(address, texts)))
            .collect();
        block_on(async {
            let running = tokio::spawn(server.run(async move {
                let _ = stopped.await;
            }));
            // All four requests are in the server, and none can be answered yet.
            until_waiting(&router, 10).await;
            stop.send(()).unwrap();
            running.await.unwrap().unwrap();
        });
        for (texts, client) in (1..=4).zip(clients) {
            let (head, body) = client.join().unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            assert_eq!(body["predictions"].as_array().unwrap().len(), texts);
        }
    });
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}

/// Status of a request on a connection of its own; none if nobody listens.
fn status(address: SocketAddr, head: &str, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(address).ok()?;
    let length = body.len();
    let headers = "host: localhost\r\nconnection: close\r\ncontent-type: application/json";
    write!(
        stream,
        "{head} HTTP/1.1\r\n{headers}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    response.split(' ').nth(1)?.parse().ok()
}

#[test]
fn while_it_ends_new_connections_are_told_so_and_work_under_way_is_done() {
    let server = serve(settings(), None, &["reviews"]);
    let address = server.address();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        let running = scope.spawn(move || {
            block_on(server.run(async move {
                let _ = stopped.await;
            }))
        });
        let body = json!({"text": "a gripping film"}).to_string();
        // The server says that it wants the body once the request is in work.
        let mut slow = BufReader::new(TcpStream::connect(address).unwrap());
        write!(
            slow.get_mut(),
            "POST /predict HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .unwrap();
        let mut line = String::new();
        slow.read_line(&mut line).unwrap();
        assert!(line.starts_with("HTTP/1.1 100"), "{line}");
        assert_eq!(status(address, "GET /ready", ""), Some(200));
        stop.send(()).unwrap();
        while status(address, "GET /ready", "") == Some(200) {
            std::thread::yield_now();
        }
        assert_eq!(status(address, "GET /ready", ""), Some(503));
        assert_eq!(status(address, "GET /health", ""), Some(200));
        assert_eq!(status(address, "POST /predict", &body), Some(503));
        write!(slow.get_mut(), "{body}").unwrap();
        let mut answer = String::new();
        slow.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("HTTP/1.1 200"), "{answer}");
        running.join().unwrap().unwrap();
    });
    assert_eq!(status(address, "GET /ready", ""), None, "nobody listens any more");
}
