//! SockJS sessions: every transport, requests that come in on any worker, backends of every kind.
//!
//! The server has several workers, and each request of a session has a connection of its own, so
//! that most of them come in elsewhere than where their session is.

use std::time::Duration;

use serde_json::json;
use tokio::join;
use tokio_tungstenite::tungstenite::Message;

use super::harness::client::Head;
use super::harness::websocket::refusal;
use super::harness::{Answer, Backend, Client, Publisher, Request, Server, WebSocket};

mod bounds;
mod endings;
mod old_sockets;
mod polling;
mod sockets;
mod streaming;

/// A server of four workers with a route that speaks SockJS.
fn serve(route: &str, arguments: &[&str]) -> Server {
    Server::start_with(&[route.to_owned()], &[&["--workers", "4"], arguments].concat())
}

/// One whose sessions echo.
fn echo(arguments: &[&str]) -> Server {
    serve("*,sockjs=/sj,sockjs_as_path=/ws test", arguments)
}

/// Times that a test can wait for, and within which it can do something.
const QUICK: [&str; 4] = ["--sockjs-heartbeat", "300", "--sockjs-disconnect-delay", "3000"];
/// Nobody is given up because a test takes long.
const PATIENT: [&str; 2] = ["--sockjs-disconnect-delay", "600000"];

/// Sends a request on a connection of its own.
async fn ask(server: &Server, method: &str, path: &str, body: &str) -> Client {
    let mut client = Client::connect(server.http).await;
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\nContent-Length: {length}");
    client.send(format!("{head}\r\n\r\n{body}")).await;
    client
}

/// A session whose client names it so.
struct Session<'a> {
    server: &'a Server,
    path: String,
}

impl<'a> Session<'a> {
    fn new(server: &'a Server, name: &str) -> Session<'a> {
        Session { server, path: format!("/sj/000/{name}") }
    }

    /// A session that is open, over xhr.
    async fn open(server: &'a Server, name: &str) -> Session<'a> {
        let session = Session::new(server, name);
        assert_eq!(session.poll().await, "o\n");
        session
    }

    /// Asks without waiting for the answer.
    async fn ask(&self, method: &str, last: &str, body: &str) -> Client {
        ask(self.server, method, &format!("{}/{last}", self.path), body).await
    }

    async fn xhr(&self) -> (Head, String) {
        self.ask("POST", "xhr", "").await.response().await
    }

    /// What an xhr poll gives.
    async fn poll(&self) -> String {
        let (head, body) = self.xhr().await;
        assert_eq!(head.status, "HTTP/1.1 200 OK", "{body}");
        body
    }

    async fn send(&self, messages: &str) {
        let head = self.ask("POST", "xhr_send", messages).await.head().await;
        assert_eq!(head.status, "HTTP/1.1 204 No Content");
    }

    /// An xhr poll that waits. Of two that come, one is told that there is the other one.
    async fn waiting(&self) -> Client {
        let (mut one, mut two) =
            (self.ask("POST", "xhr", "").await, self.ask("POST", "xhr", "").await);
        let (body, waits) = tokio::select! {
            (_, body) = one.response() => (body, two),
            (_, body) = two.response() => (body, one),
        };
        assert_eq!(body, "c[2010,\"Another connection still open\"]\n");
        waits
    }

    /// Polls until there is a session anew: the last one is over.
    async fn until_new(&self) {
        loop {
            let (head, body) = self.xhr().await;
            if head.status == "HTTP/1.1 200 OK" && body == "o\n" {
                return;
            }
        }
    }
}

/// The test's part of a native backend.
async fn accept(backend: &mut Backend, lines: &str) -> (WebSocket, Request) {
    let exchange = backend.next().await;
    let request = exchange.request.clone();
    (WebSocket::accept(exchange, lines).await, request)
}

/// A session with a WebSocket backend, opened over xhr.
async fn native<'a>(
    server: &'a Server,
    backend: &mut Backend,
    name: &str,
    lines: &str,
) -> (Session<'a>, WebSocket, Request) {
    let (session, (socket, request)) = join!(Session::open(server, name), accept(backend, lines));
    (session, socket, request)
}

/// A session with a backend over HTTP, opened over xhr.
async fn over_http<'a>(
    server: &'a Server,
    backend: &mut Backend,
    name: &str,
    further: &str,
) -> (Session<'a>, Request) {
    let opening = async {
        let exchange = backend.next().await;
        let request = exchange.request.clone();
        exchange.answer(Answer::open(further)).await;
        request
    };
    join!(Session::open(server, name), opening)
}
