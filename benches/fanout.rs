//! One item to many sessions, in process: what the hub itself costs a delivery. The outlet only
//! counts bytes.

use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use linchpin::clock::Tick;
use linchpin::grip::channel::ChannelName;
use linchpin::grip::format::{
    Action, MessageContent, ResponseBody, ResponseContent, StreamContent,
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

#[derive(Default)]
struct Counting(u64);

impl Outlet for Counting {
    fn open(&mut self, _: SessionId) {}
    fn send(&mut self, _: SessionId, bytes: &Bytes) -> Delivery {
        self.0 += bytes.len() as u64;
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

#[derive(Clone, Copy)]
enum Kind {
    Response,
    Stream,
    Socket,
}

fn filled(kind: Kind, sessions: usize) -> Registry {
    let channel = ChannelName::new("bench");
    let mut registry = Registry::new(Settings { seed: Some(1), ..Settings::default() });
    for _ in 0..sessions {
        let id = match kind {
            Kind::Response => registry.open_response(response_hold(), Tick(0)),
            Kind::Stream => registry.open_stream(stream_hold(), Tick(0)),
            Kind::Socket => registry.open_socket(Form::Plain, Tick(0)),
        };
        registry.subscribe(id, &channel, false);
    }
    registry
}

fn response_hold() -> ResponseHold {
    let held = Response {
        code: 200,
        reason: Bytes::from_static(b"OK"),
        headers: Vec::new(),
        body: Bytes::from_static(b"nothing new\n"),
    };
    ResponseHold {
        held: Rc::new(held.into()),
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

fn item() -> Item {
    let content = Bytes::from(vec![b'x'; 100]);
    let message = Message { kind: MessageKind::Text, content: content.clone() };
    let response = ResponseContent {
        code: 200,
        reason: None,
        headers: Vec::new(),
        body: ResponseBody::Whole(content.clone()),
        content_filters: None,
    };
    Item {
        channel: ChannelName::new("bench"),
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

fn publish(registry: &mut Registry, items: &[Arc<Item>], outlet: &mut Counting) {
    registry.publish(items, Tick(1), None);
    while registry.is_delivering() {
        registry.deliver(Tick(1), outlet);
    }
}

fn fanout(c: &mut Criterion) {
    let item = [Arc::new(item())];
    let mut group = c.benchmark_group("fanout");
    for (kind, name) in [(Kind::Stream, "stream"), (Kind::Socket, "socket")] {
        for (sessions, items) in [(100_000, 1), (10_000, 10)] {
            let mut registry = filled(kind, sessions);
            let mut outlet = Counting::default();
            group.throughput(Throughput::Elements((sessions * items) as u64));
            group.bench_function(format!("{name} {items} x {sessions}"), |b| {
                b.iter(|| {
                    for _ in 0..items {
                        publish(&mut registry, black_box(&item), &mut outlet);
                    }
                });
            });
            assert!(outlet.0 > 0);
        }
    }
    group.throughput(Throughput::Elements(10_000));
    group.bench_function("response 1 x 10000", |b| {
        b.iter_batched_ref(
            || filled(Kind::Response, 10_000),
            |registry| publish(registry, &item, &mut Counting::default()),
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, fanout);
criterion_main!(benches);
