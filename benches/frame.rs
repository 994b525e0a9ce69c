//! Frames: encoding and deflating what is published, reading and unmasking what a client sends.

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use linchpin::wire::deflate;
use linchpin::wire::frame::{Opcode, client_fragment, mask, server_frame};
use linchpin::ws::messages::Messages;
use linchpin::ws::reader::{Reader, Sender};

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame/encode");
    for size in [100, 16_384] {
        let payload = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(size.to_string(), |b| {
            b.iter(|| server_frame(Opcode::Text, black_box(&payload)));
        });
    }
    group.finish();
}

fn deflate(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame/deflate");
    for size in [128, 1024, 16_384] {
        let text = (0..).map(|at: u32| format!("{{\"id\":{at},\"price\":{}}},", at * 7919 % 1000));
        let payload: Vec<u8> = text.flat_map(String::into_bytes).take(size).collect();
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(size.to_string(), |b| {
            b.iter(|| deflate::shorter(15, black_box(&payload), <[u8]>::len));
        });
    }
    group.finish();
}

fn unmask(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame/mask");
    let mut payload = vec![b'x'; 16_384];
    group.throughput(Throughput::Bytes(payload.len() as u64));
    group.bench_function("16384", |b| b.iter(|| mask(black_box(&mut payload), [1, 2, 3, 4], 1)));
    group.finish();
}

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("frame/read");
    let frames: Vec<u8> = std::iter::repeat_with(|| {
        client_fragment(Opcode::Text, true, [1, 2, 3, 4], &[b'x'; 100]).to_vec()
    })
    .take(100)
    .flatten()
    .collect();
    group.throughput(Throughput::Elements(100));
    group.bench_function("100 messages", |b| {
        let mut messages = Messages::new(Sender::Client);
        b.iter(|| {
            messages.feed(&frames);
            while let Ok(Some(one)) = messages.next(1000) {
                black_box(one);
            }
        });
    });
    group.bench_function("100 messages in pieces", |b| {
        let mut reader = Reader::new(Sender::Client);
        b.iter(|| {
            reader.feed(BytesMut::from(&frames[..]));
            while let Ok(Some(one)) = reader.next(2) {
                black_box(one);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, encode, deflate, unmask, read);
criterion_main!(benches);
