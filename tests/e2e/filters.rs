//! Filters: what they keep from clients and what they rewrite, on every transport.

use serde_json::{Value, json};

use super::harness::backend::refusing;
use super::harness::{
    Answer, Backend, Client, Publisher, Request, Server, WebSocket, chunk, within,
};

/// How a client is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Poll,
    Stream,
    Socket,
}

const ALL: [Transport; 3] = [Transport::Poll, Transport::Stream, Transport::Socket];

/// A subscription to the channel `c`.
#[derive(Clone)]
struct Scene {
    filters: &'static [&'static str],
    meta: &'static [(&'static str, &'static str)],
    /// Options of the route's condition, each with its comma.
    condition: &'static str,
    /// What follows the channel's name in an instruction.
    channel: &'static str,
    /// The answer to a request for `/flt`.
    filter: fn(&Request) -> Answer,
}

impl Scene {
    fn new(
        filters: &'static [&'static str],
        meta: &'static [(&'static str, &'static str)],
    ) -> Scene {
        Scene { filters, meta, condition: "", channel: "", filter: |_| Answer::new("404 None") }
    }

    fn in_debug(self) -> Scene {
        Scene { condition: ",debug", ..self }
    }

    fn answering(self, filter: fn(&Request) -> Answer) -> Scene {
        Scene { filter, ..self }
    }

    fn answer(&self, request: &Request) -> Answer {
        if request.target.starts_with("/flt") {
            return (self.filter)(request);
        }
        if request.header("content-type") == Some("application/websocket-events") {
            let opens = request.body.starts_with(b"OPEN");
            return if opens { Answer::open(self.controls()) } else { Answer::events("") };
        }
        let filters: String = self.filters.iter().map(|name| format!("; filter={name}")).collect();
        let mode = if request.target == "/Poll" { "response" } else { "stream" };
        let channels = format!("c{}{filters}", self.channel);
        let mut answer = Answer::hold(mode, &channels, "");
        for (name, value) in self.meta {
            answer = answer.header("Grip-Set-Meta", &format!("{name}=\"{value}\""));
        }
        answer
    }

    /// The same for a WebSocket, and then a message to its client.
    fn controls(&self) -> String {
        let mut controls: Vec<_> = self
            .meta
            .iter()
            .map(|(name, value)| json!({ "type": "set-meta", "name": name, "value": value }))
            .collect();
        let filters = self.filters;
        controls.push(json!({ "type": "subscribe", "channel": "c", "filters": filters }));
        let mut events: String =
            controls.iter().map(|control| event(&format!("c:{control}"))).collect();
        events.push_str(&event("m:ready"));
        events
    }

    /// A server with a client that is held, and the backend.
    async fn held(&self, transport: Transport) -> Held {
        let scene = self.clone();
        let backend = Backend::answering(move |request| scene.answer(request));
        let mut server =
            Server::route(backend.route(&format!("*{}", self.condition), ",over_http"));
        let publisher = Publisher::new(&server);
        let client = match transport {
            Transport::Socket => {
                let mut socket = WebSocket::connect(&server, "/Socket").await;
                socket.expect_text("ready").await;
                Connected::Socket(Box::new(socket))
            }
            Transport::Stream => {
                let mut client = Client::get(server.http, "/Stream").await;
                client.head().await;
                server.wait_for_line("channel=");
                Connected::Stream(client)
            }
            Transport::Poll => {
                let client = Client::get(server.http, "/Poll").await;
                server.wait_for_line("channel=");
                Connected::Poll(client)
            }
        };
        Held { server, backend, publisher, client }
    }

    /// What a client is delivered first of these items, which end with one that says `end`.
    async fn first_of(&self, transport: Transport, items: &[Value]) -> String {
        let mut held = self.held(transport).await;
        held.publish(items).await;
        held.next().await
    }
}

fn event(content: &str) -> String {
    format!("TEXT {:x}\r\n{content}\r\n", content.len())
}

enum Connected {
    Poll(Client),
    Stream(Client),
    Socket(Box<WebSocket>),
}

struct Held {
    server: Server,
    backend: Backend,
    publisher: Publisher,
    client: Connected,
}

impl Held {
    async fn publish(&self, items: &[Value]) {
        self.publisher.items(json!(items)).await;
    }

    /// What is delivered next.
    async fn next(&mut self) -> String {
        match &mut self.client {
            Connected::Poll(client) => client.response().await.1,
            Connected::Socket(socket) => socket.next().await.into_text().expect("text").to_string(),
            Connected::Stream(client) => {
                let piece = String::from_utf8(client.chunk().await).expect("text");
                let content = piece.split_once("\r\n").expect("a chunk").1;
                content.trim_end_matches("\r\n").to_owned()
            }
        }
    }

    /// The client is told this, and then there is no more.
    async fn expect_error(&mut self, message: &str) {
        match &mut self.client {
            Connected::Poll(client) => {
                let (head, body) = client.response().await;
                assert_eq!(
                    (head.status.as_str(), body),
                    ("HTTP/1.1 502 Bad Gateway", format!("{message}\n"))
                );
            }
            Connected::Stream(client) => {
                assert_eq!(client.chunk().await, chunk(format!("\n\n{message}\n")));
                assert_eq!(client.chunk().await, b"0\r\n\r\n");
            }
            Connected::Socket(socket) => socket.expect_close(1011, message).await,
        }
    }

    /// The next request for a filter.
    async fn asked(&mut self) -> Request {
        loop {
            let request = self.backend.seen().await;
            if request.target.starts_with("/flt") {
                return request;
            }
        }
    }
}

/// An item for every transport.
fn item(content: &str, meta: Value) -> Value {
    let formats = json!({
        "http-response": { "body": content },
        "http-stream": { "content": content },
        "ws-message": { "content": content },
    });
    json!({ "channel": "c", "formats": formats, "meta": meta })
}

fn end() -> Value {
    item("end", json!({}))
}

#[tokio::test]
async fn delivery_filters_keep_items_back() {
    let user = &[("user", "alice")];
    for (filter, meta) in [
        ("skip-self", json!({ "sender": "alice" })),
        ("skip-users", json!({ "skip_users": " bob, alice ," })),
        ("require-sub", json!({ "require_sub": "elsewhere" })),
    ] {
        let filters: &[_] = match filter {
            "skip-self" => &["skip-self"],
            "skip-users" => &["nobody-knows", "skip-users"],
            _ => &["require-sub"],
        };
        let scene = Scene::new(filters, user);
        for transport in ALL {
            let items = [item("kept back", meta.clone()), end()];
            assert_eq!(scene.first_of(transport, &items).await, "end", "{filter} {transport:?}");
        }
    }
    let scene = Scene::new(&["skip-self", "skip-users", "require-sub"], user);
    let meta = json!({ "sender": "bob", "skip_users": "bob", "require_sub": "c" });
    for transport in ALL {
        let items = [item("for alice", meta.clone()), end()];
        assert_eq!(scene.first_of(transport, &items).await, "for alice", "{transport:?}");
    }
}

#[tokio::test]
async fn variables_are_substituted() {
    let scene = Scene::new(&["var-subst"], &[("user", "alice")]);
    for transport in ALL {
        let items = [item("100%% %(user)s", json!({})), end()];
        assert_eq!(scene.first_of(transport, &items).await, "100% alice", "{transport:?}");
    }
}

#[tokio::test]
async fn content_that_cannot_be_rewritten_is_empty() {
    for scene in
        [Scene::new(&["var-subst"], &[]).in_debug(), Scene::new(&["build-id"], &[]).in_debug()]
    {
        let items = [item("%(nobody)s", json!({})), item("end", json!({}))];
        assert_eq!(scene.first_of(Transport::Poll, &items).await, "");
    }
    // A WebSocket is sent nothing; in debug it is closed with the error (`websocket_control`).
    let scene = Scene::new(&["var-subst"], &[]);
    let items = [item("%(nobody)s", json!({})), item("end", json!({}))];
    assert_eq!(scene.first_of(Transport::Socket, &items).await, "end");
    // A stream is written nothing.
    let scene = Scene::new(&["var-subst"], &[]).in_debug();
    let items = [item("%(nobody)s", json!({})), end()];
    assert_eq!(scene.first_of(Transport::Stream, &items).await, "end");
}

#[tokio::test]
async fn ids_are_built_from_what_the_client_has() {
    let scene = Scene {
        channel: "; prev-id=5",
        ..Scene::new(&["build-id"], &[("id_format", "%(c)s-x"), ("id_encoding", "hex")])
    };
    let mut item = item("id %I, %(5-x)I", json!({}));
    item["id"] = "6".into();
    item["prev-id"] = "5".into();
    assert_eq!(scene.first_of(Transport::Poll, &[item]).await, "id 352d78, 352d78");
}

#[tokio::test]
async fn filters_run_in_order() {
    let scene = Scene::new(&["var-subst", "http-modify"], &[("v", "1"), ("url", "/flt")])
        .answering(|request| Answer::ok(format!("<{}>", String::from_utf8_lossy(&request.body))));
    for transport in ALL {
        let items = [item("v=%(v)s", json!({})), end()];
        assert_eq!(scene.first_of(transport, &items).await, "<v=1>", "{transport:?}");
    }
}

#[tokio::test]
async fn content_for_other_filters_is_skipped() {
    let other = |content: &str, filters: &[&str]| {
        let mut item = item(content, json!({}));
        for format in ["http-response", "http-stream", "ws-message"] {
            item["formats"][format]["content-filters"] = json!(filters);
        }
        item
    };
    let scene = Scene::new(&["skip-self", "var-subst"], &[("v", "1")]);
    for transport in ALL {
        let items = [other("a", &[]), other("b", &["build-id"]), other("%(v)s", &["var-subst"])];
        assert_eq!(scene.first_of(transport, &items).await, "1", "{transport:?}");
        let mut held = scene.clone().in_debug().held(transport).await;
        held.publish(&[other("b", &["build-id", "x"])]).await;
        let message = "content filter mismatch: subscription=var-subst message=build-id,x";
        held.expect_error(message).await;
    }
}

#[tokio::test]
async fn a_backend_is_asked_about_every_item() {
    let scene = Scene::new(&["http-check"], &[("user", "alice"), ("url", "/flt?x=1"), ("b", "2")])
        .answering(|request| match request.header("pub-meta") {
            Some(meta) if meta.contains("secret") => {
                Answer::new("204 No Content").header("Action", "drop")
            }
            _ => Answer::ok("not for the client"),
        });
    for transport in ALL {
        let mut held = scene.held(transport).await;
        held.publish(&[item("hidden", json!({ "a": "secret" })), item("shown", json!({}))]).await;
        assert_eq!(held.next().await, "shown", "{transport:?}");
        let asked = held.asked().await;
        assert_eq!((asked.method.as_str(), asked.target.as_str()), ("POST", "/flt?x=1"));
        let sub_meta = r#"{"b":"2","url":"/flt?x=1","user":"alice"}"#;
        assert_eq!(asked.header("sub-meta"), Some(sub_meta));
        assert_eq!(asked.header("pub-meta"), Some(r#"{"a":"secret"}"#));
        assert_eq!(asked.header("content-length"), Some("0"));
        assert_eq!(asked.header("content-type"), None);
        assert!(asked.header("grip-feature").is_some_and(|all| all.contains("filter:http-check")));
        assert_eq!(held.asked().await.header("pub-meta"), Some("{}"));
    }
}

#[tokio::test]
async fn a_backend_may_rewrite_content() {
    let scene = Scene::new(&["http-modify"], &[("url", "flt")]).answering(|request| match &request
        .body[..]
    {
        b"drop" => Answer::ok("x").header("Action", "drop"),
        b"keep" => Answer::new("204 No Content"),
        body => Answer::ok(body.to_ascii_uppercase()),
    });
    for transport in ALL {
        let drop = || item("drop", json!({}));
        let first = scene.first_of(transport, &[drop(), item("shout", json!({}))]).await;
        assert_eq!(first, "SHOUT", "{transport:?}");
        let first = scene.first_of(transport, &[drop(), item("keep", json!({}))]).await;
        assert_eq!(first, "keep", "{transport:?}");
    }
}

#[tokio::test]
async fn what_is_not_answered_is_not_delivered() {
    let scene = Scene::new(&["http-check"], &[("url", "/flt")]).answering(|request| {
        let fails = request.header("pub-meta") != Some("{}");
        if fails { Answer::new("500 Oh No") } else { Answer::ok("") }
    });
    for transport in ALL {
        let fails = item("lost", json!({ "a": "b" }));
        let mut held = scene.held(transport).await;
        held.publish(&[fails.clone(), end()]).await;
        assert_eq!(held.next().await, "end", "{transport:?}");
        assert_eq!(held.server.counted("filter_failures"), 1);
        let mut held = scene.clone().in_debug().held(transport).await;
        held.publish(&[fails]).await;
        held.expect_error("filter error: unexpected network request status: code=500").await;
    }
    let nowhere: &'static str = Box::leak(format!("http://{}/", refusing()).into_boxed_str());
    let nowhere: &'static [(&str, &str)] = Box::leak(Box::new([("url", nowhere)]));
    for (meta, message) in [
        (&[][..], "filter error: missing url value"),
        (&[("url", "ftp://a/")][..], "filter error: invalid url value"),
        (nowhere, "filter error: unexpected network request status: code=502"),
    ] {
        let mut held = Scene::new(&["http-modify"], meta).in_debug().held(Transport::Poll).await;
        held.publish(&[end()]).await;
        held.expect_error(message).await;
    }
}

#[tokio::test]
async fn content_of_responses_is_rewritten() {
    let answer = |request: &Request| {
        let (kind, body) = request.target[1..].split_once('/').expect("/kind/body");
        let answer = Answer::ok(body.replace('_', "%"))
            .header("Grip-Channel", "a; filter=skip-self, b; filter=build-id");
        match kind {
            "plain" => answer.header("Grip-Set-Meta", "id_format=x"),
            "stream" => answer.header("Grip-Set-Meta", "id_format=x").header("Grip-Hold", "stream"),
            _ => answer,
        }
    };
    let backend = Backend::answering(answer);
    let server = Server::start(&[backend.route("*,debug", ""), backend.route("quiet.example", "")]);
    let get = async |target: &str| Client::get(server.http, target).await;
    let id = "filter error: build-id: No ID specified and no default ID in context at position 2";
    let format = "filter error: build-id: no sub meta 'id_format'";
    for (target, status, body) in [
        ("/plain/a__b_(c)I", "HTTP/1.1 200 OK", "a%bc".to_owned()),
        (
            "/plain/a_I",
            "HTTP/1.1 502 Bad Gateway",
            format!("Failed to parse accept instructions: {id}\n"),
        ),
        (
            "/none/",
            "HTTP/1.1 502 Bad Gateway",
            format!("Failed to parse accept instructions: {format}\n"),
        ),
        // A stream that cannot begin is all here: it has a length.
        ("/stream/a_I", "HTTP/1.1 200 OK", format!("\n\n{id}\n")),
    ] {
        let (head, got) = get(target).await.response().await;
        assert_eq!((head.status.as_str(), got), (status, body), "{target}");
    }
    let mut stream = get("/stream/a__b_(c)I").await;
    stream.head().await;
    assert_eq!(stream.chunk().await, chunk("a%bc"));
}

#[tokio::test]
async fn one_slow_filter_keeps_only_its_own_client_waiting() {
    let scene = Scene::new(&["http-check"], &[("url", "/flt")]);
    let mut backend = Backend::manual();
    let mut server = Server::route(backend.route("*", ""));
    let publisher = Publisher::new(&server);
    let hold = |plain: bool| {
        let scene = if plain { Scene::new(&[], &[]) } else { scene.clone() };
        move |request: &Request| scene.answer(request)
    };
    let mut clients = Vec::new();
    for plain in [false, true] {
        let mut client = Client::get(server.http, if plain { "/plain" } else { "/Stream" }).await;
        let exchange = backend.next().await;
        let answer = hold(plain)(&exchange.request);
        exchange.answer(answer).await;
        client.head().await;
        let path = if plain { "/plain channel=c" } else { "/Stream channel=c" };
        server.wait_for_line(path);
        clients.push(client);
    }
    publisher.stream("c", "one\n").await;
    let asked = backend.next().await;
    publisher.stream("c", "two\n").await;
    assert_eq!(clients[1].chunk().await, chunk("one\n"));
    assert_eq!(clients[1].chunk().await, chunk("two\n"));
    asked.answer(Answer::ok("")).await;
    assert_eq!(clients[0].chunk().await, chunk("one\n"));
    within("the next", async { backend.next().await.answer(Answer::ok("")).await }).await;
    assert_eq!(clients[0].chunk().await, chunk("two\n"));
}

#[tokio::test]
async fn bodies_of_next_links_are_rewritten_as_they_come() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*,debug", ""));
    let begin = |link: &str| {
        Answer::hold("stream", "c; filter=build-id", "%(first)I\n")
            .header("Grip-Set-Meta", "id_format=x, id_encoding=hex")
            .header("Grip-Link", link)
    };
    let mut client = Client::get(server.http, "/").await;
    // Without a hold the link follows at once.
    let first = begin("</next>; rel=next").without("Grip-Hold");
    backend.next().await.answer(first).await;
    client.head().await;
    assert_eq!(client.chunk().await, chunk("6669727374\n"));
    let mut next = backend.next().await;
    assert_eq!(next.request.target, "/next");
    // The variables that were set before go on.
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\
        Grip-Channel: c; filter=build-id\r\n\
        Grip-Link: </last>; rel=next\r\nTransfer-Encoding: chunked\r\n\r\n";
    next.write(format!("{head}4\r\n%%|%\r\n")).await;
    assert_eq!(client.chunk().await, chunk("%|"));
    next.write("5\r\n(a\\\\b\r\n4\r\n)I.%\r\n").await;
    assert_eq!(client.chunk().await, chunk("615c62."));
    next.write("2\r\n%\n\r\n0\r\n\r\n").await;
    assert_eq!(client.chunk().await, chunk("%\n"));
    let last = backend.next().await;
    assert_eq!(last.request.target, "/last");
    last.answer(begin("</x>; rel=next").body("end%(")).await;
    assert_eq!(client.chunk().await, chunk("end"));
    let message = "filter error: build-id: Expected character after '(' at position 1";
    assert_eq!(client.chunk().await, chunk(format!("\n\n{message}\n")));
    assert_eq!(client.chunk().await, b"0\r\n\r\n");
}

#[tokio::test]
async fn channels_are_named_without_the_prefix_of_the_route() {
    let scene = Scene {
        condition: ",prefix=p-",
        channel: "; prev-id=5",
        ..Scene::new(&["require-sub", "build-id"], &[("id_format", "%(c)s")])
    };
    let mut held = scene.held(Transport::Poll).await;
    let mut item = item("%I", json!({ "require_sub": "c" }));
    item["channel"] = "p-c".into();
    item["id"] = "6".into();
    item["prev-id"] = "5".into();
    held.publish(&[item]).await;
    assert_eq!(held.next().await, "5");
}

#[tokio::test]
async fn backends_over_http_set_metadata_with_headers_too() {
    let backend = Backend::answering(|request| match &request.body[..] {
        b"OPEN\r\n" => {
            let control = json!({ "type": "subscribe", "channel": "c", "filters": ["var-subst"] });
            let events = [event(&format!("c:{control}")), event("m:ready")].concat();
            Answer::open(events).header("Set-Meta-User", "alice").header("Set-Meta-X", "1")
        }
        _ => {
            Answer::events(event("m:done")).header("Set-Meta-User", "bob").header("Set-Meta-x", "")
        }
    });
    let server = Server::route(backend.route("*", ",over_http"));
    let publisher = Publisher::new(&server);
    let mut socket = WebSocket::connect(&server, "/").await;
    socket.expect_text("ready").await;
    publisher.message("c", "%(user)s %(x)s").await;
    socket.expect_text("alice 1").await;
    socket.text("go").await;
    socket.expect_text("done").await;
    publisher.message("c", "%(user)s").await;
    socket.expect_text("bob").await;
    // It is not set any more: what needs it is not delivered.
    publisher.message("c", "%(x)s").await;
    publisher.message("c", "end").await;
    socket.expect_text("end").await;
}

#[tokio::test]
async fn websocket_backends_filter_as_others_do() {
    let mut backend = Backend::manual();
    let server = Server::route(backend.route("*,debug", ""));
    let publisher = Publisher::new(&server);
    let accepting = async {
        WebSocket::accept(backend.next().await, "Sec-WebSocket-Extensions: grip\r\n").await
    };
    let (mut client, mut other) = tokio::join!(WebSocket::connect(&server, "/a/ws"), accepting);
    for control in [
        json!({ "type": "set-meta", "name": "url", "value": "flt" }),
        json!({ "type": "subscribe", "channel": "c", "filters": ["http-modify"] }),
    ] {
        other.text(&format!("c:{control}")).await;
    }
    other.text("m:ready").await;
    client.expect_text("ready").await;
    publisher.message("c", "one").await;
    let asked = backend.next().await;
    assert_eq!((asked.request.target.as_str(), &asked.request.body[..]), ("/a/flt", &b"one"[..]));
    asked.answer(Answer::ok("two")).await;
    client.expect_text("two").await;
    let filters = ["x"; 6];
    let control = json!({ "type": "subscribe", "channel": "d", "filters": filters });
    other.text(&format!("c:{control}")).await;
    client.expect_close(1011, "too many filters for channel 'd'").await;
}
