//! How long wrapping an answer for a script takes, by the size of its body and the mode.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linchpin::wire::cors::Cors;
use linchpin::wire::jsonp::{Head, Wrapping};

const FIELDS: [(&[u8], &[u8]); 5] = [
    (b"Content-Type", b"application/json"),
    (b"Cache-Control", b"no-cache"),
    (b"ETag", b"\"0123456789abcdef\""),
    (b"Set-Cookie", b"session=0123456789abcdef; Path=/; HttpOnly"),
    (b"Vary", b"Cookie"),
];

/// JSON with as many quotes as usual, and a few characters that are not ASCII.
fn body(bytes: usize) -> Vec<u8> {
    let row = "{\"id\":12345,\"name\":\"Jos\u{e9}\",\"price\":99.5,\"up\":true},\n";
    row.as_bytes().iter().copied().cycle().take(bytes).collect()
}

fn benches(criterion: &mut Criterion) {
    for (size, bytes) in [("1 kB", 1_000), ("100 kB", 100_000)] {
        let body = body(bytes);
        let mut group = criterion.benchmark_group(size);
        group.throughput(Throughput::Bytes(bytes as u64));
        for (mode, extended) in [("basic", false), ("extended", true)] {
            let wrapping = Wrapping { callback: (*b"jQuery1234_5678").into(), extended };
            let head = Head { code: 200, reason: b"OK", fields: &FIELDS };
            group.bench_function(mode, |bencher| {
                bencher.iter(|| wrapping.relayed(black_box(head), black_box(&body)));
            });
            group.bench_function(format!("{mode}, held"), |bencher| {
                bencher.iter(|| wrapping.held(black_box(head), black_box(&body)));
            });
        }
        group.finish();
    }
    let cors = Cors::new(Some(b"https://www.example.com"), None, std::iter::empty());
    criterion.bench_function("CORS fields", |bencher| {
        bencher.iter(|| black_box(&cors).lacking(FIELDS.iter().map(|(name, _)| *name)));
    });
}

criterion_group!(jsonp, benches);
criterion_main!(jsonp);
