//! Any list of operations leaves the registry consistent, and closing all sessions leaves it empty.
#![no_main]

use std::collections::HashSet;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use arbitrary::Arbitrary;
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use linchpin::clock::Tick;
use linchpin::grip::channel::ChannelName;
use linchpin::grip::control::SocketKeepAlive;
use linchpin::grip::format::{
    Action, CloseReason, MessageContent, ResponseBody, ResponseContent, StreamContent,
};
use linchpin::grip::instruction::{KeepAlive, KeepAliveMode, Response};
use linchpin::grip::item::Item;
use linchpin::grip::message::{Message, MessageKind};
use linchpin::hub::fanout::{Delivery, Outlet, Then};
use linchpin::hub::registry::{Registry, Settings};
use linchpin::hub::slab::SessionId;
use linchpin::session::http::{ResponseHold, StreamFraming, StreamHold};
use linchpin::session::socket::Form;
use linchpin::wire::http1::Version;

#[derive(Arbitrary, Debug)]
enum Op {
    OpenResponse(u8, bool),
    OpenStream(u8, bool),
    OpenSocket,
    Subscribe(u8, u8, bool),
    Unsubscribe(u8, u8),
    Publish(u8, u8, u8),
    Deliver,
    KeepAlive(u8, u8, bool),
    Delay(u8, u8),
    Flush(u8),
    Backend(u8, Option<u16>),
    Mute(u8),
    Close(u8),
    Advance(u16),
    Drain,
}

/// Refuses every so many sends.
struct Fickle {
    sends: usize,
    last: HashSet<SessionId>,
}

impl Outlet for Fickle {
    fn open(&mut self, _: SessionId) {}
    fn send(&mut self, id: SessionId, bytes: &Bytes) -> Delivery {
        assert!(!bytes.is_empty() && !self.last.contains(&id));
        self.sends += 1;
        let delivery = match self.sends % 7 {
            0 => Delivery::Refused,
            3 => Delivery::Gone,
            _ => return Delivery::Written,
        };
        self.last.insert(id);
        delivery
    }
    fn finish(&mut self, id: SessionId, _: Then) {
        assert!(self.last.insert(id));
    }
    fn backlog(&self, _: SessionId) -> usize {
        self.sends % 2
    }
    fn set_reading(&mut self, _: SessionId, _: bool) {}
    fn poll_next(&mut self, _: SessionId, _: &Waker) -> Poll<Option<Bytes>> {
        Poll::Ready(None)
    }
    fn close(&mut self, _: SessionId) {}
}

fn message() -> Message {
    Message { kind: MessageKind::Text, content: Bytes::from_static(b"m") }
}

fn action<T>(kind: u8, content: T) -> Option<Action<T>> {
    match kind % 5 {
        0 => None,
        1 => Some(Action::Close(CloseReason::default())),
        2 => Some(Action::Refresh),
        3 => Some(Action::Hint),
        _ => Some(Action::Send(content)),
    }
}

fn item(channel: &ChannelName, kinds: u8) -> Item {
    let content = Bytes::from_static(b"x");
    let response = ResponseContent {
        code: 200,
        reason: None,
        headers: Vec::new(),
        body: ResponseBody::Whole(content.clone()),
        content_filters: None,
    };
    Item {
        channel: channel.clone(),
        id: None,
        prev_id: None,
        http_response: action(kinds, response),
        http_stream: action(kinds / 5, StreamContent { content, content_filters: None }),
        ws_message: action(
            kinds / 25,
            MessageContent { message: message(), content_filters: None },
        ),
        meta: Vec::new(),
        size: None,
        no_seq: false,
    }
}

fn response_hold(timeout_s: u8, persistent: bool) -> ResponseHold {
    let held = Response {
        code: 200,
        reason: Bytes::from_static(b"OK"),
        headers: Vec::new(),
        body: Bytes::new(),
    };
    ResponseHold {
        held: Rc::new(held.into()),
        version: Version::Http11,
        persistent,
        head_only: false,
        timeout_s: u32::from(timeout_s),
    }
}

fn stream_hold(timeout_s: u8, persistent: bool) -> StreamHold {
    let timeout_s = u32::from(timeout_s);
    let mode = if persistent { KeepAliveMode::Idle } else { KeepAliveMode::Interval };
    let keep_alive = KeepAlive { data: Bytes::from_static(b"k"), mode, timeout_s };
    let framing = StreamFraming::Chunked;
    StreamHold { framing, keep_alive: Some(keep_alive), persistent, next: None }
}

fuzz_target!(|ops: Vec<Op>| {
    let mut registry = Registry::new(Settings {
        subscriptions_max: 3,
        slice: 2,
        seed: Some(1),
        ring_items_max: 0,
        linger_ms: 0,
        update_on_first_subscription: false,
        ..Settings::default()
    });
    let mut outlet = Fickle { sends: 0, last: HashSet::new() };
    let names: Vec<_> = (0..4).map(|n: u8| ChannelName::new(&n.to_string())).collect();
    let name = |n: u8| &names[usize::from(n) % names.len()];
    let mut ids: Vec<SessionId> = Vec::new();
    let mut now = Tick(0);
    for op in ops {
        // Closed sessions stay in the list: stale ids must do no harm.
        let id = |n: u8| {
            let stale = SessionId { index: u32::from(n), generation: u32::MAX };
            ids.get(usize::from(n) % ids.len().max(1)).copied().unwrap_or(stale)
        };
        match op {
            Op::OpenResponse(s, on) => ids.push(registry.open_response(response_hold(s, on), now)),
            Op::OpenStream(s, on) => ids.push(registry.open_stream(stream_hold(s, on), now)),
            Op::OpenSocket => ids.push(registry.open_socket(Form::Plain, now)),
            Op::Subscribe(n, c, implicit) => {
                registry.subscribe(id(n), name(c), implicit);
            }
            Op::Unsubscribe(n, c) => registry.unsubscribe(id(n), name(c)),
            Op::Publish(c, kinds, times) => {
                let item = Arc::new(item(name(c), kinds));
                registry.publish(&vec![item; usize::from(times % 4)], now, None);
            }
            Op::Deliver => {
                registry.deliver(now, &mut outlet);
            }
            Op::KeepAlive(n, s, on) => {
                let mode = KeepAliveMode::Idle;
                let timeout_s = u32::from(s);
                let setting = SocketKeepAlive { message: message(), mode, timeout_s };
                registry.set_keep_alive(id(n), on.then_some(setting), now);
            }
            Op::Delay(n, s) => {
                registry.send_delayed(id(n), message(), u32::from(s), now, &mut outlet);
            }
            Op::Flush(n) => registry.flush_delayed(id(n), now, &mut outlet),
            Op::Backend(n, at) => {
                registry.set_backend_timer(id(n), at.map(|ms| now.plus_ms(u64::from(ms))));
            }
            Op::Mute(n) => registry.mute(id(n)),
            Op::Close(n) => {
                let id = id(n);
                registry.close(id);
                assert!(!registry.is_live(id));
            }
            Op::Advance(ms) => {
                now = now.plus_ms(u64::from(ms));
                registry.tick(now, &mut outlet);
                assert!(registry.next_deadline().is_none_or(|next| next > now));
            }
            Op::Drain => registry.drain(&mut outlet),
        }
        registry.verify();
    }
    for id in ids {
        registry.close(id);
    }
    while registry.poll_effect().is_some() {}
    registry.deliver(now, &mut outlet);
    assert!(!registry.is_delivering() && registry.has_room());
    assert!(registry.is_empty() && registry.load() == (0, 0));
    assert_eq!(registry.next_deadline(), None);
});
