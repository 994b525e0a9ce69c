//! What a WebSocket backend says by control messages, and what publishers say to WebSockets:
//! through both kinds of backend.

use serde_json::{Value, json};
use tokio::join;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{Frame, FrameHeader};

use super::harness::{Answer, Backend, Publisher, Server, WebSocket};

/// How the backend speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    WebSocket,
    OverHttp,
}

const BOTH: [Kind; 2] = [Kind::WebSocket, Kind::OverHttp];

/// A client, its backend and a publisher.
struct Scene {
    server: Server,
    publisher: Publisher,
    backend: Backend,
    client: WebSocket,
    /// The backend's end, if it is a WebSocket.
    behind: Option<WebSocket>,
}

impl Scene {
    /// `lines` are header lines of the acceptance.
    async fn with(kind: Kind, options: (&str, &str), arguments: &[&str], lines: &str) -> Scene {
        let mut backend = Backend::manual();
        let over_http = if kind == Kind::OverHttp { ",over_http" } else { "" };
        let route = backend.route(&format!("*{}", options.0), &format!("{over_http}{}", options.1));
        let server = Server::start_with(&[route], arguments);
        let publisher = Publisher::new(&server);
        let accepting = async {
            let exchange = backend.next().await;
            if kind == Kind::WebSocket {
                return Some(WebSocket::accept(exchange, lines).await);
            }
            let mut answer = Answer::events("OPEN\r\n");
            for (name, value) in lines.lines().filter_map(|line| line.split_once(": ")) {
                answer = answer.header(name, value);
            }
            exchange.answer(answer).await;
            None
        };
        let (client, behind) = join!(WebSocket::connect(&server, "/"), accepting);
        Scene { server, publisher, backend, client, behind }
    }

    async fn new(kind: Kind) -> Scene {
        Scene::with(kind, ("", ""), &[], "Sec-WebSocket-Extensions: grip\r\n").await
    }

    async fn in_debug(kind: Kind) -> Scene {
        Scene::with(kind, (",debug", ""), &[], "Sec-WebSocket-Extensions: grip\r\n").await
    }

    /// The backend says these texts, in order.
    async fn says(&mut self, texts: &[String]) {
        if let Some(behind) = &mut self.behind {
            for text in texts {
                behind.text(text).await;
            }
            return;
        }
        self.client.text("poke").await;
        let event = |text: &String| format!("TEXT {:x}\r\n{text}\r\n", text.len());
        let body: String = texts.iter().map(event).collect();
        loop {
            let exchange = self.backend.next().await;
            if exchange.request.body.windows(4).any(|word| word == b"poke") {
                return exchange.answer(Answer::events(body)).await;
            }
            exchange.answer(Answer::events("")).await;
        }
    }

    /// The backend says one control message, and that it has.
    async fn controls(&mut self, message: &Value) {
        self.says(&[control(message), "m:done".into()]).await;
        self.client.expect_text("done").await;
    }

    /// The backend is parted from: it hears CLOSE, without a code where that can be said.
    async fn is_parted(&mut self) {
        match &mut self.behind {
            Some(behind) => loop {
                match behind.next().await {
                    Message::Close(Some(frame)) => break assert_eq!(u16::from(frame.code), 1000),
                    Message::Close(None) => panic!("no code"),
                    _ => {}
                }
            },
            None => loop {
                let exchange = self.backend.next().await;
                let body = exchange.request.body.clone();
                exchange.answer(Answer::events("")).await;
                if body.ends_with(b"CLOSE\r\n") {
                    break;
                }
            },
        }
    }

    async fn publishes(&self, message: Value) {
        self.publisher.formats("room", json!({ "ws-message": message })).await;
    }
}

fn control(message: &Value) -> String {
    format!("c:{message}")
}

fn subscribe(channel: &str, filters: &[&str]) -> Value {
    json!({ "type": "subscribe", "channel": channel, "filters": filters })
}

#[tokio::test]
async fn what_is_not_valid_is_ignored_and_the_connection_goes_on() {
    for kind in BOTH {
        let mut scene = Scene::new(kind).await;
        let texts = [
            "",
            "nope",
            "[]",
            "1",
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"ack"}"#,
            r#"{"type":"Subscribe","channel":"room"}"#,
            r#"{"type":"subscribe"}"#,
            r#"{"type":"subscribe","channel":""}"#,
            r#"{"type":"subscribe","channel":1}"#,
            r#"{"type":"subscribe","channel":"room","filters":"skip-self"}"#,
            r#"{"type":"subscribe","channel":"room","filters":[1]}"#,
            r#"{"type":"unsubscribe"}"#,
            r#"{"type":"unsubscribe","channel":"unknown"}"#,
            r#"{"type":"keep-alive","content":1}"#,
            r#"{"type":"keep-alive","content":"x","message-type":"close"}"#,
            r#"{"type":"keep-alive","content":"x","timeout":-1}"#,
            r#"{"type":"send-delayed","content":[]}"#,
            r#"{"type":"send-delayed","content":"x","timeout":-1}"#,
            r#"{"type":"flush-delayed"}"#,
            r#"{"type":"session","id":1}"#,
            r#"{"type":"session"}"#,
            r#"{"type":"set-meta","value":"v"}"#,
            r#"{"type":"set-meta","name":"","value":"v"}"#,
            r#"{"type":"set-meta","name":"n","value":1}"#,
        ];
        let mut said: Vec<String> = texts.iter().map(|text| format!("c:{text}")).collect();
        said.push("m:still here".into());
        scene.says(&said).await;
        scene.client.expect_text("still here").await;
        scene.publishes(json!({ "content": "to nobody" })).await;
        scene.controls(&subscribe("room", &["unknown-filter"])).await;
        scene.publishes(json!({ "content": "heard" })).await;
        scene.client.expect_text("heard").await;
    }
}

#[tokio::test]
async fn keep_alives_of_every_type_and_mode() {
    for kind in BOTH {
        let mut scene = Scene::new(kind).await;
        for (members, expected) in [
            (json!({ "content": "x" }), Message::text("x")),
            (json!({ "content": "" }), Message::text("")),
            (json!({ "content": "x", "mode": "interval" }), Message::text("x")),
            (json!({ "content-bin": "eA==", "content": "y" }), Message::text("x")),
            (json!({ "content": "x", "message-type": "binary" }), Message::binary("x")),
            (json!({ "content": "x", "message-type": "ping" }), Message::Ping("x".into())),
            (json!({ "content": "x", "message-type": "pong" }), Message::Pong("x".into())),
            (json!({ "content": "x", "mode": "other", "timeout": "1" }), Message::text("x")),
        ] {
            let mut message = json!({ "type": "keep-alive", "timeout": 1 });
            let all = message.as_object_mut().expect("an object");
            all.extend(members.as_object().expect("an object").clone());
            // The second is not valid, and leaves the first as it is.
            let invalid = json!({ "type": "keep-alive", "content": "y", "timeout": -1 });
            scene.says(&[control(&message), control(&invalid)]).await;
            assert_eq!(scene.client.next().await, expected, "{kind:?} {message}");
            scene.says(&[control(&json!({ "type": "keep-alive" })), "m:off".into()]).await;
            while scene.client.next().await != Message::text("off") {}
        }
        // It is off: what comes later than it would is the next thing.
        scene.says(&[control(&json!({ "type": "send-delayed", "content": "later" }))]).await;
        scene.client.expect_text("later").await;
    }
}

#[tokio::test]
async fn delayed_messages_come_later_or_when_they_are_wanted() {
    for kind in BOTH {
        let mut scene = Scene::new(kind).await;
        let delayed = |content: &str, seconds: u32| {
            control(&json!({ "type": "send-delayed", "content": content, "timeout": seconds }))
        };
        let flush = control(&json!({ "type": "flush-delayed" }));
        scene
            .says(&[
                "m:a".into(),
                delayed("b", 100),
                "m:c".into(),
                // The one before is sent first.
                delayed("d", 100),
                "m:e".into(),
                flush.clone(),
                flush,
                "m:f".into(),
                control(&json!({ "type": "send-delayed", "message-type": "binary" })),
            ])
            .await;
        for expected in ["a", "c", "b", "e", "d", "f"] {
            scene.client.expect_text(expected).await;
        }
        assert_eq!(scene.client.next().await, Message::binary(""));
    }
}

#[tokio::test]
async fn a_detached_client_goes_on_without_its_backend() {
    for kind in BOTH {
        let mut scene = Scene::new(kind).await;
        let detach = control(&json!({ "type": "detach" }));
        let delayed = json!({ "type": "send-delayed", "content": "later" });
        let said = [control(&subscribe("room", &[])), control(&delayed), detach.clone(), detach];
        scene.says(&said).await;
        scene.is_parted().await;
        scene.client.text("to nobody").await;
        scene.client.expect_text("later").await;
        scene.publishes(json!({ "content": "published" })).await;
        scene.client.expect_text("published").await;
        if kind == Kind::WebSocket {
            scene.client.close(4003, "not echoed").await;
            scene.client.expect_close(1000, "").await;
        } else {
            scene.publishes(json!({ "action": "close", "code": 4010, "reason": "bye" })).await;
            scene.client.expect_close(4010, "bye").await;
        }
        scene.client.expect_dropped_quietly().await;
        assert!(!scene.backend.has_seen_more(), "it is told nothing more");
    }
}

#[tokio::test]
async fn a_client_that_has_closed_before_it_is_detached_is_answered() {
    let mut scene = Scene::new(Kind::OverHttp).await;
    scene.client.text("x").await;
    let exchange = scene.backend.next().await;
    scene.client.close(4003, "").await;
    let message = control(&json!({ "type": "detach" }));
    let body = format!("TEXT {:x}\r\n{message}\r\n", message.len());
    exchange.answer(Answer::events(body)).await;
    scene.client.expect_close(1000, "").await;
    loop {
        let exchange = scene.backend.next().await;
        let body = exchange.request.body.clone();
        exchange.answer(Answer::events("")).await;
        if body.starts_with(b"CLOSE") {
            break;
        }
    }
}

#[tokio::test]
async fn variables_are_set_and_removed_for_filters() {
    for kind in BOTH {
        let mut scene = Scene::new(kind).await;
        let set = |value: Value| json!({ "type": "set-meta", "name": "user", "value": value });
        scene.controls(&subscribe("room", &["skip-self"])).await;
        scene.controls(&set(json!("alice"))).await;
        scene.controls(&set(json!(7))).await;
        let item = |content: &str| {
            json!([{ "channel": "room", "meta": { "sender": "alice" },
                "formats": { "ws-message": { "content": content } } }])
        };
        scene.publisher.items(item("own")).await;
        scene.publishes(json!({ "content": "another's" })).await;
        scene.client.expect_text("another's").await;
        scene.controls(&json!({ "type": "set-meta", "name": "user" })).await;
        scene.publisher.items(item("nobody's")).await;
        scene.client.expect_text("nobody's").await;
        // Subscribing again replaces the filters, and each item still comes once.
        scene.controls(&json!({ "type": "set-meta", "name": "user", "value": "alice" })).await;
        scene.controls(&subscribe("room", &[])).await;
        scene.publisher.items(item("own")).await;
        scene.client.expect_text("own").await;
        scene.publishes(json!({ "content": "last" })).await;
        scene.client.expect_text("last").await;
    }
}

#[tokio::test]
async fn subscriptions_are_limited_and_prefixed() {
    for kind in BOTH {
        let arguments = ["--connection-subscription-max", "2"];
        let grip = "Sec-WebSocket-Extensions: grip\r\n";
        let mut scene = Scene::with(kind, (",prefix=p-", ""), &arguments, grip).await;
        for channel in ["room", "b", "too-many", "room"] {
            scene.controls(&subscribe(channel, &[])).await;
        }
        for channel in ["too-many", "p-too-many", "room", "p-room", "p-b"] {
            scene.publisher.message(channel, channel).await;
        }
        scene.client.expect_text("p-room").await;
        scene.client.expect_text("p-b").await;
        scene.controls(&json!({ "type": "unsubscribe", "channel": "b" })).await;
        scene.controls(&subscribe("c", &[])).await;
        scene.publisher.message("p-b", "not heard").await;
        scene.publisher.message("p-c", "heard").await;
        scene.client.expect_text("heard").await;
    }
}

#[tokio::test]
async fn too_many_filters_end_the_connection() {
    for kind in BOTH {
        let six = subscribe("room", &["a", "b", "c", "d", "e", "f"]);
        let mut scene = Scene::new(kind).await;
        scene.says(&[control(&six)]).await;
        scene.client.expect_close(1011, "").await;
        scene.is_parted().await;
        let mut scene = Scene::in_debug(kind).await;
        scene.says(&[control(&six)]).await;
        scene.client.expect_close(1011, "too many filters for channel 'room'").await;
    }
}

#[tokio::test]
async fn a_filter_that_fails_spares_the_client_the_message() {
    for kind in BOTH {
        let mut scene = Scene::new(kind).await;
        scene.controls(&subscribe("room", &["var-subst"])).await;
        scene.publishes(json!({ "content": "%(unset)s" })).await;
        scene.publishes(json!({ "content": "plain", "content-filters": [] })).await;
        scene.publishes(json!({ "content": "next" })).await;
        scene.client.expect_text("next").await;
        // What is no message is no matter for it.
        scene.controls(&subscribe("room", &["build-id"])).await;
        scene.publishes(json!({ "content": "x" })).await;
        scene.publishes(json!({ "action": "close", "code": 4000 })).await;
        scene.client.expect_close(4000, "").await;

        let mut scene = Scene::in_debug(kind).await;
        scene.controls(&subscribe("room", &["var-subst"])).await;
        scene.publishes(json!({ "content": "%(unset)s" })).await;
        let Message::Close(Some(reason)) = scene.client.next().await else { panic!("no CLOSE") };
        assert_eq!(u16::from(reason.code), 1011);
        assert!(reason.reason.starts_with("filter error: var-subst: "), "{reason:?}");
        scene.is_parted().await;

        let mut scene = Scene::in_debug(kind).await;
        scene.controls(&subscribe("room", &["var-subst"])).await;
        scene.publishes(json!({ "content": "x", "content-filters": ["build-id"] })).await;
        let reason = "content filter mismatch: subscription=var-subst message=build-id";
        scene.client.expect_close(1011, reason).await;
    }
}

#[tokio::test]
async fn implicit_subscriptions_need_no_grip_and_cannot_be_removed() {
    for kind in BOTH {
        let options = (",prefix=p-", ",sub=room,sub=other");
        let mut scene = Scene::with(kind, options, &[], "").await;
        scene.says(&["c:{\"type\":\"unsubscribe\",\"channel\":\"room\"}".into()]).await;
        scene.client.expect_text("c:{\"type\":\"unsubscribe\",\"channel\":\"room\"}").await;
        scene.publishes(json!({ "content": "published" })).await;
        scene.client.expect_text("published").await;

        let grip = "Sec-WebSocket-Extensions: grip\r\n";
        let mut scene = Scene::with(kind, ("", ",sub=room"), &[], grip).await;
        scene.controls(&json!({ "type": "unsubscribe", "channel": "room" })).await;
        scene.publishes(json!({ "content": "published" })).await;
        scene.client.expect_text("published").await;
    }
}

#[tokio::test]
async fn the_prefix_of_messages_is_negotiated() {
    for kind in BOTH {
        for (parameter, shown) in [
            ("grip; message-prefix=\"\"", ["m:a", "!a", "a"].as_slice()),
            ("grip; message-prefix=\"!\"", &["a"]),
            ("grip; message-prefix=!; more=1", &["a"]),
            ("other, grip", &["a"]),
            ("GRIP", &["m:a", "!a", "a", "c:{}"]),
        ] {
            let line = format!("Sec-WebSocket-Extensions: {parameter}\r\n");
            let mut scene = Scene::with(kind, ("", ""), &[], &line).await;
            let said = ["m:a", "!a", "a", "c:{}", "m:end", "!end"].map(String::from);
            scene.says(&said).await;
            for text in shown {
                scene.client.expect_text(text).await;
            }
        }
    }
}

#[tokio::test]
async fn a_control_message_may_come_in_fragments() {
    let mut scene = Scene::new(Kind::WebSocket).await;
    let text = control(&subscribe("room", &[]));
    let behind = scene.behind.as_mut().expect("a WebSocket");
    let (first, rest) = text.split_at(10);
    for (payload, opcode, is_final) in
        [(first, OpCode::Data(Data::Text), false), (rest, OpCode::Data(Data::Continue), true)]
    {
        let header = FrameHeader { is_final, opcode, ..FrameHeader::default() };
        let frame = Frame::from_payload(header, payload.to_owned().into());
        behind.send(Message::Frame(frame)).await;
    }
    behind.text("m:done").await;
    scene.client.expect_text("done").await;
    scene.publishes(json!({ "content": "heard" })).await;
    scene.client.expect_text("heard").await;
}

#[tokio::test]
async fn what_is_published_is_one_frame_of_its_type() {
    for kind in BOTH {
        let mut scene = Scene::new(kind).await;
        scene.controls(&subscribe("room", &[])).await;
        for message in [
            json!({ "type": "ping", "content": "x".repeat(126) }),
            json!({ "type": "pong", "content": "x".repeat(126) }),
            json!({ "action": "hint" }),
        ] {
            // Nothing comes of these.
            scene.publishes(message).await;
        }
        for (message, expected) in [
            (json!({ "content": "" }), Message::text("")),
            (json!({ "content": "m:x" }), Message::text("m:x")),
            (json!({ "content-bin": "AAE=", "content": "y" }), Message::binary(vec![0, 1])),
            (json!({ "content-bin": "eA==", "type": "text" }), Message::text("x")),
            (json!({ "content": "x", "type": "binary" }), Message::binary("x")),
            (json!({ "type": "pong" }), Message::Pong("".into())),
            (
                json!({ "type": "ping", "content": "x".repeat(125) }),
                Message::Ping("x".repeat(125).into()),
            ),
        ] {
            scene.publishes(message).await;
            assert_eq!(scene.client.next().await, expected);
        }
        for invalid in [
            json!({ "type": "other", "content": "x" }),
            json!({ "type": "text" }),
            json!({ "action": "close", "code": -1 }),
            json!({ "action": "other" }),
        ] {
            let item = json!({ "channel": "room", "formats": { "ws-message": invalid } });
            let body = json!({ "items": [item] }).to_string();
            assert_eq!(scene.publisher.post("/publish/", body).await.0, 400);
        }
        scene.publishes(json!({ "action": "refresh" })).await;
        scene
            .publishes(json!({ "action": "close", "code": 70000, "reason": "ü".repeat(70) }))
            .await;
        scene.client.expect_close(4464, &"ü".repeat(61)).await;
        let mut scene = Scene::new(kind).await;
        scene.controls(&subscribe("room", &[])).await;
        scene.publishes(json!({ "action": "close", "reason": "discarded" })).await;
        scene.publishes(json!({ "content": "ignored" })).await;
        scene.client.expect_close(1000, "").await;
        scene.is_parted().await;
        drop(scene.server);
    }
}
