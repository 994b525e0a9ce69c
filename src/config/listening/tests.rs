//! What was written, and what is meant.

use super::*;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn read(http: &[&str], local: &[&str], proxied: &[&str]) -> Result<Listening, Vec<String>> {
    let (http, local, proxied) = (strings(http), strings(local), strings(proxied));
    let written = Written {
        http: &http,
        https: &[],
        local: &local,
        proxied: &proxied,
        proxies: &strings(&["10.0.0.0/8"]),
        bind: [0, 0, 0, 0].into(),
    };
    let mut problems = Vec::new();
    let listening = Listening::read(&written, &mut problems);
    if problems.is_empty() {
        return Ok(listening);
    }
    Err(problems.iter().map(ToString::to_string).collect())
}

#[test]
fn ports_with_and_without_address() {
    let listening = read(&["7999", " 127.0.0.1:80", "[::]:81", "", "0"], &[], &[]).unwrap();
    let texts: Vec<_> = listening.http.iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["0.0.0.0:7999", "127.0.0.1:80", "[::]:81", "0.0.0.0:0"]);
    assert_eq!(read(&[""], &[], &[]).unwrap().http, []);
}

#[test]
fn what_is_no_port() {
    let expected = "expected PORT, ADDR:PORT or [V6ADDR]:PORT";
    for (text, why) in [
        ("x", format!("'x': {expected}")),
        ("65536", format!("'65536': {expected}")),
        ("+80", format!("'+80': {expected}")),
        ("localhost:80", format!("'localhost:80': host names are not allowed here: {expected}")),
        ("127.0.0.1:x", "'127.0.0.1:x': 'x' is not a port".to_owned()),
        ("127.0.0.1:", "'127.0.0.1:': '' is not a port".to_owned()),
        ("::1:80", "'::1:80': an IPv6 address is written in brackets".to_owned()),
        ("[::1]", format!("'[::1]': {expected}")),
        ("[fe80::1%lo]:80", {
            let zone = "the zone of an address is written as the number of its interface";
            format!("'[fe80::1%lo]:80': {zone}")
        }),
        ("[::ffff:127.0.0.1]:80", {
            "'[::ffff:127.0.0.1]:80': an IPv4 address is written without brackets".to_owned()
        }),
    ] {
        assert_eq!(read(&[text], &[], &[]).unwrap_err(), [format!("--http-port: {why}")]);
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let problems = read(&["a", "80", "80"], &["/s", "unix:/s", "?mode=9"], &["b"]).unwrap_err();
    assert_eq!(
        problems,
        [
            "--http-port: 'a': expected PORT, ADDR:PORT or [V6ADDR]:PORT",
            "--local-ports: '?mode=9': expected a path",
            "--proxy-protocol: 'b': expected PORT, ADDR:PORT or [V6ADDR]:PORT",
            "--http-port: 0.0.0.0:80 is given twice",
            "--local-ports: /s is given twice",
        ]
    );
}

#[test]
fn who_is_behind_a_proxy() {
    let tcp = |text: &str| Place::Tcp(text.parse().unwrap());
    let all = read(&["80"], &[], &["on"]).unwrap().proxied;
    assert!(all.is_at(&tcp("1.2.3.4:5")));
    let some = read(&["80", "81"], &[], &["81", "/run/s", "unix:t"]).unwrap().proxied;
    assert!(some.is_at(&tcp("0.0.0.0:81")) && !some.is_at(&tcp("0.0.0.0:80")));
    assert!(some.is_at(&Place::Local("/run/s".into())) && some.is_at(&Place::Local("t".into())));
    assert_eq!(read(&["80"], &[], &["off"]).unwrap().proxied, Proxied::At(Vec::new()));
}
