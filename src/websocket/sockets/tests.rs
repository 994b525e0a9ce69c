//! Parked WebSockets from their handshake to their end, with a backend over real connections.

mod simulation;
mod waiting;

use super::*;
use crate::asking::onward::Onward;
use crate::forward::tests::{Company, Scripted, context, from_client, refusing, route, run, until};
use crate::hub::Lease;
use crate::websocket::accept::open;
use crate::websocket::upgrade::{Failed, Outcome, Rejection, Via};
use crate::wire::frame::Opcode;

const OPEN: &str = "OPEN\r\n";
const GRIP: &str = "Sec-WebSocket-Extensions: grip\r\n";

struct World {
    company: Company,
    sockets: Rc<Sockets>,
    backend: Scripted,
}

impl World {
    async fn new() -> World {
        let company = Company::new();
        let sockets = Sockets::new(Rc::clone(&company.shared));
        World { company, sockets, backend: Scripted::start().await }
    }

    fn line(&self, options: &str) -> String {
        format!("*{options} localhost:{},over_http", self.backend.port)
    }

    /// Opens a WebSocket whose backend answers OPEN with `headers` and `body`.
    async fn open(&mut self, line: &str, headers: &str, body: &str) -> SessionId {
        let opening = open(&self.sockets, context("/ws", Some("q=1")), route(line));
        let answer = async {
            let asked = self.backend.next().await;
            assert_eq!(asked.body, OPEN);
            asked.events(headers, body);
        };
        let (outcome, ()) = tokio::join!(opening, answer);
        let id = accepted(outcome).park();
        self.settle(id).await;
        id
    }

    fn link(&self, id: SessionId) -> Rc<Link> {
        match self.sockets.entry(id) {
            Some(Entry::OverHttp(link)) => link,
            _ => panic!("no such link"),
        }
    }

    /// Waits until the task has ended.
    async fn settle(&self, id: SessionId) {
        until(|| self.sockets.entry(id).is_none() || !self.link(id).running.get()).await;
    }

    fn client_sends(&self, id: SessionId, opcode: Opcode, payload: &[u8]) -> Flow {
        self.sockets.received(id, &from_client(opcode, payload))
    }

    fn take(&self, id: SessionId) -> (Vec<u8>, bool) {
        self.company.clients.borrow_mut().take(id)
    }

    fn finished(&self, id: SessionId) -> Option<Then> {
        self.company.clients.borrow_mut().client(id).finished
    }

    /// What the hub wants is done, as a shard does it.
    fn effects(&self) {
        while let Some(effect) = self.company.shared.hub.with(|registry| registry.poll_effect()) {
            self.sockets.effect(&effect);
        }
    }

    fn tick(&self, ms: u64) {
        let now = clock::now().plus_ms(ms);
        self.company.shared.hub.with_outlet(|registry, outlet| registry.tick(now, outlet));
        self.effects();
    }
}

fn accepted(outcome: Outcome) -> Lease {
    match outcome {
        Outcome::Accepted { response, onward: Onward::Park(lease) } => {
            assert_eq!(response.status(), 101);
            lease
        }
        Outcome::Accepted { .. } => panic!("a task"),
        Outcome::Rejected(response) => panic!("{}", response.status()),
        Outcome::Failed(failed) => panic!("{failed:?}"),
    }
}

#[test]
fn a_conversation_from_open_to_close() {
    run(async {
        let mut w = World::new().await;
        let line = w.line(",prefix=p-");
        let subscribe = "c:{\"type\":\"subscribe\",\"channel\":\"t\"}";
        let body =
            format!("OPEN\r\nTEXT {:x}\r\n{subscribe}\r\nTEXT 4\r\nm:hi\r\n", subscribe.len());
        let id = w.open(&line, &format!("{GRIP}Set-Meta-User: u1\r\n"), &body).await;
        assert_eq!(w.take(id), (b"\x81\x02hi".to_vec(), false));

        w.company
            .publish(r#"{"items":[{"channel":"p-t","formats":{"ws-message":{"content":"pub"}}}]}"#);
        assert_eq!(w.take(id).0, b"\x81\x03pub");

        assert_eq!(w.client_sends(id, Opcode::Text, b"one"), Flow::Read);
        let asked = w.backend.next().await;
        assert_eq!(asked.body, "TEXT 3\r\none\r\n");
        for line in [
            "post /ws?q=1 http/1.1\r\n",
            "\r\nhost: example.com\r\n",
            "\r\ncookie: a=b\r\n",
            "\r\naccept: application/websocket-events\r\n",
            "\r\ncontent-type: application/websocket-events\r\n",
            "\r\nmeta-user: u1\r\n",
            "\r\nconnection-id: ",
            "\r\nsec-websocket-extensions: grip\r\n",
        ] {
            assert!(asked.head.contains(line), "{line:?} of {}", asked.head);
        }
        assert!(!asked.head.contains("upgrade") && !asked.head.contains("x/y"), "{}", asked.head);

        // What comes meanwhile goes together; one request at a time.
        w.client_sends(id, Opcode::Ping, b"p");
        w.client_sends(id, Opcode::Text, b"");
        w.client_sends(id, Opcode::Close, b"\x0f\xa1bye");
        asked.events("", "TEXT 5\r\nm:ONE\r\nTEXT 3\r\nbad\r\n");
        let asked = w.backend.next().await;
        assert!(asked.body.starts_with("PING 1\r\np\r\nTEXT\r\nCLOSE 5\r\n\x0f"), "{}", asked.body);
        assert_eq!(w.take(id).0, b"\x81\x03ONE");
        asked.events("", "TEXT 5\r\nm:bye\r\nCLOSE 4\r\n\x0f\x21ok\r\n");
        until(|| w.finished(id).is_some()).await;
        assert_eq!(w.take(id).0, b"\x81\x03bye\x88\x04\x0f\x21ok");
        assert_eq!(w.finished(id), Some(Then::Close));
        assert!(w.sockets.is_empty());
        assert_eq!(w.client_sends(id, Opcode::Text, b"x"), Flow::Read, "what follows is discarded");
        w.sockets.gone(id);
        assert!(w.backend.is_idle());
    });
}

#[test]
fn the_client_leaves() {
    run(async {
        let mut w = World::new().await;
        let id = w.open(&w.line(""), "", OPEN).await;
        w.client_sends(id, Opcode::Text, b"x");
        let asked = w.backend.next().await;
        w.client_sends(id, Opcode::Text, b"never told");
        w.sockets.gone(id);
        w.company.shared.hub.close(id);
        asked.events("", "TEXT 1\r\nx\r\n");
        let asked = w.backend.next().await;
        assert_eq!(asked.body, "DISCONNECT\r\n");
        asked.raw("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".into());
        assert!(w.sockets.is_empty());
    });
}

#[test]
fn the_client_leaves_while_open_is_in_flight() {
    run(async {
        let mut w = World::new().await;
        let line = w.line("");
        let mut opening = Box::pin(open(&w.sockets, context("/ws", None), route(&line)));
        let asked = tokio::select! {
            _ = &mut opening => panic!("too early"),
            asked = w.backend.next() => asked,
        };
        drop(opening);
        asked.events("", OPEN);
        let asked = w.backend.next().await;
        assert_eq!(asked.body, "DISCONNECT\r\n");
        assert!(w.sockets.is_empty());
        assert!(w.company.shared.hub.with(|registry| registry.is_empty()));
    });
}

#[test]
fn rejections_and_failures() {
    run(async {
        let mut w = World::new().await;
        let line = w.line("");
        let answer = |kind: &str, body: &str| {
            let length = body.len();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nX-A: b\r\n");
            format!("{head}Content-Length: {length}\r\n\r\n{body}")
        };
        let events = |body| answer("application/websocket-events", body);
        for (answer, outcome) in [
            (answer("text/html", "no"), Some("no")),
            (events("OPEN"), None),
            (events(""), None),
            (events("TEXT\r\n"), None),
        ] {
            let opening = open(&w.sockets, context("/ws", None), route(&line));
            let (result, ()) = tokio::join!(opening, async { w.backend.next().await.raw(answer) });
            match (result, outcome) {
                (Outcome::Rejected(response), Some(body)) => {
                    assert_eq!(response.headers()["x-a"], "b");
                    let via = format!("localhost:{}[http]", w.backend.port);
                    assert_eq!(response.extensions().get(), Some(&Via(via)));
                    assert!(matches!(response.body(), Rejection::Whole(b) if b == body));
                }
                (Outcome::Failed(Failed::At(Via(_), _)), None) => {}
                _ => panic!("another outcome"),
            }
        }
        assert!(w.company.shared.hub.with(|registry| registry.is_empty()));
    });
}

#[test]
fn targets_are_tried_in_order() {
    run(async {
        let w = World::new().await;
        let closed = refusing();
        let both = format!("* 127.0.0.1:{closed},over_http 127.0.0.1:{closed}");
        match open(&w.sockets, context("/ws", None), route(&both)).await {
            Outcome::Failed(Failed::Unreachable(tried)) => {
                assert_eq!(tried, vec![format!("127.0.0.1:{closed}"); 2]);
            }
            _ => panic!("another outcome"),
        }
        let test = format!("* 127.0.0.1:{closed},over_http test");
        let lease = accepted(open(&w.sockets, context("/ws/", None), route(&test)).await);
        assert_eq!(w.sockets.len(), 1);
        w.sockets.gone(lease.id());
        assert!(w.sockets.is_empty());
    });
}

#[test]
fn the_test_target() {
    run(async {
        let w = World::new().await;
        let line = "*,path_beg=/st,prefix=p- test";
        let opening = open(&w.sockets, context("/st/ws", Some("channel=a")), route(line));
        let id = accepted(opening.await).park();
        w.company.publish(
            r#"{"items":[{"channel":"p-a","formats":{"ws-message":{"content-bin":"cHVi"}}}]}"#,
        );
        assert_eq!(w.take(id).0, b"\x82\x03pub");
        w.client_sends(id, Opcode::Binary, b"x");
        w.client_sends(id, Opcode::Ping, b"");
        assert_eq!(w.take(id).0, b"\x82\x01x\x89\x00");

        // A client that does not read is not read from, and gets all in the end.
        w.company.clients.borrow_mut().client(id).stalled = true;
        let two = [from_client(Opcode::Text, b"one"), from_client(Opcode::Text, b"two")].concat();
        assert_eq!(w.sockets.received(id, &two), Flow::Pause);
        w.company.clients.borrow_mut().client(id).paused = true;
        w.company.clients.borrow_mut().read_all(id);
        w.sockets.drained(id);
        assert!(!w.company.clients.borrow_mut().client(id).paused);
        assert_eq!(w.take(id).0, b"\x81\x03one\x81\x03two");

        assert_eq!(w.client_sends(id, Opcode::Close, b"\x0f\xa1bye"), Flow::Read);
        assert_eq!(w.take(id).0, b"\x88\x05\x0f\xa1bye");
        assert_eq!(w.finished(id), Some(Then::Close));
        assert!(w.sockets.is_empty());

        match open(&w.sockets, context("/st/other", None), route(line)).await {
            Outcome::Rejected(response) => assert_eq!(response.status(), 404),
            _ => panic!("another outcome"),
        }
    });
}

#[test]
fn a_published_close_reaches_both_sides() {
    run(async {
        let mut w = World::new().await;
        let line = format!("* localhost:{},over_http,sub=s", w.backend.port);
        let id = w.open(&line, "", OPEN).await;
        w.company.publish(
            r#"{"items":[{"channel":"s","formats":{"ws-message":
            {"action":"close","code":4001,"reason":"bye"}}}]}"#,
        );
        w.effects();
        assert_eq!(w.take(id).0, b"\x88\x05\x0f\xa1bye");
        assert_eq!(w.finished(id), Some(Then::AwaitClose));
        let asked = w.backend.next().await;
        assert_eq!(asked.body, "CLOSE\r\n");
        asked.events("", "");
        w.settle(id).await;
        assert_eq!(w.client_sends(id, Opcode::Text, b"late"), Flow::Read);
        assert_eq!(w.client_sends(id, Opcode::Close, b"\x0f\xa1"), Flow::Close);
        assert!(w.sockets.is_empty());
        assert!(w.take(id).1);
        assert!(w.backend.is_idle());
    });
}

#[test]
fn a_backend_that_closes_first_hears_of_the_answer_or_of_the_lack_of_it() {
    run(async {
        let mut w = World::new().await;
        for answers in [true, false] {
            let id = w.open(&w.line(""), "", "OPEN\r\nCLOSE 2\r\n\x0f\x21\r\n").await;
            assert_eq!(w.take(id).0, b"\x88\x02\x0f\x21");
            assert_eq!(w.finished(id), Some(Then::AwaitClose));
            if answers {
                assert_eq!(w.client_sends(id, Opcode::Close, b"\x0f\x21"), Flow::Close);
            } else {
                w.tick(limits::WEBSOCKET_CLOSE_MS + 1000);
            }
            let asked = w.backend.next().await;
            let expected = if answers { "CLOSE 2\r\n\x0f\x21\r\n" } else { "DISCONNECT\r\n" };
            assert_eq!(asked.body, expected);
            asked.events("", "");
            assert!(w.take(id).1, "its connection is closed");
            assert!(w.sockets.is_empty());
        }
    });
}

#[test]
fn keep_alive_refresh_and_a_backend_that_fails() {
    run(async {
        let mut w = World::new().await;
        let line = format!("* localhost:{},over_http,sub=s", w.backend.port);
        let id = w.open(&line, "Keep-Alive-Interval: 1\r\n", OPEN).await;
        w.tick(15_000);
        assert!(w.backend.is_idle());
        w.tick(21_000);
        let asked = w.backend.next().await;
        assert_eq!(asked.body, "");
        assert!(asked.head.contains("\r\ncontent-length: 0\r\n"), "{}", asked.head);
        w.company.publish(
            r#"{"items":[{"channel":"s","formats":{"ws-message":{"action":"refresh"}}}]}"#,
        );
        w.effects();
        asked.events("Keep-Alive-Interval: 0\r\n", "");
        let asked = w.backend.next().await;
        assert_eq!(asked.body, "");
        asked.raw("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".into());
        until(|| w.finished(id).is_some()).await;
        assert_eq!(w.take(id).0, b"", "no CLOSE frame");
        assert_eq!(w.finished(id), Some(Then::Close));
        until(|| w.sockets.is_empty()).await;
        assert!(w.backend.is_idle());
    });
}

#[test]
fn detaching_keeps_the_client() {
    run(async {
        let mut w = World::new().await;
        let detach = "c:{\"type\":\"detach\"}";
        let body = format!("OPEN\r\nTEXT {:x}\r\n{detach}\r\n", detach.len());
        let line = format!("* localhost:{},over_http,sub=s", w.backend.port);
        let opening = open(&w.sockets, context("/ws", None), route(&line));
        let answer = async {
            w.backend.next().await.events(GRIP, &body);
            let asked = w.backend.next().await;
            assert_eq!(asked.body, "CLOSE\r\n");
            asked.events("", "TEXT 3\r\nm:x\r\n");
        };
        let (outcome, ()) = tokio::join!(opening, answer);
        let id = accepted(outcome).park();
        w.settle(id).await;
        assert_eq!(w.client_sends(id, Opcode::Text, b"discarded"), Flow::Read);
        w.company
            .publish(r#"{"items":[{"channel":"s","formats":{"ws-message":{"content":"pub"}}}]}"#);
        assert_eq!(w.take(id).0, b"\x81\x03pub");
        assert_eq!(w.client_sends(id, Opcode::Close, b"\x0f\xa1"), Flow::Read);
        assert_eq!(w.take(id).0, b"\x88\x02\x03\xe8");
        assert_eq!(w.finished(id), Some(Then::Close));
        assert!(w.backend.is_idle());
    });
}

#[test]
fn a_client_that_breaks_the_protocol_or_says_too_much() {
    run(async {
        let mut w = World::new().await;
        let id = w.open(&w.line(""), "", OPEN).await;
        w.client_sends(id, Opcode::Text, b"before");
        w.sockets.received(id, b"\x81\x01x");
        let asked = w.backend.next().await;
        assert_eq!(asked.body, "TEXT 6\r\nbefore\r\nCLOSE 2\r\n\u{3}\u{fffd}\r\n");
        asked.events("", "TEXT 6\r\nanswer\r\nCLOSE 2\r\n\x03\x07\r\n");
        w.settle(id).await;
        assert_eq!(w.take(id).0, b"\x81\x06answer\x88\x02\x03\xea");
        assert_eq!(w.finished(id), Some(Then::Close));

        // A text that is none, and a backend that does not answer the CLOSE.
        let id = w.open(&w.line(""), "", OPEN).await;
        w.client_sends(id, Opcode::Text, b"\xff");
        w.backend.next().await.events("", "");
        w.settle(id).await;
        assert_eq!(w.take(id).0, b"\x88\x02\x03\xef");
        assert_eq!(w.finished(id), Some(Then::Close));

        let id = w.open(&w.line(""), "", OPEN).await;
        let most = vec![b'x'; limits::EVENTS_QUEUE_BYTES_MAX];
        assert_eq!(w.client_sends(id, Opcode::Text, &most), Flow::Pause);
        w.company.clients.borrow_mut().client(id).paused = true;
        let asked = w.backend.next().await;
        assert!(asked.body.starts_with("TEXT 30d40\r\n"));
        asked.events("", "");
        w.settle(id).await;
        assert!(!w.company.clients.borrow_mut().client(id).paused);
        w.client_sends(id, Opcode::Text, &[&most[..], b"x"].concat());
        assert_eq!(w.take(id).0, b"\x88\x02\x03\xf1");
        assert_eq!(w.backend.next().await.body, "DISCONNECT\r\n");
        assert_eq!(w.company.shared.stats.socket_messages_too_large.get(), 1);
    });
}

#[test]
fn a_slow_client_makes_its_backend_wait() {
    run(async {
        let mut w = World::new().await;
        let id = w.open(&w.line(""), "", OPEN).await;
        w.company.clients.borrow_mut().client(id).stalled = true;
        let big = "x".repeat(150_000);
        let event = format!("BINARY {:x}\r\n{big}\r\n", big.len());
        w.client_sends(id, Opcode::Text, b"1");
        w.backend.next().await.events("", &event.repeat(3));
        until(|| w.company.shared.hub.backlog(id) > 0).await;
        w.client_sends(id, Opcode::Text, b"2");
        for _ in 0..2 {
            until(|| w.company.shared.hub.backlog(id) > 0).await;
            assert!(w.company.shared.hub.backlog(id) < limits::OUTBOX_BYTES_MAX);
            assert!(w.backend.is_idle());
            w.company.clients.borrow_mut().read_all(id);
            w.company.clients.borrow_mut().client(id).stalled = true;
            w.sockets.drained(id);
        }
        assert_eq!(w.backend.next().await.body, "TEXT 1\r\n2\r\n");
        w.company.clients.borrow_mut().read_all(id);
        assert_eq!(w.take(id).0.len(), 3 * (150_000 + 10));
    });
}

#[test]
fn too_many_filters_close_the_connection() {
    run(async {
        let mut w = World::new().await;
        let subscribe = "c:{\"type\":\"subscribe\",\"channel\":\"t\",\"filters\":\
             [\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"]}";
        let body =
            format!("OPEN\r\nTEXT {:x}\r\n{subscribe}\r\nTEXT 3\r\nm:x\r\n", subscribe.len());
        let line = w.line("");
        let opening = open(&w.sockets, context("/ws", None), route(&line));
        let answer = async {
            w.backend.next().await.events(GRIP, &body);
            let asked = w.backend.next().await;
            assert_eq!(asked.body, "CLOSE\r\n");
            asked.events("", "");
        };
        let (outcome, ()) = tokio::join!(opening, answer);
        let id = accepted(outcome).park();
        assert_eq!(w.take(id).0, b"\x88\x02\x03\xf3");
        assert_eq!(w.finished(id), Some(Then::AwaitClose));
    });
}

#[test]
fn stopping_tells_the_backends_nothing() {
    run(async {
        let mut w = World::new().await;
        let id = w.open(&w.line(""), "", OPEN).await;
        w.sockets.drain();
        w.company.shared.hub.with_outlet(|registry, outlet| registry.drain(outlet));
        w.effects();
        assert_eq!(w.take(id).0, b"\x88\x02\x03\xe9");
        assert_eq!(w.client_sends(id, Opcode::Close, b"\x03\xe9"), Flow::Close);
        assert!(w.backend.is_idle());
        assert!(w.sockets.is_empty());
    });
}

#[test]
fn an_idle_connection_is_little() {
    assert!(size_of::<Link>() <= 512, "{}", size_of::<Link>());
    assert!(size_of::<Origin>() <= 256, "{}", size_of::<Origin>());
    assert!(size_of::<Echo>() <= 64, "{}", size_of::<Echo>());
}

fn missed(id: SessionId, channel: &str) -> Effect {
    Effect::Missed { id, channel: channel.into(), prev_id: "5".into() }
}

fn control_event(text: &str) -> String {
    format!("TEXT {:x}\r\nc:{text}\r\n", text.len() + 2)
}

#[test]
fn a_backend_is_asked_for_what_was_missed_in_its_turn() {
    run(async {
        let mut w = World::new().await;
        let line = w.line(",prefix=p-");
        let subscribe = |channel: &str| {
            let members = format!(r#""channel":"{channel}","prev-id":"5""#);
            control_event(&format!(r#"{{"type":"subscribe",{members}}}"#))
        };
        let opened = format!("{OPEN}{}{}{}", subscribe("c"), subscribe("d"), subscribe("e"));
        let id = w.open(&line, GRIP, &opened).await;
        w.client_sends(id, Opcode::Text, b"one");
        let asked = w.backend.next().await;
        w.sockets.effect(&missed(id, "unknown"));
        w.sockets.effect(&missed(id, "c"));
        w.sockets.effect(&missed(id, "d"));
        w.sockets.effect(&missed(id, "e"));
        w.client_sends(id, Opcode::Text, b"two");
        // What the backend says of a channel meanwhile makes the question moot.
        let subscribe = control_event(r#"{"type":"subscribe","channel":"d","prev-id":"7"}"#);
        let unsubscribe = control_event(r#"{"type":"unsubscribe","channel":"e"}"#);
        asked.events("", &format!("{subscribe}{unsubscribe}"));
        let asked = w.backend.next().await;
        let recover = r#"{"channel":"c","prev-id":"5"}"#;
        assert_eq!(asked.body, format!("RECOVER 1d\r\n{recover}\r\nTEXT 3\r\ntwo\r\n"));
        // Nothing that a client says is taken for it.
        w.client_sends(id, Opcode::Text, format!("RECOVER 1d\r\n{recover}").as_bytes());
        asked.events("", "TEXT 3\r\nm:6\r\n");
        let asked = w.backend.next().await;
        assert_eq!(asked.body, format!("TEXT 29\r\nRECOVER 1d\r\n{recover}\r\n"));
        asked.events("", "");
        w.settle(id).await;
        assert_eq!(w.take(id).0, b"\x81\x016");
        assert_eq!(w.company.shared.stats.socket_recoveries.get(), 3);
    });
}

#[test]
fn a_detached_client_that_has_missed_something_is_closed() {
    run(async {
        let mut w = World::new().await;
        let detach = control_event(r#"{"type":"detach"}"#);
        let subscribe = r#"{"type":"subscribe","channel":"c","prev-id":"5"}"#;
        let opened = format!("{OPEN}{}{detach}", control_event(subscribe));
        let line = w.line("");
        let opening = open(&w.sockets, context("/ws", Some("q=1")), route(&line));
        let answer = async { w.backend.next().await.events(GRIP, &opened) };
        let (outcome, ()) = tokio::join!(opening, answer);
        let id = accepted(outcome).park();
        let asked = w.backend.next().await;
        assert_eq!(asked.body, "CLOSE\r\n");
        w.sockets.effect(&missed(id, "c"));
        assert_eq!(w.take(id).0, b"\x88\x02\x03\xf3");
        assert_eq!(w.finished(id), Some(Then::AwaitClose));
        asked.events("", "");
        assert_eq!(w.client_sends(id, Opcode::Close, b"\x03\xf3"), Flow::Close);
        // Once more means nothing.
        w.sockets.effect(&missed(id, "c"));
    });
}
