//! Route lookup: what it costs with 10, 100, 1,000 and 100,000 routes, all on one host with
//! different `path_beg`s, or each on a host of its own. A lookup's cost is to hardly depend on the
//! number.
//!
//! `one of 64` asks for the same 64 routes again and again, as traffic with favourites does; `any`
//! goes through all of them, so that a large table also pays for what no cache holds.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use linchpin::route::{Query, Table};

/// Requests, one behind the other: a real request has just been read, so its bytes are not to cost
/// a trip to memory.
struct Requests {
    text: String,
    ends: Vec<(usize, usize)>,
}

/// A table of lines, and at most so many requests that it has routes for.
fn table(routes: usize, line: fn(usize) -> (String, String), most: usize) -> (Table, Requests) {
    let mut file = String::from("* test\n");
    for number in 0..routes {
        let (host, path) = line(number);
        writeln!(file, "{host},path_beg={path} 10.0.0.1:8080").expect("a String takes all");
    }
    let (table, problems) = Table::parse(file.as_bytes());
    assert!(problems.is_empty());
    // In an order that no prefetcher foresees.
    let mut numbers: Vec<usize> = (0..routes).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut numbers);
    let mut requests = Requests { text: String::new(), ends: Vec::new() };
    for number in numbers.into_iter().take(most) {
        let (host, path) = line(number);
        requests.text.push_str(&host);
        let between = requests.text.len();
        write!(requests.text, "{path}items/17?page=2").expect("a String takes all");
        requests.ends.push((between, requests.text.len()));
    }
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
                let (table, requests) = table(routes, line, most);
                let (mut next, mut begin) = (0, 0);
                group.bench_function(BenchmarkId::from_parameter(routes), |b| {
                    b.iter(|| {
                        if next == requests.ends.len() {
                            (next, begin) = (0, 0);
                        }
                        let (between, end) = requests.ends[next];
                        let (host, path) =
                            (&requests.text[begin..between], &requests.text[between..end]);
                        (next, begin) = (next + 1, end);
                        let query = Query { host, path, websocket: false, secure: true };
                        let found = table.lookup(black_box(&query));
                        assert!(found.is_some());
                        found
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, lookup);
criterion_main!(benches);
