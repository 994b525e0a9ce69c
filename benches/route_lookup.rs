//! Route lookup: what it costs with 10, 100, 1,000 and 100,000 routes. A lookup's cost is to hardly
//! depend on the number. The routes are
//!
//! - `one host`: on one host, with different `path_beg`s;
//! - `own host`: each on a host of its own;
//! - `mixed depth`: on one host, with `path_beg`s of one to six parts, so of many lengths;
//! - `any host`: as `one host`, but for `*`, so that the request's host is looked for in vain.
//!
//! `one of 64` asks for the same 64 routes again and again, as traffic with favourites does; `any`
//! goes through all of them, so that a large table also pays for what no cache holds; `none` goes
//! through as many requests for which there is no route but that of the host or of `*`.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use linchpin::route::ids::Named;
use linchpin::route::{Query, Table};

/// The host and the `path_beg` of a route.
type Line = fn(usize) -> (String, String);
/// From these to the host and the path of a request.
type Asked = fn(String, String) -> (String, String);

const KINDS: [(&str, Line); 4] = [
    ("one host", |n| ("api.example.com".to_owned(), format!("/service-{n}/v1/"))),
    ("own host", |n| (format!("tenant-{n}.example.com"), "/".to_owned())),
    ("mixed depth", |n| ("api.example.com".to_owned(), mixed(n))),
    ("any host", |n| ("*".to_owned(), format!("/service-{n}/v1/"))),
];

/// A path of one to six parts.
fn mixed(number: usize) -> String {
    const WORDS: [&str; 8] = ["v1", "api", "users", "orders", "items", "by-name", "a", "archive"];
    let mut rng = fastrand::Rng::with_seed(number as u64);
    let mut path = String::from("/");
    for _ in 0..rng.usize(..6) {
        write!(path, "{}/", WORDS[rng.usize(..WORDS.len())]).expect("a String takes all");
    }
    write!(path, "{number}/").expect("a String takes all");
    path
}

/// Requests, one behind the other: a real request has just been read, so its bytes are not to cost
/// a trip to memory.
struct Requests {
    text: String,
    ends: Vec<(usize, usize)>,
}

/// A table of so many lines, and a line for `*` and for the one host.
fn table(routes: usize, line: Line) -> Table {
    let mut file = String::from("* test\napi.example.com test\n");
    for number in 0..routes {
        let (host, path) = line(number);
        writeln!(file, "{host},path_beg={path} 10.0.0.1:8080").expect("a String takes all");
    }
    let (table, problems) = Table::parse(file.as_bytes());
    assert!(problems.is_empty());
    table
}

/// At most so many requests, in an order that no prefetcher foresees.
fn requests(routes: usize, line: Line, asked: Asked, most: usize) -> Requests {
    let mut numbers: Vec<usize> = (0..routes).collect();
    fastrand::Rng::with_seed(7).shuffle(&mut numbers);
    let mut requests = Requests { text: String::new(), ends: Vec::new() };
    for number in numbers.into_iter().take(most) {
        let (host, path) = line(number);
        let (host, path) = asked(host, path);
        requests.text.push_str(if host == "*" { "www.example.com" } else { &host });
        let between = requests.text.len();
        requests.text.push_str(&path);
        requests.ends.push((between, requests.text.len()));
    }
    requests
}

fn lookup(c: &mut Criterion) {
    let found: Asked = |host, path| (host, path + "items/17?page=2");
    let missed: Asked = |host, path| {
        let host = if host.starts_with("tenant") { format!("no-{host}") } else { host };
        (host, path.replacen('/', "/x", 1) + "items/17?page=2")
    };
    for (kind, line) in KINDS {
        let shares =
            [("one of 64", 64, found), ("any", usize::MAX, found), ("none", usize::MAX, missed)];
        for (share, most, asked) in shares {
            let mut group = c.benchmark_group(format!("route_lookup/{kind}/{share}"));
            for routes in [10, 100, 1_000, 100_000] {
                let table = table(routes, line);
                let requests = requests(routes, line, asked, most);
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

/// Lookups by id, explicit and implicit: as `lookup`, `any` and `none`.
fn named(c: &mut Criterion) {
    for (kind, explicit) in [("explicit", true), ("implicit", false)] {
        for found in [true, false] {
            let share = if found { "any" } else { "none" };
            let mut group = c.benchmark_group(format!("route_named/{kind}/{share}"));
            for routes in [10, 100, 1_000, 100_000] {
                let mut file = String::new();
                for number in 0..routes {
                    let id = if explicit { format!(",id=tenant-{number}") } else { String::new() };
                    writeln!(file, "tenant-{number}.example.com{id} 10.0.0.1:8080")
                        .expect("a String takes all");
                }
                let (table, problems) = Table::parse(file.as_bytes());
                assert!(problems.is_empty());
                let mut ids: Vec<String> = (0..routes)
                    .map(|number| number + if found { 0 } else { routes })
                    .map(|number| match explicit {
                        true => format!("tenant-{number}"),
                        false => format!("tenant-{number}.example.com,*,*,*"),
                    })
                    .collect();
                fastrand::Rng::with_seed(7).shuffle(&mut ids);
                let mut next = ids.iter().cycle();
                group.bench_function(BenchmarkId::from_parameter(routes), |b| {
                    b.iter(|| {
                        let id = next.next().map(String::as_str).unwrap_or_default();
                        let named = table.named(black_box(id));
                        assert_eq!(matches!(named, Named::One(_)), found);
                        named
                    });
                });
            }
            group.finish();
        }
    }
}

criterion_group!(benches, lookup, named);
criterion_main!(benches);
