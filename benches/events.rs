//! The codec of WebSocket-over-HTTP bodies, both ways.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linchpin::grip::events::{Event, decode, encode};

fn benches(criterion: &mut Criterion) {
    for (name, count, size) in [("1 of 100 bytes", 1, 100), ("100 of 100 bytes", 100, 100)] {
        let mut group = criterion.benchmark_group(name);
        let events = vec![Event::Text(Bytes::from(vec![b'x'; size])); count];
        let mut body = BytesMut::new();
        events.iter().for_each(|event| encode(event, &mut body));
        let body = body.freeze();
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("encode", |bencher| {
            let mut out = BytesMut::new();
            bencher.iter(|| {
                out.clear();
                black_box(&events).iter().for_each(|event| encode(event, &mut out));
                out.len()
            });
        });
        group.bench_function("decode", |bencher| bencher.iter(|| decode(black_box(&body))));
        group.finish();
    }
}

criterion_group!(events, benches);
criterion_main!(events);
