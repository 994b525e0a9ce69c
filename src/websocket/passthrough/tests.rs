//! WebSocket backends over real connections: an independent implementation, and answers that do not
//! open anything.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::asking::onward::Onward;
use crate::forward::tests::{Company, Scripted, context, from_client, route, run};
use crate::listen::socket::Socket;
use crate::listen::stream::Stream;
use crate::websocket::accept;
use crate::websocket::sockets::Sockets;
use crate::websocket::upgrade::{Failed, Outcome, Rejection, Via};
use crate::wire::frame::Opcode;

use super::*;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

#[allow(clippy::result_large_err)]
fn answer(
    request: &Request,
    mut response: Response,
) -> Result<Response, http::Response<Option<String>>> {
    assert_eq!(request.headers()["sec-websocket-extensions"], "grip");
    assert_eq!(request.headers()["cookie"], "a=b");
    let headers = response.headers_mut();
    headers.insert("sec-websocket-extensions", "grip; message-prefix=\"!\"".parse().unwrap());
    headers.insert("set-cookie", "x=y".parse().unwrap());
    Ok(response)
}

#[test]
fn an_independent_backend() {
    run(async {
        let company = Company::new();
        let sockets = Sockets::new(Rc::clone(&company.shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::task::spawn_local(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_hdr_async(stream, answer).await.unwrap();
            socket.send(Message::text("!hello")).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Text(text) = message {
                    socket.send(Message::text(format!("!{text}"))).await.unwrap();
                }
            }
        });
        let route = route(&format!("* localhost:{port}"));
        let Outcome::Accepted { response, onward: Onward::Task(task) } =
            accept::open(&sockets, context("/ws", None), route).await
        else {
            panic!("not accepted")
        };
        assert_eq!(response.headers()["set-cookie"], "x=y");
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert!(!response.headers().contains_key("sec-websocket-extensions"));
        assert_eq!(response.extensions().get(), Some(&Via(format!("localhost:{port}"))));
        let (mut client, server) = pair().await;
        let early = from_client(Opcode::Text, b"early");
        tokio::task::spawn_local(task(Stream::Plain(Socket::Tcp(server)), early));
        client.write_all(&from_client(Opcode::Ping, b"p")).await.unwrap();
        client.write_all(&from_client(Opcode::Close, b"\x0f\xa1bye")).await.unwrap();
        let mut got = Vec::new();
        client.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, b"\x81\x05hello\x81\x05early\x8a\x01p\x88\x05\x0f\xa1bye");
    });
}

#[test]
fn answers_that_open_nothing() {
    run(async {
        let company = Company::new();
        let sockets = Sockets::new(Rc::clone(&company.shared));
        let mut backend = Scripted::start().await;
        let line = format!("* localhost:{}", backend.port);
        let wrong = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                     Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
        let opening = accept::open(&sockets, context("/ws", None), route(&line));
        let (outcome, ()) =
            tokio::join!(opening, async { backend.next().await.raw(wrong.to_owned()) });
        assert!(matches!(outcome, Outcome::Failed(Failed::At(..))));

        let no = "HTTP/1.1 401 Go Away\r\nContent-Length: 2\r\nX-A: b\r\n\r\nno";
        let opening = accept::open(&sockets, context("/ws", None), route(&line));
        let (outcome, ()) =
            tokio::join!(opening, async { backend.next().await.raw(no.to_owned()) });
        let Outcome::Rejected(response) = outcome else { panic!("not rejected") };
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["x-a"], "b");
        let Rejection::Streamed(body) = response.into_body() else { panic!("not streamed") };
        let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        assert_eq!(body, "no");
        assert!(company.shared.hub.with(|registry| registry.is_empty()));
    });
}
