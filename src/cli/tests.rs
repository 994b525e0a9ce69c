//! What was typed, and what is made of it.

use super::*;

fn parse(args: &[&str]) -> Result<Settings, Vec<Problem>> {
    let cli = Cli::try_parse_from(std::iter::once(&"linchpin").chain(args)).unwrap();
    settings(&cli.run)
}

#[test]
fn the_command_line_is_consistent() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
}

#[test]
fn ports_with_and_without_address() {
    assert_eq!(parse(&[]).unwrap().http, "0.0.0.0:7999".parse().unwrap());
    let both = parse(&["--port", "127.0.0.1:80", "--https-port", "0"]).unwrap();
    assert_eq!(both.http, "127.0.0.1:80".parse().unwrap());
    assert_eq!(both.https, Some("0.0.0.0:0".parse().unwrap()));
    let v6 = parse(&["--bind", "::1", "--port", "81"]).unwrap();
    assert_eq!(v6.http, "[::1]:81".parse().unwrap());
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let problems = parse(&["--port", "x", "--outbox-bytes", "1"]).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].to_string().contains("--port"));
}

#[test]
fn what_is_done_with_clients_that_do_not_read() {
    let default = parse(&[]).unwrap();
    assert_eq!((default.slow, default.outbox_messages_max), (Slow::Close, 10_000));
    let settings = parse(&["--slow-consumer", "drop-oldest", "--outbox-messages", "1"]).unwrap();
    assert_eq!((settings.slow, settings.outbox_messages_max), (Slow::DropOldest, 1));
    assert_eq!(parse(&["--slow-consumer", "conflate"]).unwrap().slow, Slow::Conflate);
    let problems = parse(&["--outbox-messages", "0"]).unwrap_err();
    assert_eq!(problems[0].to_string(), "--outbox-messages: 0 is less than 1");
}
