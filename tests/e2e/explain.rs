//! `linchpin explain`: what it says is what the server does.

use std::process::Output;

use serde_json::Value;

use super::harness::server::command;
use super::harness::{Answer, Backend, Client, Server};

fn explain(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } =
        command().arg("explain").args(arguments).output().expect("the program runs");
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (status.code(), text(&stdout), text(&stderr))
}

fn json(arguments: &[&str]) -> (Option<i32>, Value) {
    let (code, out, errors) = explain(&[arguments, &["--json"]].concat());
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{errors}")))
}

fn routes(lines: &[&str]) -> (tempfile::NamedTempFile, String) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), lines.join("\n")).expect("written");
    let path = file.path().to_string_lossy().into_owned();
    (file, path)
}

const LINES: [&str; 6] = [
    "* 127.0.0.1:1000",
    "a.example 127.0.0.1:1001",
    "a.example,path_beg=/api,replace_beg=/v2 127.0.0.1:1002 127.0.0.1:1003,ssl,host=b.example",
    "a.example,proto=ws,id=sockets 127.0.0.1:1004,over_http",
    "a.example,ssl=yes,path_beg=/other 127.0.0.1:1005",
    "c.example test",
];

#[test]
fn a_route_and_the_reasons_why_no_other() {
    let (_file, path) = routes(&LINES);
    let (code, text, errors) = explain(&["--routes", &path, "http://A.example/x/../api/y?z"]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{text}");
    let place = |line: u32| format!("{path}:{line}: ");
    for part in [
        "http://a.example/api/y?z\n",
        &format!("route {}a.example,path_beg=/api", place(3)),
        "  id a.example,*,*,/api\n",
        "target 127.0.0.1:1002, first, is sent\n    GET /v2/y?z HTTP/1.1\n    Host: a.example\n",
        "target 127.0.0.1:1003, if those before it cannot be reached, is sent\n",
        "    Host: b.example\n",
        &format!("{}* 127.0.0.1:1000\n    the host has rules of its own", place(1)),
        &format!(
            "{}a.example 127.0.0.1:1001\n    it matches too, but line 3 is better, whose path_beg is longer",
            place(2)
        ),
        "    proto differs\n",
        "    ssl differs; the path does not begin with its path_beg\n",
        "1 more route is for other hosts\n",
    ] {
        assert!(text.contains(part), "{part:?} in:\n{text}");
    }
}

#[test]
fn websockets_and_no_route_at_all() {
    let (_file, path) = routes(&LINES);
    let (code, said) = json(&["--routes", &path, "wss://a.example/other/x"]);
    assert_eq!(code, Some(0));
    assert_eq!((&said["route"]["line"], &said["route"]["id"]), (&4.into(), &"sockets".into()));
    assert_eq!(said["targets"][0]["head"][0], "POST /other/x HTTP/1.1");
    assert_eq!(said["routes"][4]["verdict"], "beaten");
    assert_eq!(said["routes"][4]["reasons"][0], "which has proto");
    let same = json(&["--routes", &path, "https://a.example/other/x", "--proto", "ws"]).1;
    assert_eq!(same, said);
    let (_file, path) = routes(&["a.example,path_beg=/x test"]);
    let (code, text, _) = explain(&["--routes", &path, "a.example/y"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("no route: the answer is 502"), "{text}");
    assert_eq!(json(&["--routes", &path, "a.example/y"]).1["route"], Value::Null);
}

#[test]
fn clients_may_name_their_route() {
    let (_file, path) = routes(&LINES);
    let named = ["--routes", &path, "http://a.example/", "--header", "Pushpin-Route: sockets"];
    assert_eq!(json(&named).1["route"]["line"], 2);
    let (code, said) = json(&[&named[..], &["--accept-pushpin-route"]].concat());
    assert_eq!((code, &said["route"]["line"]), (Some(0), &4.into()));
    assert_eq!(said["routes"][1]["reasons"][0], "the request names a route by its id");
}

#[test]
fn keys_are_not_shown_around() {
    let secret = "s3cret-s3cret-s3cret-s3cret-s3cr";
    let lines = ["*", "a.example"].map(|host| format!("{host},sig_key={secret} test"));
    let (_file, path) = routes(&lines.each_ref().map(String::as_str));
    for url in ["http://a.example/", "http://other.example/"] {
        let asked = ["--routes", &path, url];
        let (text, json) = (explain(&asked).1, json(&asked).1.to_string());
        assert!(!text.contains(secret) && !json.contains(secret), "{text}{json}");
    }
    assert!(explain(&["--routes", &path, "http://a.example/"]).1.contains("sig_key=(key) test"));
    let (_file, path) = routes(&["*,sig_key=file:a.key test"]);
    assert!(explain(&["--routes", &path, "a.example"]).1.contains("a.key test"));
}

#[test]
fn scripts_sockjs_and_targets_in_turn() {
    let lines = [
        "a.example,balance=round-robin 127.0.0.1:1001 127.0.0.1:1002",
        "b.example,balance=least 127.0.0.1:1001 127.0.0.1:1002",
        "c.example,sockjs=/sj 127.0.0.1:1001",
        "d.example,aco,jsonp_body=b 127.0.0.1:1001",
        "e.example,balance=least 127.0.0.1:1001",
    ];
    let (_file, path) = routes(&lines);
    let text = |url: &str| explain(&["--routes", &path, url]).1;
    for (url, expected) in [
        ("http://a.example/", "target 127.0.0.1:1001, first in its turn, is sent"),
        ("http://a.example/", "target 127.0.0.1:1002, first in its turn, is sent"),
        ("http://b.example/", "127.0.0.1:1002, first if it has the fewest requests, is sent"),
        ("http://c.example/sj/info", "SockJS: what a client asks first, answered here"),
        ("http://c.example/", "target 127.0.0.1:1001, first, is sent\n    GET / HTTP/1.1\n"),
        ("http://d.example/x?callback=cb&_method=PUT&b=1&q", "    PUT /x?q HTTP/1.1\n"),
        ("http://d.example/x?callback=cb&_method=PUT&b=1&q", "    Content-Length: 1\n"),
        (
            "http://d.example/x?callback=cb&_method=A%20B",
            "a JSON-P script, answered 400: Invalid _method",
        ),
        ("http://e.example/", "target 127.0.0.1:1001, first, is sent"),
    ] {
        let said = text(url);
        assert!(said.contains(expected), "{expected:?} in:\n{said}");
    }
}

#[test]
fn what_cannot_be_explained() {
    for (arguments, said) in [
        (&["ftp://a.example/"][..], "scheme"),
        (&["http://a.example/", "--method", "A B"], "--method"),
        (&["http://a.example/", "--header", "nothing"], "--header"),
        (&["http://a.example/", "--routes", "/no/such/file"], "/no/such/file"),
        (&["http://a.example/", "--proto", "tcp"], "--proto"),
    ] {
        let (code, _, errors) = explain(arguments);
        assert_eq!(code, Some(2), "{errors}");
        assert!(errors.contains(said), "{errors}");
    }
    // A bad line is shown, and the others explain.
    let (code, _, errors) =
        explain(&["--route", "* test", "--route", "* nonsense", "http://a.example/"]);
    assert_eq!(code, Some(0));
    assert!(errors.contains("target bad format"), "{errors}");
}

#[tokio::test]
async fn what_is_explained_is_what_is_sent() {
    let mut backend = Backend::answering(|_| Answer::ok("ok"));
    let line = backend.route(
        "*,path_beg=/a,replace_beg=/b,sig_key=secret-secret-secret-secret-32,header=\"X-Edge: 1\"",
        "",
    );
    let options = ["--cdn-loop", "here", "--x-forwarded-for", "append"];
    let server = Server::start_with(std::slice::from_ref(&line), &options);
    let mut client = Client::connect(server.http).await;
    client
        .send(
            "PUT /a/c?d HTTP/1.1\r\nHost: a.example\r\nX-One: 1\r\nGrip-Sig: mine\r\n\
             Connection: X-Two\r\nX-Two: 2\r\nX-Forwarded-For: 1.2.3.4\r\n\
             Content-Length: 3\r\n\r\nabc",
        )
        .await;
    client.response().await;
    let sent = String::from_utf8(backend.seen().await.head).expect("text");
    let mut arguments = vec!["--route", &line, "http://a.example/a/c?d", "--method", "PUT"];
    arguments.extend(options);
    for field in [
        "X-One: 1",
        "Grip-Sig: mine",
        "Connection: X-Two",
        "X-Two: 2",
        "X-Forwarded-For: 1.2.3.4",
        "Content-Length: 3",
    ] {
        arguments.extend(["--header", field]);
    }
    let said = json(&arguments).1;
    let said = said["targets"][0]["head"].as_array().expect("a head").iter();
    let lines = |lines: Vec<String>| {
        let mut lines: Vec<String> = lines
            .into_iter()
            .map(|line| line.to_ascii_lowercase())
            .map(|line| if line.starts_with("grip-sig:") { "signed".to_owned() } else { line })
            .collect();
        lines[1..].sort();
        lines
    };
    let said = lines(said.map(|line| line.as_str().expect("text").to_owned()).collect());
    let sent = lines(sent.trim_end().lines().map(str::to_owned).collect());
    assert_eq!(said, sent);
    assert!(said.contains(&"signed".to_owned()) && said.contains(&"x-edge: 1".to_owned()));
}
