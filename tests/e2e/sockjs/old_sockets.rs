//! WebSockets older than their RFC, which only SockJS takes: the protocol known as hixie-76, and
//! drafts 7 and 8. The SockJS protocol's own test suite has more of it.

use super::*;

const NONCE: &str = "Tm[K T2u";
const PROOF: &[u8] = b"fQJ,fN/4F4!~K~MH";

/// The handshake that the draft shows, up to the nonce.
fn elder(path: &str) -> String {
    [
        &format!("GET {path} HTTP/1.1"),
        "Host: example.com",
        "Connection: Upgrade",
        "Upgrade: WebSocket",
        "Origin: http://example.com",
        "Sec-WebSocket-Key1: 18x 6]8vM;54 *(5:  {   U1]8  z [  8",
        "Sec-WebSocket-Key2: 1_ tx7X d  <  nw  334J702) 7]o}` 0",
        "\r\n",
    ]
    .join("\r\n")
}

#[tokio::test]
async fn hixie_76_with_frames_and_raw() {
    let server = echo(&[]);
    for (path, open, said, heard) in [
        ("/sj/000/s/websocket?q=1", "\0o\u{ff}", "[\"a\"]", "a[\"a\"]"),
        ("/sj/websocket", "", "ab\u{2028}c", "ab\u{2028}c"),
    ] {
        let mut client = Client::connect(server.http).await;
        client.send(elder(path)).await;
        // The head comes before the nonce is there, as proxies of that time needed it.
        let head = client.head().await;
        assert_eq!(head.status, "HTTP/1.1 101 Switching Protocols");
        let expected = [
            ("upgrade", "WebSocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-origin", "http://example.com"),
            ("sec-websocket-location", &format!("ws://example.com{path}")),
        ];
        for (name, value) in expected {
            assert_eq!(head.header(name), Some(value), "{name}");
        }
        assert_eq!(head.header("sec-websocket-accept"), None);
        client.send(NONCE).await;
        assert_eq!(client.exactly(16).await, PROOF);
        let open: Vec<u8> = open.chars().map(|c| c as u8).collect();
        assert_eq!(client.exactly(open.len()).await, open);

        let frame = |text: &str| [b"\0", text.as_bytes(), b"\xff"].concat();
        client.send(frame(said)).await;
        let heard = frame(heard);
        assert_eq!(client.exactly(heard.len()).await, heard);

        client.send(b"\xff\x00").await;
        assert_eq!(client.exactly(2).await, b"\xff\x00");
        client.expect_closed().await;
    }
}

#[tokio::test]
async fn hixie_76_with_the_nonce_at_once_and_a_published_close() {
    let server = echo(&[]);
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    client.send(elder("/sj/000/s/websocket") + NONCE).await;
    client.head().await;
    assert_eq!(client.exactly(19).await, [PROOF, b"\0o\xff"].concat());
    publisher.message("test", "hello").await;
    assert_eq!(client.exactly(12).await, b"\0a[\"hello\"]\xff");
    let close = json!({ "ws-message": { "action": "close", "code": 3000, "reason": "Go away!" } });
    publisher.formats("test", close).await;
    assert_eq!(client.exactly(22).await, b"\0c[3000,\"Go away!\"]\xff\xff\x00");
    client.expect_closed().await;
}

#[tokio::test]
async fn hixie_76_is_dropped_for_what_is_no_frame_and_refused_elsewhere() {
    let server = Server::start_with(
        &["*,path_beg=/sj,sockjs=/sj,sockjs_as_path=/ws test".into(), "* test".into()],
        &[],
    );
    let mut client = Client::connect(server.http).await;
    client.send(elder("/sj/websocket") + NONCE).await;
    client.head().await;
    assert_eq!(client.exactly(16).await, PROOF);
    client.send(b"\x81\x01a").await;
    client.expect_closed().await;

    let mut client = Client::connect(server.http).await;
    client.send(elder("/ws")).await;
    assert_eq!(client.head().await.status, "HTTP/1.1 400 Bad Request");
}

#[tokio::test]
async fn drafts_are_asked_of_backends_as_the_rfc() {
    for version in ["7", "8"] {
        let mut backend = Backend::manual();
        let server = serve(&backend.route("*,sockjs=/sj", ""), &[]);
        let mut client = Client::connect(server.http).await;
        let head = [
            "GET /sj/000/s/websocket HTTP/1.1",
            "Host: example.com",
            "Connection: keep-alive, Upgrade",
            "Upgrade: websocket",
            &format!("Sec-WebSocket-Version: {version}"),
            "Sec-WebSocket-Origin: http://asd",
            "Sec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==",
            "\r\n",
        ];
        client.send(head.join("\r\n")).await;
        let (_socket, request) = accept(&mut backend, "").await;
        assert_eq!(request.header("sec-websocket-version"), Some("13"));
        assert_eq!(request.header("origin"), Some("http://asd"));
        assert_eq!(request.header("sec-websocket-origin"), None);
        let head = client.head().await;
        assert_eq!(head.status, "HTTP/1.1 101 Switching Protocols");
        assert_eq!(head.header("sec-websocket-accept"), Some("HSmrc0sMlYUkAGmm5OPpG2HaGWk="));
        assert_eq!(client.exactly(3).await, b"\x81\x01o");
    }
}
