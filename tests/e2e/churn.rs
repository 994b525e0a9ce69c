//! A day of troubles in half a minute: backends that die every second, routes that are rewritten
//! five times a second, publishes all the while; and clients that poll, stream, fetch, post and
//! keep WebSockets open.
//!
//! What must hold:
//! - a GET is answered 200, or 502 if each target of its route was down at some moment of it;
//! - a POST is seen by the backends at most once, and answered 502 only if one died meanwhile;
//! - what is published to a client that is held reaches it, in order;
//! - neither descriptors nor memory grow, and descriptors come back to what they were.
//!
//! `CHURN_SECONDS` makes it longer, `CHURN_SPEED` faster; `make churn` plays a whole day.

mod backend;
mod growth;
mod pace;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, join_all};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::harness::{Client, PATIENCE, Publisher, Server, WebSocket};
use backend::{Backend, Posts};
use growth::Growth;
use pace::Pace;

/// How long a backend is down, and how long one life and death take together.
const DOWN: Duration = Duration::from_millis(250);
const CYCLE: Duration = Duration::from_millis(1000);
/// How often the routes file is rewritten.
const REWRITE: Duration = Duration::from_millis(200);
const REWRITES_A_SECOND: u64 = 5;
/// How long the routes file rests until it is read, and how long idle connections to backends stay.
const RELOAD_DELAY: Duration = Duration::from_millis(1000);
const BACKEND_IDLE: Duration = Duration::from_millis(2000);
/// Clients of each kind.
const CLIENTS: usize = 6;

#[allow(clippy::disallowed_methods)] // the troubles come by the clock
async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

/// Everybody and everything.
struct Scene {
    server: Server,
    publisher: Publisher,
    /// The two of the route that always has one up, and the one that is alone.
    backends: [Backend; 3],
    pace: Pace,
    over: Cell<bool>,
    counts: RefCell<HashMap<&'static str, u64>>,
}

impl Scene {
    fn count(&self, what: &'static str) {
        *self.counts.borrow_mut().entry(what).or_default() += 1;
    }

    fn counted(&self, what: &str) -> u64 {
        self.counts.borrow().get(what).copied().unwrap_or_default()
    }

    fn of(&self, path: &str) -> &[Backend] {
        if path.starts_with("/one/") { &self.backends[2..] } else { &self.backends[..2] }
    }

    /// Whether all that can serve a path were down at some moment since then.
    fn all_down(&self, path: &str, from: Instant) -> bool {
        let to = now();
        self.of(path).iter().all(|backend| backend.was_down(from, to))
    }

    fn any_down(&self, path: &str, from: Instant) -> bool {
        let to = now();
        self.of(path).iter().any(|backend| backend.was_down(from, to))
    }

    /// One of the two is down at a time: the first in the first half of a second, the second in the
    /// second half.
    async fn troubles(&self) {
        let of = |time| self.pace.of(time);
        let restart = async |n: usize| {
            self.backends[n].dies_and_comes_back(of(DOWN)).await;
            self.count("restarts");
        };
        while !self.over.get() {
            tokio::join!(
                async {
                    restart(0).await;
                    pause(of(CYCLE / 2 - DOWN)).await;
                    restart(1).await;
                    pause(of(CYCLE / 2 - DOWN)).await;
                },
                async {
                    pause(of(CYCLE / 4)).await;
                    restart(2).await;
                },
            );
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
        let (mut version, mut due) = (1, now());
        while !self.over.get() {
            due += self.pace.of(REWRITE);
            pause(due.saturating_duration_since(now())).await;
            version += 1;
            let new = file.with_extension("new");
            std::fs::write(&new, self.routes(version)).expect("written");
            std::fs::rename(&new, file).expect("renamed");
            self.count("rewritten");
        }
    }

    /// Looks at all now and then, until the day is over.
    async fn looking(&self) -> (Growth, Posts) {
        let (mut growth, mut posts) = (Growth::default(), Posts::new());
        let Pace { seconds, .. } = self.pace;
        let often = growth::often(self.pace.least());
        let mut due = now();
        // On a loaded machine all takes longer; not for ever.
        let last = due + 5 * self.pace.least() + Duration::from_secs(60);
        let is_over = || {
            let rewritten = self.counted("rewritten");
            self.counted("restarts") >= seconds && rewritten >= seconds * REWRITES_A_SECOND
        };
        while !is_over() {
            assert!(now() < last, "it takes too long: {:?}", self.counts.borrow());
            due = now() + often;
            while now() < due && !is_over() {
                pause(often.min(Duration::from_millis(50))).await;
            }
            growth.look(&self.server);
            posts.look(&self.backends);
            self.server.drop_lines();
        }
        self.over.set(true);
        (growth, posts)
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
            // A GET can be served as long as one of them is up; a POST that one has taken cannot.
            let excused = match method {
                "GET" => self.all_down(path, from),
                _ => self.any_down(path, from),
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
        'next: for round in 0.. {
            if self.over.get() {
                return;
            }
            let text = format!("item {round}");
            let path = format!("/poll/{channel}");
            let from = now();
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
            let formats = json!({ "http-response": { "body": text } });
            let until = now() + PATIENCE;
            while self.publish(&channel, formats.clone()).await == 0 {
                assert!(now() < until, "the poll is not held");
                if client.hears_now() {
                    let (head, _) = client.response().await;
                    let excused = head.status.contains(" 502 ") && self.all_down(&path, from);
                    assert!(excused, "neither held nor excused: {head:?}");
                    self.count("polls refused");
                    continue 'next;
                }
            }
            let (head, body) = client.response().await;
            assert!(head.status.contains(" 200 "), "{head:?}");
            assert_eq!(body, text, "what was published while it was held");
            self.count("polls");
        }
    }

    async fn streaming(&self, n: usize) {
        let channel = format!("s{n}");
        let path = format!("/stream/{channel}");
        while !self.over.get() {
            let from = now();
            let mut client = Client::get(self.server.http, &path).await;
            let head = client.head().await;
            if head.status.contains(" 502 ") && self.all_down(&path, from) {
                self.count("streams refused");
                continue;
            }
            assert!(head.status.contains(" 200 "), "{head:?}");
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
                let excused = self.any_down(&path, from);
                assert!(excused, "a WebSocket was refused while its backends were up");
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
    let pace = Pace::from_environment();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("routes");
    let backends = [Backend::new(), Backend::new(), Backend::new()];
    let addresses = [0, 1, 2].map(|n| backends[n].mortal.address);
    let [a, b, c] = addresses;
    let first = format!("*,id=two {a},over_http {b},over_http\n*,path_beg=/one/ {c}\n");
    std::fs::write(&file, first).expect("written");
    let path = file.to_string_lossy().into_owned();
    let [delay, idle] =
        [RELOAD_DELAY, BACKEND_IDLE].map(|time| pace.of(time).as_millis().to_string());
    let arguments = ["--routes", &path, "--reload-delay", &delay, "--backend-idle-timeout", &idle];
    let mut server = Server::start_with(&[], &arguments);
    server.hang_up();
    server.wait_for_line("reloading");
    let scene = Scene {
        publisher: Publisher::new(&server),
        server,
        backends,
        pace,
        over: Cell::new(false),
        counts: RefCell::default(),
    };
    // What the process has of its own is there when it reads its routes again and every worker has
    // answered.
    scene.publish("nobody", json!({ "http-stream": { "content": "" } })).await;
    let before = scene.server.descriptors();
    let begun = now();
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
    let ((growth, mut posts), _) = tokio::join!(scene.looking(), join_all(all));

    println!("{:?} in {:?}", scene.counts.borrow(), begun.elapsed());
    let least = pace.least().as_secs();
    for (what, times) in [("answered 200", 20), ("polls", 1), ("lines", 1), ("messages", 1)] {
        assert!(scene.counted(what) > times * least, "too little of {what}");
    }
    posts.look(&scene.backends);
    growth.judge(begun.elapsed());
    // Idle connections to backends go after two seconds; the rest goes with the clients.
    let Scene { server, publisher, .. } = scene;
    drop(publisher);
    descriptors_fall(&server, before + 2).await;
}
