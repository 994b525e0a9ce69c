//! The routes file changes while the server runs: what is new counts, what is held stays, and what
//! is wrong changes nothing.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use super::harness::websocket::WebSocket;
use super::harness::{Answer, Backend, Client, Publisher, Server, chunk, within};

/// A folder with a routes file, and a server that uses it.
struct Reloading {
    server: Server,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

/// So long after a change the file is read; long enough to see that it is not read before.
const DELAY: &str = "200";

fn start(routes: &str, arguments: &[&str]) -> Reloading {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("routes");
    fs::write(&file, routes).expect("written");
    let server = serving(&file, arguments);
    Reloading { server, file, _folder: folder }
}

fn serving(file: &Path, arguments: &[&str]) -> Server {
    let path = file.to_string_lossy().into_owned();
    let mut all = [&["--routes", &path], arguments].concat();
    if !arguments.contains(&"--reload-delay") {
        all.extend(["--reload-delay", DELAY]);
    }
    Server::start_with(&[], &all)
}

fn named(name: &'static str) -> Backend {
    Backend::answering(move |_| Answer::ok(name))
}

/// What a client gets: the backend's name, or why there is none.
async fn get(server: &Server) -> String {
    let mut client = Client::get(server.http, "/").await;
    client.response().await.1
}

/// Waits until all workers answer like this.
async fn until(server: &Server, expected: &str) {
    within(&format!("{expected:?}"), async {
        let mut in_a_row = 0;
        while in_a_row < 30 {
            in_a_row = if get(server).await == expected { in_a_row + 1 } else { 0 };
        }
    })
    .await;
}

/// Waits for this many milliseconds' worth of requests that are all answered like this.
async fn stays(server: &Server, expected: &str, milliseconds: u64) {
    let mut steps = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..milliseconds / 20 {
        steps.tick().await;
        assert_eq!(get(server).await, expected);
    }
}

const NO_ROUTE: &str = "Route not found\n";

#[tokio::test]
async fn written_replaced_removed_and_made_again() {
    let (one, two) = (named("one"), named("two"));
    let mut reloading = start(&one.route("*", ""), &[]);
    let (server, file) = (&mut reloading.server, &reloading.file);
    assert_eq!(get(server).await, "one");
    fs::write(file, two.route("*", "")).expect("written");
    server.wait_for_line("routes file changed, reloading");
    until(server, "two").await;
    let aside = file.with_extension("new");
    fs::write(&aside, one.route("*", "")).expect("written");
    fs::rename(&aside, file).expect("renamed");
    until(server, "one").await;
    server.forget_lines();
    fs::remove_file(file).expect("removed");
    let line = server.wait_for_line("unable to open routes file: ");
    assert!(line.contains(&*file.to_string_lossy()), "{line}");
    stays(server, "one", 100).await;
    server.forget_lines();
    fs::write(file, "").expect("written");
    server.wait_for_line("routes loaded with 0 entries");
    until(server, NO_ROUTE).await;
    fs::write(file, format!("{}\n{}\n", one.route("b", ""), two.route("*", ""))).expect("written");
    server.wait_for_line("routes loaded with 2 entries");
    until(server, "two").await;
}

#[tokio::test]
async fn a_file_that_is_missing_at_the_start_may_come_later() {
    let backend = named("late");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("not/yet/routes");
    let mut server = serving(&file, &[]);
    server.wait_for_line("unable to open routes file: ");
    assert_eq!(get(&server).await, NO_ROUTE);
    fs::create_dir_all(file.parent().expect("a folder")).expect("made");
    fs::write(&file, backend.route("*", "")).expect("written");
    until(&server, "late").await;
}

#[tokio::test]
async fn a_volume_of_kubernetes_is_followed() {
    let (one, two) = (named("one"), named("two"));
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    for (version, backend) in [("..1", &one), ("..2", &two)] {
        fs::create_dir(at(version)).expect("made");
        fs::write(at(version).join("routes"), backend.route("*", "")).expect("written");
    }
    symlink("..1", at("..data")).expect("linked");
    symlink("..data/routes", at("routes")).expect("linked");
    let server = serving(&at("routes"), &[]);
    until(&server, "one").await;
    symlink("..2", at("..data_tmp")).expect("linked");
    fs::rename(at("..data_tmp"), at("..data")).expect("renamed");
    fs::remove_dir_all(at("..1")).expect("removed");
    until(&server, "two").await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_is_explained() {
    let (one, two) = (named("one"), named("two"));
    let mut reloading = start(&one.route("*", ""), &[]);
    let (server, file) = (&mut reloading.server, &reloading.file);
    server.forget_lines();
    let broken = format!("{}\nb.example,proto=ftp {}\n", two.route("*", ""), two.address);
    fs::write(file, broken).expect("written");
    let line = server.wait_for_line("proto must be set to 'http' or 'ws'");
    assert!(line.contains(&format!("{}:2: ", file.display())), "{line}");
    server.wait_for_line("^^^ expected `http` or `ws`");
    server.wait_for_line("the routes in use stay");
    stays(server, "one", 100).await;
    // What is only doubtful serves.
    fs::write(file, two.route("*,colour=red", "")).expect("written");
    until(server, "two").await;
    server.wait_for_line("unknown condition property `colour`");
    assert_eq!(reloading.server.counted("routes_refused"), 1);
}

#[tokio::test]
async fn with_strict_a_doubtful_file_changes_nothing_either() {
    let (one, two) = (named("one"), named("two"));
    let mut reloading = start(&one.route("*", ""), &["--strict"]);
    fs::write(&reloading.file, two.route("*,colour=red", "")).expect("written");
    reloading.server.wait_for_line("the routes in use stay");
    stays(&reloading.server, "one", 100).await;
}

#[tokio::test]
async fn a_file_that_is_being_written_does_not_count_yet() {
    let one = named("one");
    let line = one.route("*", "");
    let reloading = start(&line, &["--reload-delay", "5000"]);
    // Half of it would be a file without a line for this host.
    let mut steps = tokio::time::interval(Duration::from_millis(50));
    let mut text = String::new();
    for number in 0..12 {
        steps.tick().await;
        writeln!(text, "h{number}.example {}", one.address).expect("a String takes all");
        fs::write(&reloading.file, &text).expect("written");
        assert_eq!(get(&reloading.server).await, "one", "after {number} lines");
    }
    let Reloading { mut server, file, _folder } = reloading;
    server.forget_lines();
    fs::write(&file, text + &line).expect("written");
    server.wait_for_line("routes loaded with 13 entries");
    until(&server, "one").await;
}

#[tokio::test]
async fn sighup_reads_at_once() {
    let (one, two) = (named("one"), named("two"));
    let mut reloading = start(&one.route("*", ""), &["--reload-delay", "3600000"]);
    let (server, file) = (&mut reloading.server, &reloading.file);
    fs::write(file, two.route("*", "")).expect("written");
    server.wait_for_line("routes file changed, reloading");
    stays(server, "one", 40).await;
    server.forget_lines();
    server.hang_up();
    server.wait_for_line("reloading");
    server.wait_for_line("routes loaded with 1 entries");
    until(server, "two").await;
}

#[tokio::test]
async fn sighup_without_a_file_does_no_harm() {
    let one = named("one");
    let mut server = Server::route(one.route("*", ""));
    server.hang_up();
    server.wait_for_line("the routes stay");
    assert_eq!(get(&server).await, "one");
}

#[tokio::test]
async fn keys_of_files_are_read_anew() {
    let mut backend = named("signed");
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    // In hexadecimal: `first`, later `second`.
    fs::write(at("key"), "6669727374").expect("written");
    fs::write(at("routes"), backend.route("*,sig_key=file:key", "")).expect("written");
    let mut server = serving(&at("routes"), &[]);
    let mut is_signed_by = async |server: &Server, key: &str| {
        get(server).await;
        let request = backend.seen().await;
        let token = request.header("Grip-Sig").expect("signed");
        let key = jsonwebtoken::DecodingKey::from_secret(key.as_bytes());
        let rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
        jsonwebtoken::decode::<serde_json::Value>(token, &key, &rules).is_ok()
    };
    assert!(is_signed_by(&server, "first").await);
    fs::write(at("key"), "7365636f6e64").expect("written");
    server.forget_lines();
    server.hang_up();
    server.wait_for_line("routes loaded with 1 entries");
    within("the other key", async { while !is_signed_by(&server, "second").await {} }).await;
}

#[tokio::test]
async fn what_is_held_stays() {
    let mut backend = Backend::manual();
    let other = named("other");
    let routes = backend.route("*", "\n*,proto=ws test\n");
    let mut reloading = start(&routes, &[]);
    let (server, file) = (&mut reloading.server, &reloading.file);
    let publisher = Publisher::new(server);
    let mut poll = Client::get(server.http, "/poll").await;
    backend.answer("/poll", Answer::hold("response", "p", "timed out\n")).await;
    let mut stream = Client::get(server.http, "/stream").await;
    backend.answer("/stream", Answer::hold("stream", "s", "open\n")).await;
    stream.head().await;
    assert_eq!(stream.chunk().await, chunk("open\n"));
    let mut waiting = Client::get(server.http, "/slow").await;
    let slow = backend.next().await;
    let mut socket = WebSocket::connect(server, "/ws?channel=w").await;
    server.forget_lines();
    fs::write(file, other.route("*", "")).expect("written");
    server.wait_for_line("routes loaded with 1 entries");
    until(server, "other").await;
    slow.answer(Answer::ok("slow")).await;
    assert_eq!(waiting.response().await.1, "slow");
    socket.text("hello").await;
    socket.expect_text("hello").await;
    publisher.message("w", "published").await;
    socket.expect_text("published").await;
    publisher.stream("s", "still here\n").await;
    assert_eq!(stream.chunk().await, chunk("still here\n"));
    let formats = json!({ "http-response": { "body": "published\n" } });
    publisher.formats("p", formats).await;
    assert_eq!(poll.response().await.1, "published\n");
}

#[tokio::test]
async fn many_reloads_leave_nothing_behind() {
    let one = named("one");
    let mut routes = one.route("*", "\n");
    for number in 0..2_000 {
        writeln!(routes, "h{number}.example,id=i{number},prefix=p{number} {}", one.address)
            .expect("a String takes all");
    }
    let mut reloading = start(&routes, &["--workers", "1"]);
    let server = &mut reloading.server;
    let mut before = 0;
    for round in 0..120 {
        server.forget_lines();
        server.hang_up();
        server.wait_for_line("routes loaded with 2001 entries");
        assert_eq!(get(server).await, "one");
        if round == 20 {
            before = server.resident_bytes();
        }
    }
    // A table has about a megabyte.
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes more after a hundred reloads");
    assert!(server.counted("routes_loaded") >= 120);
}
