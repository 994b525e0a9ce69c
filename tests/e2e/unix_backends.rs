//! Backends behind unix sockets: HTTP over connections that are kept, WebSockets, and what happens
//! when nobody is there.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;

use tokio::sync::mpsc;

use super::harness::{Client, Server, WebSocket, within};

/// Answers every request with `ok`; says which connection each came over, and its head.
fn serve(path: &Path) -> mpsc::UnboundedReceiver<(usize, String)> {
    let listener = UnixListener::bind(path).expect("a socket");
    let (told, seen) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let (told, mut stream) = (told.clone(), stream.expect("a connection"));
            std::thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while matches!(stream.read(&mut byte), Ok(1)) {
                    head.push(byte[0]);
                    if head.ends_with(b"\r\n\r\n") {
                        let text = String::from_utf8(std::mem::take(&mut head)).expect("text");
                        // The test may be over.
                        let _ = told.send((number, text));
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                        let _ = stream.write_all(answer);
                    }
                }
            });
        }
    });
    seen
}

#[tokio::test]
async fn requests_go_over_a_unix_socket_and_its_connections_are_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.sock");
    let mut seen = serve(&path);
    let routes = [format!("* unix:{}", path.display())];
    let server = Server::start_with(&routes, &["--workers", "1"]);
    let mut client = Client::connect(server.http).await;
    for target in ["/a", "/b"] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
        assert_eq!(client.response().await.1, "ok");
        let (connection, head) = within("the request", seen.recv()).await.expect("a request");
        assert_eq!(connection, 0);
        let lines: Vec<&str> = head.lines().take(2).collect();
        assert_eq!(lines, [format!("GET {target} HTTP/1.1"), "Host: a.example".to_owned()]);
    }
}

#[tokio::test]
async fn websockets_go_over_a_unix_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("app.sock").display().to_string();
    let _behind = Server::start_with(&["* test".to_owned()], &["--local-ports", &path]);
    let server = Server::route(format!("* unix:{path}"));
    let mut socket = WebSocket::connect(&server, "/ws").await;
    socket.text("hello").await;
    socket.expect_text("hello").await;
}

#[tokio::test]
async fn where_nobody_listens_the_next_target_is_tried() {
    let folder = tempfile::tempdir().expect("a folder");
    let (gone, there) = (folder.path().join("gone.sock"), folder.path().join("there.sock"));
    drop(UnixListener::bind(&gone).expect("a socket"));
    let missing = folder.path().join("missing.sock");
    let _seen = serve(&there);
    let name = |path: &Path| format!("unix:{}", path.display());
    let routes = [
        format!("a.example {} {} {}", name(&gone), name(&missing), name(&there)),
        format!("b.example {} {}", name(&gone), name(&missing)),
    ];
    let mut server = Server::start_with(&routes, &["--debug"]);
    let mut client = Client::connect(server.http).await;
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(client.response().await.1, "ok");
    client.send("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n").await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 502 Bad Gateway");
    let tried = format!("{}, {}", name(&gone), name(&missing));
    assert_eq!(body, format!("Unable to connect to any targets. Tried: {tried}\n"));
    let line = server.wait_for_line("connect refused");
    assert!(line.contains(&name(&gone)), "{line}");
}
