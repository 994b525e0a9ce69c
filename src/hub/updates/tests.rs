//! Tests of holds that follow ids: from the ring, from the backend, in order and without a hole.

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::grip::filter::Filters;
use crate::grip::format::{Action, MessageContent, ResponseBody, ResponseContent, StreamContent};
use crate::grip::instruction::Response;
use crate::grip::item::Item;
use crate::grip::message::{Message, MessageKind};
use crate::hub::fanout::{Delivery, Effect};
use crate::hub::recorder::Recorder;
use crate::hub::registry::Settings;
use crate::session::http::StreamHold;
use crate::session::socket::Form;

const NOW: Tick = Tick(1000);

fn registry(ring: usize) -> Registry {
    Registry::new(Settings {
        seed: Some(1),
        ring_items_max: ring,
        update_on_first_subscription: false,
        ..Settings::default()
    })
}

fn item(id: &str, prev: &str) -> Arc<Item> {
    let text = |text: &str| (!text.is_empty()).then(|| Box::<str>::from(text));
    let content = Bytes::copy_from_slice(format!("{id};").as_bytes());
    let message = Message { kind: MessageKind::Text, content: content.clone() };
    let response = ResponseContent {
        code: 200,
        reason: None,
        headers: Vec::new(),
        body: ResponseBody::Whole(content.clone()),
        content_filters: None,
    };
    Arc::new(Item {
        channel: ChannelName::new("p-c"),
        id: text(id),
        prev_id: text(prev),
        http_response: Some(Action::Send(response)),
        http_stream: Some(Action::Send(StreamContent { content, content_filters: None })),
        ws_message: Some(Action::Send(MessageContent { message, content_filters: None })),
        meta: Vec::new(),
        size: None,
        no_seq: false,
    })
}

fn interest(prev_id: Option<&str>) -> Interest {
    let channel = ChannelName::new("p-c");
    Interest {
        channel,
        prefix_bytes: 2,
        prev_id: prev_id.map(Box::from),
        filters: Filters::default(),
        debug: false,
        implicit: false,
    }
}

fn publish(registry: &mut Registry, items: &[(&str, &str)], out: &mut Recorder) {
    let items: Vec<_> = items.iter().map(|(id, prev)| item(id, prev)).collect();
    registry.publish(&items, NOW, None);
    deliver(registry, out);
}

fn deliver(registry: &mut Registry, out: &mut Recorder) {
    while registry.is_delivering() {
        registry.deliver(NOW, out);
    }
    registry.verify();
}

fn next() -> Next {
    Next { timeout_ms: 10_000, group: "/next".into() }
}

fn open_stream(registry: &mut Registry, prev_id: Option<&str>, out: &mut Recorder) -> SessionId {
    let hold = StreamHold {
        framing: StreamFraming::Raw,
        keep_alive: None,
        persistent: false,
        next: Some(next()),
    };
    let id = registry.open_stream(hold, NOW);
    registry.subscribe_to(id, &interest(prev_id));
    registry.settle(id, NOW, out);
    deliver(registry, out);
    id
}

fn response_hold() -> ResponseHold {
    let (reason, body) = (Bytes::from_static(b"OK"), Bytes::from_static(b"late"));
    let held = Response { code: 200, reason, headers: Vec::new(), body };
    ResponseHold {
        held: Rc::new(held.into()),
        version: Version::Http11,
        persistent: true,
        head_only: false,
        timeout_s: 55,
    }
}

fn open_response(registry: &mut Registry, prev_id: Option<&str>, out: &mut Recorder) -> SessionId {
    let id = registry.open_response(response_hold(), NOW);
    registry.subscribe_to(id, &interest(prev_id));
    registry.settle(id, NOW, out);
    deliver(registry, out);
    id
}

fn resume(registry: &mut Registry, id: SessionId, prev_id: &str, out: &mut Recorder) {
    assert!(registry.resume_stream(id, Resumed { keep_alive: None, next: Some(next()) }, NOW));
    registry.keep_only(id, &[ChannelName::new("p-c")]);
    registry.subscribe_to(id, &interest(Some(prev_id)));
    registry.settle(id, NOW, out);
    deliver(registry, out);
}

fn effects(registry: &mut Registry) -> Vec<Effect> {
    std::iter::from_fn(|| registry.poll_effect()).collect()
}

#[test]
fn a_stream_that_is_behind_is_served_from_the_ring() {
    let (mut registry, mut out) = (registry(10), Recorder::default());
    publish(&mut registry, &[("1", ""), ("2", "1"), ("3", "2")], &mut out);
    let id = open_stream(&mut registry, Some("1"), &mut out);
    assert_eq!(out.text(id), "2;3;");
    publish(&mut registry, &[("4", "3")], &mut out);
    assert_eq!(out.text(id), "2;3;4;");
    assert_eq!(effects(&mut registry), []);
    assert_eq!(registry.tally().from_ring, 2);
    let newest = open_stream(&mut registry, Some("4"), &mut out);
    publish(&mut registry, &[("5", "4")], &mut out);
    assert_eq!((out.text(newest), out.text(id)), ("5;".into(), "2;3;4;5;".into()));
}

#[test]
fn a_long_poll_that_is_behind_gets_the_first_it_lacks() {
    let (mut registry, mut out) = (registry(10), Recorder::default());
    publish(&mut registry, &[("1", ""), ("2", "1"), ("3", "2")], &mut out);
    let id = open_response(&mut registry, Some("1"), &mut out);
    assert!(out.text(id).ends_with("\r\n\r\n2;"));
    assert_eq!(out.finished.len(), 1);
}

#[test]
fn what_the_ring_does_not_reach_is_asked_for() {
    let (mut registry, mut out) = (registry(2), Recorder::default());
    publish(&mut registry, &[("1", ""), ("2", "1"), ("3", "2"), ("4", "3")], &mut out);
    assert_eq!(registry.standing(&ChannelName::new("p-c"), "1"), Standing::Conflict);
    assert_eq!(registry.standing(&ChannelName::new("p-c"), "3"), Standing::Behind);
    let id = open_stream(&mut registry, Some("1"), &mut out);
    assert_eq!(effects(&mut registry), [Effect::Update { id, soon: false }]);
    // What is published before the backend is asked waits, as does what comes while it is.
    publish(&mut registry, &[("5", "4")], &mut out);
    let begun = registry.begin_update(id).unwrap();
    assert_eq!(begun.mode, Mode::Stream);
    assert_eq!(begun.lasts, [("c".into(), "1".into())]);
    assert_eq!(registry.begin_update(id), None);
    publish(&mut registry, &[("6", "5")], &mut out);
    assert_eq!(out.text(id), "");
    resume(&mut registry, id, "5", &mut out);
    assert_eq!(out.text(id), "6;");
    publish(&mut registry, &[("7", "6")], &mut out);
    assert_eq!((out.text(id), effects(&mut registry)), ("6;7;".into(), vec![]));
}

#[test]
fn without_a_ring_those_who_follow_ids_miss_nothing_while_they_ask() {
    let (mut registry, mut out) = (registry(0), Recorder::default());
    let id = open_stream(&mut registry, Some("1"), &mut out);
    publish(&mut registry, &[("2", "1")], &mut out);
    registry.request_update(id, true);
    registry.begin_update(id).unwrap();
    publish(&mut registry, &[("3", "2"), ("4", "3")], &mut out);
    assert_eq!(out.text(id), "2;");
    resume(&mut registry, id, "2", &mut out);
    assert_eq!(out.text(id), "2;3;4;");
}

#[test]
fn an_item_that_does_not_follow_on_is_not_delivered() {
    let (mut registry, mut out) = (registry(10), Recorder::default());
    let id = open_stream(&mut registry, Some("7"), &mut out);
    publish(&mut registry, &[("2", "1")], &mut out);
    assert_eq!(out.text(id), "");
    assert_eq!(effects(&mut registry), [Effect::Update { id, soon: false }]);
    assert_eq!(registry.tally().missed, 1);
    // The backend knows of another history: from there it goes on.
    registry.begin_update(id).unwrap();
    resume(&mut registry, id, "2", &mut out);
    publish(&mut registry, &[("3", "2")], &mut out);
    assert_eq!(out.text(id), "3;");
}

#[test]
fn items_out_of_order_wait_for_each_other() {
    let (mut registry, mut out) = (registry(10), Recorder::default());
    let plain = registry.open_socket(Form::Plain, NOW);
    registry.subscribe_to(plain, &interest(None));
    let items = [("1", ""), ("3", "2"), ("4", "3"), ("2", "1")];
    publish(&mut registry, &items, &mut out);
    assert_eq!(
        out.text(plain),
        "\u{81}\u{2}1;\u{81}\u{2}2;\u{81}\u{2}3;\u{81}\u{2}4;".replace('\u{81}', "\u{fffd}")
    );
}

#[test]
fn a_websocket_whose_ring_does_not_reach_back_is_told_once() {
    let (mut registry, mut out) = (registry(2), Recorder::default());
    publish(&mut registry, &[("1", ""), ("2", "1"), ("3", "2"), ("4", "3")], &mut out);
    let id = registry.open_socket(Form::Plain, NOW);
    registry.subscribe_to(id, &interest(Some("1")));
    registry.settle(id, NOW, &mut out);
    let missed = Effect::Missed { id, channel: "c".into(), prev_id: "1".into() };
    assert_eq!(effects(&mut registry), [missed]);
    publish(&mut registry, &[("5", "4"), ("6", "5")], &mut out);
    assert_eq!((out.text(id), effects(&mut registry)), (String::new(), vec![]));
    registry.subscribe_to(id, &interest(Some("5")));
    registry.settle(id, NOW, &mut out);
    assert!(out.text(id).ends_with("6;"));
}

#[test]
fn a_client_that_does_not_read_catches_up_later() {
    let (mut registry, mut out) = (registry(10), Recorder::default());
    publish(&mut registry, &[("1", ""), ("2", "1")], &mut out);
    let hold = StreamHold {
        framing: StreamFraming::Raw,
        keep_alive: None,
        persistent: false,
        next: Some(next()),
    };
    let id = registry.open_stream(hold, NOW);
    out.backlog.insert(id, 10);
    registry.subscribe_to(id, &interest(Some("1")));
    registry.settle(id, NOW, &mut out);
    publish(&mut registry, &[("3", "2")], &mut out);
    assert_eq!(out.text(id), "");
    out.backlog.clear();
    registry.drained(id);
    deliver(&mut registry, &mut out);
    assert_eq!(out.text(id), "2;3;");
}

#[test]
fn long_polls_are_asked_about_by_hints_and_recover() {
    let (mut registry, mut out) = (registry(10), Recorder::default());
    let id = open_response(&mut registry, Some("1"), &mut out);
    let mut hint = Arc::unwrap_or_clone(item("", ""));
    hint.http_response = Some(Action::Hint);
    registry.publish(&[Arc::new(hint)], NOW, None);
    deliver(&mut registry, &mut out);
    assert!(effects(&mut registry).contains(&Effect::Update { id, soon: true }));
    let begun = registry.begin_update(id).unwrap();
    assert_eq!(begun.mode, Mode::Response);
    assert_eq!(registry.subscribers(&ChannelName::new("p-c")), 0);
    assert_eq!(registry.counts().responses, 1);
    assert!(registry.resume_response(id, response_hold(), NOW));
    registry.subscribe_to(id, &interest(Some("1")));
    registry.settle(id, NOW, &mut out);
    registry.recover();
    assert_eq!(effects(&mut registry), [Effect::Update { id, soon: false }]);
    publish(&mut registry, &[("2", "1")], &mut out);
    assert!(out.text(id).ends_with("2;"));
    assert_eq!(registry.begin_update(id), None, "it has been answered");
}

#[test]
fn a_long_poll_becomes_a_stream() {
    let (mut registry, mut out) = (registry(10), Recorder::default());
    let id = open_response(&mut registry, None, &mut out);
    registry.tell_end(id);
    registry.request_update(id, true);
    registry.begin_update(id).unwrap();
    assert!(registry.resume_stream(id, Resumed { keep_alive: None, next: None }, NOW));
    registry.subscribe_to(id, &interest(None));
    registry.settle(id, NOW, &mut out);
    publish(&mut registry, &[("1", "")], &mut out);
    assert_eq!(out.text(id), "2\r\n1;\r\n");
    assert_eq!((registry.counts().streams, registry.counts().responses), (1, 0));
    registry.close(id);
    assert_eq!(effects(&mut registry).last(), Some(&Effect::Ended(id)));
    registry.verify();
}

#[test]
fn a_stream_is_polled_unless_something_happened_on_all_its_channels() {
    let (mut registry, mut out) = (registry(10), Recorder::default());
    let id = open_stream(&mut registry, None, &mut out);
    publish(&mut registry, &[("1", "")], &mut out);
    registry.tick(Tick(11_000), &mut out);
    assert_eq!(effects(&mut registry), []);
    registry.tick(Tick(21_000), &mut out);
    assert_eq!(effects(&mut registry), [Effect::Update { id, soon: false }]);
    registry.tick(Tick(31_000), &mut out);
    assert_eq!(effects(&mut registry), []);
    registry.begin_update(id).unwrap();
    registry.tick(Tick(99_000), &mut out);
    assert_eq!(effects(&mut registry), []);
    registry.verify();
}

#[test]
fn channels_without_ids_wait_in_a_bounded_queue_while_the_backend_is_asked() {
    let (mut registry, mut out) = (registry(10), Recorder::default());
    let id = open_stream(&mut registry, None, &mut out);
    registry.request_update(id, false);
    registry.begin_update(id).unwrap();
    for _ in 0..limits() + 5 {
        publish(&mut registry, &[("", "")], &mut out);
    }
    assert_eq!((out.text(id), registry.tally().dropped_queue), (String::new(), 5));
    assert!(registry.resume_stream(id, Resumed { keep_alive: None, next: Some(next()) }, NOW));
    registry.settle(id, NOW, &mut out);
    assert_eq!(out.text(id), ";".repeat(limits()));
}

fn limits() -> usize {
    crate::limits::QUEUED_ITEMS_MAX
}

#[test]
fn a_first_subscription_is_followed_up() {
    let mut registry =
        Registry::new(Settings { update_on_first_subscription: true, ..Settings::default() });
    let mut out = Recorder::default();
    let id = open_response(&mut registry, None, &mut out);
    let stream = open_stream(&mut registry, None, &mut out);
    registry.tick(Tick(1999), &mut out);
    assert_eq!(effects(&mut registry), []);
    registry.tick(Tick(2000), &mut out);
    let update = |id| Effect::Update { id, soon: false };
    assert_eq!(effects(&mut registry), [update(id), update(stream)]);
}

#[test]
fn deliveries_keep_to_the_rate_and_publishers_to_the_mark() {
    let mut registry = Registry::new(Settings {
        message_rate: Some(40),
        message_hwm: Some(5),
        ..Settings::default()
    });
    let mut out = Recorder::default();
    let ids: Vec<_> = (0..4).map(|_| registry.open_socket(Form::Plain, NOW)).collect();
    for id in &ids {
        registry.subscribe_to(*id, &interest(None));
    }
    registry.tick(NOW, &mut out);
    registry.publish(&[item("1", "")], NOW, None);
    assert!(registry.has_room());
    registry.publish(&[item("2", "1")], NOW, None);
    assert!(!registry.has_room());
    let mut now = NOW;
    let mut turns = 0;
    while out.order.len() < 4 {
        assert!(turns < 100, "deliveries go on");
        while registry.is_delivering() {
            registry.deliver(now, &mut out);
        }
        turns += 1;
        now = now.max(registry.next_deadline().unwrap_or(now));
        registry.tick(now, &mut out);
    }
    assert!(now.ms_since(NOW) >= 75, "at 25 ms each");
    assert!(registry.has_room());
}

#[test]
fn who_cannot_be_written_to_is_out() {
    let (mut registry, mut out) = (registry(10), Recorder::default());
    publish(&mut registry, &[("1", ""), ("2", "1")], &mut out);
    let hold = StreamHold {
        framing: StreamFraming::Raw,
        keep_alive: None,
        persistent: false,
        next: Some(next()),
    };
    let id = registry.open_stream(hold, NOW);
    out.answers.insert(id, Delivery::Gone);
    registry.subscribe_to(id, &interest(Some("1")));
    registry.settle(id, NOW, &mut out);
    assert_eq!(registry.subscribers(&ChannelName::new("p-c")), 0);
    registry.verify();
}

#[test]
fn asking_does_not_put_a_keep_alive_off() {
    let (mut registry, mut out) = (registry(0), Recorder::default());
    let keep_alive = |data: &'static [u8]| KeepAlive {
        data: Bytes::from_static(data),
        mode: crate::grip::instruction::KeepAliveMode::Idle,
        timeout_s: 20,
    };
    let hold = StreamHold {
        framing: StreamFraming::Raw,
        keep_alive: Some(keep_alive(b".")),
        persistent: true,
        next: Some(next()),
    };
    let id = registry.open_stream(hold, NOW);
    registry.settle(id, NOW, &mut out);
    for (second, data, text) in [(15, b".", ""), (30, b".", "."), (31, b"!", "."), (52, b"!", ".!")]
    {
        let now = NOW.plus_ms(second * 1000);
        registry.tick(now, &mut out);
        assert_eq!(out.text(id), text, "{second}");
        registry.request_update(id, false);
        assert!(registry.begin_update(id).is_some());
        let resumed = Resumed { keep_alive: Some(keep_alive(data)), next: Some(next()) };
        assert!(registry.resume_stream(id, resumed, now));
        registry.settle(id, now, &mut out);
    }
}

#[test]
fn a_long_poll_that_was_asked_about_again_times_out() {
    let (mut registry, mut out) = (registry(0), Recorder::default());
    let id = open_response(&mut registry, None, &mut out);
    registry.request_update(id, false);
    assert!(registry.begin_update(id).is_some());
    registry.tick(NOW.plus_ms(60_000), &mut out);
    assert_eq!(out.text(id), "");
    assert!(registry.resume_response(id, response_hold(), NOW.plus_ms(60_000)));
    registry.subscribe_to(id, &interest(None));
    registry.settle(id, NOW.plus_ms(60_000), &mut out);
    registry.tick(NOW.plus_ms(114_000), &mut out);
    assert_eq!(out.text(id), "");
    registry.tick(NOW.plus_ms(116_000), &mut out);
    assert!(out.text(id).ends_with("late"));
}
