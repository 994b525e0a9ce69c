//! The reader, cut at every byte, and against what breaks the protocol.

use super::*;
use crate::wire::frame::{client_fragment, server_fragment, server_frame};
use proptest::prelude::*;

mod deflated;

const KEY: [u8; 4] = [1, 2, 3, 4];

fn read(sender: Sender, chunks: &[&[u8]]) -> Result<Vec<Piece>, Violation> {
    let mut reader = Reader::new(sender);
    let mut pieces = Vec::new();
    for chunk in chunks {
        reader.feed(BytesMut::from(*chunk));
        while let Some(piece) = reader.next(0)? {
            pieces.push(piece);
        }
    }
    Ok(pieces)
}

/// Pieces of one message put together, so that cuts do not show.
fn merged(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut open: Vec<u8> = Vec::new();
    let mut out = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Data { kind, first, last, frame_end, bytes } => {
                assert_eq!(first, open.is_empty(), "an empty first piece is not cut");
                open.extend_from_slice(&bytes);
                if last {
                    assert!(frame_end);
                    let bytes = Bytes::from(std::mem::take(&mut open));
                    out.push(Piece::Data { kind, first: true, last, frame_end, bytes });
                }
            }
            other => out.push(other),
        }
    }
    out
}

fn whole(kind: DataKind, bytes: &'static [u8]) -> Piece {
    Piece::Data { kind, first: true, last: true, frame_end: true, bytes: Bytes::from_static(bytes) }
}

fn conversation() -> Vec<u8> {
    [
        client_fragment(Opcode::Text, true, KEY, b"hello"),
        client_fragment(Opcode::Binary, false, KEY, b"frag1"),
        client_fragment(Opcode::Ping, true, KEY, b"between"),
        client_fragment(Opcode::Continuation, false, KEY, b""),
        client_fragment(Opcode::Continuation, true, KEY, &[b'x'; 300]),
        client_fragment(Opcode::Pong, true, KEY, b""),
        client_fragment(Opcode::Close, true, KEY, b"\x0b\xb9bye"),
    ]
    .concat()
}

#[test]
fn every_cut_gives_the_same() {
    let bytes = conversation();
    let all = read(Sender::Client, &[&bytes]).unwrap();
    assert_eq!(all[0], whole(DataKind::Text, b"hello"));
    assert_eq!(all[2], Piece::Ping(Bytes::from_static(b"between")));
    assert_eq!(all[6], Piece::Close(Some((3001, Bytes::from_static(b"bye")))));
    let expected = merged(all);
    assert_eq!(expected.len(), 5);
    for cut in 0..bytes.len() {
        let (one, two) = bytes.split_at(cut);
        assert_eq!(merged(read(Sender::Client, &[one, two]).unwrap()), expected, "cut at {cut}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(merged(read(Sender::Client, &single).unwrap()), expected);
}

#[test]
fn it_is_small_between_frames() {
    let mut reader = Reader::new(Sender::Server);
    assert!(size_of::<Reader>() <= 16);
    reader.feed(BytesMut::from(&server_frame(Opcode::Text, b"x")[..]));
    assert!(matches!(reader.next(0), Ok(Some(Piece::Data { .. }))));
    assert_eq!(reader.next(0), Ok(None));
    assert!(reader.partial.is_none());
}

#[test]
fn empty_messages_are_messages() {
    let frames = [server_frame(Opcode::Text, b""), server_frame(Opcode::Binary, b"")].concat();
    let pieces = read(Sender::Server, &[&frames]).unwrap();
    assert_eq!(pieces, [whole(DataKind::Text, b""), whole(DataKind::Binary, b"")]);
}

#[test]
fn the_beginning_of_a_message_is_held_back() {
    let frame = server_frame(Opcode::Text, b"m:abc");
    let mut reader = Reader::new(Sender::Server);
    reader.feed(BytesMut::from(&frame[..3]));
    assert_eq!(reader.next(2), Ok(None));
    reader.feed(BytesMut::from(&frame[3..4]));
    let Ok(Some(Piece::Data { first: true, last: false, frame_end: false, bytes, .. })) =
        reader.next(2)
    else {
        panic!()
    };
    assert_eq!(bytes, "m:");
    assert!(reader.is_within_message());
    reader.feed(BytesMut::from(&frame[4..]));
    assert!(matches!(reader.next(2), Ok(Some(Piece::Data { first: false, last: true, .. }))));
    // A frame that is shorter than what is held back comes as it is.
    reader.feed(BytesMut::from(&server_fragment(Opcode::Text, false, b"m")[..]));
    assert!(matches!(reader.next(2), Ok(Some(Piece::Data { frame_end: true, last: false, .. }))));
}

#[test]
fn violations() {
    let read_client = |bytes: &[u8]| read(Sender::Client, &[bytes]).unwrap_err();
    let read_server = |bytes: &[u8]| read(Sender::Server, &[bytes]).unwrap_err();
    let masked = |opcode, fin, payload: &[u8]| client_fragment(opcode, fin, KEY, payload);

    assert_eq!(read_client(b"\x81\x01x"), Violation::NotMasked);
    assert_eq!(read_server(&masked(Opcode::Text, true, b"x")), Violation::Masked);
    assert_eq!(read_client(b"\x83\x80"), Violation::Head(frame::HeadError::ReservedOpcode(3)));
    assert_eq!(read_server(b"\xc1\x00"), Violation::ReservedBit);
    assert_eq!(read_client(&masked(Opcode::Continuation, true, b"")), Violation::StrayContinuation);
    let nested = [masked(Opcode::Text, false, b"a"), masked(Opcode::Text, true, b"b")].concat();
    assert_eq!(read_client(&nested), Violation::NestedMessage);
    assert_eq!(read_client(&masked(Opcode::Ping, false, b"")), Violation::FragmentedControl);
    assert_eq!(read_client(&masked(Opcode::Ping, true, &[0; 126])), Violation::LongControl(126));
    assert_eq!(read_server(b"\x88\x03\x03\xe8\xff"), Violation::CloseReason);
    assert_eq!(Violation::CloseReason.close_code(), 1007);
    assert_eq!(Violation::NotMasked.close_code(), 1002);
}

#[test]
fn a_close_may_say_little() {
    let read_close = |bytes: &[u8]| read(Sender::Server, &[bytes]).unwrap();
    assert_eq!(read_close(b"\x88\x00"), [Piece::Close(None)]);
    assert_eq!(read_close(b"\x88\x02\x03\xe7"), [Piece::Close(Some((999, Bytes::new())))]);
    assert_eq!(read(Sender::Server, &[b"\x88\x01x"]), Err(Violation::CloseLength));
}

proptest! {
    #[test]
    fn no_bytes_panic(chunks: Vec<Vec<u8>>, client: bool, hold_back in 0..4_usize) {
        let sender = if client { Sender::Client } else { Sender::Server };
        let mut reader = Reader::new(sender);
        'all: for chunk in chunks {
            reader.feed(BytesMut::from(&chunk[..]));
            loop {
                match reader.next(hold_back) {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(_) => break 'all,
                }
            }
        }
    }
}
