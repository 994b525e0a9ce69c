//! Holds whose backends are asked again: long-polls repeated, next links followed, many sessions
//! served by one request, and backends told when a client is gone.

use std::time::Duration;

use serde_json::json;

use super::harness::{Answer, Backend, Client, Publisher, Request, Server, chunk};

const QUIET: &[&str] = &["--workers", "1", "--update-on-first-subscription", "false"];

fn serve(route: String, more: &[&str]) -> Server {
    Server::start_with(&[route], &[QUIET, more].concat())
}

async fn hint(publisher: &Publisher, channel: &str) {
    let action = json!({ "action": "hint" });
    publisher.formats(channel, json!({ "http-response": action, "http-stream": action })).await;
}

fn stream(channels: &str, link: &str, body: &str) -> Answer {
    Answer::hold("stream", channels, body).header("Grip-Link", link)
}

fn lasts(request: &Request) -> Vec<String> {
    request.all("grip-last").into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_hint_repeats_a_long_poll_as_it_was() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    client
        .send(
            "POST /poll?a=b HTTP/1.1\r\nHost: a.example\r\nX-Mine: yes\r\nCookie: c=d\r\n\
             Content-Length: 4\r\n\r\nbody",
        )
        .await;
    let first = backend.next().await;
    let before = first.request.clone();
    first.answer(Answer::hold("response", "one; prev-id=4, two", "nothing\n")).await;
    server.wait_for_line("channel=two");
    hint(&publisher, "two").await;
    let second = backend.next().await;
    let after = second.request.clone();
    assert_eq!(
        (&after.method, &after.target, &after.body),
        (&before.method, &before.target, &before.body)
    );
    assert_eq!((after.header("x-mine"), after.header("cookie")), (Some("yes"), Some("c=d")));
    assert_eq!(lasts(&after), ["one; last-id=4"]);
    second.answer(Answer::hold("response", "three", "still nothing\n")).await;
    server.wait_for_line("channel=three retry");
    publisher.formats("three", json!({ "http-response": { "body": "here\n" } })).await;
    assert_eq!(client.response().await.1, "here\n");
}

#[tokio::test]
async fn a_repeated_long_poll_may_be_answered_in_any_way() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    let answers = [
        Answer::ok("plain\n").header("X-Own", "1"),
        Answer::raw(
            "HTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            false,
        ),
        Answer::ok("an instruction\n").header("Grip-Status", "202 Fine"),
        Answer::hold("nothing", "x", "bad\n"),
        Answer::new("204 No Content"),
    ];
    let mut texts = Vec::new();
    for (number, answer) in answers.into_iter().enumerate() {
        client.send("GET /poll HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
        let channel = format!("c{number}");
        backend.next().await.answer(Answer::hold("response", &channel, "nothing\n")).await;
        server.wait_for_line(&format!("channel={channel}"));
        hint(&publisher, &channel).await;
        backend.next().await.answer(answer).await;
        if number == 1 {
            let head = client.head().await;
            assert_eq!(head.header("transfer-encoding"), Some("chunked"));
            let body = client.until(b"0\r\n\r\n").await;
            texts.push((head.status, String::from_utf8(body).unwrap()));
            continue;
        }
        if number == 4 {
            texts.push((client.head().await.status, String::new()));
            continue;
        }
        let (head, body) = client.response().await;
        assert!(head.is_grip_free(), "{head:?}");
        texts.push((head.status, body));
    }
    let expected = [
        ("HTTP/1.1 200 OK", "plain\n"),
        ("HTTP/1.1 201 Made", ""),
        ("HTTP/1.1 202 Fine", "an instruction\n"),
        ("HTTP/1.1 502 Bad Gateway", "Error while proxying to origin.\n"),
        ("HTTP/1.1 204 No Content", ""),
    ];
    let chunks = texts[1].1.replace(|c: char| !"abcde".contains(c), "");
    assert_eq!(chunks, "abcde");
    texts[1].1 = String::new();
    let shown: Vec<_> = texts.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(shown, expected);
    assert_eq!(server.counted("update_failures"), 1);
}

#[tokio::test]
async fn a_repeated_long_poll_may_become_a_stream() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/").await;
    backend.next().await.answer(Answer::hold("response", "poll", "nothing\n")).await;
    server.wait_for_line("channel=poll");
    hint(&publisher, "poll").await;
    backend.next().await.answer(Answer::hold("stream", "flow", "begun\n")).await;
    let head = client.head().await;
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert_eq!(client.chunk().await, chunk("begun\n"));
    server.wait_for_line("channel=flow");
    publisher.stream("flow", "more\n").await;
    assert_eq!(client.chunk().await, chunk("more\n"));
    publisher.close_stream("flow").await;
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
}

#[tokio::test]
async fn a_long_poll_that_is_behind_is_asked_about_at_once() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &["--ring-items", "0"]);
    let publisher = Publisher::new(&server);
    let other = Client::get(server.http, "/other").await;
    backend.next().await.answer(Answer::hold("stream", "c", "init\n")).await;
    server.wait_for_line("channel=c");
    let item = json!({ "http-stream": { "content": "x\n" }, "http-response": { "body": "x\n" } });
    let item = json!([{ "channel": "c", "id": "7", "formats": item }]);
    publisher.items(item).await;
    let mut client = Client::get(server.http, "/poll").await;
    backend.next().await.answer(Answer::hold("response", "c; prev-id=6", "nothing\n")).await;
    let again = backend.next().await;
    assert_eq!(lasts(&again.request), ["c; last-id=6"]);
    again.answer(Answer::ok("the rest\n")).await;
    assert_eq!(client.response().await.1, "the rest\n");
    assert_eq!(server.counted("polls_asked_again"), 1);
    drop(other);
}

#[tokio::test]
async fn an_empty_id_is_before_the_first_item() {
    let backend =
        Backend::answering(|_: &Request| Answer::hold("response", "none; prev-id=", "nothing\n"));
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    for (round, more) in [json!({}), json!({ "prev-id": "", "id": "1" })].into_iter().enumerate() {
        let mut client = Client::connect(server.http).await;
        client.send(format!("GET /{round} HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
        server.wait_for_line(&format!("/{round} channel=none"));
        let mut item = json!({
            "channel": "none",
            "formats": { "http-response": { "body": "first\n" } },
        });
        item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        publisher.items(json!([item])).await;
        assert_eq!(client.response().await.1, "first\n", "{round}");
    }
}

#[tokio::test]
async fn the_clients_own_id_counts_where_the_backend_says_so() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    let channel = "c; prev-id=1; last-event-id";
    let link = "</next>; rel=next; timeout=60";
    let mut other = Client::get(server.http, "/sse").await;
    backend.next().await.answer(stream(channel, link, "")).await;
    server.wait_for_line("channel=c");
    for n in 2..5 {
        let formats = json!({ "http-stream": { "content": format!("{n}\n") } });
        let (id, prev) = (n.to_string(), (n - 1).to_string());
        publisher
            .items(json!([{ "channel": "c", "id": id, "prev-id": prev, "formats": formats }]))
            .await;
    }
    other.until(b"4\n\r\n").await;
    let mut client = Client::connect(server.http).await;
    let request = "GET /sse HTTP/1.1\r\nHost: a.example\r\nLast-Event-ID: 3\r\n\r\n";
    client.send(request).await;
    backend.next().await.answer(stream(channel, link, "")).await;
    client.head().await;
    // Out of the ring, without a further request.
    assert_eq!(client.chunk().await, chunk("4\n"));
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn a_response_goes_on_with_its_next_link() {
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/a/first?q" => Answer::ok("one\n").header("Grip-Link", "<second?x=1>; rel=next"),
        "/a/second?x=1" => Answer::ok("two\n").header("Grip-Link", "</b/third>; rel=next"),
        "/b/third" => Answer::new("203 Other").header("X-Not-Shown", "1").body("three\n"),
        _ => Answer::new("404 Not Found"),
    });
    let mut backend = backend;
    let server = serve(backend.route("*", ""), &[]);
    let mut client = Client::connect(server.http).await;
    let request = "GET /a/first?q HTTP/1.1\r\nHost: a.example\r\nX-Mine: 1\r\nCookie: c\r\n\r\n";
    client.send(request).await;
    assert_eq!(client.head().await.status, "HTTP/1.1 200 OK");
    for text in ["one\n", "two\n", "three\n"] {
        assert_eq!(client.chunk().await, chunk(text));
    }
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
    assert!(backend.seen().await.header("x-mine").is_some());
    for _ in 0..2 {
        let request = backend.seen().await;
        assert_eq!((request.header("x-mine"), request.header("cookie")), (None, None));
        assert_eq!(request.header("host"), Some("a.example"));
    }
    // The connection goes on.
    client.send("GET /other HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(client.response().await.0.status, "HTTP/1.1 404 Not Found");
}

#[tokio::test]
async fn a_hint_has_a_stream_follow_its_link() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/start").await;
    let link = "</next?n=1>; rel=next; timeout=60";
    backend.next().await.answer(stream("a; prev-id=5, b", link, "init\n")).await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("init\n"));
    server.wait_for_line("channel=b");
    hint(&publisher, "b").await;
    let asked = backend.next().await;
    assert_eq!(asked.request.target, "/next?n=1");
    assert_eq!(lasts(&asked.request), ["a; last-id=5"]);
    // What is published meanwhile waits, or is not wanted any more.
    publisher.stream("b", "dropped\n").await;
    let link = "</next?n=2>; rel=next; timeout=60";
    asked.answer(stream("a; prev-id=6, c", link, "caught up\n")).await;
    assert_eq!(client.chunk().await, chunk("caught up\n"));
    server.wait_for_line("channel=c");
    publisher.stream("b", "not any more\n").await;
    publisher.stream("c", "yes\n").await;
    assert_eq!(client.chunk().await, chunk("yes\n"));
    hint(&publisher, "c").await;
    let asked = backend.next().await;
    assert_eq!(asked.request.target, "/next?n=2");
    assert_eq!(lasts(&asked.request), ["a; last-id=6"]);
    asked.answer(Answer::ok("the end\n")).await;
    assert_eq!(client.chunk().await, chunk("the end\n"));
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
}

#[tokio::test]
async fn errors_of_a_next_link_are_explained_on_debug_routes() {
    for (answer, message) in [
        (Answer::hold("response", "c", ""), "Next link returned non-stream hold."),
        (
            Answer::hold("stream", "c; prev-id=1", ""),
            "channel 'c' specifies prev-id, but no next link found",
        ),
        (Answer::ok("{}").header("Grip-Timeout", "x"), "failed to parse Grip-Timeout"),
        (
            Answer::new("200 OK").header("Content-Type", "application/grip-instruct").body("{}"),
            "failed to parse application/grip-instruct content as JSON",
        ),
    ] {
        for debug in [true, false] {
            let mut backend = Backend::manual();
            let route = backend.route(if debug { "*,debug" } else { "*" }, "");
            let server = serve(route, &[]);
            let mut client = Client::get(server.http, "/").await;
            let first = Answer::ok("one\n").header("Grip-Link", "</next>; rel=next");
            backend.next().await.answer(first).await;
            backend.next().await.answer(answer.clone()).await;
            client.head().await;
            assert_eq!(client.chunk().await, chunk("one\n"));
            if debug {
                assert_eq!(client.chunk().await, chunk(format!("\n\n{message}\n")));
            }
            assert_eq!(client.chunk().await, b"0\r\n\r\n", "{message}");
        }
    }
}

#[tokio::test]
async fn a_next_link_that_fails_is_asked_for_again() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*,debug", ""), &[]);
    let mut client = Client::get(server.http, "/").await;
    let first = Answer::ok("one\n").header("Grip-Link", "</next>; rel=next");
    backend.next().await.answer(first).await;
    let asked = backend.next().await;
    let failed = tokio::time::Instant::now();
    asked.answer(Answer::new("503 Busy").body("not this\n")).await;
    let again = backend.next().await;
    let waited = failed.elapsed();
    assert!(waited > Duration::from_millis(900) && waited < Duration::from_secs(12), "{waited:?}");
    again.answer(Answer::ok("two\n")).await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("one\n"));
    assert_eq!(client.chunk().await, chunk("two\n"));
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
    assert_eq!(server.counted("updates_retried"), 1);
}

#[tokio::test]
async fn a_next_link_that_breaks_off_ends_the_stream() {
    let mut backend = Backend::manual();
    let server = serve(backend.route("*,debug", ""), &[]);
    let mut client = Client::get(server.http, "/").await;
    let first = Answer::ok("one\n").header("Grip-Link", "</next>; rel=next");
    backend.next().await.answer(first).await;
    let mut exchange = backend.next().await;
    exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart").await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("one\n"));
    assert_eq!(client.chunk().await, chunk("part"));
    drop(exchange);
    assert_eq!(client.chunk().await, chunk("\n\nFailed to retrieve next link.\n"));
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
}

#[tokio::test]
async fn streams_with_the_same_link_share_one_request() {
    const CLIENTS: usize = 20;
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = Client::get(server.http, &format!("/start/{number}")).await;
        let link = format!("</next?u={number}>; rel=next; timeout=60");
        backend.next().await.answer(stream("c; prev-id=1", &link, "init\n")).await;
        client.head().await;
        client.chunk().await;
        server.wait_for_line("channel=c");
        clients.push(client);
    }
    hint(&publisher, "c").await;
    let asked = backend.next().await;
    assert!(asked.request.target.starts_with("/next?u="));
    let link = "</next?u=x>; rel=next; timeout=60";
    asked.answer(stream("c; prev-id=2", link, "for all\n")).await;
    for client in &mut clients {
        assert_eq!(client.chunk().await, chunk("for all\n"));
    }
    assert!(!backend.has_seen_more());
    assert_eq!(server.counted("updates_shared"), CLIENTS as u64 - 1);
}

#[tokio::test]
async fn equal_long_polls_share_one_request() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    let mut clients = Vec::new();
    for number in 0..5 {
        let mut client = Client::connect(server.http).await;
        let own = if number == 4 { "Cookie: own=1\r\n" } else { "" };
        client.send(format!("GET /poll HTTP/1.1\r\nHost: a.example\r\n{own}\r\n")).await;
        let channels = format!("c, own-{number}");
        backend.next().await.answer(Answer::hold("response", &channels, "nothing\n")).await;
        server.wait_for_line(&format!("channel=own-{number}"));
        clients.push(client);
    }
    hint(&publisher, "c").await;
    let mut shared = 0;
    for _ in 0..2 {
        let asked = backend.next().await;
        let own = asked.request.header("cookie").is_some();
        shared += usize::from(!own);
        asked.answer(Answer::ok(if own { "own\n" } else { "all\n" })).await;
    }
    assert_eq!(shared, 1);
    for (number, client) in clients.iter_mut().enumerate() {
        let expected = if number == 4 { "own\n" } else { "all\n" };
        assert_eq!(client.response().await.1, expected, "{number}");
    }
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn an_answer_that_sets_a_cookie_is_for_one_client() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    let mut clients = Vec::new();
    for number in 0..3 {
        clients.push(Client::get(server.http, "/poll").await);
        let channels = format!("c, own-{number}");
        backend.next().await.answer(Answer::hold("response", &channels, "nothing\n")).await;
        server.wait_for_line(&format!("channel=own-{number}"));
    }
    hint(&publisher, "c").await;
    let mut bodies = Vec::new();
    for number in 0..3 {
        let cookie = format!("n={number}");
        let answer = Answer::ok(format!("{number}\n")).header("Set-Cookie", &cookie);
        backend.next().await.answer(answer).await;
    }
    for client in &mut clients {
        let (head, body) = client.response().await;
        assert_eq!(head.header("set-cookie"), Some(format!("n={}", body.trim()).as_str()));
        bodies.push(body);
    }
    bodies.sort();
    assert_eq!(bodies, ["0\n", "1\n", "2\n"]);
}

#[tokio::test]
async fn a_large_body_waits_for_its_client() {
    const SIZE: usize = 20_000_000;
    let backend = Backend::answering(|request| match request.target.as_str() {
        "/next" => Answer::ok(vec![b'x'; SIZE]),
        _ => Answer::ok("one\n").header("Grip-Link", "</next>; rel=next"),
    });
    let mut server = serve(backend.route("*", ""), &[]);
    let mut client = Client::get(server.http, "/").await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("one\n"));
    let mut got = 0;
    loop {
        let piece = client.chunk().await;
        if piece == b"0\r\n\r\n" {
            break;
        }
        got += piece.iter().filter(|byte| **byte == b'x').count();
    }
    assert_eq!(got, SIZE);
    assert_eq!(server.counted("clients_too_slow"), 0);
}

#[tokio::test]
async fn a_backend_is_told_when_a_client_is_gone() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*,path_beg=/a,replace_beg=/b", ""), &[]);
    let client = Client::get(server.http, "/a/x").await;
    let held = Answer::hold("stream", "c", "init\n").header("Grip-Link", "</a/gone?1>; rel=gone");
    backend.next().await.answer(held).await;
    server.wait_for_line("channel=c");
    drop(client);
    let asked = backend.next().await;
    let request = asked.request.clone();
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/b/gone?1"));
    assert_eq!((request.header("content-length"), request.body.len()), (Some("0"), 0));
    asked.answer(Answer::new("500 Broken")).await;
    // Once more.
    let asked = backend.next().await;
    assert_eq!(asked.request.target, "/b/gone?1");
    asked.answer(Answer::new("200 OK")).await;
    assert_eq!(server.counted("gone_retries"), 1);
}

#[tokio::test]
async fn a_long_poll_is_gone_before_it_is_repeated() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/poll").await;
    let held = Answer::hold("response", "c", "no\n").header("Grip-Link", "</gone>; rel=gone");
    backend.next().await.answer(held).await;
    server.wait_for_line("channel=c");
    hint(&publisher, "c").await;
    let gone = backend.next().await;
    assert_eq!((gone.request.method.as_str(), gone.request.target.as_str()), ("POST", "/gone"));
    assert!(!backend.has_seen_more());
    gone.answer(Answer::new("200 OK")).await;
    let again = backend.next().await;
    assert_eq!(again.request.target, "/poll");
    again.answer(Answer::ok("answered\n")).await;
    assert_eq!(client.response().await.1, "answered\n");
    assert_eq!(server.counted("gone_requests"), 1);
}

#[tokio::test]
async fn backends_are_told_when_the_server_stops() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let mut clients = Vec::new();
    for number in 0..3 {
        clients.push(Client::get(server.http, "/").await);
        let link = format!("</gone/{number}>; rel=gone");
        let channels = format!("c, own-{number}");
        let held = Answer::hold("response", &channels, "no\n").header("Grip-Link", &link);
        backend.next().await.answer(held).await;
        server.wait_for_line(&format!("channel=own-{number}"));
    }
    server.terminate();
    let mut told = Vec::new();
    for _ in 0..3 {
        let asked = backend.next().await;
        told.push(asked.request.target.clone());
        asked.answer(Answer::new("204 No Content")).await;
    }
    told.sort();
    assert_eq!(told, ["/gone/0", "/gone/1", "/gone/2"]);
    assert_eq!(server.exit_code(Duration::from_secs(12)), Some(0));
}

#[tokio::test]
async fn a_client_that_comes_back_in_time_is_not_gone() {
    let mut backend = Backend::manual();
    let mut server =
        serve(backend.route("*", ""), &["--gone-delay", "5000", "--log-level", "debug"]);
    let held = || Answer::hold("stream", "c", "init\n").header("Grip-Link", "</gone>; rel=gone");
    let mut client = Client::get(server.http, "/").await;
    backend.next().await.answer(held()).await;
    client.head().await;
    client.chunk().await;
    drop(client);
    let mut client = Client::get(server.http, "/").await;
    backend.next().await.answer(held()).await;
    client.head().await;
    client.chunk().await;
    server.wait_for_line("a client came back");
    assert!(!backend.has_seen_more());
    drop(client);
    let asked = backend.next().await;
    assert_eq!(asked.request.target, "/gone");
    asked.answer(Answer::new("200 OK")).await;
    assert_eq!(server.counted("gone_withdrawn"), 1);
}

#[tokio::test]
async fn who_does_not_read_is_left_behind_by_the_others() {
    const SIZE: usize = 20_000_000;
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    let mut clients = Vec::new();
    let link = "</next>; rel=next; timeout=60";
    for _ in 0..2 {
        let mut client = Client::get(server.http, "/").await;
        backend.next().await.answer(stream("c", link, "init\n")).await;
        client.head().await;
        client.chunk().await;
        clients.push(client);
    }
    server.wait_for_line("channel=c");
    hint(&publisher, "c").await;
    let asked = backend.next().await;
    let mut reader = clients.pop().expect("two");
    let reading = async {
        let mut got = 0;
        while got < SIZE {
            got += reader.chunk().await.iter().filter(|byte| **byte == b'x').count();
        }
        assert_eq!(reader.chunk().await, b"0\r\n\r\n");
    };
    tokio::join!(asked.answer(Answer::ok(vec![b'x'; SIZE])), reading);
    assert_eq!(server.counted("clients_left_behind"), 1);
}

#[tokio::test]
async fn workers_share_one_request() {
    const CROWD: usize = 40;
    let mut backend = Backend::manual();
    let options = ["--workers", "2", "--update-on-first-subscription", "false"];
    let mut server = Server::start_with(&[backend.route("*", "")], &options);
    let publisher = Publisher::new(&server);
    let mut clients = Vec::new();
    for _ in 0..CROWD {
        let mut client = Client::get(server.http, "/").await;
        let held = Answer::hold("stream", "c; prev-id=1", "init\n").next_link("/next");
        backend.answer("/", held).await;
        client.head().await;
        client.expect_content("init\n").await;
        clients.push(client);
    }
    let formats = serde_json::json!({ "http-stream": { "content": "nine\n" } });
    publisher.step("c", "9", Some("8"), formats).await;
    let asked = backend.next().await;
    assert_eq!(asked.request.header("grip-last"), Some("c; last-id=1"));
    assert!(backend.next_soon().await.is_none(), "asked once for both workers");
    let page = "0123456789".repeat(300_000);
    // All at once: who does not read holds up the others.
    let mut reading = tokio::task::JoinSet::new();
    for mut client in clients {
        let page = page.clone();
        reading.spawn(async move {
            client.expect_content(&page).await;
            client.expect_end().await;
        });
    }
    asked.answer(Answer::ok(&page)).await;
    while let Some(read) = reading.join_next().await {
        read.expect("all of it");
    }
    assert!(!backend.has_seen_more());
    assert_eq!(server.counted("updates_for_peers"), 1);
}

#[tokio::test]
async fn so_many_requests_at_once_and_no_more() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &["--updates-at-once", "2"]);
    let publisher = Publisher::new(&server);
    let mut clients = Vec::new();
    for number in 0..4 {
        let mut client = Client::get(server.http, "/").await;
        let link = format!("</next/{number}>; rel=next; timeout=60");
        backend.next().await.answer(stream("c", &link, "init\n")).await;
        client.head().await;
        client.chunk().await;
        clients.push(client);
    }
    server.wait_for_line("channel=c");
    hint(&publisher, "c").await;
    let (first, second) = (backend.next().await, backend.next().await);
    assert!(!backend.has_seen_more());
    first.answer(Answer::ok("end\n")).await;
    let third = backend.next().await;
    assert!(!backend.has_seen_more());
    for exchange in [second, third] {
        exchange.answer(Answer::ok("end\n")).await;
    }
    backend.next().await.answer(Answer::ok("end\n")).await;
    for client in &mut clients {
        assert_eq!(client.chunk().await, chunk("end\n"));
    }
}

#[tokio::test]
async fn a_silent_stream_is_polled() {
    let mut backend = Backend::manual();
    let server = serve(backend.route("*", ""), &[]);
    let mut client = Client::get(server.http, "/").await;
    let link = "</next>; rel=next; timeout=0";
    let asked = backend.next().await;
    let begun = tokio::time::Instant::now();
    asked.answer(stream("c", link, "init\n")).await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("init\n"));
    for number in 0..3 {
        backend.next().await.answer(stream("c", link, &format!("{number}\n"))).await;
        assert_eq!(client.chunk().await, chunk(format!("{number}\n")));
    }
    assert!(begun.elapsed() > Duration::from_millis(250), "not more than ten times a second");
}

#[tokio::test]
async fn a_repeated_long_poll_has_its_names_as_its_client_wrote_them() {
    let mut backend = Backend::manual();
    let mut server = serve(backend.route("*", ""), &[]);
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    let fields = "x-mIne: 1\r\nX-OTHER: 2\r\nX-Usual: 3\r\ncontent-length: 4\r\n";
    client.send(format!("POST / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\nbody")).await;
    let mut heads = Vec::new();
    for round in ["", " retry"] {
        let exchange = backend.next().await;
        let names = exchange.request.headers.iter().map(|(name, _)| name.clone());
        heads.push(names.collect::<Vec<_>>());
        exchange.answer(Answer::hold("response", "one", "nothing\n")).await;
        server.wait_for_line(&format!("channel=one{round}"));
        if round.is_empty() {
            hint(&publisher, "one").await;
        }
    }
    assert!(heads[0].iter().any(|name| name == "x-mIne"), "{heads:?}");
    let sorted = |mut names: Vec<String>| {
        names.sort();
        names
    };
    assert_eq!(sorted(heads.remove(0)), sorted(heads.remove(0)));
}
