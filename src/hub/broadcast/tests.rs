//! Slices: who is served when, what goes out together, in which order.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Tick;
use crate::grip::channel::ChannelName;
use crate::grip::format::{
    Action, CloseReason, MessageContent, ResponseBody, ResponseContent, StreamContent,
};
use crate::grip::instruction::Response;
use crate::grip::item::Item;
use crate::grip::message::{Message, MessageKind};
use crate::hub::fanout::{Delivery, Then};
use crate::hub::recorder::Recorder;
use crate::hub::registry::{Registry, Settings};
use crate::hub::slab::SessionId;
use crate::session::http::{ResponseHold, StreamFraming, StreamHold};
use crate::session::socket::Form;
use crate::wire::http1::Version;

const NOW: Tick = Tick(1000);

fn registry(slice: usize) -> Registry {
    Registry::new(Settings { slice, seed: Some(1), ..Settings::default() })
}

fn item(channel: &str, text: &str) -> Item {
    let content = Bytes::copy_from_slice(text.as_bytes());
    let message = Message { kind: MessageKind::Text, content: content.clone() };
    let response = ResponseContent {
        code: 200,
        reason: None,
        headers: Vec::new(),
        body: ResponseBody::Whole(content.clone()),
        content_filters: None,
    };
    Item {
        channel: ChannelName::new(channel),
        id: None,
        prev_id: None,
        http_response: Some(Action::Send(response)),
        http_stream: Some(Action::Send(StreamContent { content, content_filters: None })),
        ws_message: Some(Action::Send(MessageContent { message, content_filters: None })),
        meta: Vec::new(),
        size: None,
        no_seq: false,
    }
}

fn publish(registry: &mut Registry, channel: &str, text: &str) {
    registry.publish(&[Arc::new(item(channel, text))], NOW, None);
}

fn stream(registry: &mut Registry, channels: &[&str]) -> SessionId {
    let hold =
        StreamHold { framing: StreamFraming::Raw, keep_alive: None, persistent: true, next: None };
    let id = registry.open_stream(hold, NOW);
    for channel in channels {
        registry.subscribe(id, &ChannelName::new(channel), false);
    }
    id
}

fn deliver_all(registry: &mut Registry, out: &mut Recorder) {
    while registry.is_delivering() {
        registry.deliver(NOW, out);
        registry.verify();
    }
}

#[test]
fn a_slice_serves_so_many_and_no_more() {
    let (mut registry, mut out) = (registry(8), Recorder::default());
    let ids: Vec<_> = (0..20).map(|_| stream(&mut registry, &["c"])).collect();
    publish(&mut registry, "c", "x");
    assert!(out.order.is_empty(), "publishing sends nothing yet");
    for served in [8, 16, 20] {
        registry.deliver(NOW, &mut out);
        assert_eq!(out.order.len(), served);
    }
    deliver_all(&mut registry, &mut out);
    assert!(ids.iter().all(|id| out.text(*id) == "x"));
    assert_eq!(out.order.len(), 20);
}

#[test]
fn what_waits_for_a_subscriber_goes_out_in_one_write() {
    let (mut registry, mut out) = (registry(8), Recorder::default());
    let ids: Vec<_> = (0..20).map(|_| stream(&mut registry, &["c"])).collect();
    publish(&mut registry, "c", "a");
    registry.deliver(NOW, &mut out);
    publish(&mut registry, "c", "b");
    publish(&mut registry, "c", "c");
    deliver_all(&mut registry, &mut out);
    assert!(ids.iter().all(|id| out.text(*id) == "abc"));
    // Eight had the first alone and then two together; twelve had all three at once.
    assert_eq!(out.order.len(), 8 + 8 + 12);
}

#[test]
fn a_small_channel_does_not_wait_for_a_large_one() {
    let (mut registry, mut out) = (registry(8), Recorder::default());
    for _ in 0..1000 {
        stream(&mut registry, &["large"]);
    }
    let small = stream(&mut registry, &["small"]);
    publish(&mut registry, "large", "x");
    registry.deliver(NOW, &mut out);
    publish(&mut registry, "small", "y");
    registry.deliver(NOW, &mut out);
    registry.deliver(NOW, &mut out);
    assert_eq!(out.text(small), "y");
    assert!(out.order.len() <= 3 * 8);
}

#[test]
fn who_joins_gets_what_comes_afterwards_and_who_leaves_gets_no_more() {
    let (mut registry, mut out) = (registry(2), Recorder::default());
    let ids: Vec<_> = (0..6).map(|_| stream(&mut registry, &["c"])).collect();
    publish(&mut registry, "c", "a");
    registry.deliver(NOW, &mut out); // the last two
    let late = stream(&mut registry, &["c"]);
    // One that has had its turn and one that has not: nobody else loses or gains a turn.
    registry.unsubscribe(ids[5], &ChannelName::new("c"));
    registry.close(ids[0]);
    publish(&mut registry, "c", "b");
    deliver_all(&mut registry, &mut out);
    let texts: Vec<String> = ids.iter().map(|id| out.text(*id)).collect();
    assert_eq!(texts, ["", "ab", "ab", "ab", "ab", "a"]);
    assert_eq!(out.text(late), "b");
}

#[test]
fn all_channels_of_a_session_are_in_the_order_of_publishing() {
    let (mut registry, mut out) = (registry(4), Recorder::default());
    let both = stream(&mut registry, &["large", "small"]);
    for _ in 0..100 {
        stream(&mut registry, &["large"]);
    }
    publish(&mut registry, "large", "1");
    registry.deliver(NOW, &mut out);
    publish(&mut registry, "small", "2");
    publish(&mut registry, "large", "3");
    publish(&mut registry, "small", "4");
    registry.deliver(NOW, &mut out);
    registry.deliver(NOW, &mut out);
    assert_eq!(out.text(both), "1234", "its turn on the small channel takes the large along");
    deliver_all(&mut registry, &mut out);
    assert_eq!(out.text(both), "1234");
}

#[test]
fn an_end_between_messages_ends() {
    let (mut registry, mut out) = (registry(4), Recorder::default());
    let streaming = stream(&mut registry, &["c"]);
    let socket = registry.open_socket(Form::Plain, NOW);
    registry.subscribe(socket, &ChannelName::new("c"), false);
    let close = Item {
        http_stream: Some(Action::Close(CloseReason::default())),
        ws_message: Some(Action::Close(CloseReason { code: Some(4000), reason: "".into() })),
        ..item("c", "")
    };
    let items = [item("c", "a"), close, item("c", "late")].map(Arc::new);
    registry.publish(&items, NOW, None);
    deliver_all(&mut registry, &mut out);
    assert_eq!(out.text(streaming), "a");
    assert_eq!(out.sent[&socket].concat(), b"\x81\x01a\x88\x02\x0f\xa0");
    assert_eq!(out.finished, [(streaming, Then::Close), (socket, Then::AwaitClose)]);
}

#[test]
fn a_long_poll_takes_the_first_of_its_channels() {
    let (mut registry, mut out) = (registry(1), Recorder::default());
    let held = Response {
        code: 200,
        reason: Bytes::from_static(b"OK"),
        headers: Vec::new(),
        body: Bytes::new(),
    };
    let held = Rc::new(held.into());
    let hold = ResponseHold {
        held,
        version: Version::Http11,
        persistent: true,
        head_only: false,
        timeout_s: 55,
    };
    let id = registry.open_response(hold, NOW);
    for channel in ["one", "two"] {
        registry.subscribe(id, &ChannelName::new(channel), false);
        stream(&mut registry, &[channel]);
    }
    let only = |channel, text| Item { http_stream: None, ..item(channel, text) };
    let items = [item("two", "x"), only("one", "first"), only("two", "second")];
    let items: Vec<_> = items.iter().cloned().map(Arc::new).collect();
    registry.publish(&items, NOW, None);
    deliver_all(&mut registry, &mut out);
    assert!(out.text(id).ends_with("\r\n\r\nx"), "{}", out.text(id));
    assert_eq!(out.finished, [(id, Then::Reuse)]);
}

#[test]
fn who_refuses_the_second_of_several_has_had_one() {
    let (mut registry, mut out) = (registry(1), Recorder::default());
    let id = stream(&mut registry, &["c"]);
    out.answers.insert(id, Delivery::Refused);
    publish(&mut registry, "c", "a");
    publish(&mut registry, "c", "b");
    let receivers = registry.deliver(NOW, &mut out);
    assert_eq!((receivers.delivered, receivers.refused), (0, 1));
    assert_eq!(registry.subscribers(&ChannelName::new("c")), 0);
    registry.verify();
}

#[test]
fn there_is_room_up_to_the_bounds() {
    let settings = Settings { waiting_items_max: 3, waiting_bytes_max: 100, ..Settings::default() };
    let mut registry = Registry::new(settings);
    let mut out = Recorder::default();
    publish(&mut registry, "c", "for nobody");
    stream(&mut registry, &["c"]);
    for _ in 0..3 {
        assert!(registry.has_room());
        publish(&mut registry, "c", "x");
    }
    assert!(!registry.has_room(), "three items");
    deliver_all(&mut registry, &mut out);
    assert!(registry.has_room());
    publish(&mut registry, "c", &"x".repeat(49));
    assert!(registry.has_room());
    publish(&mut registry, "c", "x");
    assert!(!registry.has_room(), "a hundred bytes, bare and as chunks");
    deliver_all(&mut registry, &mut out);
    assert!(registry.has_room());
}
