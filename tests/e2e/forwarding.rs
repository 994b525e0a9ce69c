//! What backends are told of clients: `X-Forwarded-*`, `CDN-Loop`, marked copies, the scheme that a
//! proxy in front says.

use super::harness::{Answer, Backend, Client, Request, Server, WebSocket};

/// What a backend sees of a request with these fields, each with its line end.
async fn seen(condition: &str, fields: &str, options: &[&str]) -> Request {
    let mut backend = Backend::answering(|_| Answer::ok("ok"));
    let server = Server::start_with(&[backend.route(condition, "")], options);
    let mut client = Client::connect(server.http).await;
    client.send(format!("GET / HTTP/1.1\r\nHost: a.com\r\n{fields}\r\n")).await;
    assert_eq!(client.response().await.1, "ok");
    backend.seen().await
}

/// The fields but for `Grip-*`, in order, as they were written.
fn fields(request: &Request) -> Vec<String> {
    let fields = request.headers.iter().filter(|(name, _)| !name.starts_with("Grip-"));
    fields.map(|(name, value)| format!("{name}: {value}")).collect()
}

const COMBINED: &str = "Grip-X: 1\r\nX-Forwarded-For: 1.1.1.1\r\nCDN-Loop: one\r\nAccept: a\r\n\
    X-Forwarded-For: 2.2.2.2, 3.3.3.3\r\nX-Forwarded-Proto: https\r\nCDN-Loop: two;x=\"1,2\"\r\n\
    eb9bf0f5-a: b\r\nAccept-Encoding: gzip\r\nx-ODD: 1\r\n";

#[tokio::test]
async fn all_options_together() {
    let options = [
        "--x-forwarded-for=truncate:1,append",
        "--cdn-loop=us",
        "--accept-x-forwarded-protocol",
        "--set-x-forwarded-protocol=true",
        "--accept-pushpin-route",
    ];
    let request = seen("*", COMBINED, &options).await;
    assert_eq!(
        fields(&request),
        [
            "Host: a.com",
            "Accept: a",
            "x-ODD: 1",
            "CDN-Loop: one, two;x=\"1,2\", us",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Protocol: https",
            "X-Forwarded-For: 3.3.3.3, 127.0.0.1",
        ]
    );
}

#[tokio::test]
async fn marked_copies_but_of_what_only_clients_mark() {
    let options = ["--orig-headers-need-mark=x-odd,grip-x,cdn-loop,x-forwarded-for"];
    let request = seen("*,orig_headers", COMBINED, &options).await;
    let marked: Vec<_> =
        fields(&request).into_iter().filter(|field| field.starts_with("Eb9bf0f5-")).collect();
    assert_eq!(
        marked,
        [
            "Eb9bf0f5-Host: a.com",
            "Eb9bf0f5-Accept: a",
            "Eb9bf0f5-X-Forwarded-Proto: https",
            "Eb9bf0f5-Accept-Encoding: gzip",
        ],
    );
    assert_eq!(request.header("eb9bf0f5-a"), Some("b"));
}

#[tokio::test]
async fn nothing_is_said_of_the_protocol_if_not_wanted() {
    let given = "X-Forwarded-Proto: a\r\nX-Forwarded-Protocol: b\r\n";
    let request = seen("*", given, &["--set-x-forwarded-protocol=false"]).await;
    assert_eq!(request.header("x-forwarded-proto"), Some("a"));
    assert_eq!(request.header("x-forwarded-protocol"), Some("b"));
    let request = seen("*", given, &[]).await;
    assert_eq!(request.header("x-forwarded-proto"), None);
    assert_eq!(request.header("x-forwarded-protocol"), None);
}

#[tokio::test]
async fn a_proxy_in_front_says_that_it_is_secure() {
    let backends =
        [Backend::answering(|_| Answer::ok("no")), Backend::answering(|_| Answer::ok("yes"))];
    let routes = [backends[0].route("*,ssl=no", ""), backends[1].route("*,ssl=yes", "")];
    let ask = async |server: &Server, fields: &str| {
        let mut client = Client::connect(server.http).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a.com\r\n{fields}\r\n")).await;
        client.response().await.1
    };
    let mut server = Server::start_with(&routes, &["--accept-x-forwarded-protocol"]);
    assert_eq!(ask(&server, "X-Forwarded-Proto: https\r\n").await, "yes");
    server.wait_for_line("GET https://a.com/ -> ");
    assert_eq!(ask(&server, "X-Forwarded-Proto: wss\r\n").await, "yes");
    assert_eq!(ask(&server, "X-Forwarded-Protocol: https\r\n").await, "yes");
    assert_eq!(ask(&server, "X-Forwarded-Proto: http\r\n").await, "no");
    assert_eq!(ask(&server, "").await, "no");
    let server = Server::start_with(&routes, &[]);
    assert_eq!(ask(&server, "X-Forwarded-Proto: https\r\n").await, "no", "not believed");
}

#[tokio::test]
async fn websockets_say_it_too() {
    let mut backend = Backend::manual();
    let options = ["--accept-x-forwarded-protocol", "--x-forwarded-for=append", "--cdn-loop=us"];
    let server = Server::start_with(&[backend.route("*", "")], &options);
    let given = [("X-Forwarded-Proto", "https"), ("X-Forwarded-For", "1.1.1.1")];
    let opening = WebSocket::try_connect(&server, "/", &given);
    let (opened, request) = tokio::join!(opening, async {
        let exchange = backend.next().await;
        let request = exchange.request.clone();
        WebSocket::accept(exchange, "").await;
        request
    });
    assert!(opened.is_ok());
    assert_eq!(request.header("x-forwarded-proto"), Some("wss"));
    assert_eq!(request.header("x-forwarded-for"), Some("1.1.1.1, 127.0.0.1"));
    assert_eq!(request.header("cdn-loop"), Some("us"));
}

#[tokio::test]
async fn a_long_poll_that_is_asked_about_again_says_the_same() {
    let mut backend = Backend::answering(|_| Answer::hold("response", "c", "held"));
    let options =
        ["--x-forwarded-for=append", "--cdn-loop=us", "--update-on-first-subscription", "true"];
    let server = Server::start_with(&[backend.route("*", "")], &options);
    let _polling = Client::get(server.http, "/").await;
    for _ in 0..2 {
        let request = backend.seen().await;
        assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(request.header("cdn-loop"), Some("us"));
    }
}

#[tokio::test]
async fn requests_of_our_own_are_told_in_the_loop() {
    let mut backend = Backend::answering(|_| Answer::ok("b"));
    let link = format!("http://{}/elsewhere", backend.address);
    let route = backend.route("*", "");
    let mut first = Backend::answering(move |_| {
        Answer::ok("first").header("Grip-Link", &format!("<{link}>; rel=next"))
    });
    let routes = [first.route("first.com", ""), route];
    let server = Server::start_with(&routes, &["--cdn-loop=us"]);
    let mut client = Client::connect(server.http).await;
    client.send("GET / HTTP/1.1\r\nHost: first.com\r\n\r\n").await;
    client.head().await;
    client.expect_content("firstb").await;
    assert_eq!(first.seen().await.header("cdn-loop"), Some("us"));
    let request = backend.seen().await;
    assert_eq!((request.target.as_str(), request.header("cdn-loop")), ("/elsewhere", Some("us")));
}
