//! A request's head as it is written to a backend. Pure.
//!
//! Made by `proxy`, for each target that is tried; written by `outbound`.

use http::header::{CONTENT_LENGTH, HeaderName, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request};
use http_body::Body as _;

use super::upload::RequestBody;
use crate::wire::names;

/// A request's head as it is written, but for its framing.
#[derive(Clone, Debug)]
pub struct RequestHead {
    method: Method,
    bytes: Vec<u8>,
    named: bool,
}

impl RequestHead {
    /// A head with its request line. Path and query are what a request line may have.
    #[must_use]
    pub fn new(method: Method, path: &str, query: Option<&str>) -> RequestHead {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(method.as_str().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(path.as_bytes());
        if let Some(query) = query {
            bytes.push(b'?');
            bytes.extend_from_slice(query.as_bytes());
        }
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        RequestHead { method, bytes, named: false }
    }

    /// The head of `request`, framed by its body; names as they are usually written.
    #[must_use]
    pub fn of(request: &Request<RequestBody>) -> RequestHead {
        let uri = request.uri();
        let path = if uri.path().is_empty() { "/" } else { uri.path() };
        let mut head = RequestHead::new(request.method().clone(), path, uri.query());
        for (name, value) in request.headers() {
            if name != CONTENT_LENGTH && name != TRANSFER_ENCODING {
                head.field(name, value.as_bytes(), None);
            }
        }
        head.frame(request.body(), request.headers().get(CONTENT_LENGTH), None);
        head
    }

    /// Adds a field; `spelled` is how its name is written if not as usual.
    pub fn field(&mut self, name: &HeaderName, value: &[u8], spelled: Option<&[u8]>) {
        self.name(name, spelled);
        self.value(value);
    }

    fn name(&mut self, name: &HeaderName, spelled: Option<&[u8]>) {
        match spelled {
            Some(spelled) => self.bytes.extend_from_slice(spelled),
            None => names::put_registered(&mut self.bytes, name.as_str()),
        }
    }

    fn value(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(if value.is_empty() { b":" } else { b": " });
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Frames the body (specification, routing 3.8): its own length if it is known, else chunks. A
    /// `given` length that says otherwise is corrected: the body is what is sent. Ends the head.
    pub fn frame(
        &mut self,
        body: &RequestBody,
        given: Option<&HeaderValue>,
        spelled: Option<&[u8]>,
    ) {
        let ended = body.is_end_stream();
        let bodyless = matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS);
        match if ended { Some(0) } else { body.size_hint().exact() } {
            Some(length) => {
                let right = |value: &&HeaderValue| {
                    std::str::from_utf8(value.as_bytes())
                        .is_ok_and(|text| text.parse() == Ok(length))
                };
                if let Some(given) = given.filter(right) {
                    self.field(&CONTENT_LENGTH, given.as_bytes(), spelled);
                } else if length > 0 || !bodyless {
                    self.name(&CONTENT_LENGTH, spelled);
                    self.value(itoa::Buffer::new().format(length).as_bytes());
                }
            }
            None => {
                let chunked = b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n";
                self.bytes.extend_from_slice(chunked);
            }
        }
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Adds what is to leave with the head: the size of the body's first chunk.
    pub fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Has the answer say how its names were written: somebody other than hyper shows them.
    pub fn ask_for_names(&mut self) {
        self.named = true;
    }

    /// Whether the answer is to say how its names were written.
    #[must_use]
    pub fn asks_for_names(&self) -> bool {
        self.named
    }

    /// All of it.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}
