//! Clients within the process: the test target, a backend over HTTP, a WebSocket backend.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::forward::tests::{Company, Scripted, context, from_client, route, run, until};
use crate::hub::slab::SessionId;
use crate::listen::pipe::{self, Pipe};
use crate::websocket::accept::open;
use crate::websocket::upgrade::Outcome;
use crate::wire::frame::{Opcode, server_frame};

const LIMIT_BYTES: usize = 1024;

struct World {
    company: Company,
    sockets: Rc<Sockets>,
}

impl World {
    fn new() -> World {
        let company = Company::new();
        company.clients.borrow_mut().stalled = true;
        let sockets = Sockets::new(Rc::clone(&company.shared));
        World { company, sockets }
    }

    /// A client of what was accepted, and its task.
    fn attend(&self, outcome: Outcome) -> (Pipe, Option<SessionId>, JoinHandle<()>) {
        let Outcome::Accepted { onward, .. } = outcome else { panic!("not accepted") };
        let id = match &onward {
            Onward::Park(lease) => Some(lease.id()),
            Onward::Task(_) => None,
        };
        let (ours, theirs) = pipe::pair(LIMIT_BYTES);
        let accepted = Accepted::new(Rc::clone(&self.sockets), onward);
        let attend = accepted.attend(Stream::Inside(theirs), Bytes::new());
        (ours, id, tokio::task::spawn_local(attend))
    }

    async fn echo(&self) -> (Pipe, SessionId, JoinHandle<()>) {
        let outcome = open(&self.sockets, context("/ws", None), route("* test")).await;
        let (client, id, task) = self.attend(outcome);
        (client, id.unwrap(), task)
    }

    fn effects(&self) {
        while let Some(effect) = self.company.shared.hub.with(|registry| registry.poll_effect()) {
            self.sockets.effect(&effect);
        }
    }

    fn is_empty(&self) -> bool {
        self.sockets.is_empty() && self.company.shared.hub.with(|registry| registry.is_empty())
    }
}

async fn expect(client: &mut Pipe, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, bytes);
}

async fn expect_end(client: &mut Pipe) {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn the_test_target_echoes_and_closes() {
    run(async {
        let w = World::new();
        let (mut client, _, task) = w.echo().await;
        client.write_all(&from_client(Opcode::Text, b"one")).await.unwrap();
        client.write_all(&from_client(Opcode::Ping, b"p")).await.unwrap();
        expect(&mut client, b"\x81\x03one\x89\x01p").await;
        let items = r#"{"items":[{"channel":"test","formats":{"ws-message":{"content":"pub"}}}]}"#;
        w.company.publish(items);
        expect(&mut client, b"\x81\x03pub").await;
        client.write_all(&from_client(Opcode::Close, b"\x0f\xa1bye")).await.unwrap();
        expect(&mut client, b"\x88\x05\x0f\xa1bye").await;
        expect_end(&mut client).await;
        task.await.unwrap();
        assert!(w.is_empty());
    });
}

#[test]
fn who_does_not_read_is_not_read_from() {
    run(async {
        let w = World::new();
        let (mut client, id, _task) = w.echo().await;
        // More than fits into the pipe both ways: it comes to a stop.
        let message = vec![b'x'; 400];
        let frame = from_client(Opcode::Text, &message);
        let mut sent = 0;
        while sent < 100 {
            let room = poll_fn(|cx| Poll::Ready(client.poll_room(cx).is_ready())).await;
            if !room {
                let paused = |w: &World| w.company.clients.borrow_mut().client(id).paused;
                if paused(&w) {
                    break;
                }
                tokio::task::yield_now().await;
                continue;
            }
            client.send(frame.clone());
            sent += 1;
        }
        assert!(sent < 20, "{sent} messages wait somewhere");
        // It reads: all comes, in order, and it is read from again.
        for _ in 0..sent {
            expect(&mut client, &server_frame(Opcode::Text, &message)).await;
        }
        client.send(from_client(Opcode::Text, b"last"));
        expect(&mut client, b"\x81\x04last").await;
    });
}

#[test]
fn a_paused_client_that_leaves_is_noticed() {
    run(async {
        let w = World::new();
        let (mut client, id, task) = w.echo().await;
        for _ in 0..8 {
            client.send(from_client(Opcode::Text, &[b'x'; 400]));
        }
        until(|| w.company.clients.borrow_mut().client(id).paused).await;
        drop(client);
        task.await.unwrap();
        assert!(w.is_empty());
    });
}

#[test]
fn a_published_close_is_answered() {
    run(async {
        let close = r#"{"items":[{"channel":"test","formats":{"ws-message":
            {"action":"close","code":4001,"reason":"bye"}}}]}"#;
        let w = World::new();
        let (mut client, _, task) = w.echo().await;
        w.company.publish(close);
        w.effects();
        expect(&mut client, b"\x88\x05\x0f\xa1bye").await;
        // What comes before the answer means nothing.
        client.send(from_client(Opcode::Text, b"late"));
        client.send(from_client(Opcode::Close, b"\x0f\xa1"));
        task.await.unwrap();
        expect_end(&mut client).await;
        assert!(w.is_empty());

        // One that does not answer is dropped.
        let (mut client, id, task) = w.echo().await;
        w.company.publish(close);
        w.effects();
        expect(&mut client, b"\x88\x05\x0f\xa1bye").await;
        let late = clock::now().plus_ms(limits::WEBSOCKET_CLOSE_MS + 1);
        w.company.shared.hub.with_outlet(|registry, outlet| registry.tick(late, outlet));
        w.effects();
        assert!(!w.company.shared.hub.with(|registry| registry.is_live(id)));
        task.await.unwrap();
        expect_end(&mut client).await;
    });
}

#[test]
fn a_backend_over_http() {
    run(async {
        let w = World::new();
        let mut backend = Scripted::start().await;
        let line = format!("* localhost:{},over_http", backend.port);
        let opening = open(&w.sockets, context("/ws", None), route(&line));
        let answer = async {
            let asked = backend.next().await;
            assert_eq!(asked.body, "OPEN\r\n");
            asked.events("", "OPEN\r\nTEXT 2\r\nhi\r\n");
        };
        let (outcome, ()) = tokio::join!(opening, answer);
        let (mut client, _, task) = w.attend(outcome);
        expect(&mut client, b"\x81\x02hi").await;
        client.send(from_client(Opcode::Text, b"one"));
        let asked = backend.next().await;
        assert_eq!(asked.body, "TEXT 3\r\none\r\n");
        asked.events("", "TEXT 3\r\nONE\r\n");
        expect(&mut client, b"\x81\x03ONE").await;
        drop(client);
        let asked = backend.next().await;
        assert_eq!(asked.body, "DISCONNECT\r\n");
        asked.events("", "");
        task.await.unwrap();
        until(|| w.is_empty()).await;
    });
}

#[test]
fn a_backend_over_http_that_drops_and_one_that_closes() {
    run(async {
        for (end, expected) in
            [("DISCONNECT\r\n", &b""[..]), ("CLOSE 4\r\n\x0f\x21ok\r\n", b"\x88\x04\x0f\x21ok")]
        {
            let w = World::new();
            let mut backend = Scripted::start().await;
            let line = format!("* localhost:{},over_http", backend.port);
            let opening = open(&w.sockets, context("/ws", None), route(&line));
            let answer = async { backend.next().await.events("", "OPEN\r\n") };
            let (outcome, ()) = tokio::join!(opening, answer);
            let (mut client, _, task) = w.attend(outcome);
            client.send(from_client(Opcode::Text, b"one"));
            backend.next().await.events("", end);
            expect(&mut client, expected).await;
            if !expected.is_empty() {
                client.send(from_client(Opcode::Close, b"\x0f\x21ok"));
                // The backend has closed first: it is told nothing.
            }
            expect_end(&mut client).await;
            task.await.unwrap();
            until(|| w.is_empty()).await;
        }
    });
}

#[test]
fn a_websocket_backend() {
    run(async {
        let w = World::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let backend = tokio::task::spawn_local(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
            let mut code = None;
            while let Some(Ok(message)) = socket.next().await {
                if message.is_text() {
                    socket.send(message).await.unwrap();
                } else if let Message::Close(close) = message {
                    code = close.map(|close| u16::from(close.code));
                }
            }
            code
        });
        let line = format!("* localhost:{port}");
        let outcome = open(&w.sockets, context("/ws", None), route(&line)).await;
        let (mut client, id, task) = w.attend(outcome);
        assert_eq!(id, None);
        let message = vec![b'x'; 40_000];
        client.write_all(&from_client(Opcode::Text, &message)).await.unwrap();
        let mut got = Vec::new();
        while got.len() < message.len() {
            client.read_buf(&mut got).await.unwrap();
        }
        client.send(from_client(Opcode::Close, b"\x0f\xa1bye"));
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.unwrap();
        assert!(rest.ends_with(b"\x88\x05\x0f\xa1bye"));
        task.await.unwrap();
        assert_eq!(backend.await.unwrap(), Some(4001));
        assert!(w.is_empty());
    });
}

#[test]
fn a_client_that_never_comes() {
    run(async {
        let w = World::new();
        let Outcome::Accepted { onward, .. } =
            open(&w.sockets, context("/ws", None), route("* test")).await
        else {
            panic!("not accepted")
        };
        drop(Accepted::new(Rc::clone(&w.sockets), onward));
        assert!(w.is_empty());
    });
}
