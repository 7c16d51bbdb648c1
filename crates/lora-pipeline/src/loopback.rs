//! A server on loopback for tests: it keeps what it is asked, and answers what a function says.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

use serde_json::Value;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method and path, with the query.
    pub what: String,
    /// Lines of the head, in lower case up to the colon.
    pub head: Vec<String>,
    pub body: Vec<u8>,
}

impl Asked {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A value of the head.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.iter().filter_map(|line| line.split_once(": "));
        values.find_map(|(found, value)| (found == name).then_some(value))
    }
}

/// Runs until the tests end.
pub(crate) struct Loopback {
    pub address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Loopback {
    /// A server whose answers, status and body, are `answer`'s; it gets the server's address and the request.
    pub fn start(answer: impl Fn(&str, &Asked) -> (u16, String) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (keep, own_address) = (asked.clone(), address.clone());
        spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let Some(request) = read(&connection) else {
                    continue;
                };
                let (status, body) = answer(&own_address, &request);
                keep.lock().unwrap().push(request);
                let length = body.len();
                // A client that went away is no concern of the server.
                let _ = write!(
                    connection,
                    "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { address, asked }
    }

    /// All requests, in their order.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(connection: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(connection);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let what = lines.first()?.rsplit_once(' ')?.0.to_owned();
    let head = lines[1..].iter().map(|line| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
        None => line.clone(),
    });
    let mut asked = Asked {
        what,
        head: head.collect(),
        body: Vec::new(),
    };
    let length = asked
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    asked.body = body;
    Some(asked)
}
