//! How long the instruction of a backend's response takes, as headers and as a document.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderName, HeaderValue};
use linchpin::grip::headers::{instruction, is_instruction};

const DOCUMENT: &[u8] = br#"{"hold":{"mode":"stream","channels":[{"name":"room","prev-id":"7"}],
"keep-alive":{"content":"\n","timeout":20}},"response":{"headers":{"Content-Type":"text/plain"},
"body":"welcome\n"}}"#;

fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

fn benches(criterion: &mut Criterion) {
    let plain = headers(&[
        ("content-type", "text/html"),
        ("date", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ("server", "some/1.0"),
        ("cache-control", "no-cache"),
        ("content-length", "8"),
        ("vary", "Cookie"),
    ]);
    criterion.bench_function("a response without instruction", |bencher| {
        bencher.iter(|| is_instruction(black_box(&plain)));
    });
    let held = headers(&[
        ("content-type", "text/plain"),
        ("date", "Sat, 01 Jan 2000 00:00:00 GMT"),
        ("server", "some/1.0"),
        ("content-length", "8"),
        ("grip-hold", "stream"),
        ("grip-channel", "room; prev-id=7, user-5; filter=skip-self"),
        ("grip-keep-alive", "\\n; format=cstring; timeout=20"),
        ("grip-set-meta", "user=\"5\""),
    ]);
    let body = Bytes::from_static(b"welcome\n");
    criterion.bench_function("headers", |bencher| {
        bencher.iter(|| instruction(200, Some(b"OK"), black_box(&held), body.clone()));
    });
    let document = headers(&[("content-type", "application/grip-instruct")]);
    let body = Bytes::from_static(DOCUMENT);
    criterion.bench_function("document", |bencher| {
        bencher.iter(|| instruction(200, Some(b"OK"), black_box(&document), body.clone()));
    });
}

criterion_group!(instruction_parse, benches);
criterion_main!(instruction_parse);
