//! The end: over a real socket, with requests under way.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};

use super::served::{block_on, serve, settings_that_wait, until_waiting};

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
