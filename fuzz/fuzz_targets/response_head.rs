//! What a backend answers, in pieces of any size: the head and the chunks of its body are the same,
//! and nothing panics.
#![no_main]

use bytes::BytesMut;
use http::Method;
use libfuzzer_sys::fuzz_target;
use linchpin::backend::head::{self, Length};
use linchpin::wire::framing::unchunk::{Piece, Unchunk};

const HEAD_BYTES_MAX: usize = 500;

/// The status and the unchunked body, or that it is in doubt; `None` when more is wanted.
fn read(bytes: &[u8], piece: usize) -> Option<Result<(u16, Vec<u8>), ()>> {
    let (mut buffer, mut seen) = (BytesMut::new(), 0);
    let mut answered = None;
    let (mut chunks, mut body) = (Unchunk::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        if answered.is_none() {
            match head::response(&mut buffer, seen, (&Method::GET, true), HEAD_BYTES_MAX) {
                Ok(None) => seen = buffer.len(),
                Ok(Some(head)) if head.length == Length::Chunked => {
                    answered = Some(head.response.status().as_u16());
                }
                Ok(Some(head)) => return Some(Ok((head.response.status().as_u16(), Vec::new()))),
                Err(_) => return Some(Err(())),
            }
        }
        let Some(status) = answered else { continue };
        loop {
            match chunks.next(&mut buffer) {
                Ok(Piece::Data(data)) => body.extend_from_slice(&data),
                Ok(Piece::Wanting) => break,
                Ok(Piece::End) => return Some(Ok((status, body))),
                Err(_) => return Some(Err(())),
            }
        }
    }
    None
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (piece, bytes) = input;
    // Too large a head is noticed earlier in small pieces.
    if bytes.len() <= HEAD_BYTES_MAX {
        assert_eq!(read(&bytes, 1), read(&bytes, usize::from(piece) + 1));
    }
});
