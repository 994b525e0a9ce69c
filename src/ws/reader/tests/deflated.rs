//! The reader with compression: every cut and every shape of messages, both roles, with and without
//! context; what is corrupt; what a connection keeps.

use crate::wire::deflate;
use crate::wire::frame::{HEAD_BYTES_MAX, mask, put_head, server_frame};
use crate::wire::inflate::{Corrupt, STEP_BYTES};
use crate::ws::reader::*;
use proptest::prelude::*;

const KEY: [u8; 4] = [9, 1, 2, 0x80];

/// One frame of `sender`, with any reserved bits.
fn frame(sender: Sender, opcode: Opcode, fin: bool, reserved: u8, payload: &[u8]) -> Vec<u8> {
    let key = (sender == Sender::Client).then_some(KEY);
    let mut out = BytesMut::with_capacity(HEAD_BYTES_MAX + payload.len());
    let payload_bytes = payload.len() as u64;
    put_head(&Head { fin, reserved, opcode, mask: key, payload_bytes }, &mut out);
    let start = out.len();
    out.extend_from_slice(payload);
    if let Some(key) = key {
        mask(&mut out[start..], key, 0);
    }
    out.to_vec()
}

/// What was read, the parts of a message put together.
#[derive(Debug, Default, PartialEq, Eq)]
struct Heard {
    messages: Vec<(DataKind, Vec<u8>)>,
    pings: usize,
}

fn hear(
    reader: &mut Reader,
    chunks: &mut dyn Iterator<Item = &[u8]>,
    hold_back: usize,
) -> Result<Heard, Violation> {
    let mut heard = Heard::default();
    let mut open: Option<Vec<u8>> = None;
    for chunk in chunks {
        reader.feed(BytesMut::from(chunk));
        while let Some(piece) = reader.next(hold_back)? {
            let Piece::Data { kind, first, last, bytes, .. } = piece else {
                heard.pings += 1;
                continue;
            };
            assert_eq!(first, open.is_none());
            assert!(!first || last || bytes.len() >= hold_back);
            open.get_or_insert_default().extend_from_slice(&bytes);
            if last {
                heard.messages.push((kind, open.take().unwrap()));
            }
            assert_eq!(reader.is_within_message(), !last);
        }
    }
    Ok(heard)
}

fn hear_one(inflation: Inflation, bytes: &[u8]) -> Result<Heard, Violation> {
    let mut reader = Reader::new(Sender::Server).inflating(inflation);
    hear(&mut reader, &mut std::iter::once(bytes), 0)
}

#[test]
fn the_examples_of_the_rfc() {
    let text = |text: &str| vec![(DataKind::Text, text.as_bytes().to_vec())];
    let hear = |bytes: &[u8]| hear_one(Inflation::EachMessage, bytes).unwrap().messages;
    // RFC 7692, 7.2.3.1 and 7.2.3.3 to 7.2.3.5.
    assert_eq!(hear(b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"), text("Hello"));
    assert_eq!(hear(b"\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00"), text("Hello"));
    assert_eq!(hear(b"\xc1\x0b\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), text("Hello"));
    assert_eq!(hear(b"\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), text("Hello"));
    let blocks = b"\xc1\x0d\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    assert_eq!(hear(blocks), text("Hello"));
    assert_eq!(hear(b"\xc1\x01\x00"), text(""));
    assert_eq!(hear(b"\xc1\x00"), text(""));
    // 7.2.3.2: the second message refers to the first; a plain one may come between.
    let referring = b"\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00\x81\x01x\xc1\x05\xf2\x00\x11\x00\x00";
    let heard = hear_one(Inflation::InContext, referring).unwrap().messages;
    assert_eq!(heard, [text("Hello"), text("x"), text("Hello")].concat());
    let corrupt = hear_one(Inflation::EachMessage, referring).unwrap_err();
    assert_eq!((corrupt, corrupt.close_code()), (Violation::Deflated(Corrupt), 1007));
}

#[test]
fn where_the_bit_may_be_set() {
    let refused = |inflation, bytes: &[u8]| {
        assert_eq!(hear_one(inflation, bytes), Err(Violation::ReservedBit), "{bytes:?}");
    };
    refused(Inflation::None, b"\xc1\x01\x00");
    refused(Inflation::EachMessage, b"\x41\x01\x00\xc0\x01\x00");
    refused(Inflation::EachMessage, b"\x01\x01x\xc0\x01\x00");
    refused(Inflation::EachMessage, b"\xc9\x00");
    refused(Inflation::EachMessage, b"\xc8\x00");
    refused(Inflation::EachMessage, b"\xe1\x00");
    refused(Inflation::InContext, b"\xa1\x00");
    refused(Inflation::InContext, b"\x91\x00");
}

#[test]
fn corrupt_messages() {
    for payload in [&b"\x07"[..], b"\xff\xff\xff", b"\xf2\x48\xcd", b"\x00\x05\x00\xfa\xff\x48"] {
        let frame = frame(Sender::Server, Opcode::Text, true, DEFLATED, payload);
        let heard = hear_one(Inflation::EachMessage, &frame);
        assert_eq!(heard, Err(Violation::Deflated(Corrupt)), "{payload:?}");
    }
}

#[test]
fn a_connection_keeps_nothing_between_messages() {
    let mut reader = Reader::new(Sender::Server).inflating(Inflation::EachMessage);
    assert!(size_of::<Reader>() <= 16);
    let payload = deflate::message(15, b"one, one, one");
    let (one, two) = payload.split_at(4);
    let begin = frame(Sender::Server, Opcode::Text, false, DEFLATED, one);
    let end = frame(Sender::Server, Opcode::Continuation, true, 0, two);
    hear(&mut reader, &mut std::iter::once(&begin[..]), 0).unwrap_or_default();
    assert!(reader.partial.is_some());
    reader.feed(BytesMut::from(&end[..]));
    while reader.next(0).unwrap().is_some() {}
    assert!(reader.partial.is_none());
    // What an earlier message may be referred to for is kept.
    let mut reader = Reader::new(Sender::Server).inflating(Inflation::InContext);
    let whole = frame(Sender::Server, Opcode::Text, true, DEFLATED, &payload);
    hear(&mut reader, &mut std::iter::once(&whole[..]), 0).unwrap();
    let partial = reader.partial.unwrap();
    assert!(partial.context.is_some() && partial.inflating.is_none());
    assert_eq!(partial.input.capacity(), 0);
}

#[test]
fn a_bomb_is_read_a_step_at_a_time() {
    let payload = deflate::message(15, &vec![0; 5_000_000]);
    let mut reader = Reader::new(Sender::Server).inflating(Inflation::EachMessage);
    let bomb = frame(Sender::Server, Opcode::Binary, true, DEFLATED, &payload);
    reader.feed(BytesMut::from(&bomb[..]));
    let mut all = 0;
    while let Some(piece) = reader.next(2).unwrap() {
        let Piece::Data { bytes, last, .. } = piece else { panic!() };
        assert!(bytes.len() <= STEP_BYTES);
        all += bytes.len();
        assert_eq!(last, all == 5_000_000);
    }
    assert_eq!(all, 5_000_000);
}

#[test]
fn many_empty_fragments() {
    let mut frames = frame(Sender::Server, Opcode::Text, false, DEFLATED, b"");
    for _ in 0..100_000 {
        frames.extend_from_slice(b"\x00\x00");
    }
    frames.extend_from_slice(b"\x80\x07\xf2\x48\xcd\xc9\xc9\x07\x00");
    let heard = hear_one(Inflation::EachMessage, &frames).unwrap();
    assert_eq!(heard.messages, [(DataKind::Text, b"Hello".to_vec())]);
}

/// A message: whether it is deflated, its content, the length of its fragments.
type Said = (bool, Vec<u8>, usize);

fn said() -> impl Strategy<Value = Vec<Said>> {
    let content = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[ab ]{0,2000}".prop_map(String::into_bytes),
        (0..40_000_usize).prop_map(|length| vec![b'x'; length]),
    ];
    prop::collection::vec((any::<bool>(), content, 1..3000_usize), 0..6)
}

/// The frames of messages, a ping after every fragment.
fn frames(sender: Sender, messages: &[Said]) -> (Vec<u8>, usize) {
    let (mut all, mut pings) = (Vec::new(), 0);
    for (deflated, content, fragment) in messages {
        let payload = match deflated {
            true => deflate::message(15, content).to_vec(),
            false => content.clone(),
        };
        let mut parts: Vec<&[u8]> = payload.chunks(*fragment).collect();
        if parts.is_empty() {
            parts.push(b"");
        }
        for (place, part) in parts.iter().enumerate() {
            let (opcode, reserved) = match (place, deflated) {
                (0, true) => (Opcode::Binary, DEFLATED),
                (0, false) => (Opcode::Binary, 0),
                _ => (Opcode::Continuation, 0),
            };
            let fin = place + 1 == parts.len();
            all.extend(frame(sender, opcode, fin, reserved, part));
            all.extend(frame(sender, Opcode::Ping, true, 0, b"between"));
            pings += 1;
        }
    }
    (all, pings)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_messages_in_any_shape(
        said in said(),
        client: bool,
        in_context: bool,
        read in 1..5000_usize,
        hold_back in 0..4_usize,
    ) {
        let sender = if client { Sender::Client } else { Sender::Server };
        let inflation =
            if in_context { Inflation::InContext } else { Inflation::EachMessage };
        let (bytes, pings) = frames(sender, &said);
        let mut reader = Reader::new(sender).inflating(inflation);
        // A plain first frame may be shorter than what is held back.
        let hold_back = if said.iter().all(|(deflated, ..)| *deflated) { hold_back } else { 0 };
        let heard = hear(&mut reader, &mut bytes.chunks(read), hold_back).unwrap();
        prop_assert_eq!(heard.pings, pings);
        let messages = said.into_iter().map(|(_, content, _)| (DataKind::Binary, content));
        prop_assert!(heard.messages.into_iter().eq(messages));
        prop_assert!(in_context || reader.partial.is_none());
    }

    #[test]
    fn no_payload_panics(
        payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 0..5),
        in_context: bool,
        read in 1..9_usize,
    ) {
        let inflation =
            if in_context { Inflation::InContext } else { Inflation::EachMessage };
        let frames: Vec<u8> = payloads
            .iter()
            .flat_map(|payload| frame(Sender::Client, Opcode::Text, true, DEFLATED, payload))
            .collect();
        let mut reader = Reader::new(Sender::Client).inflating(inflation);
        let _ = hear(&mut reader, &mut frames.chunks(read), 0);
        // After an error it may say anything, but it must go on standing.
        reader.feed(BytesMut::from(&server_frame(Opcode::Text, b"")[..]));
        while let Ok(Some(_)) = reader.next(0) {}
    }
}
