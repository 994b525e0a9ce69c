//! Clients over Unix sockets: what they can do, how they are spread, and the file itself.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::net::UnixStream;

use super::harness::server::command;
use super::harness::{Answer, Backend, Client, Publisher, Server, WebSocket, within};

struct Local {
    server: Server,
    path: PathBuf,
    folder: tempfile::TempDir,
}

/// A server with a Unix socket, beside the port that every test has.
fn start(routes: &[String], query: &str, more: &[&str]) -> Local {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("clients.sock");
    let place = format!("unix:{}{query}", path.display());
    let server = Server::start_with(routes, &[&["--local-ports", &place], more].concat());
    Local { server, path, folder }
}

impl Local {
    async fn connect(&self) -> Client<UnixStream> {
        let stream = within("the server to accept", UnixStream::connect(&self.path)).await;
        Client::over(stream.expect("the server accepts"))
    }

    async fn get(&self, target: &str) -> Client<UnixStream> {
        let mut client = self.connect().await;
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
        client
    }
}

fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = command();
    command.args(["--http-port", "", "--control", "127.0.0.1:0", "--route", "* test"]);
    let output = command.args(arguments).output().expect("it runs");
    (output.status.code(), String::from_utf8(output.stderr).expect("text"))
}

#[tokio::test]
async fn a_long_poll_is_held_answered_and_followed_by_the_next() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/poll" => Answer::hold("response", "p", "nothing yet\n"),
        _ => Answer::ok("plain\n"),
    });
    let mut local = start(&[backend.route("*", "")], "", &[]);
    let publisher = Publisher::new(&local.server);
    let mut client = local.get("/poll").await;
    for _ in 0..2 {
        let formats = json!({ "http-response": { "body": "published\n" } });
        let hears = tokio::sync::Mutex::new(&mut client);
        publisher.until("p", formats, || async { hears.lock().await.hears().await }).await;
        assert_eq!(client.response().await.1, "published\n");
        client.send("GET /poll HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    }
    let formats = json!({ "http-response": { "body": "again\n" } });
    let hears = tokio::sync::Mutex::new(&mut client);
    publisher.until("p", formats, || async { hears.lock().await.hears().await }).await;
    assert_eq!(client.response().await.1, "again\n");
    client.send("GET /plain HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(client.response().await.1, "plain\n");
    assert!(local.server.counted("connections_parked") >= 3);
}

#[tokio::test]
async fn streams_and_web_sockets_are_served() {
    let routes = ["* test".to_owned()];
    let local = start(&routes, "", &[]);
    let publisher = Publisher::new(&local.server);
    let mut stream = local.get("/stream?channel=c").await;
    stream.head().await;
    stream.chunk().await;
    let socket = UnixStream::connect(&local.path).await.expect("the server accepts");
    let mut socket = WebSocket::over(socket, "/ws?channel=c", &[]).await.expect("a WebSocket");
    socket.text("hello").await;
    socket.expect_text("hello").await;
    let large = "x".repeat(300_000);
    for content in ["one", "two", &large] {
        publisher.stream("c", content).await;
        publisher.message("c", content).await;
    }
    for content in ["one", "two", &large] {
        stream.expect_content(content).await;
        socket.expect_text(content).await;
    }
    socket.close(1000, "").await;
    socket.expect_close(1000, "").await;
}

#[tokio::test]
async fn there_is_no_address_to_tell_of() {
    let mut backend = Backend::answering(|_| Answer::ok("ok"));
    let options = ["--x-forwarded-for", "append", "--log-from"];
    let local = start(&[backend.route("*", "")], "", &options);
    let mut client = local.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n").await;
    client.response().await;
    assert_eq!(backend.seen().await.header("x-forwarded-for"), Some("1.2.3.4"));
}

#[tokio::test]
async fn every_thread_gets_as_many_as_the_others() {
    let routes = ["* test".to_owned()];
    let mut local = start(&routes, "", &["--workers", "4"]);
    let publisher = Publisher::new(&local.server);
    let mut streams = Vec::new();
    for _ in 0..40 {
        let mut client = local.get("/stream").await;
        client.head().await;
        client.chunk().await;
        streams.push(client);
    }
    publisher.stream("test", "to all\n").await;
    for client in &mut streams {
        client.expect_content("to all\n").await;
    }
    // A fourth stays with the thread that accepts.
    assert_eq!(local.server.counted("connections_dealt"), 30);
}

/// Each thread is given clients by the one that accepts, and has its bound all the same.
#[tokio::test]
async fn silent_clients_do_not_keep_others_out() {
    let routes = ["* test".to_owned()];
    let options = ["--workers", "4", "--handshakes-max", "8", "--handshake-timeout", "600000"];
    let mut local = start(&routes, "", &options);
    let mut silent = Vec::new();
    for _ in 0..24 {
        silent.push(local.connect().await);
    }
    for mut client in silent.drain(..12) {
        client.expect_closed().await;
    }
    local.get("/").await.response().await;
    assert!(local.server.counted("handshakes_dropped") >= 12);
}

#[tokio::test]
async fn they_count_as_connections() {
    let routes = ["* test".to_owned()];
    let local = start(&routes, "", &["--workers", "3", "--client-maxconn", "4"]);
    let mut served = Vec::new();
    for _ in 0..4 {
        let mut client = local.get("/stream").await;
        client.head().await;
        served.push(client);
    }
    let mut waiting = local.get("/").await;
    let mut other = Client::get(local.server.http, "/").await;
    assert!(!waiting.hears().await && !other.hears().await, "there was no room for them");
    served.truncate(2);
    waiting.response().await;
    other.response().await;
}

#[tokio::test]
async fn the_file_is_as_it_is_wanted_and_goes_with_the_server() {
    let user = rustix::process::geteuid().as_raw();
    let query = format!("?mode=620&user={user}&group={}", rustix::process::getegid().as_raw());
    let mut local = start(&["* test".to_owned()], &query, &[]);
    let found = std::fs::symlink_metadata(&local.path).expect("it is there");
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o620);
    local.server.terminate();
    assert_eq!(local.server.exit_code(Duration::from_secs(10)), Some(0));
    assert!(!local.path.exists());
}

#[tokio::test]
async fn only_a_socket_of_the_dead_is_replaced() {
    let local = start(&["* test".to_owned()], "", &[]);
    let path = local.path.display().to_string();
    let (code, text) = fails(&["--local-ports", &path]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains(&format!("cannot listen on {path}: another process is")), "{text}");
    let Local { server, path: socket, folder } = local;
    // Killed: the file stays.
    drop(server);
    assert!(socket.exists());
    let again = Server::start_with(&["* test".to_owned()], &["--local-ports", &path]);
    let stream = UnixStream::connect(&socket).await.expect("it listens");
    let mut client = Client::over(stream);
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.response().await;
    drop((again, folder));
}

#[test]
fn what_cannot_be_made_is_not_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let one = folder.path().join("one").display().to_string();
    let two = format!("{}?group=no-such-group", folder.path().join("two").display());
    let (code, text) = fails(&["--local-ports", &format!("{one},{two}")]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("there is no group 'no-such-group'"), "{text}");
    assert!(!Path::new(&one).exists() && !folder.path().join("two").exists());
    let (code, text) = fails(&["--local-ports", &format!("{one}?mode=999")]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("invalid mode '999'"), "{text}");
}
