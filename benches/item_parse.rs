//! How long a published body takes from bytes to items, in items of the usual sizes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linchpin::grip::item::parse_items;

/// A body of `count` items, each with content of `size` bytes for all three transports.
fn body(count: usize, size: usize) -> Vec<u8> {
    let content = "x".repeat(size);
    let item = |at: usize| {
        format!(
            "{{\"channel\":\"room-{at}\",\"id\":\"{at}\",\"formats\":{{\
             \"http-response\":{{\"code\":200,\"headers\":{{\"Content-Type\":\"text/plain\"}},\
             \"body\":\"{content}\\n\"}},\"http-stream\":{{\"content\":\"{content}\\n\"}},\
             \"ws-message\":{{\"content\":\"{content}\"}}}}}}"
        )
    };
    let items: Vec<_> = (0..count).map(item).collect();
    format!("{{\"items\":[{}]}}", items.join(",")).into_bytes()
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("item_parse");
    for (name, count, size) in
        [("1 of 100 bytes", 1, 100), ("1 of 10 kB", 1, 10_000), ("100 of 100 bytes", 100, 100)]
    {
        let body = body(count, size);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_with_large_drop(|| parse_items(black_box(&body)));
        });
    }
    group.finish();
}

criterion_group!(item_parse, benches);
criterion_main!(item_parse);
