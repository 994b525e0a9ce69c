//! Streaming transports: xhr_streaming, eventsource, htmlfile.

use super::*;

/// How each of them writes: method, path, beginning, before a frame, after it.
const TRANSPORTS: [(&str, &str, &str, &str); 3] = [
    ("POST", "xhr_streaming", "", "\n"),
    ("GET", "eventsource", "data: ", "\r\n\r\n"),
    ("GET", "htmlfile?c=f", "<script>\np(\"", "\");\n</script>\r\n"),
];

/// A frame as a transport writes it.
fn written((_, path, before, after): (&str, &str, &str, &str), frame: &str) -> String {
    let frame = match path.starts_with("htmlfile") {
        true => frame.replace('"', "\\\""),
        false => frame.to_owned(),
    };
    format!("{before}{frame}{after}")
}

/// The head and the prelude of a streaming answer have come.
async fn begun(stream: &mut Client, path: &str) {
    let head = stream.head().await;
    assert_eq!(head.status, "HTTP/1.1 200 OK");
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert_eq!(head.header("content-length"), None);
    let kind = head.header("content-type").expect("a content type");
    match path.split_once('?').map_or(path, |(path, _)| path) {
        "xhr_streaming" => {
            assert_eq!(kind, "application/javascript; charset=UTF-8");
            stream.expect_content(&format!("{}\n", "h".repeat(2048))).await;
        }
        "eventsource" => {
            assert!(kind.starts_with("text/event-stream"));
            stream.expect_content("\r\n").await;
        }
        _ => {
            assert_eq!(kind, "text/html; charset=UTF-8");
            let page = stream.chunk().await;
            assert!(page.len() > 1024 && String::from_utf8_lossy(&page).contains("parent.f"));
        }
    }
}

#[tokio::test]
async fn each_opens_and_goes_on() {
    let server = echo(&[]);
    for transport in TRANSPORTS {
        let (method, path, ..) = transport;
        let session = Session::new(&server, &format!("s{}", path.len()));
        let mut stream = session.ask(method, path, "").await;
        begun(&mut stream, path).await;
        stream.expect_content(&written(transport, "o")).await;
        for message in ["a", "b", "c"] {
            session.send(&format!("[\"{message}\"]")).await;
            stream.expect_content(&written(transport, &format!("a[\"{message}\"]"))).await;
        }
    }
}

#[tokio::test]
async fn published_messages_come_over_each() {
    let server = echo(&[]);
    let publisher = Publisher::new(&server);
    let mut streams = Vec::new();
    for transport in TRANSPORTS {
        let (method, path, ..) = transport;
        let session = Session::new(&server, &format!("s{}", path.len()));
        let mut stream = session.ask(method, path, "").await;
        begun(&mut stream, path).await;
        stream.expect_content(&written(transport, "o")).await;
        streams.push((transport, stream));
    }
    let mut socket = WebSocket::connect(&server, "/sj/0/s/websocket").await;
    socket.expect_text("o").await;
    let session = Session::open(&server, "polling").await;
    publisher.message("test", "to all").await;
    for (transport, stream) in &mut streams {
        stream.expect_content(&written(*transport, "a[\"to all\"]")).await;
    }
    socket.expect_text("a[\"to all\"]").await;
    assert_eq!(session.poll().await, "a[\"to all\"]\n");
}

#[tokio::test]
async fn an_answer_ends_at_its_limit_and_the_session_goes_on() {
    let server = serve("*,sockjs=/sj,sockjs_as_path=/ws,sockjs_limit=4096 test", &[]);
    for transport in TRANSPORTS {
        let (method, path, ..) = transport;
        let session = Session::new(&server, &format!("s{}", path.len()));
        let mut stream = session.ask(method, path, "").await;
        begun(&mut stream, path).await;
        let open = written(transport, "o");
        stream.expect_content(&open).await;
        let message = "x".repeat(128);
        let frame = written(transport, &format!("a[\"{message}\"]"));
        let count = (4096 - open.len()).div_ceil(frame.len());
        for _ in 0..count {
            session.send(&format!("[\"{message}\"]")).await;
            stream.expect_content(&frame).await;
        }
        stream.expect_end().await;
        session.send("[\"more\"]").await;
        let mut stream = session.ask(method, path, "").await;
        begun(&mut stream, path).await;
        stream.expect_content(&written(transport, "a[\"more\"]")).await;
    }
}

#[tokio::test]
async fn a_close_ends_the_answer() {
    let mut backend = Backend::manual();
    let server = serve(&backend.route("*,sockjs=/sj", ""), &[]);
    for transport in TRANSPORTS {
        let (method, path, ..) = transport;
        let session = Session::new(&server, &format!("s{}", path.len()));
        let mut stream = session.ask(method, path, "").await;
        let (mut behind, _) = accept(&mut backend, "").await;
        begun(&mut stream, path).await;
        stream.expect_content(&written(transport, "o")).await;
        behind.close(3000, "Go away!").await;
        let close = written(transport, "c[3000,\"Go away!\"]");
        stream.expect_content(&close).await;
        stream.expect_end().await;
        let mut again = session.ask(method, path, "").await;
        begun(&mut again, path).await;
        again.expect_content(&close).await;
        again.expect_end().await;
    }
}

#[tokio::test]
async fn over_http_1_0() {
    let server = echo(&[]);
    let session = Session::new(&server, "s");
    let mut stream = Client::connect(server.http).await;
    let head = format!("POST {}/xhr_streaming HTTP/1.0\r\nContent-Length: 0\r\n", session.path);
    stream.send(format!("{head}Connection: keep-alive\r\n\r\n")).await;
    let head = stream.head().await;
    assert_eq!(head.header("transfer-encoding"), None);
    assert_eq!(head.header("content-length"), None);
    assert!(stream.until(b"o\n").await.starts_with(b"hhhh"));
    session.send("[\"x\"]").await;
    assert_eq!(stream.until(b"\n").await, b"a[\"x\"]\n");
}

#[tokio::test]
async fn a_slow_reader_slows_its_backend() {
    let mut backend = Backend::manual();
    let route = backend.route("*,sockjs=/sj,sockjs_limit=100000000", "");
    let server = serve(&route, &[]);
    let session = Session::new(&server, "s");
    let mut stream = session.ask("POST", "xhr_streaming", "").await;
    let (mut behind, _) = accept(&mut backend, "").await;
    begun(&mut stream, "xhr_streaming").await;
    stream.expect_content("o\n").await;
    // Far more than may wait for it; nothing is lost, and the session goes on.
    let message = "x".repeat(20_000);
    let sending = async {
        for number in 0..500 {
            behind.text(&format!("{number}-{message}")).await;
        }
        behind
    };
    let reading = async {
        let mut next = 0;
        while next < 500 {
            let chunk = String::from_utf8(stream.chunk().await).unwrap();
            let frame = chunk.split("\r\n").nth(1).unwrap();
            let messages: Vec<String> = serde_json::from_str(frame[1..].trim_end()).unwrap();
            for text in messages {
                assert!(text == format!("{next}-{message}"), "{next}");
                next += 1;
            }
        }
    };
    let (mut behind, ()) = join!(sending, reading);
    session.send("[\"still there\"]").await;
    behind.expect_text("still there").await;
}
