//! Answers to pages of other origins: CORS fields on all of them, whoever writes them.

use serde_json::json;

use super::harness::backend::refusing;
use super::harness::client::Head;
use super::harness::{Answer, Backend, Client, Publisher, Request, Server};

const METHODS: &str = "OPTIONS, HEAD, GET, POST, PUT, DELETE";

/// The CORS fields in order; the last word of each name is enough to tell them.
fn cors(head: &Head) -> Vec<(&str, &str)> {
    let fields = head.headers.iter();
    fields
        .filter_map(|(name, value)| {
            let name = name.strip_prefix("access-control-")?;
            Some((name.rsplit('-').next()?, value.as_str()))
        })
        .collect()
}

/// What an answer to a page of `origin` has that exposes `exposed`.
fn usual<'a>(origin: &'a str, exposed: &'a str) -> Vec<(&'a str, &'a str)> {
    let all = [
        ("methods", METHODS),
        ("headers", exposed),
        ("credentials", "true"),
        ("origin", origin),
        ("age", "3600"),
    ];
    all.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

async fn ask(server: &Server, request: &str, fields: &str) -> Client {
    let mut client = Client::connect(server.http).await;
    client.send(format!("{request}\r\nHost: a.example\r\n{fields}\r\n")).await;
    client
}

const FROM_O: &str = "Origin: http://o.example\r\n";

#[tokio::test]
async fn plain_answers() {
    let backend = Backend::answering(|_| Answer::ok("hi\n"));
    let server = Server::route(backend.route("*,aco", ""));
    let mut client = ask(&server, "GET / HTTP/1.1", "").await;
    let (head, body) = client.response().await;
    assert_eq!((cors(&head), body.as_str()), (usual("*", ""), "hi\n"));
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{FROM_O}\r\n")).await;
    let head = client.response().await.0;
    assert_eq!(cors(&head), usual("http://o.example", ""));
    assert_eq!(head.header("vary"), None);
}

#[tokio::test]
async fn preflights_are_the_backends_to_answer() {
    let mut backend = Backend::answering(|_| Answer::new("204 No Content").header("X-A", "1"));
    let server = Server::route(backend.route("*,aco", ""));
    let asked = "Origin: null\r\nAccess-Control-Request-Method: PUT\r\n\
        Access-Control-Request-Headers: X-A, X-B\r\nAccess-Control-Request-Headers: X-C\r\n";
    let head = ask(&server, "OPTIONS / HTTP/1.1", asked).await.head().await;
    assert_eq!(head.status, "HTTP/1.1 204 No Content");
    let expected = [
        ("methods", "PUT"),
        ("headers", "X-A, X-B, X-C"),
        ("headers", "X-A"),
        ("credentials", "true"),
        ("origin", "null"),
        ("age", "3600"),
    ];
    assert_eq!(cors(&head), expected);
    assert_eq!(backend.seen().await.method, "OPTIONS");
}

#[tokio::test]
async fn what_the_backend_says_stays() {
    let backend = Backend::answering(|_| {
        let own = Answer::ok("").header("access-control-allow-origin", "http://mine");
        let own = own.header("Access-Control-Max-Age", "5").header("Set-Cookie", "a=b");
        own.header("X-Foo", "1")
            .header("x-foo", "2")
            .header("Cache-Control", "no")
            .header("ETag", "x")
    });
    let server = Server::route(backend.route("*,aco", ""));
    let head = ask(&server, "GET / HTTP/1.1", FROM_O).await.head().await;
    let expected = [
        ("origin", "http://mine"),
        ("age", "5"),
        ("methods", METHODS),
        ("headers", "Set-Cookie, X-Foo, ETag"),
        ("credentials", "true"),
    ];
    let shown = cors(&head).into_iter().map(|(name, value)| match value.contains("Cookie") {
        // Names may be told in any order.
        true => {
            let mut names: Vec<&str> = value.split(", ").collect();
            names.sort_by_key(|name| (*name != "Set-Cookie", *name != "X-Foo"));
            (name, names.join(", "))
        }
        false => (name, value.to_owned()),
    });
    let shown: Vec<(&str, String)> = shown.collect();
    assert_eq!(shown, expected.map(|(name, value)| (name, value.to_owned())));
}

#[tokio::test]
async fn other_methods_versions_and_framings() {
    let backend = Backend::answering(|request: &Request| match request.target.as_str() {
        "/chunked" => Answer::raw(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            false,
        ),
        "/304" => Answer::raw("HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", false),
        _ if request.method == "HEAD" => {
            Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false)
        }
        _ => Answer::ok("hi\n"),
    });
    let server = Server::route(backend.route("*,aco", ""));
    let head = ask(&server, "GET /chunked HTTP/1.1", FROM_O).await.head().await;
    assert_eq!(cors(&head), usual("http://o.example", ""), "framing is not exposed: {head:?}");
    let head = ask(&server, "GET /304 HTTP/1.1", FROM_O).await.head().await;
    assert_eq!(cors(&head), usual("http://o.example", "ETag"));
    let head = ask(&server, "HEAD / HTTP/1.1", FROM_O).await.head().await;
    assert_eq!(
        (cors(&head), head.header("content-length")),
        (usual("http://o.example", ""), Some("5"))
    );
    let mut old = ask(&server, "GET / HTTP/1.0", FROM_O).await;
    assert_eq!(cors(&old.head().await), usual("http://o.example", ""));
    assert_eq!(old.rest().await, b"hi\n");
}

#[tokio::test]
async fn only_where_it_is_asked_for() {
    let backend = Backend::answering(|_| Answer::ok("hi\n"));
    let routes = [backend.route("a.example", ""), backend.route("*,aco", "")];
    let server = Server::start(&routes);
    let head = ask(&server, "GET /?callback=f HTTP/1.1", FROM_O).await.head().await;
    assert_eq!(cors(&head), []);
    let server = Server::start_with(&routes, &["--auto-cross-origin"]);
    let head = ask(&server, "GET / HTTP/1.1", FROM_O).await.head().await;
    assert_eq!(cors(&head), usual("http://o.example", ""));
}

#[tokio::test]
async fn errors_of_ours() {
    let routes = [format!("a.example {}", refusing())];
    let server = Server::start_with(&routes, &["--auto-cross-origin"]);
    let mut client = ask(&server, "GET / HTTP/1.1", FROM_O).await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(
        (cors(&head), body.as_str()),
        (usual("http://o.example", ""), "Error while proxying to origin.\n")
    );
    client.send(format!("GET / HTTP/1.1\r\nHost: unknown\r\n{FROM_O}\r\n")).await;
    let (head, body) = client.response().await;
    assert_eq!((cors(&head), body.as_str()), (usual("http://o.example", ""), "Route not found\n"));
    let head = ask(&server, "GET / HTTP/1.1", "Upgrade: websocket\r\n").await.head().await;
    assert_eq!((head.status.as_str(), cors(&head)), ("HTTP/1.1 400 Bad Request", vec![]));
}

/// A hold on the channel that the path names; not for long if that is to be brief.
fn held(request: &Request) -> Answer {
    let channel = request.target.rsplit('/').next().unwrap_or_default();
    let mode = if request.target.contains("stream") { "stream" } else { "response" };
    let answer = Answer::hold(mode, channel, "held\n").header("X-H", "h");
    let seconds = if channel == "brief" { "1" } else { "55" };
    answer.header("Access-Control-Max-Age", "7").header("Grip-Timeout", seconds)
}

#[tokio::test]
async fn long_polls_that_are_published_to() {
    let backend = Backend::answering(held);
    let server = Server::route(backend.route("*,aco", ""));
    let publisher = Publisher::new(&server);
    let mut client = ask(&server, "GET /poll HTTP/1.1", FROM_O).await;
    let mut other = ask(&server, "GET /poll HTTP/1.1", "").await;
    let headers = json!({ "X-P": "p", "Access-Control-Allow-Methods": "GET" });
    let formats = json!({ "http-response": { "body": "pub\n", "headers": headers } });
    for (client, origin) in [(&mut client, "http://o.example"), (&mut other, "*")] {
        let hears = tokio::sync::Mutex::new(&mut *client);
        publisher
            .until("poll", formats.clone(), || async { hears.lock().await.hears().await })
            .await;
        let (head, body) = client.response().await;
        let expected = [
            ("age", "7"),
            ("methods", "GET"),
            ("headers", "X-H, X-P"),
            ("credentials", "true"),
            ("origin", origin),
        ];
        assert_eq!((cors(&head), body.as_str()), (expected.to_vec(), "pub\n"));
    }
    // The connection goes on.
    client.send("GET /poll HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let hears = tokio::sync::Mutex::new(&mut client);
    publisher.until("poll", formats, || async { hears.lock().await.hears().await }).await;
    assert!(cors(&client.response().await.0).contains(&("origin", "*")));
}

#[tokio::test]
async fn long_polls_that_time_out() {
    let backend = Backend::answering(held);
    let server = Server::route(backend.route("*,aco", ""));
    let mut client = ask(&server, "GET /brief HTTP/1.1", FROM_O).await;
    let (head, body) = client.response().await;
    let mut expected = usual("http://o.example", "X-H");
    expected.pop();
    expected.insert(0, ("age", "7"));
    assert_eq!((cors(&head), body.as_str()), (expected, "held\n"));
}

#[tokio::test]
async fn streams_and_what_goes_on_with_links() {
    let backend = Backend::answering(|request: &Request| match request.target.as_str() {
        "/links" => Answer::ok("first\n").header("X-H", "h").next_link("/next"),
        "/next" => Answer::ok("second\n"),
        "/large/stream" => Answer::hold("stream", "large", vec![b'z'; 120_000]).header("X-H", "h"),
        _ => held(request).without("Access-Control-Max-Age"),
    });
    let server = Server::route(backend.route("*,aco", ""));
    let publisher = Publisher::new(&server);
    let expected = usual("http://o.example", "X-H");
    let mut client = ask(&server, "GET /stream/one HTTP/1.1", FROM_O).await;
    let head = client.head().await;
    assert_eq!(cors(&head), expected);
    client.expect_content("held\n").await;
    let formats = json!({ "http-stream": { "content": "more\n" } });
    let hears = tokio::sync::Mutex::new(&mut client);
    publisher.until("one", formats, || async { hears.lock().await.hears().await }).await;
    client.expect_content("more\n").await;
    let mut client = ask(&server, "GET /links HTTP/1.1", FROM_O).await;
    assert_eq!(cors(&client.head().await), expected);
    client.expect_content("first\nsecond\n").await;
    client.expect_end().await;
    let mut client = ask(&server, "GET /large/stream HTTP/1.1", FROM_O).await;
    assert_eq!(cors(&client.head().await), expected);
}

#[tokio::test]
async fn a_long_poll_that_is_asked_about_again() {
    for (again, status, body) in [
        (Answer::ok("after\n").header("X-After", "1"), "HTTP/1.1 200 OK", "after\n"),
        (
            Answer::ok("after\n").header("Grip-Status", "201").header("X-After", "1"),
            "HTTP/1.1 201 Created",
            "after\n",
        ),
    ] {
        let mut backend = Backend::manual();
        let server = Server::route(backend.route("*,aco", ""));
        let publisher = Publisher::new(&server);
        let mut client = ask(&server, "GET /poll HTTP/1.1", FROM_O).await;
        backend.answer("/poll", Answer::hold("response", "poll", "")).await;
        let hint = json!({ "http-response": { "action": "hint" } });
        let exchange = loop {
            publisher.formats("poll", hint.clone()).await;
            if let Some(exchange) = backend.next_soon().await {
                break exchange;
            }
        };
        assert_eq!(exchange.request.header("origin"), Some("http://o.example"));
        exchange.answer(again).await;
        let (head, got) = client.response().await;
        assert_eq!((head.status.as_str(), got.as_str()), (status, body));
        assert_eq!(cors(&head), usual("http://o.example", "X-After"));
    }
}

#[tokio::test]
async fn what_filters_make_of_a_publish() {
    let backend = Backend::answering(|_| {
        Answer::hold("response", "changed; filter=var-subst", "").header("Grip-Set-Meta", "who=me")
    });
    let server = Server::route(backend.route("*,aco", ""));
    let publisher = Publisher::new(&server);
    let mut client = ask(&server, "GET / HTTP/1.1", FROM_O).await;
    let formats = json!({ "http-response": { "body": "for %(who)s\n" } });
    let hears = tokio::sync::Mutex::new(&mut client);
    publisher.until("changed", formats, || async { hears.lock().await.hears().await }).await;
    let (head, body) = client.response().await;
    assert!(body.starts_with("for "), "{body}");
    assert_eq!(cors(&head), usual("http://o.example", ""));
}
