//! The whole of `backend` against a scripted server on a real socket. This file is the harness.

mod exchanges;
mod keeping;
mod reaching;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use ::http::{Method, Request, Version};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::body::BodyError;
use super::connect::{BackendStream, ServerTls};
use super::error::{Kind, Stage};
use super::*;

/// Runs a test on a shard of its own; no test may take longer than a minute.
fn shard<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let set = tokio::task::LocalSet::new();
    set.block_on(&runtime, async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("took too long");
    });
}

impl Backend {
    /// Sends a request as those of WebSocket-over-HTTP are sent.
    async fn send(
        &self,
        to: &Destination,
        request: Request<RequestBody>,
    ) -> Result<Response<AnswerBody>, Error> {
        let head = RequestHead::of(&request);
        let terms = Terms { once: true, repeat: true, connect_ms: None };
        self.ask(to.as_to(), terms, head, request.into_body()).await
    }
}

fn backend_with(settings: Settings) -> Backend {
    let tls = ClientTls::with_roots(rustls::RootCertStore::empty()).unwrap();
    Backend::new(settings, tls, Rc::default())
}

fn backend() -> Backend {
    backend_with(Settings::default())
}

async fn listener() -> (TcpListener, Destination) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = destination(listener.local_addr().unwrap());
    (listener, to)
}

fn destination(address: SocketAddr) -> Destination {
    let host = address.ip().to_string();
    Destination { host, port: address.port(), tls: None, untrusted: false }
}

fn get(path: &str) -> Request<RequestBody> {
    let mut request = Request::new(RequestBody::empty());
    *request.uri_mut() = path.parse().unwrap();
    request.headers_mut().insert("host", "h".parse().unwrap());
    request
}

fn post(body: &'static str) -> Request<RequestBody> {
    let mut request = get("/post");
    *request.method_mut() = Method::POST;
    *request.body_mut() = RequestBody::Whole(Some(Bytes::from_static(body.as_bytes())));
    request
}

/// Reads until `end` is in what was read; gives it all.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0_u8; 4096];
    while !text.contains(end) {
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    text
}

/// Waits until the peer has closed.
async fn closed(stream: &mut TcpStream) {
    let mut buffer = [0_u8; 4096];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

/// Answers one request with `answer`; gives the connection.
async fn answer(listener: &TcpListener, answer: &str) -> TcpStream {
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, "\r\n\r\n").await;
    stream.write_all(answer.as_bytes()).await.unwrap();
    stream
}

async fn text(response: Response<AnswerBody>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
