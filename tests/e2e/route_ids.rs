//! Routes by their ids: clients that name one, and what is asked again after the routes have
//! changed (specification, routing 2.7 and 3.15).

use std::fs;
use std::path::PathBuf;

use serde_json::json;

use super::harness::websocket::{WebSocket, refusal};
use super::harness::{Answer, Backend, Client, Publisher, Server, within};

const NAMING: [&str; 1] = ["--accept-pushpin-route"];

fn named(name: &'static str) -> Backend {
    Backend::answering(move |request| {
        assert!(request.header("Pushpin-Route").is_none() || name == "open");
        Answer::ok(name)
    })
}

async fn get(server: &Server, host: &str, path: &str, id: &str) -> (String, String) {
    let mut client = Client::connect(server.http).await;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nPushpin-Route: {id}\r\n\r\n");
    client.send(head).await;
    let (head, body) = client.response().await;
    (head.status, body)
}

#[tokio::test]
async fn a_client_names_its_route() {
    let (any, one, hidden, shared) = (named("any"), named("one"), named("hidden"), named("shared"));
    let routes = [
        any.route("*", ""),
        one.route("one.example,id=one,path_beg=/one,ssl=yes,proto=ws", ""),
        hidden.route(",id=hidden", ""),
        shared.route("s.example,id=shared", ""),
        shared.route("t.example,id=shared", ""),
        shared.route("u.example,path_beg=/u,ssl=no", ""),
    ];
    let server = Server::start_with(&routes, &NAMING);
    for (path, id, body) in [
        ("/one/x", "one", "one"),
        ("/", "hidden", "hidden"),
        ("/", "*,*,*,*", "any"),
        ("/", "", "any"),
        ("/u", "u.example,*,ssl,/u", "shared"),
    ] {
        let (status, text) = get(&server, "a.example", path, id).await;
        assert_eq!((status.as_str(), text.as_str()), ("HTTP/1.1 200 OK", body), "{path} {id}");
    }
    for (path, id) in [("/x", "one"), ("/", "unknown"), ("/", "shared"), ("/", "s.example,*,*,*")] {
        let (status, text) = get(&server, "s.example", path, id).await;
        let expected = ("HTTP/1.1 502 Bad Gateway", "Route not found\n");
        assert_eq!((status.as_str(), text.as_str()), expected, "{path} {id}");
    }
}

#[tokio::test]
async fn a_websocket_with_a_shared_id_is_looked_up_as_usual() {
    let routes = ["* test", "x.example,id=s test", "y.example,id=s 127.0.0.1:1"].map(str::to_owned);
    let server = Server::start_with(&routes, &NAMING);
    for (id, accepted) in [("*,*,*,*", true), ("s", true), ("unknown", false)] {
        let socket = WebSocket::try_connect(&server, "/ws", &[("pushpin-route", id)]).await;
        if accepted {
            let mut socket = socket.expect("accepted");
            socket.text("hello").await;
            socket.expect_text("hello").await;
        } else {
            assert_eq!(refusal(socket).status(), 502);
        }
    }
}

#[tokio::test]
async fn without_the_option_the_field_is_a_clients_own() {
    let mut open = named("open");
    let server = Server::route(open.route("*", ""));
    assert_eq!(get(&server, "a.example", "/", "unknown").await.1, "open");
    assert_eq!(open.seen().await.header("Pushpin-Route"), Some("unknown"));
}

/// A server whose routes are then others.
struct Changing {
    server: Server,
    file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Changing {
    fn start(routes: &str) -> Changing {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("routes");
        fs::write(&file, routes).expect("written");
        let path = file.to_string_lossy().into_owned();
        let delay = ["--reload-delay", "3600000"];
        let server = Server::start_with(&[], &[&["--routes", &path], &delay[..]].concat());
        Changing { server, file, _folder: folder }
    }

    fn change(&mut self, routes: &str) {
        fs::write(&self.file, routes).expect("written");
        self.server.forget_lines();
        self.server.hang_up();
        self.server.wait_for_line("routes loaded with");
    }
}

/// Publishes hints until the backend is asked.
async fn asked(publisher: &Publisher, backend: &mut Backend) -> super::harness::backend::Exchange {
    within("a request", async {
        loop {
            let hint = json!({ "action": "hint" });
            publisher.formats("c", json!({ "http-response": hint, "http-stream": hint })).await;
            if let Some(exchange) = backend.next_soon().await {
                return exchange;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_request_that_is_made_again_goes_by_the_routes_of_then() {
    let (mut one, mut two) = (Backend::manual(), Backend::manual());
    let mut changing = Changing::start(&one.route("a.example,id=i", ""));
    let publisher = Publisher::new(&changing.server);
    let mut client = Client::get(changing.server.http, "/poll").await;
    one.answer("/poll", Answer::hold("response", "c", "nothing\n")).await;
    // The id counts, not the host.
    changing.change(&format!("{}\n* test\n", two.route("other.example,id=i,replace_beg=/new", "")));
    let exchange = asked(&publisher, &mut two).await;
    assert_eq!(exchange.request.target, "/new/poll");
    exchange.answer(Answer::ok("by another route")).await;
    assert_eq!(client.response().await.1, "by another route");
    assert!(!one.has_seen_more());
}

#[tokio::test]
async fn a_request_whose_route_is_gone_cannot_be_made_again() {
    let mut backend = Backend::manual();
    let mut changing = Changing::start(&backend.route("a.example,id=i", ""));
    let publisher = Publisher::new(&changing.server);
    let mut client = Client::get(changing.server.http, "/poll").await;
    backend.answer("/poll", Answer::hold("response", "c", "nothing\n")).await;
    changing.change(&backend.route("a.example,id=other", ""));
    let mut answer = Box::pin(client.response());
    let (head, body) = within("an answer", async {
        loop {
            let hint = json!({ "http-response": { "action": "hint" } });
            publisher.formats("c", hint).await;
            let mut steps = tokio::time::interval(std::time::Duration::from_millis(100));
            steps.tick().await;
            tokio::select! {
                answer = &mut answer => return answer,
                _ = steps.tick() => {}
            }
        }
    })
    .await;
    assert_eq!(head.status, "HTTP/1.1 502 Bad Gateway");
    assert_eq!(body, "Route not found\n");
    assert!(!backend.has_seen_more());
}

#[tokio::test]
async fn a_next_link_is_followed_by_the_routes_of_then() {
    let (mut one, mut two) = (Backend::manual(), Backend::manual());
    let mut changing = Changing::start(&one.route("a.example,path_beg=/s", ""));
    let publisher = Publisher::new(&changing.server);
    let mut client = Client::get(changing.server.http, "/stream").await;
    let held = Answer::hold("stream", "c", "first\n").next_link("/s/next");
    one.answer("/stream", held.clone()).await;
    client.head().await;
    client.expect_content("first\n").await;
    // The same condition is the same id.
    changing.change(&two.route("a.example,path_beg=/s,debug", ""));
    let exchange = asked(&publisher, &mut two).await;
    assert_eq!(exchange.request.target, "/s/next");
    exchange.answer(held.body("second\n")).await;
    client.expect_content("second\n").await;
    assert!(!one.has_seen_more());
}
