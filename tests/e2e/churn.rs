//! A day of troubles in half a minute: backends that die every second, routes that are rewritten
//! five times a second, publishes all the while; and clients that poll, stream, fetch, post and
//! keep WebSockets open.
//!
//! What must hold:
//! - a GET is answered 200, or 502 if each target of its route was down at some moment of it;
//! - a POST is seen by a backend at most once, and answered 502 only if a backend died meanwhile;
//! - what is published to a client that is held reaches it, in order;
//! - descriptors come back to what they were, and memory does not grow.
//!
//! `CHURN_SECONDS` makes it longer.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::harness::{Act, Answer, Client, Mortal, Publisher, Request, Server, WebSocket, within};

/// How long a backend is down, and how long one life and death take together.
const DOWN: Duration = Duration::from_millis(250);
const CYCLE: Duration = Duration::from_millis(1000);
/// How often the routes file is rewritten.
const REWRITE: Duration = Duration::from_millis(200);
/// Clients of each kind.
const CLIENTS: usize = 6;

fn seconds() -> u64 {
    let wanted = std::env::var("CHURN_SECONDS").ok().and_then(|text| text.parse().ok());
    wanted.unwrap_or(20)
}

#[allow(clippy::disallowed_methods)] // the troubles come by the clock
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

fn handle(request: &Request) -> Act {
    let path = request.target.split('?').next().unwrap_or_default();
    let channel = path.rsplit('/').next().unwrap_or_default();
    if request.header("content-type") == Some("application/websocket-events") {
        if request.body.starts_with(b"OPEN") {
            let control = format!("c:{{\"type\":\"subscribe\",\"channel\":\"{channel}\"}}");
            let size = control.len();
            return Act::Answer(Answer::open(format!("TEXT {size:x}\r\n{control}\r\n")));
        }
        let closes = request.body.starts_with(b"CLOSE");
        return Act::Answer(Answer::events(if closes { &*request.body } else { b"" }));
    }
    match path {
        _ if path.starts_with("/poll/") => Act::Answer(Answer::hold("response", channel, "")),
        _ if path.starts_with("/stream/") => Act::Answer(Answer::hold("stream", channel, "open\n")),
        // Without a word of it.
        "/close" => Act::AnswerAndClose(Answer::ok("ok")),
        _ => Act::Answer(Answer::ok("ok")),
    }
}

/// A backend and when it was not up.
struct Backend {
    mortal: Mortal,
    /// From before it died until after it was up again.
    downs: RefCell<Vec<(Instant, Option<Instant>)>>,
}

impl Backend {
    fn new() -> Backend {
        Backend { mortal: Mortal::new(Duration::from_secs(60), handle), downs: RefCell::default() }
    }

    async fn dies_and_comes_back(&self) {
        self.downs.borrow_mut().push((now(), None));
        self.mortal.die().await;
        pause(DOWN).await;
        self.mortal.live().await;
        if let Some((_, end)) = self.downs.borrow_mut().last_mut() {
            *end = Some(now());
        }
    }

    /// Whether it was down at some moment of this time.
    fn was_down(&self, from: Instant, to: Instant) -> bool {
        let overlaps = |(begin, end): &(Instant, Option<Instant>)| {
            *begin <= to && end.is_none_or(|end| end >= from)
        };
        self.downs.borrow().iter().any(overlaps)
    }
}

/// Everybody and everything.
struct Scene {
    server: Server,
    publisher: Publisher,
    /// The two of the route that always has one up, and the one that is alone.
    backends: [Backend; 3],
    over: Cell<bool>,
    counts: RefCell<HashMap<&'static str, usize>>,
}

impl Scene {
    fn count(&self, what: &'static str) {
        *self.counts.borrow_mut().entry(what).or_default() += 1;
    }

    fn of(&self, path: &str) -> &[Backend] {
        if path.starts_with("/one/") { &self.backends[2..] } else { &self.backends[..2] }
    }

    /// One of them is down at a time: the first in the first half of a second, the second in the
    /// second half.
    async fn troubles(&self) {
        while !self.over.get() {
            tokio::join!(
                async {
                    self.backends[0].dies_and_comes_back().await;
                    pause(CYCLE / 2 - DOWN).await;
                    self.backends[1].dies_and_comes_back().await;
                    pause(CYCLE / 2 - DOWN).await;
                },
                async {
                    pause(CYCLE / 4).await;
                    self.backends[2].dies_and_comes_back().await;
                },
            );
            self.count("cycles");
        }
    }

    fn routes(&self, version: usize) -> String {
        let [a, b, c] = [0, 1, 2].map(|n| self.backends[n].mortal.address);
        // Now and then it is broken: what was good stays.
        let broken = if version % 5 == 4 { "*,path_beg=/bad nowhere\n" } else { "" };
        format!(
            "# version {version}\n*,id=two {a},over_http {b},over_http\n*,path_beg=/one/ {c}\n\
             *,path_beg=/v{version} {a}\n{broken}"
        )
    }

    async fn rewriting(&self, file: &Path) {
        let mut version = 1;
        while !self.over.get() {
            pause(REWRITE).await;
            version += 1;
            let new = file.with_extension("new");
            std::fs::write(&new, self.routes(version)).expect("written");
            std::fs::rename(&new, file).expect("renamed");
            self.count("rewritten");
        }
    }

    /// Asks again and again; each answer must be one that could not be better.
    async fn fetching(&self, n: usize, method: &'static str, path: &'static str) {
        let mut client = None;
        let mut round = 0;
        while !self.over.get() {
            let mut asking = match client.take() {
                Some(client) => client,
                None => Client::connect(self.server.http).await,
            };
            round += 1;
            let (id, from) = (format!("{method}{path}{n}-{round}"), now());
            let head = format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\nX-Id: {id}\r\n");
            asking.send(format!("{head}Content-Length: 0\r\n\r\n")).await;
            let (head, body) = asking.response().await;
            let to = now();
            // A GET can be served as long as one of them is up; a POST that one has taken cannot.
            let down = |backend: &Backend| backend.was_down(from, to);
            let excused = match method {
                "GET" => self.of(path).iter().all(down),
                _ => self.of(path).iter().any(down),
            };
            match head.status.split(' ').nth(1) {
                Some("200") => self.count("answered 200"),
                Some("502") if excused => self.count("answered 502"),
                _ => panic!("{id}: {head:?} {body}"),
            }
            // A new connection now and then.
            client = (round % 50 != 0).then_some(asking);
            pause(Duration::from_millis(3)).await;
        }
    }

    /// Publishes one item and says how many there were to get it.
    async fn publish(&self, channel: &str, formats: Value) -> u64 {
        let items = json!({ "items": [{ "channel": channel, "formats": formats }] });
        let request = self.publisher.request(reqwest::Method::POST, "/publish/?receipt=1");
        let request = request.header("Accept", "application/json").body(items.to_string());
        let (status, answer) = self.publisher.send(request).await;
        assert_eq!(status, 200, "{answer}");
        let answer: Value = serde_json::from_str(&answer).expect("JSON");
        answer["items"][0]["queued"].as_u64().expect("a number")
    }

    async fn polling(&self, n: usize) {
        let channel = format!("p{n}");
        let mut client = Client::connect(self.server.http).await;
        for round in 0.. {
            if self.over.get() {
                return;
            }
            let text = format!("item {round}");
            let head = format!("GET /poll/{channel} HTTP/1.1\r\nHost: a.example\r\n\r\n");
            client.send(head).await;
            let formats = json!({ "http-response": { "body": text } });
            within("the poll to be held", async {
                while self.publish(&channel, formats.clone()).await == 0 {}
            })
            .await;
            let (head, body) = client.response().await;
            assert!(head.status.contains(" 200 "), "{head:?}");
            assert_eq!(body, text, "what was published while it was held");
            self.count("polls");
        }
    }

    async fn streaming(&self, n: usize) {
        let channel = format!("s{n}");
        while !self.over.get() {
            let mut client = Client::get(self.server.http, &format!("/stream/{channel}")).await;
            assert!(client.head().await.status.contains(" 200 "));
            client.expect_content("open\n").await;
            for number in 0..40 {
                let text = format!("line {number}\n");
                let formats = json!({ "http-stream": { "content": text } });
                assert!(self.publish(&channel, formats).await > 0, "it is held");
                client.expect_content(&text).await;
                self.count("lines");
                pause(Duration::from_millis(10)).await;
            }
        }
    }

    async fn talking(&self, n: usize) {
        let channel = format!("w{n}");
        while !self.over.get() {
            // Its OPEN is a POST: it may be broken off, then the client comes again.
            let path = format!("/ws/{channel}");
            let from = now();
            let Ok(mut socket) = WebSocket::try_connect(&self.server, &path, &[]).await else {
                let down = self.backends[..2].iter().any(|b| b.was_down(from, now()));
                assert!(down, "a WebSocket was refused while its backends were up");
                self.count("sockets refused");
                continue;
            };
            for number in 0..40 {
                let text = format!("message {number}");
                let formats = json!({ "ws-message": { "content": text } });
                assert!(self.publish(&channel, formats).await > 0, "it is open");
                assert_eq!(socket.next().await, Message::text(text));
                self.count("messages");
                pause(Duration::from_millis(10)).await;
            }
        }
    }
}

/// Waits until the process has no more descriptors than `most`.
async fn descriptors_fall(server: &Server, most: usize) {
    let deadline = now() + Duration::from_secs(30);
    while server.descriptors() > most {
        assert!(now() < deadline, "more than {most} descriptors: {:#?}", server.sockets());
        pause(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn nothing_is_lost_and_nothing_grows() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("routes");
    let backends = [Backend::new(), Backend::new(), Backend::new()];
    let addresses = [0, 1, 2].map(|n| backends[n].mortal.address);
    let [a, b, c] = addresses;
    let first = format!("*,id=two {a},over_http {b},over_http\n*,path_beg=/one/ {c}\n");
    std::fs::write(&file, first).expect("written");
    let path = file.to_string_lossy().into_owned();
    let arguments = ["--routes", &path, "--backend-idle-timeout", "2000"];
    let mut server = Server::start_with(&[], &arguments);
    server.hang_up();
    server.wait_for_line("reloading");
    let scene = Scene {
        publisher: Publisher::new(&server),
        server,
        backends,
        over: Cell::new(false),
        counts: RefCell::default(),
    };
    // What the process has of its own is there when it reads its routes again and every worker has
    // answered.
    scene.publish("nobody", json!({ "http-stream": { "content": "" } })).await;
    let before = scene.server.descriptors();
    let (memory, time) = (Cell::new((0, 0)), Duration::from_secs(seconds()));
    let mut all: Vec<LocalBoxFuture<'_, ()>> = Vec::new();
    all.push(scene.troubles().boxed_local());
    all.push(scene.rewriting(&file).boxed_local());
    for n in 0..CLIENTS {
        for (method, path) in
            [("GET", "/"), ("GET", "/close"), ("POST", "/"), ("GET", "/one/"), ("POST", "/one/")]
        {
            all.push(scene.fetching(n, method, path).boxed_local());
        }
        all.push(scene.polling(n).boxed_local());
        all.push(scene.streaming(n).boxed_local());
        all.push(scene.talking(n).boxed_local());
    }
    all.push(
        async {
            pause(time / 3).await;
            let early = scene.server.resident_bytes();
            pause(time - time / 3).await;
            memory.set((early, scene.server.resident_bytes()));
            scene.over.set(true);
        }
        .boxed_local(),
    );
    join_all(all).await;

    let Scene { server, publisher, backends, counts, .. } = scene;
    let counts = counts.into_inner();
    let of = |what| counts.get(what).copied().unwrap_or_default();
    println!("{counts:?}, memory {:?}", memory.get());
    let least = usize::try_from(time.as_secs()).expect("a number");
    assert!(of("cycles") >= least / 3, "{counts:?}");
    assert!(of("answered 200") > 20 * least, "{counts:?}");
    for what in ["rewritten", "polls", "lines", "messages"] {
        assert!(of(what) > least, "{what}: {counts:?}");
    }
    for backend in &backends {
        let seen = backend.mortal.seen();
        let twice: Vec<_> =
            seen.iter().filter(|(id, times)| id.starts_with("POST") && **times > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }
    let (early, late) = memory.get();
    assert!(late < early + 8 * 1024 * 1024, "memory grew from {early} to {late}");
    // Idle connections to backends go after two seconds; the rest goes with the clients.
    drop(publisher);
    descriptors_fall(&server, before + 2).await;
}
