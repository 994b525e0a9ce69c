//! What was typed, and what is made of it.

use super::*;
use crate::route::condition::Slow;

fn parse(args: &[&str]) -> Result<Settings, Vec<Problem>> {
    let words = std::iter::once(&"linchpin").chain(args).map(Into::into);
    let asked = start::ask::<Cli>(&words.collect::<Vec<_>>()).expect("a command line");
    settings(&asked.cli.run, &mut Findings::default())
}

#[test]
fn the_command_line_is_consistent() {
    start::command::<Cli>().debug_assert();
}

#[test]
fn ports_with_and_without_address() {
    let shown = |addresses: &[std::net::SocketAddr]| {
        addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let absent = parse(&[]).unwrap().listening;
    assert_eq!(shown(&absent.http), ["0.0.0.0:7999"]);
    assert!(absent.https.is_empty() && absent.local.is_empty());
    let both = parse(&["--port", "127.0.0.1:80,81", "--http-port", "82", "--https-port", "0"]);
    let both = both.unwrap().listening;
    assert_eq!(shown(&both.http), ["127.0.0.1:80", "0.0.0.0:81", "0.0.0.0:82"]);
    assert_eq!(shown(&both.https), ["0.0.0.0:0"]);
    let one = parse(&["--port", "0"]).unwrap().listening;
    assert_eq!(shown(&one.http), ["0.0.0.0:0"]);
    let v6 = parse(&["--bind", "::1", "--port", "81"]).unwrap();
    assert_eq!(shown(&v6.listening.http), ["[::1]:81"]);
    let local = parse(&["--http-port", "", "--local-ports", "/a?mode=600,b"]).unwrap().listening;
    assert!(local.http.is_empty());
    assert_eq!((local.local.len(), local.local[0].mode), (2, Some(0o600)));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let problems = parse(&["--port", "x", "--outbox-bytes", "1"]).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].to_string().contains("--http-port"));
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

#[test]
fn options_of_messages() {
    let absent = parse(&[]).unwrap().messages;
    assert_eq!((absent.id_cache_ttl_ms, absent.message_wait_ms), (60_000, 5_000));
    assert_eq!((absent.ring_items_max, absent.ring_bytes_max), (256, 1024 * 1024));
    assert_eq!((absent.ring_age_ms, absent.ring_total_bytes_max), (60_000, 64 * 1024 * 1024));
    assert_eq!((absent.linger_ms, absent.update_on_first_subscription), (60_000, true));
    assert_eq!((absent.rate, absent.hwm, absent.block_bytes), (None, None, 0));
    let words = "--id-cache-ttl 1 --message-wait 2 --ring-items 3 --ring-bytes 4 --ring-age 5 \
         --ring-total-bytes 6 --subscription-linger 7 --update-on-first-subscription false \
         --message-rate 8 --message-hwm 9 --message-block-size 10";
    let given = parse(&words.split_whitespace().collect::<Vec<_>>()).unwrap().messages;
    let expected = crate::config::messages::Messages {
        id_cache_ttl_ms: 1000,
        message_wait_ms: 2,
        ring_items_max: 3,
        ring_bytes_max: 4,
        ring_age_ms: 5000,
        ring_total_bytes_max: 6,
        linger_ms: 7000,
        update_on_first_subscription: false,
        rate: Some(8),
        hwm: Some(9),
        block_bytes: 10,
    };
    assert_eq!(given, expected);
    let off = "--id-cache-ttl 0 --ring-items 0 --message-rate -1 --message-hwm 0";
    let off = parse(&off.split_whitespace().collect::<Vec<_>>()).unwrap().messages;
    assert_eq!((off.id_cache_ttl_ms, off.ring_items_max, off.rate), (0, 0, None));
    for endless in ["--id-cache-ttl", "--ring-age", "--subscription-linger"] {
        parse(&[endless, "18446744073709551615"]).unwrap();
    }
}

#[test]
fn options_of_messages_that_mean_nothing() {
    for (words, text) in [
        (["--control-head-bytes", "63"], "--push-in-http-max-headers-size: 63 is less than 64"),
        (["--control-body-bytes", "0"], "--push-in-http-max-body-size: 0 is less than 1"),
    ] {
        let problems = parse(&words).unwrap_err();
        let texts: Vec<_> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(texts, [text]);
    }
    let alone = |words: &[&str]| {
        let words = std::iter::once(&"linchpin").chain(words);
        Cli::try_parse_from(words).unwrap().run.messages.doubt().is_some()
    };
    assert!(alone(&["--message-block-size", "1"]));
    assert!(!alone(&["--message-block-size", "1", "--message-hwm", "1"]));
    assert!(!alone(&["--message-block-size", "-1"]));
    for (flag, value) in [
        ("--message-wait", "-1"),
        ("--message-rate", "4294967296"),
        ("--update-on-first-subscription", "yes"),
        ("--ring-items", "many"),
    ] {
        assert!(Cli::try_parse_from(["linchpin", flag, value]).is_err(), "{flag} {value}");
    }
}

#[test]
fn every_flag_is_an_environment_variable() {
    use clap::CommandFactory;
    for flag in Cli::command().get_arguments().filter_map(clap::Arg::get_long) {
        if matches!(flag, "help" | "version") {
            continue;
        }
        let command = Cli::command();
        let variable = command.get_arguments().find(|arg| arg.get_long() == Some(flag));
        let variable = variable.and_then(clap::Arg::get_env).expect(flag);
        let expected = format!("LINCHPIN_{}", flag.to_uppercase().replace('-', "_"));
        assert_eq!(variable.to_str(), Some(&*expected));
    }
}

/// Each option that may stand in a file comes out the same from there and from its flag: for all
/// of them, whatever they are.
#[test]
fn flags_and_keys_reach_the_same_setting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.conf");
    let config = format!("--config={}", path.display());
    let ask = |text: &str, flags: &[String]| {
        std::fs::write(&path, text).unwrap();
        let words = ["linchpin".to_owned(), config.clone()];
        let words = words.iter().chain(flags).map(Into::into).collect::<Vec<_>>();
        let asked = start::ask::<Cli>(&words).expect("a command line");
        asked.told.judge(Ok(format!("{:?}", asked.cli.run)), true).ok()
    };
    let command = start::command::<Cli>();
    let nothing = ask("", &[]);
    let mut seen = 0;
    for arg in command.get_arguments() {
        let (Some(section), Some(key)) = (from_file::section(arg), from_file::key(arg)) else {
            continue;
        };
        let words = arg.get_possible_values();
        let words = words.iter().map(|word| word.get_name().to_owned());
        // A path is relative to the file in one case only.
        let samples = words.chain(["/x", "3", "4096", "::1", "127.0.0.1:1"].map(String::from));
        let moved = samples.filter_map(|sample| {
            let given = ask(&format!("[{section}]\n{key}={sample}\n"), &[])?;
            (Some(&given) != nothing.as_ref()).then_some((sample, given))
        });
        let (sample, given) = moved.into_iter().next().unwrap_or_else(|| panic!("{key}"));
        let long = arg.get_long().unwrap();
        assert_eq!(Some(given), ask("", &[format!("--{long}={sample}")]), "{key}={sample}");
        seen += 1;
    }
    assert!(seen > 50, "{seen}");
}
