//! Deflated frames from outside: whatever comes, and however it is cut, nothing panics, no step gives
//! more than it may, and a stream reads the same in one piece as byte by byte. What is written is
//! read again, in whatever parts it was written.
#![no_main]

use arbitrary::Arbitrary;
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use linchpin::wire::inflate::STEP_BYTES;
use linchpin::ws::messages::{Incoming, Messages};
use linchpin::ws::reader::{DataKind, Inflation, Piece, Reader, Sender};
use linchpin::ws::writer::{Deflation, Writer};

const LIMIT_BYTES: usize = 100_000;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    frames: &'a [u8],
    /// Payloads that are put into deflated frames.
    payloads: Vec<&'a [u8]>,
    /// Messages in parts, to be written.
    messages: Vec<Vec<&'a [u8]>>,
    window_bits: u8,
    bytes_min: u8,
    client: bool,
    in_context: bool,
    hold_back: u8,
}

/// What was read, and whether it ended with a violation: which one is found first may differ.
type Read = (Vec<Incoming>, bool);

fn read(messages: Messages, chunks: &mut dyn Iterator<Item = &[u8]>) -> Read {
    let (mut messages, mut out) = (messages, Vec::new());
    for chunk in chunks {
        messages.feed(chunk);
        loop {
            match messages.next(LIMIT_BYTES) {
                Ok(Some(one)) => out.push(one),
                Ok(None) => break,
                Err(_) => return (out, true),
            }
        }
    }
    (out, false)
}

/// A deflated frame of a server, as short as its length lets it be.
fn framed(payloads: &[&[u8]]) -> Vec<u8> {
    let mut frames = Vec::new();
    for payload in payloads {
        let payload = &payload[..payload.len().min(125)];
        frames.extend([0xc2, payload.len() as u8]);
        frames.extend_from_slice(payload);
    }
    frames
}

fuzz_target!(|input: Input| {
    let inflation = match input.in_context {
        true => Inflation::InContext,
        false => Inflation::EachMessage,
    };
    for bytes in [input.frames.to_vec(), framed(&input.payloads)] {
        let new = || Messages::new(Sender::Server).inflating(inflation);
        let whole = read(new(), &mut std::iter::once(&bytes[..]));
        assert_eq!(whole, read(new(), &mut bytes.chunks(1)));
        let mut reader = Reader::new(Sender::Server).inflating(inflation);
        reader.feed(BytesMut::from(&bytes[..]));
        let mut steps = 0;
        while let Ok(Some(piece)) = reader.next(input.hold_back.into()) {
            if let Piece::Data { bytes, .. } = piece {
                assert!(bytes.len() <= STEP_BYTES.max(input.frames.len()) + 255);
            }
            steps += 1;
            if steps > 1000 {
                break;
            }
        }
    }
    let sender = if input.client { Sender::Client } else { Sender::Server };
    let bytes_min = input.bytes_min.into();
    let deflation = Deflation { window_bits: input.window_bits, bytes_min };
    let mut writer = Writer::new(sender, Some(deflation));
    let mut messages = Messages::new(sender).inflating(inflation);
    for parts in &input.messages {
        for (place, part) in parts.iter().enumerate() {
            let ends = (place == 0, place + 1 == parts.len());
            let bytes = Bytes::copy_from_slice(part);
            writer.part(DataKind::Binary, ends, bytes, |piece| messages.feed(&piece));
        }
        if parts.is_empty() {
            continue;
        }
        match messages.next(usize::MAX) {
            Ok(Some(Incoming::Message(message))) => assert_eq!(message.content, parts.concat()),
            other => panic!("{other:?}"),
        }
    }
});
