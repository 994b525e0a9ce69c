//! What the backend's side of a SockJS session says: nothing panics, and it says the same however
//! its bytes are cut.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use linchpin::sockjs::hearing::{Hearing, Said};

fn heard(bytes: &[u8], pieces_of: usize) -> (Vec<Said>, bool) {
    let mut hearing = Hearing::new(1000);
    let mut all = Vec::new();
    for piece in bytes.chunks(pieces_of) {
        hearing.feed(Bytes::copy_from_slice(piece));
        loop {
            match hearing.hear() {
                Ok(Some(said)) => all.push(said),
                Ok(None) => break,
                Err(_) => return (all, false),
            }
        }
    }
    (all, true)
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let whole = heard(rest, rest.len().max(1));
    assert_eq!(whole, heard(rest, usize::from(first).max(1)));
});
