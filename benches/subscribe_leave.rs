//! Sessions that come, subscribe and leave: what holding a connection costs the hub.

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linchpin::clock::Tick;
use linchpin::grip::channel::ChannelName;
use linchpin::grip::instruction::{KeepAlive, KeepAliveMode};
use linchpin::hub::registry::{Registry, Settings};
use linchpin::session::http::{StreamFraming, StreamHold};

const SESSIONS: usize = 10_000;

fn hold() -> StreamHold {
    let data = Bytes::from_static(b"\n");
    let keep_alive = Some(KeepAlive { data, mode: KeepAliveMode::Idle, timeout_s: 55 });
    StreamHold { framing: StreamFraming::Chunked, keep_alive, persistent: true, next: None }
}

fn subscribe_leave(c: &mut Criterion) {
    println!("bytes a session, in the slab with one subscription: {}", Registry::SESSION_BYTES);
    let mut group = c.benchmark_group("subscribe_leave");
    group.throughput(Throughput::Elements(SESSIONS as u64));
    for channels in [1, SESSIONS] {
        let names: Vec<_> = (0..channels).map(|n| ChannelName::new(&n.to_string())).collect();
        let mut registry = Registry::new(Settings { seed: Some(1), ..Settings::default() });
        let mut ids = Vec::with_capacity(SESSIONS);
        group.bench_function(format!("{SESSIONS} sessions on {channels} channels"), |b| {
            b.iter(|| {
                for n in 0..SESSIONS {
                    let id = registry.open_stream(hold(), Tick(0));
                    registry.subscribe(id, &names[n % channels], false);
                    ids.push(id);
                }
                for id in ids.drain(..) {
                    registry.close(id);
                }
            });
        });
        assert!(registry.is_empty());
    }
    group.finish();
}

criterion_group!(benches, subscribe_leave);
criterion_main!(benches);
