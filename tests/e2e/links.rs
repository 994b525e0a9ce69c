//! What is asked of a backend on behalf of its holds: next links, retries of long-polls, hints, the
//! `recover` command, refreshes of new subscriptions, Grip-Last, links to those who are gone
//! (specification, GRIP 2, 3.4, 3.5, 5.4 to 5.9).
//!
//! Most were seen to be so on Pushpin 1.36; not `gone` links, which it lacks, nor what the
//! documentation lists as a difference: how requests are shared, and that others are asked for too.

use serde_json::{Value, json};

use super::harness::backend::{Exchange, refusing};
use super::harness::publisher::KNOCK;
use super::harness::{Answer, Backend, Client, Publisher, Server};

/// New subscriptions are refreshed, as they are unless a test wants it otherwise.
const REFRESHING: [&str; 2] = ["--update-on-first-subscription", "true"];

fn refreshing(route: String) -> Server {
    Server::start_with(&[route], &REFRESHING)
}

/// No ring: what does not follow is always asked of the backend, as Pushpin does.
fn forgetful(route: String) -> Server {
    Server::start_with(&[route], &[&REFRESHING[..], &["--ring-items", "0"]].concat())
}

/// The same with one worker.
fn alone(route: String) -> Server {
    let options = ["--ring-items", "0", "--workers", "1"];
    Server::start_with(&[route], &[&REFRESHING[..], &options].concat())
}

fn stream_content(content: &str) -> Value {
    json!({ "http-stream": { "content": content } })
}

fn poll_body(body: &str) -> Value {
    json!({ "http-response": { "body": body } })
}

fn hint() -> Value {
    json!({ "http-response": { "action": "hint" }, "http-stream": { "action": "hint" } })
}

/// A stream on `c` whose client has all up to `prev_id`, and whose backend is asked at `/next`.
fn stream_at(prev_id: &str, body: &str) -> Answer {
    Answer::hold("stream", &format!("c; prev-id={prev_id}"), body).next_link("/next")
}

/// Opens a stream whose channel has been refreshed: from here on, what is asked is the test's
/// doing.
async fn open_stream(backend: &mut Backend, server: &Server, answer: Answer) -> Client {
    let mut client = Client::get(server.http, "/").await;
    backend.answer("/", answer.clone().body("init\n")).await;
    client.head().await;
    client.expect_content("init\n").await;
    backend.answer("/next", answer.body("fresh\n")).await;
    client.expect_content("fresh\n").await;
    client
}

fn last_ids(request: &super::harness::Request) -> Vec<&str> {
    request.all("grip-last")
}

#[tokio::test]
async fn without_a_hold_a_next_link_is_followed_until_there_is_none() {
    let mut backend = Backend::manual();
    let server = refreshing(backend.route("*", ""));
    let mut client = Client::connect(server.http).await;
    client
        .send("GET /a/b?x=1 HTTP/1.1\r\nHost: a.example\r\nCookie: mine\r\nX-Mine: 1\r\n\r\n")
        .await;
    let first = Answer::ok("one\n").header("X-First", "1").next_link("c?y=2");
    backend.answer("/a/b?x=1", first).await;
    let head = client.head().await;
    assert_eq!(head.status, "HTTP/1.1 200 OK");
    assert_eq!(head.header("transfer-encoding"), Some("chunked"));
    assert_eq!(head.header("content-length"), None);
    assert_eq!(head.header("x-first"), Some("1"));
    assert!(head.is_grip_free(), "{head:?}");
    client.expect_content("one\n").await;
    // Relative to the address that gave it, each time.
    let second = Answer::new("201 Made").body("two\n").next_link("../d");
    let asked = backend.answer("/a/c?y=2", second).await;
    assert_eq!(asked.method, "GET");
    assert_eq!(asked.header("host"), Some("a.example"));
    assert!(asked.header("grip-sig").is_some() || asked.header("grip-feature").is_some());
    assert_eq!((asked.header("cookie"), asked.header("x-mine")), (None, None));
    assert_eq!(last_ids(&asked), Vec::<&str>::new());
    client.expect_content("two\n").await;
    backend.answer("/d", Answer::ok("three\n")).await;
    client.expect_content("three\n").await;
    client.expect_end().await;
    // The connection goes on.
    client.send("GET /again HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    backend.answer("/again", Answer::ok("plain\n")).await;
    assert_eq!(client.response().await.1, "plain\n");
}

#[tokio::test]
async fn the_last_of_several_next_links_counts() {
    let mut backend = Backend::manual();
    let server = refreshing(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let links = "</wrong>; rel=next, </ignored>, </other>; rel=prev, </right>; rel=next";
    backend.answer("/", Answer::ok("one\n").header("Grip-Link", links)).await;
    backend.answer("/right", Answer::ok("two\n")).await;
    client.head().await;
    client.expect_content("one\ntwo\n").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_link_may_lead_to_another_host() {
    let mut backend = Backend::manual();
    let mut other = Backend::manual();
    let server = refreshing(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let link = format!("http://{}/elsewhere", other.address);
    backend.answer("/", Answer::ok("here\n").next_link(&link)).await;
    let asked = other.answer("/elsewhere", Answer::ok("there\n")).await;
    assert_eq!(asked.header("host"), Some(other.address.to_string().as_str()));
    client.head().await;
    client.expect_content("here\nthere\n").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_link_that_leads_to_a_stream_goes_on_as_that_stream() {
    let mut backend = Backend::manual();
    let server = forgetful(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/").await;
    backend.answer("/", Answer::ok("page 1\n").next_link("/2")).await;
    backend.answer("/2", Answer::ok("page 2\n").next_link("/3")).await;
    backend.answer("/3", stream_at("3", "page 3\n")).await;
    client.head().await;
    client.expect_content("page 1\npage 2\npage 3\n").await;
    backend.answer("/next", stream_at("3", "fresh\n")).await;
    client.expect_content("fresh\n").await;
    publisher.step("c", "4", Some("3"), stream_content("four\n")).await;
    client.expect_content("four\n").await;
}

#[tokio::test]
async fn a_large_page_is_streamed_whole() {
    let mut backend = Backend::manual();
    let server = refreshing(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let page = "0123456789".repeat(100_000);
    backend.answer("/", Answer::ok(&page).next_link("/2")).await;
    client.head().await;
    client.expect_content(&page).await;
    backend.answer("/2", stream_at("3", &page)).await;
    client.expect_content(&page).await;
    backend.answer("/next", Answer::ok("end\n")).await;
    client.expect_content("end\n").await;
    client.expect_end().await;
}

#[tokio::test]
async fn an_item_that_does_not_follow_makes_a_stream_ask() {
    let mut backend = Backend::manual();
    let server = forgetful(backend.route("*,prefix=p-", ""));
    let publisher = Publisher::new(&server);
    let mut client = open_stream(&mut backend, &server, stream_at("1", "")).await;
    publisher.step("p-c", "2", Some("1"), stream_content("two\n")).await;
    client.expect_content("two\n").await;
    // 3 was lost; where the client is, the backend is told without the prefix of the route.
    publisher.step("p-c", "4", Some("3"), stream_content("four\n")).await;
    let asked = backend.answer("/next", stream_at("4", "three\nfour\n")).await;
    assert_eq!(last_ids(&asked), ["c; last-id=2"]);
    client.expect_content("three\nfour\n").await;
    publisher.step("p-c", "5", Some("4"), stream_content("five\n")).await;
    client.expect_content("five\n").await;
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn grip_last_names_every_channel_that_has_a_position() {
    let mut backend = Backend::manual();
    let server = forgetful(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let answer =
        Answer::hold("stream", "a; prev-id=1, b; prev-id=\"x y\", d", "").next_link("/next");
    let _client = open_stream(&mut backend, &server, answer.clone()).await;
    publisher.step("a", "9", Some("8"), stream_content("nine\n")).await;
    let asked = backend.answer("/next", answer).await;
    let mut positions = last_ids(&asked);
    positions.sort_unstable();
    assert_eq!(positions, ["a; last-id=1", "b; last-id=x y"]);
}

#[tokio::test]
async fn what_comes_while_a_link_is_followed_is_not_lost_and_not_doubled() {
    let mut backend = Backend::manual();
    let server = forgetful(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = open_stream(&mut backend, &server, stream_at("1", "")).await;
    publisher.step("c", "3", Some("2"), stream_content("three\n")).await;
    let exchange = backend.next().await;
    assert_eq!(last_ids(&exchange.request), ["c; last-id=1"]);
    for (id, prev_id, content) in [("4", "3", "four\n"), ("5", "4", "five\n")] {
        publisher.step("c", id, Some(prev_id), stream_content(content)).await;
    }
    // The backend has read its history after 4 was written, before 5 was.
    exchange.answer(stream_at("4", "two\nthree\nfour\n")).await;
    client.expect_content("two\nthree\nfour\nfive\n").await;
    publisher.step("c", "6", Some("5"), stream_content("six\n")).await;
    client.expect_content("six\n").await;
}

#[tokio::test]
async fn what_comes_while_a_link_is_followed_and_does_not_follow_is_asked_for() {
    let mut backend = Backend::manual();
    let server = forgetful(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = open_stream(&mut backend, &server, stream_at("1", "")).await;
    publisher.step("c", "3", Some("2"), stream_content("three\n")).await;
    let exchange = backend.next().await;
    publisher.step("c", "5", Some("4"), stream_content("five\n")).await;
    exchange.answer(stream_at("3", "two\nthree\n")).await;
    client.expect_content("two\nthree\n").await;
    // Pushpin forgets the 5, and notices when this one does not follow either.
    publisher.step("c", "6", Some("5"), stream_content("six\n")).await;
    let asked = backend.answer("/next", stream_at("6", "four\nfive\nsix\n")).await;
    assert_eq!(last_ids(&asked), ["c; last-id=3"]);
    client.expect_content("four\nfive\nsix\n").await;
}

/// Pushpin asks for the first one only: the others wait for the next publish.
#[tokio::test]
async fn whoever_comes_back_behind_is_asked_for() {
    let mut backend = Backend::manual();
    let server = alone(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    // Somebody listens without a position, so that it is known what came last, and nothing more.
    let mut stays = Client::get(server.http, "/plain").await;
    backend.answer("/plain", Answer::hold("stream", "c", "init\n")).await;
    stays.head().await;
    stays.expect_content("init\n").await;
    let shared = tokio::sync::Mutex::new(&mut stays);
    let heard = || async { shared.lock().await.hears().await };
    publisher.until("c", stream_content(KNOCK), heard).await;
    for id in 2..=5_u32 {
        let prev_id = (id - 1).to_string();
        publisher.step("c", &id.to_string(), Some(&prev_id), stream_content("news\n")).await;
        stays.expect_content("news\n").await;
    }
    for position in ["3", "3", "4"] {
        let mut client = Client::get(server.http, "/").await;
        backend.answer("/", stream_at(position, "init\n")).await;
        client.head().await;
        client.expect_content("init\n").await;
        let asked = backend.answer("/next", stream_at("5", "the rest\n")).await;
        assert_eq!(last_ids(&asked), [format!("c; last-id={position}")]);
        client.expect_content("the rest\n").await;
    }
    let mut client = Client::get(server.http, "/").await;
    backend.answer("/", stream_at("5", "init\n")).await;
    client.head().await;
    client.expect_content("init\n").await;
    assert!(!backend.has_seen_more(), "who has all is not asked for");
}

/// Ten streams of one worker, each with its own link, miss the same item.
async fn ten_streams_ask_once(link_of: impl Fn(usize) -> String) {
    let mut backend = Backend::manual();
    let server = alone(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut clients = Vec::new();
    for n in 0..10 {
        let mut client = Client::get(server.http, "/").await;
        let answer = Answer::hold("stream", "c; prev-id=1", "init\n").next_link(&link_of(n));
        backend.answer("/", answer).await;
        client.head().await;
        client.expect_content("init\n").await;
        clients.push(client);
    }
    let refresh = backend.next().await;
    assert!(refresh.request.target.starts_with("/next"), "{}", refresh.request.target);
    assert_eq!(last_ids(&refresh.request), ["c; last-id=1"]);
    refresh.answer(stream_at("1", "fresh\n")).await;
    for client in &mut clients {
        client.expect_content("fresh\n").await;
    }
    publisher.step("c", "3", Some("2"), stream_content("three\n")).await;
    backend.answer("/next", stream_at("3", "two\nthree\n")).await;
    for client in &mut clients {
        client.expect_content("two\nthree\n").await;
    }
    publisher.step("c", "4", Some("3"), stream_content("four\n")).await;
    for client in &mut clients {
        client.expect_content("four\n").await;
    }
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn streams_that_miss_the_same_ask_once() {
    ten_streams_ask_once(|_| "/next".to_owned()).await;
}

/// As when there is a token in the link. Pushpin asks ten times, one every 100 ms.
#[tokio::test]
async fn streams_that_miss_the_same_ask_once_if_their_queries_differ() {
    ten_streams_ask_once(|n| format!("/next?u={n}")).await;
}

#[tokio::test]
async fn a_followed_link_may_change_the_channels() {
    let mut backend = Backend::manual();
    let server = forgetful(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = open_stream(&mut backend, &server, stream_at("1", "")).await;
    publisher.step("c", "3", Some("2"), stream_content("three\n")).await;
    let answer = Answer::hold("stream", "d; prev-id=7", "moved\n").next_link("/later");
    backend.answer("/next", answer.clone()).await;
    client.expect_content("moved\n").await;
    // The new channel is refreshed in its turn, by the new link.
    let asked = backend.answer("/later", answer.body("fresh\n")).await;
    assert_eq!(last_ids(&asked), ["d; last-id=7"]);
    client.expect_content("fresh\n").await;
    publisher.step("c", "4", Some("3"), stream_content("no longer\n")).await;
    publisher.step("d", "8", Some("7"), stream_content("eight\n")).await;
    client.expect_content("eight\n").await;
}

#[tokio::test]
async fn a_followed_link_without_a_hold_ends_the_stream() {
    let mut backend = Backend::manual();
    let server = forgetful(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = open_stream(&mut backend, &server, stream_at("1", "")).await;
    publisher.step("c", "3", Some("2"), stream_content("three\n")).await;
    backend.answer("/next", Answer::ok("good bye\n")).await;
    client.expect_content("good bye\n").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_stream_is_polled_when_its_link_says_how_often() {
    let mut backend = Backend::manual();
    let server = refreshing(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let answer = |body: &str| {
        let link = "</next>; rel=next; timeout=1";
        Answer::hold("stream", "quiet", body).header("Grip-Link", link)
    };
    backend.answer("/", answer("init\n")).await;
    client.head().await;
    client.expect_content("init\n").await;
    for turn in ["one\n", "two\n", "three\n"] {
        let asked = backend.answer("/next", answer(turn)).await;
        assert_eq!(last_ids(&asked), Vec::<&str>::new());
        client.expect_content(turn).await;
    }
}

#[tokio::test]
async fn a_link_that_fails_is_asked_again() {
    let mut backend = Backend::manual();
    let server = refreshing(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    backend.answer("/", Answer::ok("one\n").next_link("/next")).await;
    backend.answer("/next", Answer::new("500 Oh").body("not this")).await;
    backend.answer("/next", Answer::ok("two\n")).await;
    client.head().await;
    client.expect_content("one\ntwo\n").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_link_that_leads_to_a_long_poll_is_an_error() {
    let mut backend = Backend::manual();
    let server = refreshing(backend.route("*,debug", ""));
    let mut client = Client::get(server.http, "/").await;
    backend.answer("/", Answer::ok("one\n").next_link("/next")).await;
    backend.answer("/next", Answer::hold("response", "c", "")).await;
    client.head().await;
    client.expect_content("one\n\n\nNext link returned non-stream hold.\n").await;
    client.expect_end().await;
}

#[tokio::test]
async fn a_position_without_a_link_is_an_error() {
    for (condition, shown) in [
        ("*", "init\n"),
        ("*,debug", "init\n\n\nchannel 'c' specifies prev-id, but no next link found\n"),
    ] {
        let mut backend = Backend::manual();
        let server = refreshing(backend.route(condition, ""));
        let mut client = Client::get(server.http, "/").await;
        backend.answer("/", Answer::hold("stream", "c; prev-id=1", "init\n")).await;
        // Pushpin knows the whole body before it writes the head, and so its length.
        let head = client.head().await;
        if head.header("content-length").is_some() {
            assert_eq!(client.exactly(shown.len()).await, shown.as_bytes());
        } else {
            client.expect_content(shown).await;
            client.expect_end().await;
        }
    }
}

#[tokio::test]
async fn a_hint_makes_a_stream_ask_its_link() {
    let mut backend = Backend::manual();
    let server = forgetful(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = open_stream(&mut backend, &server, stream_at("1", "")).await;
    publisher.step("c", "2", Some("1"), hint()).await;
    let asked = backend.answer("/next", stream_at("2", "two\n")).await;
    assert!(matches!(last_ids(&asked)[..], ["c; last-id=1" | "c; last-id=2"]));
    client.expect_content("two\n").await;
}

#[tokio::test]
async fn a_hint_makes_a_long_poll_ask_again_as_it_did() {
    let mut backend = Backend::manual();
    let server = forgetful(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::connect(server.http).await;
    client.send("POST /poll?x=1 HTTP/1.1\r\nHost: a.example\r\nX-Mine: 1\r\n").await;
    client.send("Content-Type: text/x-mine\r\nContent-Length: 4\r\n\r\nbody").await;
    let hold = || Answer::hold("response", "c, d", "nothing\n").header("Grip-Timeout", "30");
    backend.answer("/poll?x=1", hold()).await;
    // The refresh of the new subscription asks in the same way as the hint does.
    let again = backend.answer("/poll?x=1", hold()).await;
    let asked = publish_until_asked(&publisher, "c", hint(), &mut backend).await;
    for request in [&again, &asked.request] {
        assert_eq!(request.method, "POST");
        assert_eq!(request.target, "/poll?x=1");
        assert_eq!(request.header("x-mine"), Some("1"));
        assert_eq!(request.header("content-type"), Some("text/x-mine"));
        assert_eq!(request.body, b"body");
        assert_eq!(last_ids(request), Vec::<&str>::new());
    }
    asked.answer(Answer::new("222 New").header("X-Answer", "1").body("news\n")).await;
    let (head, body) = client.response().await;
    assert_eq!((head.status.as_str(), body.as_str()), ("HTTP/1.1 222 New", "news\n"));
    assert_eq!(head.header("x-answer"), Some("1"));
    // Nothing of it is left: the connection is as new.
    client.send("GET /plain HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    let plain = loop {
        let exchange = backend.next().await;
        if exchange.request.target == "/plain" {
            break exchange;
        }
    };
    plain.answer(Answer::ok("plain\n")).await;
    assert_eq!(client.response().await.1, "plain\n");
}

/// A long-poll is subscribed a moment after its backend has answered: what comes before is not for
/// it. So this publishes until it is.
async fn publish_until_asked(
    publisher: &Publisher,
    channel: &str,
    formats: Value,
    backend: &mut Backend,
) -> Exchange {
    let backend = tokio::sync::Mutex::new(backend);
    let asked = tokio::sync::Mutex::new(None);
    let heard = || async {
        let exchange = backend.lock().await.next_soon().await;
        let came = exchange.is_some();
        *asked.lock().await = exchange;
        came
    };
    publisher.until(channel, formats, heard).await;
    asked.into_inner().expect("it was asked")
}

/// A long-poll at a position, that has been refreshed.
async fn open_poll(backend: &mut Backend, server: &Server, hold: &Answer) -> Client {
    let client = Client::get(server.http, "/poll").await;
    let first = backend.answer("/poll", hold.clone()).await;
    assert_eq!(last_ids(&first), Vec::<&str>::new());
    backend.answer("/poll", hold.clone()).await;
    client
}

fn poll_at(prev_id: &str) -> Answer {
    Answer::hold("response", &format!("c; prev-id={prev_id}"), "nothing\n")
}

#[tokio::test]
async fn an_item_that_does_not_follow_makes_a_long_poll_ask_again() {
    let mut backend = Backend::manual();
    let server = forgetful(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = open_poll(&mut backend, &server, &poll_at("1")).await;
    publisher.step("c", "3", Some("2"), poll_body("three\n")).await;
    let asked = backend.answer("/poll", Answer::ok("two\nthree\n")).await;
    assert_eq!(last_ids(&asked), ["c; last-id=1"]);
    assert_eq!(client.response().await.1, "two\nthree\n");
}

#[tokio::test]
async fn a_long_poll_that_is_behind_asks_again_instead_of_waiting() {
    let mut backend = Backend::manual();
    let server = alone(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut first = open_poll(&mut backend, &server, &Answer::hold("response", "c", "")).await;
    // It is held again a moment after the refresh is answered: until then nothing comes through.
    let mut last = 1;
    while !first.hears().await {
        last += 1;
        let prev_id = (last - 1).to_string();
        publisher.step("c", &last.to_string(), Some(&prev_id), poll_body("news\n")).await;
    }
    assert_eq!(first.response().await.1, "news\n");
    // Nobody holds the channel now, but it lingers: its last id is known.
    let mut late = Client::get(server.http, "/poll").await;
    backend.answer("/poll", poll_at("1")).await;
    let asked = backend.answer("/poll", Answer::ok("all of it\n")).await;
    assert_eq!(last_ids(&asked), ["c; last-id=1"]);
    assert_eq!(late.response().await.1, "all of it\n");
}

#[tokio::test]
async fn a_long_poll_ignores_a_next_link() {
    let mut backend = Backend::manual();
    let server = refreshing(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    let hold = || {
        let link = "</next>; rel=next; timeout=1";
        Answer::hold("response", "quiet", "nothing\n")
            .header("Grip-Link", link)
            .header("Grip-Timeout", "5")
    };
    backend.answer("/", hold()).await;
    backend.answer("/", hold()).await;
    assert_eq!(client.response().await.1, "nothing\n");
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn recover_asks_for_every_hold() {
    let mut backend = Backend::manual();
    let server = forgetful(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut poll = open_poll(&mut backend, &server, &poll_at("1")).await;
    let mut stream = Client::get(server.http, "/").await;
    let answer = Answer::hold("stream", "s; prev-id=7", "init\n").next_link("/next");
    backend.answer("/", answer.clone()).await;
    stream.head().await;
    stream.expect_content("init\n").await;
    backend.answer("/next", answer.clone().body("fresh\n")).await;
    stream.expect_content("fresh\n").await;
    assert_eq!(publisher.post("/recover/", "{}").await, (200, "Updated\n".to_owned()));
    for _ in 0..2 {
        let exchange = backend.next().await;
        match exchange.request.target.as_str() {
            "/poll" => {
                assert_eq!(last_ids(&exchange.request), ["c; last-id=1"]);
                exchange.answer(Answer::ok("recovered\n")).await;
            }
            target => {
                assert_eq!(target, "/next");
                assert_eq!(last_ids(&exchange.request), ["s; last-id=7"]);
                exchange.answer(answer.clone().body("recovered\n")).await;
            }
        }
    }
    assert_eq!(poll.response().await.1, "recovered\n");
    stream.expect_content("recovered\n").await;
}

#[tokio::test]
async fn a_connection_is_subscribed_to_its_first_channels_only() {
    let backend = Backend::answering(|_| {
        let channels: Vec<String> = (1..=21).map(|n| format!("n{n}")).collect();
        Answer::hold("stream", &channels.join(", "), "init\n")
    });
    let server = refreshing(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/").await;
    client.head().await;
    client.expect_content("init\n").await;
    let shared = tokio::sync::Mutex::new(&mut client);
    publisher
        .until("n20", stream_content(KNOCK), || async { shared.lock().await.hears().await })
        .await;
    publisher.stream("n21", "too many\n").await;
    publisher.stream("n20", "twentieth\n").await;
    client.expect_content("twentieth\n").await;
}

/// A backend for `gone` links: its holds end, then it is told. Pushpin 1.36 has none of this.
fn going(hold: Answer) -> Answer {
    hold.header("Grip-Link", "</gone?of=1>; rel=gone")
}

fn expect_gone(request: &super::harness::Request) {
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/gone?of=1"));
    assert_eq!(request.header("content-length"), Some("0"));
    assert_eq!(last_ids(request), Vec::<&str>::new());
    assert_eq!(request.body, b"");
}

#[tokio::test]
async fn who_leaves_a_stream_is_told_gone_once() {
    let mut backend = Backend::manual();
    let server = refreshing(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    backend.answer("/", going(Answer::hold("stream", "c", "init\n"))).await;
    client.head().await;
    client.expect_content("init\n").await;
    drop(client);
    let told = backend.answer("/gone?of=1", Answer::new("204 No Content")).await;
    expect_gone(&told);
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn a_long_poll_that_was_answered_is_told_gone() {
    let mut backend = Backend::manual();
    let server = refreshing(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/").await;
    let hold = going(Answer::hold("response", "c", "nothing\n"));
    backend.answer("/", hold.clone()).await;
    // Before the refresh asks anew, the hold that was is told gone.
    let told = backend.answer("/gone?of=1", Answer::ok("")).await;
    expect_gone(&told);
    backend.answer("/", hold).await;
    let shared = tokio::sync::Mutex::new(&mut client);
    publisher.until("c", poll_body("news\n"), || async { shared.lock().await.hears().await }).await;
    assert_eq!(client.response().await.1, "news\n");
    let told = backend.answer("/gone?of=1", Answer::ok("")).await;
    expect_gone(&told);
}

#[tokio::test]
async fn a_gone_link_that_cannot_be_reached_is_tried_again() {
    let mut backend = Backend::manual();
    let server = refreshing(backend.route("*", ""));
    let mut client = Client::get(server.http, "/").await;
    backend.answer("/", going(Answer::hold("stream", "c", "init\n"))).await;
    client.head().await;
    client.expect_content("init\n").await;
    drop(client);
    backend.answer("/gone?of=1", Answer::new("503 Later")).await;
    let told = backend.answer("/gone?of=1", Answer::ok("")).await;
    expect_gone(&told);
}

#[tokio::test]
async fn a_link_to_nowhere_does_no_harm() {
    let mut backend = Backend::manual();
    let server = refreshing(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let mut client = Client::get(server.http, "/").await;
    let links = format!("<http://{}/>; rel=next; timeout=1", refusing());
    let answer = Answer::hold("stream", "c", "init\n").header("Grip-Link", &links);
    backend.answer("/", answer).await;
    client.head().await;
    client.expect_content("init\n").await;
    let shared = tokio::sync::Mutex::new(&mut client);
    publisher
        .until("c", stream_content(KNOCK), || async { shared.lock().await.hears().await })
        .await;
}
