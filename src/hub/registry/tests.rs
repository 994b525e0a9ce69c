//! Tests of the registry's rules, with an outlet that records.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::grip::format::{
    Action, CloseReason, MessageContent, ResponseBody, ResponseContent, StreamContent,
};
use crate::grip::instruction::Response;
use crate::grip::instruction::{KeepAlive, KeepAliveMode};
use crate::grip::item::Item;
use crate::grip::message::MessageKind;
use crate::hub::fanout::{Delivery, Then};
use crate::hub::recorder::Recorder;
use crate::session::http::StreamFraming;
use crate::session::socket::Form;
use crate::wire::http1::Version;

const NOW: Tick = Tick(1000);

fn registry() -> Registry {
    Registry::new(Settings { subscriptions_max: 3, seed: Some(1), ..Settings::default() })
}

/// Publishes an item and delivers it to the last subscriber.
fn publish(registry: &mut Registry, item: &Item, now: Tick, out: &mut Recorder) -> Receivers {
    let mut sum = registry.publish(&[Arc::new(item.clone())], now, None);
    while registry.is_delivering() {
        sum.add(registry.deliver(now, out));
    }
    registry.verify();
    sum
}

fn name(text: &str) -> ChannelName {
    ChannelName::new(text)
}

fn response_hold() -> ResponseHold {
    let held = Response {
        code: 200,
        reason: Bytes::from_static(b"OK"),
        headers: Vec::new(),
        body: Bytes::from_static(b"late"),
    };
    ResponseHold {
        held: Rc::new(held.into()),
        version: Version::Http11,
        persistent: true,
        head_only: false,
        timeout_s: 5,
    }
}

fn stream_hold(framing: StreamFraming) -> StreamHold {
    StreamHold { framing, keep_alive: None, persistent: true, next: None }
}

fn keep_alive(mode: KeepAliveMode, timeout_s: u32) -> Option<KeepAlive> {
    Some(KeepAlive { data: Bytes::from_static(b"ka"), mode, timeout_s })
}

fn item() -> Item {
    Item {
        channel: name("c"),
        id: None,
        prev_id: None,
        http_response: None,
        http_stream: None,
        ws_message: None,
        meta: Vec::new(),
        size: None,
        no_seq: false,
    }
}

fn response_item(body: &'static str) -> Item {
    let content = ResponseContent {
        code: 200,
        reason: None,
        headers: Vec::new(),
        body: ResponseBody::Whole(Bytes::from_static(body.as_bytes())),
        content_filters: None,
    };
    Item { http_response: Some(Action::Send(content)), ..item() }
}

fn stream_item(text: &'static str) -> Item {
    let content =
        StreamContent { content: Bytes::from_static(text.as_bytes()), content_filters: None };
    Item { http_stream: Some(Action::Send(content)), ..item() }
}

fn message(kind: MessageKind, text: &'static str) -> Message {
    Message { kind, content: Bytes::from_static(text.as_bytes()) }
}

fn socket_item(text: &'static str) -> Item {
    let content =
        MessageContent { message: message(MessageKind::Text, text), content_filters: None };
    Item { ws_message: Some(Action::Send(content)), ..item() }
}

fn open_stream(registry: &mut Registry, framing: StreamFraming) -> SessionId {
    let id = registry.open_stream(stream_hold(framing), NOW);
    assert_eq!(registry.subscribe(id, &name("c"), false), Subscribed::Added);
    id
}

fn open_response(registry: &mut Registry, hold: ResponseHold) -> SessionId {
    let id = registry.open_response(hold, NOW);
    registry.subscribe(id, &name("c"), false);
    id
}

fn open_socket(registry: &mut Registry) -> SessionId {
    let id = registry.open_socket(Form::Plain, NOW);
    registry.subscribe(id, &name("c"), false);
    id
}

fn receivers(matched: u64, delivered: u64, refused: u64) -> Receivers {
    Receivers { matched, delivered, refused }
}

#[test]
fn a_long_poll_gets_one_item_and_waits_to_be_closed() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let id = open_response(&mut registry, response_hold());
    assert_eq!(publish(&mut registry, &response_item("a"), NOW, &mut out), receivers(1, 1, 0));
    assert_eq!(publish(&mut registry, &response_item("b"), NOW, &mut out), receivers(0, 0, 0));
    assert_eq!(out.text(id), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na");
    assert_eq!(out.finished, [(id, Then::Reuse)]);
    assert!(registry.is_live(id) && registry.load().1 == 0);
    assert_eq!(registry.subscribe(id, &name("c"), false), Subscribed::Gone);
    registry.verify();
    registry.close(id);
    assert!(!registry.is_live(id) && registry.is_empty());
    assert_eq!((registry.load(), registry.counts()), ((0, 0), Counts::default()));
}

#[test]
fn equal_long_polls_are_answered_with_the_same_bytes() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let ids: Vec<_> = (0..3).map(|_| open_response(&mut registry, response_hold())).collect();
    let old = ResponseHold { version: Version::Http10, persistent: false, ..response_hold() };
    let old = open_response(&mut registry, old);
    publish(&mut registry, &response_item("a"), NOW, &mut out);
    let bytes = |id| out.sent[&id][0].as_ptr();
    assert!(ids.iter().all(|&id| bytes(id) == bytes(ids[0])));
    assert!(bytes(old) != bytes(ids[0]));
    assert!(out.text(old).starts_with("HTTP/1.0 200 OK\r\n"));
    out.finished.sort_by_key(|(id, _)| id.index);
    assert_eq!(out.finished[3], (old, Then::Close));
    assert_eq!(out.finished[..3], [0, 1, 2].map(|at| (ids[at], Then::Reuse)));
}

#[test]
fn a_long_poll_times_out_with_what_is_held() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let id = open_response(&mut registry, response_hold());
    registry.tick(Tick(5999), &mut out);
    assert!(out.sent.is_empty());
    registry.tick(Tick(6000), &mut out);
    assert_eq!(out.text(id), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate");
    assert_eq!(out.finished, [(id, Then::Reuse)]);
    assert_eq!(registry.subscribers(&name("c")), 0);
}

#[test]
fn a_long_poll_ignores_what_is_not_a_response() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let id = open_response(&mut registry, response_hold());
    for action in [Action::Hint, Action::Refresh, Action::Close(CloseReason::default())] {
        let item = Item { http_response: Some(action), ..item() };
        assert_eq!(publish(&mut registry, &item, NOW, &mut out), receivers(1, 0, 0));
    }
    publish(&mut registry, &stream_item("x"), NOW, &mut out);
    publish(&mut registry, &socket_item("x"), NOW, &mut out);
    assert!(out.sent.is_empty() && registry.subscribers(&name("c")) == 1);
    assert_eq!(registry.counts().responses, 1);
    registry.close(id);
}

#[test]
fn streams_get_each_form_encoded_once() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let chunked: Vec<_> =
        (0..2).map(|_| open_stream(&mut registry, StreamFraming::Chunked)).collect();
    let raw = open_stream(&mut registry, StreamFraming::Raw);
    let silent = open_stream(&mut registry, StreamFraming::Silent);
    let (one, two) = (stream_item("one"), stream_item("two\n"));
    assert_eq!(publish(&mut registry, &one, NOW, &mut out), receivers(4, 3, 0));
    publish(&mut registry, &two, NOW, &mut out);
    publish(&mut registry, &stream_item(""), NOW, &mut out);
    assert_eq!(out.text(chunked[0]), "3\r\none\r\n4\r\ntwo\n\r\n");
    assert_eq!(out.sent[&chunked[0]][0].as_ptr(), out.sent[&chunked[1]][0].as_ptr());
    assert_eq!((out.text(raw), out.text(silent)), ("onetwo\n".into(), String::new()));
}

#[test]
fn a_close_ends_streams_cleanly() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let chunked = open_stream(&mut registry, StreamFraming::Chunked);
    let raw = open_stream(&mut registry, StreamFraming::Raw);
    let once = StreamHold { persistent: false, ..stream_hold(StreamFraming::Chunked) };
    let once = registry.open_stream(once, NOW);
    registry.subscribe(once, &name("c"), true);
    let close = Item { http_stream: Some(Action::Close(CloseReason::default())), ..item() };
    publish(&mut registry, &close, NOW, &mut out);
    publish(&mut registry, &stream_item("x"), NOW, &mut out);
    assert_eq!(out.text(chunked), "0\r\n\r\n");
    assert_eq!(out.text(raw), "");
    let expected = [(chunked, Then::Reuse), (raw, Then::Close), (once, Then::Close)];
    out.finished.sort_by_key(|(id, _)| id.index);
    assert_eq!(out.finished, expected);
    registry.verify();
}

#[test]
fn who_refuses_or_is_gone_leaves_while_the_others_get_theirs() {
    for (answer, refused) in [(Delivery::Refused, 2), (Delivery::Gone, 0)] {
        let (mut registry, mut out) = (registry(), Recorder::default());
        let ids: Vec<_> =
            (0..5).map(|_| open_stream(&mut registry, StreamFraming::Chunked)).collect();
        out.answers.insert(ids[0], answer);
        out.answers.insert(ids[4], answer);
        let result = publish(&mut registry, &stream_item("x"), NOW, &mut out);
        assert_eq!(result, receivers(5, 3, refused));
        assert_eq!(publish(&mut registry, &stream_item("y"), NOW, &mut out), receivers(3, 3, 0));
        assert!(ids[1..4].iter().all(|&id| out.sent[&id].len() == 2));
        assert!(out.sent[&ids[0]].len() == 1 && out.sent[&ids[4]].len() == 1);
        assert!(out.finished.is_empty() && registry.len() == 5);
        registry.verify();
    }
}

#[test]
fn items_for_content_filters_are_for_nobody_yet() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    open_stream(&mut registry, StreamFraming::Raw);
    let content = |filters: Vec<Box<str>>| {
        let content = Bytes::from_static(b"x");
        let content = StreamContent { content, content_filters: Some(filters) };
        Item { http_stream: Some(Action::Send(content)), ..item() }
    };
    let filtered = content(vec!["build-id".into()]);
    assert_eq!(publish(&mut registry, &filtered, NOW, &mut out), receivers(1, 0, 0));
    assert_eq!(publish(&mut registry, &content(vec![]), NOW, &mut out), receivers(1, 1, 0));
}

#[test]
fn sockets_get_frames_and_closes() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let (a, b) = (open_socket(&mut registry), open_socket(&mut registry));
    assert_eq!(publish(&mut registry, &socket_item("hi"), NOW, &mut out), receivers(2, 2, 0));
    let refresh = Item { ws_message: Some(Action::Refresh), ..item() };
    publish(&mut registry, &refresh, NOW, &mut out);
    let reason = CloseReason { code: Some(4464), reason: "bye".into() };
    let close = Item { ws_message: Some(Action::Close(reason)), ..item() };
    publish(&mut registry, &close, NOW, &mut out);
    publish(&mut registry, &socket_item("late"), NOW, &mut out);
    assert_eq!(out.sent[&a].concat(), b"\x81\x02hi\x88\x05\x11\x70bye");
    // The one that came last has the first turn.
    assert_eq!(out.finished, [(b, Then::AwaitClose), (a, Then::AwaitClose)]);
    let effects: Vec<_> = std::iter::from_fn(|| registry.poll_effect()).collect();
    let expected =
        [Effect::Refresh(b), Effect::Refresh(a), Effect::SocketClosed(b), Effect::SocketClosed(a)];
    assert_eq!(effects, expected);
}

#[test]
fn too_large_a_ping_is_refused() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    open_socket(&mut registry);
    let content = Bytes::from(vec![b'x'; 126]);
    let message = Message { kind: MessageKind::Ping, content };
    let send = Action::Send(MessageContent { message, content_filters: None });
    let ping = Item { ws_message: Some(send), ..item() };
    assert_eq!(publish(&mut registry, &ping, NOW, &mut out), receivers(1, 0, 1));
    assert_eq!(registry.subscribers(&name("c")), 1);
}

#[test]
fn subscriptions_are_limited_and_implicit_ones_are_not_counted() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let id = registry.open_socket(Form::Plain, NOW);
    assert_eq!(registry.subscribe(id, &name("sub"), true), Subscribed::Added);
    for channel in ["a", "b", "c"] {
        assert_eq!(registry.subscribe(id, &name(channel), false), Subscribed::Added);
    }
    assert_eq!(registry.subscribe(id, &name("d"), false), Subscribed::TooMany);
    assert_eq!(registry.subscribe(id, &name("a"), false), Subscribed::Replaced);
    registry.unsubscribe(id, &name("sub"));
    registry.unsubscribe(id, &name("a"));
    registry.unsubscribe(id, &name("nowhere"));
    assert_eq!(registry.subscribe(id, &name("d"), false), Subscribed::Added);
    registry.verify();
    assert_eq!((registry.subscribers(&name("sub")), registry.subscribers(&name("a"))), (1, 0));
    assert_eq!(publish(&mut registry, &socket_item("x"), NOW, &mut out), receivers(1, 1, 0));
    registry.mute(id);
    assert_eq!(registry.load(), (0, 0));
}

#[test]
fn an_idle_keep_alive_waits_for_silence() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let mut open = |mode| {
        let hold =
            StreamHold { keep_alive: keep_alive(mode, 20), ..stream_hold(StreamFraming::Chunked) };
        let id = registry.open_stream(hold, Tick(0));
        registry.subscribe(id, &name("c"), false);
        id
    };
    let (idle, interval) = (open(KeepAliveMode::Idle), open(KeepAliveMode::Interval));
    for second in 1..=30 {
        publish(&mut registry, &stream_item("x"), Tick(second * 1000), &mut out);
        registry.tick(Tick(second * 1000), &mut out);
        registry.verify();
    }
    assert_eq!(out.text(idle).matches("ka").count(), 0);
    assert_eq!(out.text(interval).matches("ka").count(), 1);
    registry.tick(Tick(50_000), &mut out);
    assert!(out.text(idle).ends_with("2\r\nka\r\n"));
    out.backlog.insert(idle, 1);
    let before = out.sent[&idle].len();
    registry.tick(Tick(80_000), &mut out);
    assert_eq!(out.sent[&idle].len(), before, "a client that does not read gets none");
    out.backlog.clear();
    registry.tick(Tick(100_000), &mut out);
    assert_eq!(out.sent[&idle].len(), before + 1);
}

#[test]
fn deadlines_are_met() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let hold = StreamHold {
        keep_alive: keep_alive(KeepAliveMode::Idle, 55),
        ..stream_hold(StreamFraming::Raw)
    };
    let id = registry.open_stream(hold, Tick(0));
    let mut wakings = 0;
    while out.sent.is_empty() {
        let now = registry.next_deadline().unwrap();
        registry.tick(now, &mut out);
        wakings += 1;
        if !out.sent.is_empty() {
            assert!((54_001..=55_000).contains(&now.0), "{now:?}");
        }
    }
    assert!(wakings <= 4, "{wakings}");
    assert_eq!(out.text(id), "ka");
}

#[test]
fn a_socket_keep_alive_is_set_replaced_and_turned_off() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let id = registry.open_socket(Form::Plain, NOW);
    let setting = |text, timeout_s| SocketKeepAlive {
        message: message(MessageKind::Text, text),
        mode: KeepAliveMode::Interval,
        timeout_s,
    };
    registry.set_keep_alive(id, Some(setting("a", 55)), NOW);
    registry.set_keep_alive(id, Some(setting("", 2)), NOW);
    registry.verify();
    registry.tick(Tick(3000), &mut out);
    assert_eq!(out.sent[&id].concat(), b"\x81\0");
    let large = Message { kind: MessageKind::Ping, content: Bytes::from(vec![0; 126]) };
    let large = SocketKeepAlive { message: large, ..setting("", 2) };
    registry.set_keep_alive(id, Some(large), Tick(3000));
    assert!(registry.next_deadline().is_some());
    registry.set_keep_alive(id, None, Tick(3000));
    assert_eq!(registry.next_deadline(), None);
}

#[test]
fn delayed_messages_are_sent_first_to_last() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let id = registry.open_socket(Form::Plain, NOW);
    registry.flush_delayed(id, NOW, &mut out);
    registry.send_delayed(id, message(MessageKind::Text, "a"), 1, NOW, &mut out);
    assert!(out.sent.is_empty());
    registry.send_delayed(id, message(MessageKind::Binary, "b"), 2, NOW, &mut out);
    assert_eq!(out.sent[&id].concat(), b"\x81\x01a");
    registry.tick(Tick(2999), &mut out);
    registry.tick(Tick(3000), &mut out);
    assert_eq!(out.sent[&id].concat(), b"\x81\x01a\x82\x01b");
    registry.send_delayed(id, message(MessageKind::Text, "c"), 9, NOW, &mut out);
    registry.flush_delayed(id, NOW, &mut out);
    assert!(out.sent[&id].concat().ends_with(b"\x81\x01c"));
    assert_eq!(registry.next_deadline(), None);
}

#[test]
fn a_backend_timer_fires_once_also_when_muted() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let id = open_socket(&mut registry);
    registry.set_backend_timer(id, Some(Tick(9000)));
    registry.set_backend_timer(id, Some(Tick(5000)));
    registry.mute(id);
    registry.tick(Tick(5000), &mut out);
    registry.tick(Tick(9000), &mut out);
    assert_eq!(registry.poll_effect(), Some(Effect::BackendTimer(id)));
    assert_eq!((registry.poll_effect(), registry.load()), (None, (0, 0)));
    registry.set_backend_timer(id, Some(Tick(10_000)));
    registry.close(id);
    assert_eq!(registry.next_deadline(), None);
}

#[test]
fn draining_ends_each_as_its_protocol_asks() {
    let (mut registry, mut out) = (registry(), Recorder::default());
    let response = open_response(&mut registry, response_hold());
    let stream = open_stream(&mut registry, StreamFraming::Chunked);
    let socket = open_socket(&mut registry);
    registry.drain(&mut out);
    registry.drain(&mut out);
    assert_eq!(
        out.text(response),
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nlate"
    );
    assert_eq!(out.text(stream), "0\r\n\r\n");
    assert_eq!(out.sent[&socket].concat(), b"\x88\x02\x03\xe9");
    let expected = [(response, Then::Close), (stream, Then::Close), (socket, Then::AwaitClose)];
    assert_eq!(out.finished, expected);
    assert_eq!(registry.poll_effect(), Some(Effect::SocketClosed(socket)));
    assert_eq!(registry.load(), (0, 0));
}

#[test]
fn variables_belong_to_the_session() {
    let mut registry = registry();
    let id = registry.open_socket(Form::Plain, NOW);
    registry.set_meta(id, "user", Some("a"));
    assert_eq!(registry.meta(id, "user"), Some("a"));
    registry.close(id);
    let next = registry.open_socket(Form::Plain, NOW);
    assert_eq!((registry.meta(id, "user"), registry.meta(next, "user")), (None, None));
}

#[test]
fn a_session_is_small() {
    const { assert!(Registry::SESSION_BYTES <= 88) };
}
