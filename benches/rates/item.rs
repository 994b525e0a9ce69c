//! Requests that publish: what is sent to which server for how many messages. Used by the
//! measurements that publish; the sockets are theirs, but for a single message.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use memchr::memmem;
use serde_json::json;

use crate::case::Peer;
use crate::failure::{Context, Failure, excerpt};
use crate::messages::{SIZE, message, renumber};
use crate::nginx::CHANNEL;
use crate::server::Server;

/// How long a single message may take to be accepted.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How requests are made.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Messages of one request.
    pub batch: usize,
    /// Each has an id: of its publisher and its number.
    pub ids: bool,
}

/// A request with places for the numbers of its messages, made once and sent often.
pub struct Template {
    request: Vec<u8>,
    /// Where each message begins.
    places: Vec<usize>,
    /// Where the id of each is, if it has one.
    ids: Vec<usize>,
}

/// Bytes of an id: the publisher and the number.
const ID: usize = 15;

impl Template {
    /// For messages of `publisher`: a raw body for nchan, items for all others.
    pub fn new(server: &Server, publisher: usize, shape: Shape) -> Template {
        let Shape { batch, ids } = shape;
        let content = message(publisher, 0);
        let (path, kind, body) = if server.peer == Peer::Nchan {
            ("/publish", "text/plain", content)
        } else {
            let text = String::from_utf8_lossy(&content);
            let formats = json!({"http-stream": {"content": text}});
            let mut item = json!({"channel": CHANNEL, "formats": formats});
            if ids {
                // As long a text as a message begins with: it is numbered like one.
                let id = String::from_utf8_lossy(content.get(..ID).unwrap_or_default());
                item["id"] = json!(id);
            }
            let items = vec![item; batch];
            let body = json!({"items": items}).to_string().into_bytes();
            ("/publish/", "application/json", body)
        };
        let mut request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            server.control,
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(&body);
        // In JSON the line end at the end is written otherwise; what is looked for is before it.
        let start = message(publisher, 0);
        let whole = start.get(..SIZE - 1).unwrap_or_default();
        let places = memmem::find_iter(&request, whole).collect();
        let id = [b"\"", start.get(..ID).unwrap_or_default(), b"\""].concat();
        let ids = memmem::find_iter(&request, &id).map(|at| at + 1).collect();
        Template { request, places, ids }
    }

    /// Messages of one request.
    pub fn messages(&self) -> u64 {
        self.places.len() as u64
    }

    /// The request for the messages from `count` on, appended to `out`.
    pub fn write(&mut self, mut count: u64, out: &mut Vec<u8>) {
        for (nth, &place) in self.places.iter().enumerate() {
            renumber(&mut self.request, place, count);
            if let Some(&id) = self.ids.get(nth) {
                renumber(&mut self.request, id, count);
            }
            count += 1;
        }
        out.extend_from_slice(&self.request);
    }
}

/// Publishes message 0 of publisher 0, and waits until it is accepted.
pub fn publish_first(server: &Server) -> Result<(), Failure> {
    let mut request = Vec::new();
    Template::new(server, 0, Shape { batch: 1, ids: false }).write(0, &mut request);
    let mut answer = vec![0; 4096];
    let mut ask = || {
        let mut socket = TcpStream::connect(server.control)?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        socket.write_all(&request)?;
        socket.read(&mut answer)
    };
    let count = ask().during(|| format!("publishing at {}", server.control))?;
    answer.truncate(count);
    if answer.starts_with(b"HTTP/1.1 20") {
        return Ok(());
    }
    Err(Failure::Control(format!("refused a message: {}", excerpt(&answer))))
}
