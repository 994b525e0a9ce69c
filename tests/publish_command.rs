//! `linchpin publish` against the control API: what one writes, the other takes.

#![allow(clippy::unwrap_used)]

use std::process::ExitCode;
use std::rc::Rc;

use clap::Parser;
use linchpin::publish::command::{PublishArgs, run};
use linchpin::publish::http::{Settings, serve};
use linchpin::publish::publisher::Publisher;
use linchpin::shard::mailbox::{Command, mailbox};
use linchpin::stats::Stats;
use tokio::sync::watch;

#[derive(Parser)]
struct Program {
    #[command(flatten)]
    args: PublishArgs,
}

/// Runs the command; its exit code (as text, for it cannot be compared) and what it printed.
fn publish(words: &[&str]) -> (String, String, String) {
    let words = [&["publish"], words].concat();
    let args = Program::try_parse_from(words).map(|program| program.args).unwrap();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = format!("{:?}", run(&args, &mut out, &mut err));
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// A control API with one shard in a thread of its own: its URL, and a closure that stops it and
/// gives all items that it took, for `Debug`.
fn api() -> (String, impl FnOnce() -> Vec<String>) {
    let (told, address) = std::sync::mpsc::channel();
    let (stop, stopped) = watch::channel(false);
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            let (mailbox, mut inbox) = mailbox();
            let publisher = Publisher::new(vec![mailbox], Default::default(), Default::default());
            let stats = Rc::new(Stats::default());
            serve(listener, publisher, Settings::default(), stats, stopped).await;
            let mut items = Vec::new();
            while let Some(Command::Publish(published)) = inbox.try_recv() {
                items.extend(published.iter().map(|item| format!("{item:?}")));
            }
            items
        })
    });
    let url = format!("http://{}", address.recv().unwrap());
    let finish = move || {
        stop.send(true).unwrap();
        server.join().unwrap()
    };
    (url, finish)
}

#[test]
fn every_kind_of_item_is_accepted() {
    let (url, finish) = api();
    let rows: [&[&str]; 7] = [
        &["c", "hello"],
        &["c", "hello", "--id", "2", "--prev-id", "1", "--sender", "me", "-M", "a=b", "--no-seq"],
        &["c", "hello", "--code", "404", "-H", "X-A: b", "--no-eol"],
        &["c", "--hint"],
        &["c", "--close"],
        &["c", "--patch", r#"[{"op":"add","path":"/a","value":1}]"#],
        &["", ""],
    ];
    for words in rows {
        let words = [words, &["--spec", &url]].concat();
        let (code, out, err) = publish(&words);
        assert_eq!((out.as_str(), err.as_str()), ("Published\n", ""), "{words:?}");
        assert_eq!(code, format!("{:?}", ExitCode::SUCCESS));
    }
    let items = finish();
    assert_eq!(items.len(), rows.len());
    assert!(items.iter().all(|item| item.starts_with("Item { channel: ChannelName {")));
}

#[test]
fn a_refusal_is_told() {
    let (url, finish) = api();
    let failure = format!("{:?}", ExitCode::FAILURE);
    let elsewhere = format!("{url}/elsewhere");
    let told = publish(&["c", "x", "--spec", &elsewhere]);
    assert_eq!(told, (failure.clone(), String::new(), "Error: Not Found\n".into()));
    let told = publish(&["c", "--spec", &url]);
    assert_eq!(told, (failure, String::new(), "Error: must specify content\n".into()));
    assert!(finish().is_empty());
}

#[test]
fn help_names_what_there_is() {
    let help = Program::try_parse_from(["publish", "--help"]).err().unwrap();
    assert_eq!(help.exit_code(), 0);
    let help = help.to_string();
    for option in [
        "--id",
        "--prev-id",
        "--sender",
        "--code",
        "-H, --header",
        "-M, --meta",
        "--hint",
        "--close",
        "--patch",
        "--no-seq",
        "--no-eol",
        "--spec",
        "-u, --user",
        "-B, --bearer",
        "-V, --version",
        "GRIP_URL",
        "http://localhost:5561",
    ] {
        assert!(help.contains(option), "{option}: {help}");
    }
}
