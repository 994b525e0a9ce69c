//! Clients that do not read: what becomes of them with each policy, over every transport.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::StreamExt;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::join;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Message;

use super::harness::{Answer, Backend, Client, Publisher, Server, WebSocket, within};

/// How many messages are published, of how many bytes: more than what the kernel takes.
const MESSAGES: usize = 2000;
const MESSAGE_BYTES: usize = 2000;
const AT_ONCE: usize = 50;

const DROPPING: &str = "dropping messages for a client that does not read";
const CLOSING: &str = "closing a client that does not read";

/// A connection for which the kernel keeps little.
async fn narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    within("the server to accept", socket.connect(address)).await.expect("the server accepts")
}

fn start(route: &str, arguments: &[&str]) -> (Server, Publisher) {
    let arguments = [&["--workers", "1"], arguments].concat();
    let server = Server::start_with(&[route.to_owned()], &arguments);
    let publisher = Publisher::new(&server);
    (server, publisher)
}

fn content(number: usize) -> String {
    format!("{number:06}{}\n", "x".repeat(MESSAGE_BYTES))
}

/// The number of a message, which has to be whole.
fn number(text: &str) -> usize {
    let number = text[..6].parse().expect("the beginning of a message");
    assert!(text == content(number), "message {number} is not whole");
    number
}

/// Publishes all messages to the channel `c`.
async fn flood(publisher: &Publisher) {
    for first in (0..MESSAGES).step_by(AT_ONCE) {
        let item = |number| {
            let content = json!({ "content": content(number) });
            json!({ "channel": "c",
                    "formats": { "http-stream": content, "ws-message": content } })
        };
        publisher.items((first..first + AT_ONCE).map(item).collect::<Vec<Value>>().into()).await;
    }
    delivered(publisher).await;
}

/// Waits until the only worker has delivered what was published: it says what came of an item when
/// it has come to it, and goes round once between two.
async fn delivered(publisher: &Publisher) {
    let nobody = json!({ "channel": "nobody", "formats": { "ws-message": { "content": "" } } });
    let body = json!({ "items": [nobody] }).to_string();
    for _ in 0..3 {
        let request = publisher.request(reqwest::Method::POST, "/publish/?receipt=1");
        let request = request.header("Accept", "application/json").body(body.clone());
        let (status, answer) = publisher.send(request).await;
        assert_eq!(status, 200, "{answer}");
    }
}

/// A stream of the test target, of which nothing more than the first chunk has been read.
async fn stream<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> Client<S> {
    let mut client = Client::over(stream);
    client.send("GET /stream?channel=c HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    client.head().await;
    client.chunk().await;
    client
}

/// The messages that come, up to the last that was published.
async fn read_stream<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&(MESSAGES - 1)) {
        let chunk = String::from_utf8(client.chunk().await).expect("text");
        let (_, text) = chunk.split_once("\r\n").expect("a chunk");
        numbers.push(number(&text[..text.len() - 2]));
    }
    numbers
}

async fn read_socket<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut WebSocket<S>) -> Vec<usize> {
    let mut numbers = Vec::new();
    while numbers.last() != Some(&(MESSAGES - 1)) {
        match socket.next().await {
            Message::Text(text) => numbers.push(number(&text)),
            other => panic!("{other:?} is no message"),
        }
    }
    numbers
}

/// Those that are missing are the ones that were counted, and the client was named.
fn check(server: &mut Server, numbers: &[usize], counter: &str, client: Option<SocketAddr>) {
    assert!(numbers.is_sorted_by(|a, b| a < b), "out of order: {numbers:?}");
    assert!(numbers.len() < MESSAGES, "none was dropped");
    let line = server.wait_for_line(DROPPING);
    assert!(line.contains("WARN") && line.contains("session="), "{line}");
    if let Some(client) = client {
        assert!(line.contains(&client.to_string()), "{line}");
    }
    assert_eq!(server.counted(counter), (MESSAGES - numbers.len()) as u64);
}

/// The only one missing in the middle are those before the newest.
fn is_conflated(numbers: &[usize]) -> bool {
    let gaps = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1);
    gaps.count() > 0 && numbers.last() == Some(&(MESSAGES - 1))
}

#[tokio::test]
async fn the_oldest_are_dropped_for_a_stream() {
    let (mut server, publisher) = start("*,slow=drop-oldest test", &[]);
    let mut client = stream(narrow(server.http).await).await;
    let address = client.stream.local_addr().expect("a socket");
    flood(&publisher).await;
    let numbers = read_stream(&mut client).await;
    check(&mut server, &numbers, "messages_dropped", Some(address));
    // As many of the newest as there is room for.
    let kept = numbers.windows(2).rev().take_while(|pair| pair[1] == pair[0] + 1).count() + 1;
    assert!((80..=100).contains(&kept), "{kept} of {MESSAGE_BYTES} bytes each");
}

#[tokio::test]
async fn messages_are_bounded_by_their_number_too() {
    let arguments = ["--slow-consumer", "drop-oldest", "--outbox-messages", "7"];
    let (mut server, publisher) = start("* test", &arguments);
    let mut client = stream(narrow(server.http).await).await;
    flood(&publisher).await;
    let numbers = read_stream(&mut client).await;
    check(&mut server, &numbers, "messages_dropped", None);
    let kept = numbers.windows(2).rev().take_while(|pair| pair[1] == pair[0] + 1).count() + 1;
    assert!((6..=8).contains(&kept), "{kept} waited");
}

#[tokio::test]
async fn only_the_newest_is_kept_for_a_stream() {
    // What a route says counts.
    let (mut server, publisher) =
        start("*,slow=conflate test", &["--slow-consumer", "drop-oldest"]);
    let mut client = stream(narrow(server.http).await).await;
    flood(&publisher).await;
    let numbers = read_stream(&mut client).await;
    assert!(is_conflated(&numbers), "{numbers:?}");
    check(&mut server, &numbers, "messages_conflated", None);
}

#[tokio::test]
async fn a_client_is_closed_where_nothing_else_is_said() {
    for (route, arguments) in
        [("* test", &[][..]), ("*,slow=close test", &["--slow-consumer", "conflate"])]
    {
        let (mut server, publisher) = start(route, arguments);
        let mut client = stream(narrow(server.http).await).await;
        let address = client.stream.local_addr().expect("a socket").to_string();
        flood(&publisher).await;
        let line = server.wait_for_line(CLOSING);
        assert!(line.contains("WARN") && line.contains(&address), "{line}");
        client.rest().await;
        assert_eq!(server.counted("clients_too_slow"), 1);
    }
}

#[tokio::test]
async fn messages_are_dropped_for_a_websocket() {
    for (word, counter) in [("drop-oldest", "messages_dropped"), ("conflate", "messages_conflated")]
    {
        let (mut server, publisher) = start(&format!("*,slow={word} test"), &[]);
        let stream = narrow(server.http).await;
        let mut socket = WebSocket::over(stream, "/ws?channel=c", &[]).await.expect("accepted");
        flood(&publisher).await;
        let numbers = read_socket(&mut socket).await;
        check(&mut server, &numbers, counter, None);
    }
}

/// A WebSocket with a WebSocket backend is not parked: a task reads from its outbox.
#[tokio::test]
async fn messages_are_dropped_for_a_relayed_websocket_but_not_its_backends() {
    for (word, counter) in [("drop-oldest", "messages_dropped"), ("conflate", "messages_conflated")]
    {
        let mut backend = Backend::manual();
        let (mut server, publisher) = start(&backend.route(&format!("*,slow={word}"), ""), &[]);
        let stream = narrow(server.http).await;
        let grip = "Sec-WebSocket-Extensions: grip\r\n";
        let accepting = async { WebSocket::accept(backend.next().await, grip).await };
        let (client, mut behind) = join!(WebSocket::over(stream, "/ws", &[]), accepting);
        let mut client = client.expect("accepted");
        behind.text(r#"c:{"type":"subscribe","channel":"c"}"#).await;
        behind.text("m:ready").await;
        client.expect_text("ready").await;
        flood(&publisher).await;
        // The client gets it although it comes after messages that are dropped.
        behind.text("m:from the backend").await;
        let (mut numbers, mut heard) = (Vec::new(), false);
        while !(heard && numbers.last() == Some(&(MESSAGES - 1))) {
            match client.next().await {
                Message::Text(text) if text.as_str() == "from the backend" => heard = true,
                Message::Text(text) => numbers.push(number(&text)),
                other => panic!("{other:?} is no message"),
            }
        }
        check(&mut server, &numbers, counter, None);
    }
}

/// A WebSocket whose backend speaks HTTP: what its backend says is not dropped, and waits for room.
#[tokio::test]
async fn what_a_backend_over_http_says_arrives() {
    let subscribe = r#"c:{"type":"subscribe","channel":"c"}"#;
    let mut backend = Backend::manual();
    let route = backend.route("*,slow=drop-oldest", ",over_http");
    let (mut server, publisher) = start(&route, &[]);
    let stream = narrow(server.http).await;
    let opening = async {
        let event = format!("TEXT {:x}\r\n{subscribe}\r\nTEXT 7\r\nm:ready\r\n", subscribe.len());
        backend.next().await.answer(Answer::open(event)).await;
    };
    let (client, ()) = join!(WebSocket::over(stream, "/ws", &[]), opening);
    let mut client = client.expect("accepted");
    client.expect_text("ready").await;
    flood(&publisher).await;
    client.text("ask").await;
    let reading = async {
        let (mut numbers, mut heard) = (Vec::new(), false);
        while !(heard && numbers.last() == Some(&(MESSAGES - 1))) {
            match client.next().await {
                Message::Text(text) if text.as_str() == "answer" => heard = true,
                Message::Text(text) => numbers.push(number(&text)),
                other => panic!("{other:?} is no message"),
            }
        }
        numbers
    };
    let answering = async {
        backend.next().await.answer(Answer::events("TEXT 8\r\nm:answer\r\n")).await;
    };
    let (numbers, ()) = join!(reading, answering);
    check(&mut server, &numbers, "messages_dropped", None);
}

#[tokio::test]
async fn who_follows_ids_is_closed_rather_than_left_with_a_hole() {
    let subscribe = r#"c:{"type":"subscribe","channel":"c","prev-id":"0"}"#;
    let mut backend = Backend::manual();
    let route = backend.route("*,slow=drop-oldest", ",over_http");
    let (mut server, publisher) = start(&route, &[]);
    let stream = narrow(server.http).await;
    let opening = async {
        let event = format!("TEXT {:x}\r\n{subscribe}\r\n", subscribe.len());
        backend.next().await.answer(Answer::open(event)).await;
    };
    let (client, ()) = join!(WebSocket::over(stream, "/ws", &[]), opening);
    let mut client = client.expect("accepted");
    for first in (1..=MESSAGES).step_by(AT_ONCE) {
        let item = |number: usize| {
            let id = json!({ "channel": "c", "id": number.to_string(),
                "prev-id": (number - 1).to_string() });
            let mut item = id.as_object().expect("an object").clone();
            item.insert("formats".into(), json!({ "ws-message": { "content": content(number) } }));
            Value::Object(item)
        };
        publisher.items((first..first + AT_ONCE).map(item).collect::<Vec<Value>>().into()).await;
    }
    server.wait_for_line(CLOSING);
    let mut next = 1;
    while let Some(Ok(Message::Text(text))) = within("the end", client.inner.next()).await {
        assert_eq!(number(&text), next);
        next += 1;
    }
    assert!(next < MESSAGES);
    assert_eq!(server.counted("messages_dropped"), 0);
}

#[tokio::test]
async fn messages_are_dropped_over_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    for (word, counter) in [("drop-oldest", "messages_dropped"), ("conflate", "messages_conflated")]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let names = vec!["one.example".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let key = made.signing_key.serialize_pem();
        std::fs::write(folder.path().join("default.crt"), made.cert.pem()).expect("written");
        std::fs::write(folder.path().join("default.key"), key).expect("written");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        let config = rustls::ClientConfig::builder().with_root_certificates(roots);
        let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
        let certs = folder.path().to_string_lossy().into_owned();
        let arguments = ["--https-port", "0", "--certs", &certs, "--slow-consumer", word];
        let (mut server, publisher) = start("* test", &arguments);

        let connect = async || {
            let stream = narrow(server.https.expect("it serves TLS")).await;
            let name = ServerName::try_from("one.example").expect("a name");
            let connected = within("the TLS handshake", connector.connect(name, stream)).await;
            connected.expect("a handshake")
        };
        let mut client = stream(connect().await).await;
        let address = client.stream.get_ref().0.local_addr().expect("a socket");
        flood(&publisher).await;
        let numbers = read_stream(&mut client).await;
        check(&mut server, &numbers, counter, Some(address));
    }
}
