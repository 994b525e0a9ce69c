//! The program itself: its command line, its exit codes, and what it prints.

use std::process::Output;

use super::harness::server::command;
use super::harness::{Answer, Backend, Client, Publisher, Server, chunk};

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        command().args(arguments).output().expect("the program runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    file
}

#[test]
fn says_its_version_and_its_flags() {
    let (code, out, _) = run(&["--version"]);
    assert_eq!(code, Some(0));
    assert_eq!(out, format!("linchpin {}\n", env!("CARGO_PKG_VERSION")));
    let (code, out, _) = run(&["--help"]);
    assert_eq!(code, Some(0));
    for flag in ["--port", "--https-port", "--bind", "--control", "--routes", "--route", "--strict"]
    {
        assert!(out.contains(flag), "{flag} in {out}");
    }
}

#[test]
fn an_unknown_flag_is_refused() {
    let (code, _, errors) = run(&["--nonsense"]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("--nonsense"), "{errors}");
}

#[test]
fn check_accepts_a_good_file() {
    let good = file("# a comment\n* test\na.example,path_beg=/x 127.0.0.1:80 127.0.0.1:81\n");
    let (code, _, errors) = run(&["check", &good.path().to_string_lossy()]);
    assert_eq!(code, Some(0), "{errors}");
}

#[test]
fn check_shows_every_mistake_with_its_place() {
    let bad = file("* test\na.example nonsense\nb.example,proto=ftp 127.0.0.1:80\nc.example\n");
    let (code, out, errors) = run(&["check", &bad.path().to_string_lossy()]);
    assert!(code.is_some_and(|code| code != 0), "{code:?}");
    let shown = out + &errors;
    for place in [":2:", ":3:", ":4:"] {
        assert!(shown.contains(place), "{place} in {shown}");
    }
    assert!(shown.contains("nonsense") && shown.contains("ftp"), "{shown}");
}

#[test]
fn strict_ends_with_2_on_any_mistake() {
    let bad = file("* test\na.example nonsense\n");
    let path = bad.path().to_string_lossy().into_owned();
    let arguments = ["--strict", "--routes", &path, "--port", "0", "--control", "127.0.0.1:0"];
    let (code, out, errors) = run(&arguments);
    assert_eq!(code, Some(2), "{out}{errors}");
    assert!((out + &errors).contains("nonsense"));
}

#[tokio::test]
async fn a_routes_file_is_used_and_its_bad_lines_are_skipped() {
    let backend = Backend::answering(|request| Answer::ok(&request.target));
    let routes = file(&format!("a.example nonsense\n* {}\n", backend.address));
    let path = routes.path().to_string_lossy().into_owned();
    let mut server = Server::start_with(&[], &["--routes", &path]);
    let mut client = Client::get(server.http, "/from-the-file").await;
    assert_eq!(client.response().await.1, "/from-the-file");
    server.wait_for_line("nonsense");
}

#[tokio::test]
async fn the_compiled_routes_serve_when_nothing_else_is_said() {
    let server = Server::start(&[]);
    let mut client = Client::get(server.http, "/stream").await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("[stream opened]\n"));
}

#[tokio::test]
async fn publish_takes_what_pushpin_publish_takes() {
    let server = Server::route("* test");
    let control = format!("http://{}", server.control);
    let mut client = Client::get(server.http, "/stream?channel=c").await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("[stream opened]\n"));
    let (code, out, errors) = run(&["publish", "--spec", &control, "c", "hello"]);
    assert_eq!((code, out.as_str()), (Some(0), "Published\n"), "{errors}");
    assert_eq!(client.chunk().await, chunk("hello\n"));
    let (code, ..) = run(&["publish", "--spec", &control, "--no-eol", "c", "no line end"]);
    assert_eq!(code, Some(0));
    assert_eq!(client.chunk().await, chunk("no line end"));
    let content = file("from a file");
    let at = format!("@{}", content.path().display());
    assert_eq!(run(&["publish", "--spec", &control, "c", &at]).0, Some(0));
    assert_eq!(client.chunk().await, chunk("from a file"));
    let (code, _, errors) = run(&["publish", "--spec", &control, "c"]);
    assert_eq!((code, errors.as_str()), (Some(1), "Error: must specify content\n"));
    assert_eq!(run(&["publish", "--spec", &control, "--close", "c"]).0, Some(0));
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
}

#[tokio::test]
async fn every_request_has_its_line_in_the_log() {
    let backend = Backend::answering(|_| Answer::ok("hello"));
    let mut server = Server::route(backend.route("*", ""));
    let mut client = Client::get(server.http, "/logged?x=1").await;
    client.response().await;
    let line = server.wait_for_line("/logged?x=1");
    assert!(line.contains("GET"), "{line}");
    assert!(line.contains(&backend.address.to_string()), "{line}");
    assert!(line.contains("200"), "{line}");
}

#[tokio::test]
async fn the_log_is_json_when_asked_for() {
    let mut server = Server::start_with(&["* test".to_owned()], &["--log-format", "json"]);
    let mut client = Client::get(server.http, "/json-please").await;
    client.response().await;
    let line = server.wait_for_line("/json-please");
    let value: serde_json::Value = serde_json::from_str(&line).expect("a line of JSON");
    assert!(value.is_object());
}

#[tokio::test]
async fn workers_share_one_port_and_all_hear_of_a_publish() {
    let server = Server::start_with(&["* test".to_owned()], &["--workers", "4"]);
    let publisher = Publisher::new(&server);
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = Client::get(server.http, "/stream?channel=all").await;
        client.head().await;
        assert_eq!(client.chunk().await, chunk("[stream opened]\n"));
        clients.push(client);
    }
    publisher.stream("all", "to every worker\n").await;
    for client in &mut clients {
        assert_eq!(client.chunk().await, chunk("to every worker\n"));
    }
}
