//! Publishing one item to many subscribers, with an outlet that only counts: what the hub itself
//! does for a delivery. Called by `cases`.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use linchpin::clock::Tick;
use linchpin::grip::channel::ChannelName;
use linchpin::grip::instruction::{KeepAlive, KeepAliveMode, Response};
use linchpin::grip::item::{Item, parse_items};
use linchpin::hub::fanout::{Delivery, Outlet, Then};
use linchpin::hub::interest::Interest;
use linchpin::hub::registry::{Registry, Settings};
use linchpin::hub::slab::SessionId;
use linchpin::session::http::{ResponseHold, StreamFraming, StreamHold};
use linchpin::session::socket::Form;
use linchpin::wire::http1::Version;

/// How many are subscribed; so many deliveries are counted.
pub const SUBSCRIBERS: u64 = 10_000;

/// How the subscribers are held.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Long-polls: they are answered and gone.
    Response,
    /// HTTP streams.
    Stream,
    /// WebSockets.
    Socket,
    /// WebSockets that have agreed to permessage-deflate.
    Deflated,
    /// Streams whose channel has ids, and a ring.
    Ids,
    /// The same, with clients that follow the ids.
    Following,
}

/// All kinds, and what they are called.
pub const KINDS: [(&str, Kind); 6] = [
    ("fan-out, long-poll", Kind::Response),
    ("fan-out, stream", Kind::Stream),
    ("fan-out, WebSocket", Kind::Socket),
    ("fan-out, WebSocket, deflated", Kind::Deflated),
    ("fan-out, stream, ids", Kind::Ids),
    ("fan-out, stream, ids followed", Kind::Following),
];

/// Publishes an item to a full channel each time.
pub fn publishing(kind: Kind) -> Box<dyn FnMut()> {
    // Each item follows on the one before it; the registries take turns.
    let items: Vec<_> = (0..4_u64).map(|at| [Arc::new(item(kind, 1 + at / 2))]).collect();
    // Whoever is answered is gone: a channel for the first time, and one for the counted time.
    let mut registries = [subscribed(kind), subscribed(kind)];
    let mut outlet = Counting::default();
    let mut next = 0;
    Box::new(move || {
        let registry = &mut registries[next % 2];
        registry.publish(black_box(&items[next % 4]), Tick(1), None);
        while registry.is_delivering() {
            registry.deliver(Tick(1), &mut outlet);
        }
        next += 1;
        assert_eq!(outlet.0, next as u64 * SUBSCRIBERS);
    })
}

fn subscribed(kind: Kind) -> Registry {
    let channel = ChannelName::new("room");
    let settings = Settings { seed: Some(1), deflate_bytes_min: 1, ..Settings::default() };
    let mut registry = Registry::new(settings);
    for _ in 0..SUBSCRIBERS {
        let id = match kind {
            Kind::Response => registry.open_response(response_hold(), Tick(0)),
            Kind::Socket => registry.open_socket(Form::Plain, Tick(0)),
            Kind::Deflated => registry.open_socket(Form::Deflated { window_bits: 15 }, Tick(0)),
            _ => registry.open_stream(stream_hold(), Tick(0)),
        };
        let prev_id = matches!(kind, Kind::Following).then(|| "0".into());
        registry.subscribe_to(id, &Interest { prev_id, ..Interest::plain(channel.clone(), false) });
        registry.settle(id, Tick(0), &mut Counting::default());
    }
    if matches!(kind, Kind::Ids | Kind::Following) {
        // From here on the clients follow the ids of what was published.
        registry.publish(&[Arc::new(item(kind, 0))], Tick(1), None);
        while registry.is_delivering() {
            registry.deliver(Tick(1), &mut Counting::default());
        }
    }
    registry
}

fn response_hold() -> ResponseHold {
    let body = Bytes::from_static(b"nothing new\n");
    let reason = Bytes::from_static(b"OK");
    ResponseHold {
        held: Rc::new(Response { code: 200, reason, headers: Vec::new(), body }.into()),
        version: Version::Http11,
        persistent: true,
        head_only: false,
        timeout_s: 55,
    }
}

fn stream_hold() -> StreamHold {
    let data = Bytes::from_static(b"\n");
    let keep_alive = Some(KeepAlive { data, mode: KeepAliveMode::Idle, timeout_s: 55 });
    StreamHold { framing: StreamFraming::Chunked, keep_alive, persistent: true, next: None }
}

fn item(kind: Kind, at: u64) -> Item {
    let content = "x".repeat(100);
    let ids = match kind {
        Kind::Ids | Kind::Following => format!("\"id\":\"{}\",\"prev-id\":\"{at}\",", at + 1),
        _ => String::new(),
    };
    let body = format!(
        "{{\"items\":[{{\"channel\":\"room\",{ids}\"formats\":{{\
         \"http-response\":{{\"body\":\"{content}\"}},\
         \"http-stream\":{{\"content\":\"{content}\"}},\
         \"ws-message\":{{\"content\":\"{content}\"}}}}}}]}}"
    )
    .into_bytes();
    parse_items(&body).expect("the item is good").remove(0)
}

/// Takes everything, and counts how often.
#[derive(Default)]
struct Counting(u64);

impl Outlet for Counting {
    fn open(&mut self, _: SessionId) {}
    fn send(&mut self, _: SessionId, bytes: &Bytes) -> Delivery {
        self.0 += u64::from(!black_box(bytes).is_empty());
        Delivery::Written
    }
    fn finish(&mut self, _: SessionId, _: Then) {}
    fn backlog(&self, _: SessionId) -> usize {
        0
    }
    fn set_reading(&mut self, _: SessionId, _: bool) {}
    fn poll_next(&mut self, _: SessionId, _: &Waker) -> Poll<Option<Bytes>> {
        Poll::Ready(None)
    }
    fn close(&mut self, _: SessionId) {}
}
