//! What is counted: the work that is done for each delivery, each publish and each request. Called
//! by `main.rs` under callgrind. Seeds are fixed and everything is done once before it is counted,
//! so that two counts of one program are the same.

use std::fmt::Write;
use std::hint::black_box;

use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue};
use linchpin::grip::headers::{instruction, is_instruction};
use linchpin::grip::item::parse_items;
use linchpin::route::ids::Named;
use linchpin::route::{Query, Table};
use linchpin::wire::framing::HeadGuard;
use linchpin::wire::jsonp::{Head, Wrapping};
use linchpin::wire::names::put_usual;
use linchpin::wire::{deflate, sockjs};

use crate::{fanout, heading};

/// The one function whose instructions are counted, and those of all that it calls. Callgrind knows
/// it by its name.
#[inline(never)]
pub fn counted_region(work: &mut dyn FnMut()) {
    work();
}

/// What is done, and for how many operations it counts.
struct Case {
    name: &'static str,
    operations: u64,
    /// Prepares the work, which is then done twice; the second time counts.
    prepare: Box<dyn Fn() -> Box<dyn FnMut()>>,
}

/// What the cases are called.
pub fn names() -> Vec<String> {
    cases().iter().map(|case| case.name.to_owned()).collect()
}

/// Does the work of a case, and tells how many operations were counted.
pub fn work(name: &str, done: &mut dyn FnMut(u64)) {
    for case in cases().iter().filter(|case| case.name == name) {
        let mut work = (case.prepare)();
        work();
        counted_region(&mut work);
        done(case.operations);
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, kind) in fanout::KINDS {
        let prepare = Box::new(move || fanout::publishing(kind));
        cases.push(Case { name, operations: fanout::SUBSCRIBERS, prepare });
    }
    for (name, items, size) in
        [("item, 100 bytes", 1, 100), ("item, 10 kB", 1, 10_000), ("item, one of 50", 50, 100)]
    {
        let prepare = Box::new(move || parsing(items, size));
        cases.push(Case { name, operations: items * BODIES, prepare });
    }
    for (name, encode) in ENCODINGS {
        let prepare = Box::new(move || encoding(encode));
        cases.push(Case { name, operations: MESSAGES, prepare });
    }
    for (name, fields, body) in instructions() {
        let prepare = Box::new(move || reading(fields, body));
        cases.push(Case { name, operations: RESPONSES, prepare });
    }
    for (name, usual) in GUARDED {
        let prepare = Box::new(move || guarding(usual));
        cases.push(Case { name, operations: HEADS, prepare });
    }
    for (name, written) in heading::kinds() {
        let prepare = Box::new(move || heads(written));
        cases.push(Case { name, operations: HEADS, prepare });
    }
    for (name, routes, line) in tables() {
        let prepare = Box::new(move || looking_up(routes, line));
        cases.push(Case { name, operations: LOOKUPS as u64, prepare });
    }
    for (name, routes, id) in ids() {
        let prepare = Box::new(move || naming(routes, id));
        cases.push(Case { name, operations: LOOKUPS as u64, prepare });
    }
    cases
}

const BODIES: u64 = 20;

/// Published bodies, from bytes to items.
fn parsing(items: u64, size: usize) -> Box<dyn FnMut()> {
    let content = "x".repeat(size);
    let item = |at: u64| {
        format!(
            "{{\"channel\":\"room-{at}\",\"id\":\"{at}\",\"formats\":{{\
             \"http-stream\":{{\"content\":\"{content}\\n\"}},\
             \"ws-message\":{{\"content\":\"{content}\"}}}}}}"
        )
    };
    let items: Vec<_> = (0..items).map(item).collect();
    let body = format!("{{\"items\":[{}]}}", items.join(",")).into_bytes();
    // A body is read in place: two copies for each time, one before it is counted.
    let mut bodies = vec![body; BODIES as usize * 2];
    Box::new(move || {
        for body in bodies.drain(bodies.len() - BODIES as usize..) {
            black_box(parse_items(black_box(&body))).expect("the items are good");
        }
    })
}

const MESSAGES: u64 = 10;

type Encode = fn(&[u8]) -> Bytes;

/// Forms of a published message that are made once for all who get them; and answers that are made
/// for one.
const ENCODINGS: [(&str, Encode); 4] = [
    ("message deflated, 1 kB", |payload| deflate::message(15, payload)),
    ("message quoted, 1 kB", sockjs::quote),
    ("JSON-P, basic, 1 kB", |body| script(body, false)),
    ("JSON-P, extended, 1 kB", |body| script(body, true)),
];

/// A relayed answer with this body, wrapped.
fn script(body: &[u8], extended: bool) -> Bytes {
    let wrapping = Wrapping { callback: (*b"jQuery1234_5678").into(), extended };
    let fields: [(&[u8], &[u8]); 2] =
        [(b"Content-Type", b"application/json"), (b"Cache-Control", b"no-cache")];
    wrapping.relayed(Head { code: 200, reason: b"OK", fields: &fields }, body).into()
}

/// Messages of a kilobyte of JSON, to a form.
fn encoding(encode: Encode) -> Box<dyn FnMut()> {
    let mut rng = Rng::with_seed(5);
    let mut message = || {
        let mut text = String::from("{\"updates\":[");
        while text.len() < 1000 {
            let (id, price, up) = (rng.u32(..100_000), rng.u32(..100_000), rng.bool());
            let _ = write!(text, "{{\"id\":{id},\"price\":{price},\"up\":{up}}},");
        }
        text + "null]}"
    };
    let messages: Vec<String> = (0..MESSAGES).map(|_| message()).collect();
    Box::new(move || {
        for message in &messages {
            black_box(encode(black_box(message.as_bytes())));
        }
    })
}

type Fields = &'static [(&'static str, &'static str)];

const RESPONSES: u64 = 100;

fn instructions() -> [(&'static str, Fields, &'static str); 3] {
    [
        (
            "instruction, none",
            &[
                ("content-type", "text/html"),
                ("date", "Sat, 01 Jan 2000 00:00:00 GMT"),
                ("server", "some/1.0"),
                ("cache-control", "no-cache"),
                ("content-length", "8"),
                ("vary", "Cookie"),
            ],
            "",
        ),
        (
            "instruction, headers",
            &[
                ("content-type", "text/plain"),
                ("date", "Sat, 01 Jan 2000 00:00:00 GMT"),
                ("server", "some/1.0"),
                ("content-length", "8"),
                ("grip-hold", "stream"),
                ("grip-channel", "room; prev-id=7, user-5; filter=skip-self"),
                ("grip-keep-alive", "\\n; format=cstring; timeout=20"),
                ("grip-set-meta", "user=\"5\""),
            ],
            "welcome\n",
        ),
        (
            "instruction, document",
            &[("content-type", "application/grip-instruct")],
            r#"{"hold":{"mode":"stream","channels":[{"name":"room","prev-id":"7"}],
"keep-alive":{"content":"\n","timeout":20}},"response":{"headers":{"Content-Type":"text/plain"},
"body":"welcome\n"}}"#,
        ),
    ]
}

/// Responses of a backend, from headers and body to an instruction.
fn reading(fields: Fields, body: &'static str) -> Box<dyn FnMut()> {
    let pair = |(name, value): &(&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let headers: HeaderMap = fields.iter().map(pair).collect();
    let body = Bytes::from_static(body.as_bytes());
    Box::new(move || {
        for _ in 0..RESPONSES {
            if is_instruction(black_box(&headers)) {
                let read = instruction(200, Some(b"OK"), &headers, body.clone());
                black_box(read).expect("the instruction is good");
            }
        }
    })
}

const HEADS: u64 = 100;

/// Heads that come from clients, and whether their names are in Title-Case.
const GUARDED: [(&str, bool); 2] =
    [("guard, browser", true), ("guard, browser, names in lower case", false)];

/// A head as a browser writes it, with names in Title-Case or as they are.
fn browsers_head(usual: bool) -> Vec<u8> {
    let mut head = b"GET /news/2025/a-page?page=2&sort=newest HTTP/1.1\r\n".to_vec();
    for (name, value) in heading::FIELDS {
        match usual {
            true => put_usual(&mut head, name),
            false => head.extend_from_slice(name.as_bytes()),
        }
        head.extend_from_slice(format!(": {value}\r\n").as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// A browser's head, looked at before hyper reads it, as it comes in one piece.
fn guarding(usual: bool) -> Box<dyn FnMut()> {
    let head = browsers_head(usual);
    Box::new(move || {
        let mut guard = HeadGuard::new(64 * 1024);
        for _ in 0..HEADS {
            guard.feed(black_box(&head)).expect("the head is good");
            black_box(guard.spelled().drain(..).count());
        }
    })
}

/// The head that a target gets for a request, from the client's fields to bytes.
fn heads(written: fn() -> heading::Written) -> Box<dyn FnMut()> {
    let written = written();
    Box::new(move || {
        for _ in 0..HEADS {
            black_box(black_box(&written).write());
        }
    })
}

const LOOKUPS: usize = 1000;

type Line = fn(usize) -> (String, String);

fn tables() -> [(&'static str, usize, Line); 6] {
    let one: Line = |n| ("api.example.com".to_owned(), format!("/service-{n}/v1/"));
    let own: Line = |n| (format!("tenant-{n}.example.com"), "/".to_owned());
    [
        ("route, one host, of 100", 100, one),
        ("route, one host, of 100,000", 100_000, one),
        ("route, own host, of 100", 100, own),
        ("route, own host, of 100,000", 100_000, own),
        ("route, mixed depth, of 100", 100, mixed),
        ("route, mixed depth, of 100,000", 100_000, mixed),
    ]
}

/// One of many paths of one to five words on one host.
pub fn mixed(number: usize) -> (String, String) {
    const WORDS: [&str; 8] = ["v1", "api", "users", "orders", "items", "by-name", "a", "archive"];
    let mut rng = Rng::with_seed(number as u64);
    let mut path = String::from("/");
    for _ in 0..rng.usize(..5) {
        let _ = write!(path, "{}/", WORDS[rng.usize(..WORDS.len())]);
    }
    let _ = write!(path, "{number}/");
    ("api.example.com".to_owned(), path)
}

/// Lookups that find one of these routes, at random over all of them.
fn looking_up(routes: usize, line: Line) -> Box<dyn FnMut()> {
    let mut file = String::from("* test\n");
    for number in 0..routes {
        let (host, path) = line(number);
        let _ = writeln!(file, "{host},path_beg={path} 10.0.0.1:8080");
    }
    let (table, problems) = Table::parse(file.as_bytes());
    assert!(problems.is_empty(), "{problems:?}");
    let mut rng = Rng::with_seed(7);
    let request = |number: usize| {
        let (host, path) = line(number);
        (host, path + "items/17?page=2")
    };
    let requests: Vec<_> = (0..LOOKUPS).map(|_| request(rng.usize(..routes))).collect();
    Box::new(move || {
        for (host, path) in &requests {
            let query = Query { host, path, websocket: false, secure: true };
            assert!(black_box(table.lookup(black_box(&query))).is_some());
        }
    })
}

/// The option and the id of one of many routes, each on a host of its own.
type Id = fn(usize) -> (String, String);

fn ids() -> [(&'static str, usize, Id); 3] {
    let explicit: Id = |n| (format!(",id=tenant-{n}"), format!("tenant-{n}"));
    let implicit: Id = |n| (String::new(), format!("tenant-{n}.example.com,*,*,*"));
    [
        ("route by id, of 100", 100, explicit),
        ("route by id, of 100,000", 100_000, explicit),
        ("route by implicit id, of 100,000", 100_000, implicit),
    ]
}

/// Lookups by id that find one of these routes, at random over all of them.
fn naming(routes: usize, id: Id) -> Box<dyn FnMut()> {
    let mut file = String::new();
    for number in 0..routes {
        let _ = writeln!(file, "tenant-{number}.example.com{} 10.0.0.1:8080", id(number).0);
    }
    let (table, problems) = Table::parse(file.as_bytes());
    assert!(problems.is_empty(), "{problems:?}");
    let mut rng = Rng::with_seed(7);
    let asked: Vec<String> = (0..LOOKUPS).map(|_| id(rng.usize(..routes)).1).collect();
    Box::new(move || {
        for id in &asked {
            assert!(matches!(black_box(table.named(black_box(id))), Named::One(_)));
        }
    })
}
