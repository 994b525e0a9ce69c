//! The log: how lines look, whose they are, where they go, and that files can be rotated.

use std::fs;

use super::harness::{Answer, Backend, Client, Publisher, Server, within};

fn named(name: &'static str) -> Backend {
    Backend::answering(move |_| Answer::ok(name))
}

async fn get(server: &Server, path: &str) {
    Client::get(server.http, path).await.response().await;
}

/// Waits until a file has a line, and gives the file.
async fn file_with(path: &std::path::Path, line: &str) -> String {
    within(&format!("{line:?} in {}", path.display()), async {
        loop {
            let text = fs::read_to_string(path).unwrap_or_default();
            if text.contains(line) {
                return text;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

#[tokio::test]
async fn lines_look_as_pushpins_do() {
    let backend = named("ok");
    let mut server = Server::route(backend.route("*", ""));
    get(&server, "/seen").await;
    let line = server.wait_for_line("/seen");
    // [INFO] 2026-01-01 00:00:00.000 [proxy] GET http://a.example/seen -> ...
    let (time, rest) = line.split_at(30);
    let shape: String = time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "[INFO] 0000-00-00 00:00:00.000");
    assert!(rest.starts_with(" [proxy] GET http://a.example/seen -> "), "{rest}");
    server.terminate();
    assert!(server.wait_for_line("stopping...").contains(" [runner] stopping..."));
}

#[tokio::test]
async fn each_part_has_its_level() {
    let backend = named("ok");
    let mut server =
        Server::start_with(&[backend.route("*", "")], &["--log-level", "2,proxy:1,zurl:3"]);
    server.wait_for_line("there is no component zurl");
    get(&server, "/quiet").await;
    server.terminate();
    server.wait_for_line("counters:");
    server.exit_code(std::time::Duration::from_secs(20));
    assert!(!server.has_printed("/quiet"));
}

#[tokio::test]
async fn each_part_has_its_file_and_files_are_rotated() {
    let backend = named("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let logs = folder.path().join("not/yet");
    let path = logs.to_string_lossy().into_owned();
    let mut server = Server::start_with(&[backend.route("*", "")], &["--logdir", &path]);
    let (log, rotated) = (logs.join("pushpin-proxy.log"), logs.join("pushpin-proxy.log.1"));
    let mut number = 0;
    for round in 0..3 {
        for _ in 0..20 {
            get(&server, &format!("/{number}.")).await;
            number += 1;
        }
        if round == 1 {
            file_with(&log, "/0.").await;
            fs::rename(&log, &rotated).expect("renamed");
        }
    }
    // Until it is told, the server goes on writing to the old file.
    let mut old = String::new();
    for number in 0..number {
        // The worker of one may be later than that of the next.
        old = file_with(&rotated, &format!("/{number}. ")).await;
    }
    assert!(!log.exists());
    server.hang_up();
    server.wait_for_line("reloading");
    within("the new file", async {
        while !log.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    get(&server, "/new.").await;
    let new = file_with(&log, "/new.").await;
    for number in 0..number {
        assert_eq!(old.matches(&format!("/{number}. ")).count(), 1, "{number}");
    }
    let line = new.lines().next().expect("a line");
    assert!(line.starts_with("[INFO] ") && !line.contains("[proxy]"), "{line}");
    assert!(logs.join("connmgr.log").exists() && logs.join("pushpin-handler.log").exists());
    server.terminate();
    server.exit_code(std::time::Duration::from_secs(20));
    assert!(!server.has_printed("/new."));
}

#[tokio::test]
async fn a_full_disk_holds_up_nobody_and_is_told_once() {
    let backend = named("ok");
    let mut server =
        Server::start_with(&[backend.route("*", "")], &["--logfile", "/dev/full", "--verbose"]);
    for number in 0..5 {
        get(&server, &format!("/{number}.")).await;
    }
    server.wait_for_line("cannot write the log to /dev/full: No space left on device");
    get(&server, "/again").await;
    server.terminate();
    assert_eq!(server.exit_code(std::time::Duration::from_secs(20)), Some(0));
    let told = server.printed().iter().filter(|line| line.contains("cannot write"));
    assert_eq!(told.count(), 1);
}

#[tokio::test]
async fn published_and_subscribed_are_told_in_pushpins_words() {
    let route = ["* test".to_owned(), "quiet.example,log_level=1 test".to_owned()];
    let mut server = Server::start_with(&route, &[]);
    let publisher = Publisher::new(&server);
    let mut streams = Vec::new();
    for number in 0..5 {
        let mut client = Client::get(server.http, "/stream?channel=told").await;
        client.head().await;
        client.chunk().await;
        streams.push(client);
        // Each of them is on some worker: the line is about all.
        publisher.stream("told", "x\n").await;
        server.wait_for_line(&format!("[handler] publish channel=told receivers={}", number + 1));
    }
    let line = server.wait_for_line("subscribe ");
    assert!(
        line.ends_with("[handler] subscribe http://a.example/stream?channel=told channel=told")
    );
    publisher.stream("nobody", "x\n").await;
    server.wait_for_line("publish channel=nobody receivers=0");
    server.wait_for_line("[handler] http control server: 127.0.0.1:");
    server.wait_for_line("[connmgr] listening on 127.0.0.1:");
    // A route that is quiet says nothing of its subscriptions.
    let mut quiet = Client::connect(server.http).await;
    quiet.send("GET /stream?channel=hush HTTP/1.1\r\nHost: quiet.example\r\n\r\n").await;
    quiet.head().await;
    publisher.stream("hush", "x\n").await;
    server.wait_for_line("publish channel=hush receivers=1");
    assert!(!server.has_printed("channel=hush channel=hush"));
}

#[tokio::test]
async fn one_file_has_all() {
    let backend = named("ok");
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("all.log");
    fs::write(&log, "what was there\n").expect("written");
    let (file, nowhere) = (log.to_string_lossy().into_owned(), folder.path().join("none"));
    let arguments = ["--logfile", &file, "--logdir", &nowhere.to_string_lossy(), "-m", "--verbose"];
    let mut server = Server::start_with(&[backend.route("*", "")], &arguments);
    get(&server, "/seen").await;
    file_with(&log, "[proxy] GET http://a.example/seen").await;
    server.terminate();
    server.exit_code(std::time::Duration::from_secs(20));
    let text = fs::read_to_string(&log).expect("there");
    assert!(text.starts_with("what was there\n[") && text.contains("counters:"), "{text}");
    assert!(!nowhere.exists());
}
