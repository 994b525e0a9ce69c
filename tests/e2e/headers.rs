//! What a proxied request and its response look like on the other side; how bodies go through.

use serde_json::Value;

use super::harness::{Answer, Backend, Client, Request, Server, chunk};

const KEY: &str = "a-key-of-at-least-thirty-two-bytes!";

async fn proxied(route: &str, options: &str, request: &str) -> Request {
    let mut backend = Backend::answering(|_| Answer::ok("ok\n"));
    let server = Server::route(backend.route(route, options));
    let mut client = Client::connect(server.http).await;
    client.send(request).await;
    assert_eq!(client.response().await.0.status, "HTTP/1.1 200 OK");
    backend.seen().await
}

#[tokio::test]
async fn requests_lose_what_belongs_to_one_hop() {
    let request = "GET /p?q=1 HTTP/1.1\r\nHost: A.example\r\nConnection: keep-alive\r\n\
        Keep-Alive: timeout=5\r\nAccept-Encoding: gzip\r\nContent-Encoding: x\r\n\
        Grip-Sig: forged\r\nGrip-Feature: forged\r\nGrip-Last: x; last-id=1\r\nGRIP-X: y\r\n\
        X-One: 1\r\nCookie: a=b\r\nX-One: 2\r\nUser-Agent: test\r\nPushpin-Route: r\r\n\r\n";
    let seen = proxied("*", "", request).await;
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/p?q=1"));
    assert!(seen.head.starts_with(b"GET /p?q=1 HTTP/1.1\r\n"));
    assert_eq!(seen.header("host"), Some("a.example"));
    for gone in ["keep-alive", "accept-encoding", "content-encoding", "grip-last", "grip-x"] {
        assert_eq!(seen.header(gone), None, "{gone}");
    }
    assert_ne!(seen.header("grip-sig"), Some("forged"));
    assert_eq!(seen.all("x-one"), ["1", "2"]);
    assert_eq!(seen.header("cookie"), Some("a=b"));
    assert_eq!(seen.header("user-agent"), Some("test"));
    assert_eq!(seen.header("pushpin-route"), Some("r"));
    assert_eq!(seen.header("content-length"), None);
    assert_eq!(seen.header("transfer-encoding"), None);
    for never_added in ["accept", "via", "forwarded", "x-forwarded-for", "x-forwarded-proto"] {
        assert_eq!(seen.header(never_added), None, "{never_added}");
    }
}

#[tokio::test]
async fn features_are_announced() {
    let seen = proxied("*", "", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let features = seen.header("grip-feature").unwrap_or_default().split(", ");
    let features: Vec<&str> = features.collect();
    // What is not built yet is not announced.
    let all = [
        "status",
        "link:next",
        "link:gone",
        "filter:skip-self",
        "filter:skip-users",
        "filter:require-sub",
        "filter:build-id",
        "filter:var-subst",
        "filter:http-check",
        "filter:http-modify",
    ];
    assert_eq!(features, all);
}

#[tokio::test]
async fn the_signature_is_a_token_that_verifies() {
    let route = format!("*,sig_iss=the-issuer,sig_key={KEY}");
    let seen = proxied(&route, "", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let token = seen.header("grip-sig").expect("a signature");
    let key = jsonwebtoken::DecodingKey::from_secret(KEY.as_bytes());
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    rules.set_issuer(&["the-issuer"]);
    rules.set_required_spec_claims(&["exp", "iss"]);
    let token = jsonwebtoken::decode::<Value>(token, &key, &rules).expect("it verifies");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let left = token.claims["exp"].as_u64().expect("a number") - now.expect("a date").as_secs();
    assert!((3500..=3600).contains(&left), "expires in {left} s");
}

#[tokio::test]
async fn a_base64_key_signs_too() {
    let route = "*,sig_iss=i,sig_key=base64:c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTMy";
    let seen = proxied(route, "", "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let key = jsonwebtoken::DecodingKey::from_secret(b"secret-secret-secret-secret-32");
    let rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    let token = seen.header("grip-sig").expect("a signature");
    jsonwebtoken::decode::<Value>(token, &key, &rules).expect("it verifies");
}

#[tokio::test]
async fn keys_of_files_sign_and_are_trusted() {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation};
    let pair = rcgen::KeyPair::generate().expect("a key pair");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("edge.pem"), pair.serialize_pem()).expect("a file");
    std::fs::write(path("edge.pub"), pair.public_key_pem()).expect("a file");
    std::fs::write(path("edge.hex"), "736563726574\n").expect("a file");
    let get = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let curve = format!("*,sig_key=file:{}", path("edge.pem"));
    let token = proxied(&curve, "", get).await.header("grip-sig").expect("a token").to_owned();
    let key = DecodingKey::from_ec_pem(pair.public_key_pem().as_bytes()).expect("a key");
    let rules = Validation::new(Algorithm::ES256);
    jsonwebtoken::decode::<Value>(&token, &key, &rules).expect("it verifies");
    let secret = format!("*,sig_key=file:{}", path("edge.hex"));
    let other = proxied(&secret, "", get).await.header("grip-sig").expect("a token").to_owned();
    let rules = Validation::new(Algorithm::HS256);
    let key = DecodingKey::from_secret(b"secret");
    jsonwebtoken::decode::<Value>(&other, &key, &rules).expect("it verifies");

    let mut backend = Backend::answering(|_| Answer::hold("stream", "x", "untouched"));
    let trusting = format!("--upstream-key=file:{}", path("edge.pub"));
    let server = Server::start_with(&[backend.route("*", "")], &[&trusting]);
    for (token, trusted) in [(&token, true), (&other, false)] {
        let mut client = Client::connect(server.http).await;
        let head = format!("GET / HTTP/1.1\r\nHost: a.example\r\nGrip-Sig: {token}\r\n\r\n");
        client.send(head).await;
        let head = client.head().await;
        assert_eq!(head.header("grip-hold"), trusted.then_some("stream"));
        let seen = backend.seen().await;
        assert_eq!(seen.header("grip-sig"), trusted.then_some(token.as_str()));
        assert_eq!(seen.header("grip-feature").is_some(), !trusted);
    }
}

#[tokio::test]
async fn a_route_without_grip_is_a_plain_proxy() {
    let mut backend = Backend::answering(|_| Answer::hold("stream", "x", "plain\n"));
    let server = Server::route(backend.route("*,no_grip", ""));
    let mut client = Client::connect(server.http).await;
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\nGrip-Sig: forged\r\n\r\n").await;
    let (head, body) = client.response().await;
    assert_eq!(head.header("grip-hold"), Some("stream"));
    assert_eq!(head.header("grip-channel"), Some("x"));
    assert_eq!(body, "plain\n");
    let seen = backend.seen().await;
    assert_eq!(seen.header("grip-sig"), None);
    assert_eq!(seen.header("grip-feature"), None);
}

#[tokio::test]
async fn the_host_is_what_the_route_says() {
    let get = "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n";
    assert_eq!(proxied("*", "", get).await.header("host"), Some("a.example:8080"));
    assert_eq!(proxied("*,as_host=b.example", "", get).await.header("host"), Some("b.example"));
    assert_eq!(proxied("*", ",host=c.example", get).await.header("host"), Some("c.example"));
}

#[tokio::test]
async fn a_route_sets_and_deletes_headers() {
    let request = "GET / HTTP/1.1\r\nHost: a.example\r\nX-Old: 1\r\nX-Gone: 1\r\n\r\n";
    let seen = proxied("*,header=X-Old:2,header=X-Gone:,header=\"X-New: 3\"", "", request).await;
    assert_eq!(seen.header("x-old"), Some("2"));
    assert_eq!(seen.header("x-gone"), None);
    assert_eq!(seen.header("x-new"), Some("3"));
}

#[tokio::test]
async fn responses_pass_through() {
    let backend = Backend::answering(|_| {
        Answer::new("299 Odd Reason")
            .header("Set-Cookie", "a=1")
            .header("Set-Cookie", "b=2")
            .header("Date", "yesterday")
            .header("Server", "theirs")
            .header("Keep-Alive", "timeout=5")
            .header("Connection", "keep-alive")
            .body("the body")
    });
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 299 Odd Reason");
    assert_eq!(body, "the body");
    assert_eq!(head.all("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(head.header("date"), Some("yesterday"));
    assert_eq!(head.header("server"), Some("theirs"));
    assert_eq!(head.header("keep-alive"), None);
    assert_eq!(head.header("connection"), None);
    assert_eq!(head.headers.len(), 5, "nothing is added: {head:?}");
}

#[tokio::test]
async fn a_response_body_streams_as_it_comes() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let mut exchange = backend.next().await;
    exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await;
    let head = client.head().await;
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert_eq!(client.chunk().await, chunk("one"));
    exchange.write("3\r\ntwo\r\n").await;
    assert_eq!(client.chunk().await, chunk("two"));
    exchange.write("0\r\n\r\n").await;
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
}

#[tokio::test]
async fn a_truncated_response_is_not_passed_off_as_complete() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let mut exchange = backend.next().await;
    exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n").await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("one"));
    drop(exchange);
    client.expect_closed().await;
}

#[tokio::test]
async fn a_request_body_streams_and_is_complete() {
    let mut backend = Backend::answering(|request| Answer::ok(request.body.len().to_string()));
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    let piece = vec![b'x'; 50_000];
    let head = "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.send(head).await;
    for _ in 0..20 {
        client.send(chunk(&piece)).await;
    }
    client.send("0\r\n\r\n").await;
    assert_eq!(client.response().await.1, "1000000");
    let seen = backend.seen().await;
    assert_eq!(seen.header("transfer-encoding"), Some("chunked"));
    assert_eq!(seen.header("content-length"), None);
}

#[tokio::test]
async fn a_request_length_is_kept() {
    let request = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\r\nbody";
    let seen = proxied("*", "", request).await;
    assert_eq!(seen.header("content-length"), Some("4"));
    assert_eq!(seen.body, b"body");
    let seen = proxied("*", "", "POST / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(seen.header("content-length"), Some("0"));
}

#[tokio::test]
async fn an_expectation_is_met_here_and_not_forwarded() {
    let mut backend = Backend::answering(|request| Answer::ok(&request.body));
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    let head = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 4\r\n\
        Expect: 100-continue\r\n\r\n";
    client.send(head).await;
    assert_eq!(client.head().await.status, "HTTP/1.1 100 Continue");
    client.send("body").await;
    assert_eq!(client.response().await.1, "body");
    assert_eq!(backend.seen().await.header("expect"), None);
}

#[tokio::test]
async fn statuses_without_a_body_have_none() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/204" => Answer::raw("HTTP/1.1 204 No Content\r\n\r\n", false),
        "/304" => Answer::raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", false),
        "/head" => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", false),
        _ => Answer::ok("next"),
    });
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    for (method, target, status) in
        [("GET", "/204", "204"), ("GET", "/304", "304"), ("HEAD", "/head", "200")]
    {
        client.send(format!("{method} {target} HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
        assert!(client.head().await.status.contains(status));
        client.send("GET /next HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        let (head, body) = client.response().await;
        assert_eq!((head.status.as_str(), body.as_str()), ("HTTP/1.1 200 OK", "next"));
    }
}

#[tokio::test]
async fn a_client_that_leaves_frees_the_backend() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*", ""));
    let client = Client::get(server.http, "/").await;
    let mut exchange = backend.next().await;
    drop(client);
    assert!(exchange.closed().await.is_empty());
}

#[tokio::test]
async fn events_from_outside_are_refused_at_a_target_over_http() {
    let mut backend = Backend::answering(|_| Answer::ok("never"));
    let server = Server::route(backend.route("*", ",over_http"));
    let mut client = Client::connect(server.http).await;
    let head = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 6\r\n\
        Content-Type: application/websocket-events\r\n\r\nOPEN\r\n";
    client.send(head).await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 403 Forbidden");
    assert_eq!(body, "Client not allowed to send WebSocket events directly.\n");
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn a_body_too_large_to_hold_is_said_so() {
    let backend = Backend::answering(|_| Answer::hold("response", "x", "held\n"));
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    let head = "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100001\r\n\r\n";
    client.send([head.as_bytes(), &vec![b'x'; 100_001]].concat()).await;
    let (head, body) = client.response().await;
    assert_eq!(head.status, "HTTP/1.1 400 Bad Request");
    assert_eq!(body, "Request too large to accept GRIP instruct.\n");
}

#[tokio::test]
async fn a_key_without_a_byte_is_told_once_and_signs_nothing() {
    let mut backend = Backend::answering(|_| Answer::ok("ok\n"));
    let route = backend.route("*,sig_iss=i,sig_key=base64:", "");
    let mut server = Server::route(&route);
    let mut client = Client::connect(server.http).await;
    for round in 0..3 {
        client.send(format!("GET /{round} HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
        client.response().await;
        assert_eq!(backend.seen().await.header("grip-sig"), None);
        server.wait_for_line(&format!("/{round} -> "));
    }
    assert!(server.has_printed("sig_key: ") && !server.has_printed("failed to sign"));
    // As with a file that is empty the key for all signs instead.
    let server = Server::start_with(&[route], &["--sig-key", KEY]);
    let mut client = Client::get(server.http, "/").await;
    client.response().await;
    let token = backend.seen().await.header("grip-sig").expect("a signature").to_owned();
    let key = jsonwebtoken::DecodingKey::from_secret(KEY.as_bytes());
    let rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::HS256);
    jsonwebtoken::decode::<Value>(&token, &key, &rules).expect("it verifies");
}

#[tokio::test]
async fn reasons_of_any_alphabet_are_relayed() {
    let backend = Backend::answering(|_| {
        Answer::raw("HTTP/1.1 299 Sch\u{f6}n\r\nContent-Length: 2\r\n\r\nok", false)
    });
    let server = Server::route(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    assert_eq!(client.head().await.status, "HTTP/1.1 299 Sch\u{f6}n");
}
