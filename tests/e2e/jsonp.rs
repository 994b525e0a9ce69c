//! JSON-P: what a script's URL means, and answers as calls of the page's function. The texts were
//! seen on Pushpin 1.36.

use serde_json::{Value, json};

use super::harness::backend::refusing;
use super::harness::client::Head;
use super::harness::{Answer, Backend, Client, Publisher, Request, Server};

async fn ask(server: &Server, target: &str, fields: &str) -> Client {
    let mut client = Client::connect(server.http).await;
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await;
    client
}

async fn asked(server: &Server, target: &str) -> (Head, String) {
    ask(server, target, "").await.response().await
}

/// The names of the head, but for what frames the body.
fn names(head: &Head) -> Vec<&str> {
    let names = head.headers.iter().map(|(name, _)| name.as_str());
    names.filter(|name| !matches!(*name, "content-length")).collect()
}

fn is_script(head: &Head) -> bool {
    let kind = head.header("content-type") == Some("application/javascript");
    let plain = !head.headers.iter().any(|(name, _)| name.starts_with("access-control-"));
    head.status == "HTTP/1.1 200 OK" && kind && plain && head.is_grip_free()
}

/// The object that `f` is called with.
fn object(script: &str) -> Value {
    let inside = script.strip_prefix("/**/f(").and_then(|rest| rest.strip_suffix(");\n"));
    serde_json::from_str(inside.unwrap_or_else(|| panic!("no call of f: {script:?}")))
        .expect("JSON")
}

async fn sent(options: &str, target: &str, fields: &str) -> Request {
    let mut backend = Backend::answering(|_| Answer::ok("hi\n"));
    let server = Server::route(backend.route(&format!("*,aco{options}"), ""));
    let (head, body) = ask(&server, target, fields).await.response().await;
    assert!(is_script(&head), "{head:?} {body}");
    backend.seen().await
}

#[tokio::test]
async fn answers_in_both_modes() {
    let backend = Backend::answering(|request: &Request| match request.target.as_str() {
        "/302" => Answer::new("302 Away \"now\"").header("Location", "/y"),
        "/204" => Answer::raw("HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", false),
        "/chunked" => Answer::raw(
            "HTTP/1.1 200 OK\r\nCache-Control: no\r\nTransfer-Encoding: chunked\r\n\r\n\
             3\r\nabc\r\n0\r\n\r\n",
            false,
        ),
        _ => Answer::ok("h\"\u{e9}\u{1}\r\n").header("Cache-Control", "no").header("X-A", "1"),
    });
    let routes =
        [backend.route("*,aco", ""), backend.route("*,path_beg=/basic,aco,jsonp_mode=basic", "")];
    let server = Server::start(&routes);
    let (head, body) = asked(&server, "/?callback=f&a=b").await;
    assert!(is_script(&head) && names(&head) == ["content-type", "cache-control"], "{head:?}");
    assert_eq!(
        body,
        "/**/f({\"code\": 200, \"reason\": \"OK\", \"headers\": {\"Cache-Control\":\"no\",\
         \"Content-Length\":\"7\",\"Content-Type\":\"text/plain\",\"X-A\":\"1\"}, \
         \"body\": \"h\\\"\u{e9}\\u0001\\r\\n\"});\n"
    );
    let (head, body) = asked(&server, "/basic?callback=a%3Cb.c%5B0%5D").await;
    assert!(is_script(&head) && names(&head) == ["content-type", "cache-control"], "{head:?}");
    assert_eq!(body, "/**/a<b.c[0](h\"\u{e9}\u{1});\n");
    for (target, expected) in [
        (
            "/302?callback=f",
            "/**/f({\"code\": 302, \"reason\": \"Away \\\"now\\\"\", \"headers\": \
             {\"Content-Length\":\"0\",\"Location\":\"/y\"}, \"body\": \"\"});\n",
        ),
        (
            "/204?callback=f",
            "/**/f({\"code\": 204, \"reason\": \"No Content\", \"headers\": {\"X-A\":\"1\"}, \
             \"body\": \"\"});\n",
        ),
        (
            "/chunked?callback=f",
            "/**/f({\"code\": 200, \"reason\": \"OK\", \"headers\": {\"Cache-Control\":\"no\"}, \
             \"body\": \"abc\"});\n",
        ),
    ] {
        let (head, body) = asked(&server, target).await;
        assert!(is_script(&head), "{head:?}");
        assert_eq!(body, expected);
    }
}

#[tokio::test]
async fn the_request_that_is_meant() {
    let headers = "%7B%22X-b%22:%221%22,%22Host%22:%22q%22,%22accept%22:%22z%22,%22A%22:%222%22,\
        %22Grip-Sig%22:%22x%22,%22Content-Type%22:%22t%22,%22content-length%22:%2299%22%7D";
    let target = format!(
        "/p?x=1&callback=f&y=%zz&callback=g&_method=PUT&_headers={headers}&_body=a+b%20c&z"
    );
    let fields = "X-Z: 1\r\nAccept: foo\r\nX-B: 2\r\nCookie: c=d\r\n";
    let seen = sent("", &target, fields).await;
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("PUT", "/p?x=1&y=%zz&z"));
    assert_eq!(seen.body, b"a+b c");
    let shown: Vec<_> = seen.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let expected = [
        ("Host", "a.example"),
        ("A", "2"),
        ("Content-Type", "t"),
        ("X-b", "1"),
        ("X-B", "2"),
        ("Accept", "*/*"),
        ("X-Z", "1"),
        ("Cookie", "c=d"),
    ];
    assert_eq!(shown[..expected.len()], expected);
    assert_eq!((seen.header("grip-sig"), seen.header("content-length")), (None, Some("5")));
}

#[tokio::test]
async fn methods_and_bodies_of_the_route() {
    let seen = sent(",jsonp_mode=basic", "/?callback=f", "").await;
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("POST", "/"));
    assert_eq!(seen.header("content-length"), Some("0"));
    let seen = sent(",jsonp_mode=basic,jsonp_defmethod=PATCH", "/?callback=f", "").await;
    assert_eq!(seen.method, "PATCH");
    let seen = sent(",jsonp_body=data,jsonp_defcb=f", "/?data=%7B%7D&_body=x", "").await;
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/?_body=x"));
    assert_eq!(
        (seen.header("content-type"), &seen.body[..]),
        (Some("application/json"), &b"{}"[..])
    );
    let seen = sent(",jsonp_cb=cb", "/?cb=f&callback=x", "").await;
    assert_eq!(seen.target, "/?callback=x");
}

#[tokio::test]
async fn what_is_wrong_is_said_plainly() {
    let mut backend = Backend::answering(|_| Answer::ok("hi\n"));
    let routes = [
        backend.route("*,aco", ""),
        backend.route("*,path_beg=/json,aco,jsonp_body=data,jsonp_defcb=f", ""),
    ];
    let mut server = Server::start(&routes);
    let mut client = Client::connect(server.http).await;
    for (target, text) in [
        ("/?callback=", "Invalid callback parameter.\n"),
        ("/?callback&a=b", "Invalid callback parameter.\n"),
        ("/?callback=f&_method=", "Invalid _method parameter.\n"),
        ("/?callback=f&_method=A%0D%0AB", "Invalid _method parameter.\n"),
        ("/?callback=f&_headers=%5B%5D", "Invalid _headers parameter.\n"),
        ("/?callback=f&_headers=%7B%22a%22:%221%5Cr%5Cn%22%7D", "Invalid _headers parameter.\n"),
        ("/?callback=f&_body=", "Invalid _body parameter.\n"),
        ("/json?data=", "Invalid body parameter.\n"),
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\nOrigin: http://o\r\n\r\n")).await;
        let (head, body) = client.response().await;
        assert_eq!((head.status.as_str(), body.as_str()), ("HTTP/1.1 400 Bad Request", text));
        assert_eq!(head.header("content-type"), Some("text/plain"));
        assert_eq!(head.header("access-control-allow-origin"), Some("http://o"));
    }
    assert!(!backend.has_seen_more());
    server.wait_for_line("GET http://a/?callback= code=400 28");
}

#[tokio::test]
async fn other_methods_get_cors() {
    let mut backend = Backend::answering(|_| Answer::ok("hi\n"));
    let server = Server::route(backend.route("*,aco", ""));
    let mut client = Client::connect(server.http).await;
    client.send("POST /?callback=f HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    let (head, body) = client.response().await;
    assert_eq!((head.header("access-control-allow-origin"), body.as_str()), (Some("*"), "hi\n"));
    assert_eq!(backend.seen().await.target, "/?callback=f");
}

#[tokio::test]
async fn bodies_that_come_in_pieces() {
    let mut backend = Backend::manual();
    let routes =
        [backend.route("*,aco", ""), backend.route("*,path_beg=/basic,aco,jsonp_mode=basic", "")];
    let server = Server::start(&routes);
    for (target, pieces, shown) in [
        ("/?callback=f", ["ab\u{e9}c\n", "d\"e", ""], ["ab\u{e9}c\\n", "d\\\"e", "\"});\n"]),
        ("/basic?callback=f", ["ab\r\n", "c\n", "\r\n"], ["ab", "\r\nc", "\n);\n"]),
    ] {
        let mut client = ask(&server, target, "").await;
        let mut exchange = backend.next().await;
        exchange
            .write("HTTP/1.1 200 OK\r\nCache-Control: no\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        let head = client.head().await;
        assert!(is_script(&head) && head.header("transfer-encoding") == Some("chunked"));
        assert_eq!(head.header("cache-control"), None);
        client
            .until(if target == "/?callback=f" { b"\"body\": \"\r\n" } else { b"/**/f(\r\n" })
            .await;
        for (piece, shown) in pieces.into_iter().zip(shown) {
            match piece {
                "" | "\r\n" => {
                    exchange.write([chunk_of(piece), b"0\r\n\r\n".to_vec()].concat()).await
                }
                _ => exchange.write(chunk_of(piece)).await,
            }
            client.expect_content(shown).await;
        }
        client.expect_end().await;
    }
}

fn chunk_of(piece: &str) -> Vec<u8> {
    if piece.is_empty() { Vec::new() } else { super::harness::chunk(piece) }
}

#[tokio::test]
async fn what_is_large_is_not_kept() {
    let body = "\"\u{e9}x\n".repeat(40_000);
    let expected = body.clone();
    let backend = Backend::answering(move |_| Answer::ok(&body));
    let server = Server::route(backend.route("*,aco", ""));
    let mut client = ask(&server, "/?callback=f", "Connection: close\r\n").await;
    let head = client.head().await;
    assert!(is_script(&head) && head.header("transfer-encoding") == Some("chunked"), "{head:?}");
    let mut script = String::new();
    loop {
        let chunk = client.chunk().await;
        let at = chunk.iter().position(|byte| *byte == b'\n').expect("a size") + 1;
        if chunk.starts_with(b"0\r") {
            break;
        }
        script.push_str(std::str::from_utf8(&chunk[at..chunk.len() - 2]).expect("UTF-8"));
    }
    assert_eq!(object(&script)["body"], expected);
}

#[tokio::test]
async fn what_breaks_off_is_not_made_whole() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*,aco", ""));
    let mut client = ask(&server, "/?callback=f", "").await;
    let mut exchange = backend.next().await;
    exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    client.until(b"\"body\": \"abc").await;
    drop(exchange);
    let rest = String::from_utf8(client.rest().await).expect("text");
    assert!(!rest.contains(");"), "{rest}");
}

#[tokio::test]
async fn errors_of_ours_are_wrapped() {
    let routes = [format!("a.example {}", refusing())];
    let mut server = Server::start_with(&routes, &["--auto-cross-origin"]);
    let mut client = ask(&server, "/x?callback=f&a", "").await;
    let (head, body) = client.response().await;
    assert!(is_script(&head), "{head:?}");
    assert_eq!(
        body,
        "/**/f({\"code\": 502, \"reason\": \"Bad Gateway\", \"headers\": {\
         \"Content-Length\":\"32\",\"Content-Type\":\"text/plain\"}, \
         \"body\": \"Error while proxying to origin.\\n\"});\n"
    );
    client.send("GET /y?callback=f HTTP/1.1\r\nHost: unknown\r\n\r\n").await;
    assert_eq!(object(&client.response().await.1)["body"], "Route not found\n");
    // What was asked for and how it ended, as the backend would have seen it.
    let line = server.wait_for_line("GET http://a.example/x?a -> ");
    assert!(line.contains("code=502 156"), "{line}");
}

#[tokio::test]
async fn heads_and_old_clients() {
    let backend = Backend::answering(|request: &Request| match request.method.as_str() {
        "HEAD" => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false),
        _ => Answer::ok("hi\n"),
    });
    let server = Server::route(backend.route("*,aco", ""));
    let (head, body) = asked(&server, "/?callback=f&_method=HEAD").await;
    assert!(is_script(&head));
    assert_eq!(object(&body)["headers"], json!({ "Content-Length": "5" }));
    let mut old = Client::connect(server.http).await;
    old.send("GET /?callback=f HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let head = old.head().await;
    assert_eq!(head.status, "HTTP/1.0 200 OK");
    assert_eq!(object(&String::from_utf8(old.rest().await).expect("text"))["body"], "hi\n");
}

mod held;
mod names;
