//! Route lookup: what it costs with 10, 100, 1,000 and 100,000 routes, all on one host with different
//! `path_beg`s, or each on a host of its own. A lookup's cost is to hardly depend on the number.
//!
//! `one of 64` asks for the same 64 routes again and again, as traffic with favourites does; `any` goes
//! through all of them, so that a large table also pays for what no cache holds.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use linchpin::route::{Query, Table};

/// A table of lines, and a host and a path for each.
fn table(routes: usize, line: fn(usize) -> (String, String)) -> (Table, Vec<(String, String)>) {
    let mut file = String::from("* test\n");
    let mut requests = Vec::new();
    for number in 0..routes {
        let (host, path) = line(number);
        writeln!(file, "{host},path_beg={path} 10.0.0.1:8080").expect("a String takes all");
        requests.push((host, format!("{path}items/17?page=2")));
    }
    let (table, problems) = Table::parse(file.as_bytes());
    assert!(problems.is_empty());
    // In an order that no prefetcher foresees.
    let mut random = fastrand::Rng::with_seed(7);
    random.shuffle(&mut requests);
    (table, requests)
}

fn lookup(c: &mut Criterion) {
    type Line = fn(usize) -> (String, String);
    let kinds: [(&str, Line); 2] = [
        ("one host", |n| ("api.example.com".to_owned(), format!("/service-{n}/v1/"))),
        ("own host", |n| (format!("tenant-{n}.example.com"), "/".to_owned())),
    ];
    for (kind, line) in kinds {
        for (share, most) in [("one of 64", 64), ("any", usize::MAX)] {
            let mut group = c.benchmark_group(format!("route_lookup/{kind}/{share}"));
            for routes in [10, 100, 1_000, 100_000] {
                let (table, mut requests) = table(routes, line);
                requests.truncate(most);
                let mut next = requests.iter().cycle();
                group.bench_function(BenchmarkId::from_parameter(routes), |b| {
                    b.iter(|| {
                        let Some((host, path)) = next.next() else { return None };
                        let (websocket, secure) = (false, true);
                        table.lookup(black_box(&Query { host, path, websocket, secure }))
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, lookup);
criterion_main!(benches);
