//! Requests to the control API, in pieces of any size: what is read does not depend on the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linchpin::publish::head::{Head, HeadLimits, Refusal};
use linchpin::publish::requests::{Next, Request, Requests};

const LIMITS: HeadLimits = HeadLimits { head_bytes_max: 500, body_bytes_max: 500 };

#[derive(Debug, PartialEq)]
enum Read {
    Continue,
    Request(Head, Vec<u8>),
    Refused(Refusal),
}

fn read(bytes: &[u8], piece: usize) -> Vec<Read> {
    let (mut requests, mut all) = (Requests::new(LIMITS), Vec::new());
    for piece in bytes.chunks(piece) {
        let room = requests.room();
        room[..piece.len()].copy_from_slice(piece);
        requests.filled(piece.len());
        loop {
            all.push(match requests.take() {
                Next::More => break,
                Next::Continue => Read::Continue,
                // Whether more came with it than announced does depend on the pieces.
                Next::Request(Request { head, body, .. }) => Read::Request(head, body.to_vec()),
                Next::Refused(refused) => {
                    all.push(Read::Refused(refused.refusal));
                    return all;
                }
            });
        }
    }
    all
}

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (piece, bytes) = input;
    assert_eq!(read(&bytes, 1), read(&bytes, usize::from(piece) + 1));
});
