//! A client with frames of SockJS over a real socket, and the test target behind it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::forward::tests::{Company, context, from_client, route, run, until};
use crate::listen::socket::Socket;
use crate::websocket::accept::open;
use crate::websocket::upgrade::Outcome;

struct World {
    company: Company,
    sockets: Rc<Sockets>,
}

impl World {
    fn new() -> World {
        let company = Company::with(|settings| settings.sockjs.heartbeat_ms = 60_000);
        company.clients.borrow_mut().stalled = true;
        let sockets = Sockets::new(Rc::clone(&company.shared));
        World { company, sockets }
    }

    /// What is between a client and the test target.
    async fn accepted(&self) -> Onward {
        let Outcome::Accepted { onward, .. } =
            open(&self.sockets, context("/ws", None), route("* test")).await
        else {
            panic!("not accepted")
        };
        between(&self.sockets, onward)
    }

    async fn connect(&self, early: Bytes) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        let Onward::Task(task) = self.accepted().await else { panic!("no task") };
        tokio::task::spawn_local(task(Stream::Plain(Socket::Tcp(server)), early));
        client
    }

    fn is_empty(&self) -> bool {
        self.sockets.is_empty() && self.company.shared.hub.with(|registry| registry.is_empty())
    }
}

async fn expect(client: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    client.read_exact(&mut got).await.unwrap();
    assert_eq!(got, bytes);
}

async fn rest(client: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest).await;
    rest
}

#[test]
fn frames_and_their_end() {
    run(async {
        let w = World::new();
        let mut client = w.connect(from_client(Opcode::Text, b"[\"early\"]")).await;
        expect(&mut client, b"\x81\x01o\x81\x0aa[\"early\"]").await;
        client.write_all(&from_client(Opcode::Ping, b"p")).await.unwrap();
        expect(&mut client, b"\x8a\x01p").await;
        client.write_all(&from_client(Opcode::Close, b"\x0f\xa1bye")).await.unwrap();
        assert_eq!(rest(&mut client).await, b"\x88\x05\x0f\xa1bye");
        until(|| w.is_empty()).await;
    });
}

#[test]
fn a_client_that_breaks_the_protocol() {
    run(async {
        for (bytes, expected) in [
            (&b"\x81\x03abc"[..], &b"\x88\x02\x03\xea"[..]),
            (&from_client(Opcode::Text, b"[\"x"), b""),
        ] {
            let w = World::new();
            let mut client = w.connect(Bytes::new()).await;
            expect(&mut client, b"\x81\x01o").await;
            client.write_all(bytes).await.unwrap();
            assert_eq!(rest(&mut client).await, expected);
            assert_eq!(w.company.shared.stats.socket_protocol_errors.get(), 1);
            until(|| w.is_empty()).await;
        }
    });
}

#[test]
fn far_more_than_may_wait_goes_through() {
    run(async {
        let w = World::new();
        let mut client = w.connect(Bytes::new()).await;
        expect(&mut client, b"\x81\x01o").await;
        // The echo of all this fits nowhere.
        let text = format!("[\"{}\"]", "x".repeat(60_000));
        let frame = from_client(Opcode::Text, text.as_bytes());
        let (mut reading, mut writing) = client.into_split();
        let count = 100;
        let sending = tokio::task::spawn_local(async move {
            for _ in 0..count {
                writing.write_all(&frame).await.unwrap();
            }
            writing
        });
        let mut heard = vec![0; count * (text.len() + 5)];
        reading.read_exact(&mut heard).await.unwrap();
        let mut client = reading.reunite(sending.await.unwrap()).unwrap();
        client.write_all(&from_client(Opcode::Text, b"\"last\"")).await.unwrap();
        expect(&mut client, b"\x81\x09a[\"last\"]").await;
    });
}

#[test]
fn a_client_that_never_comes() {
    run(async {
        let w = World::new();
        drop(w.accepted().await);
        assert!(w.is_empty());
    });
}
