//! Messages deflated for permessage-deflate (RFC 7692, section 7.2), each by itself: no reference
//! reaches into the message before.
//!
//! Called by `session` for what is published. Pure: no I/O. What it works with is the thread's own
//! and lives on between messages; nothing of a message does.

use std::cell::Cell;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::{Compress, Compression, FlushCompress, Status};

/// What a sync flush ends with, and permessage-deflate leaves out (RFC 7692, 7.2.1).
pub const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The smallest window that is used (zlib cannot do 8).
pub const WINDOW_BITS_MIN: u8 = 9;
/// The largest window.
pub const WINDOW_BITS_MAX: u8 = 15;
/// Window sizes that there are.
const WINDOWS: usize = (WINDOW_BITS_MAX - WINDOW_BITS_MIN + 1) as usize;
/// How hard it is tried. A kilobyte of JSON takes a third of the time with 1 and a third more bytes;
/// with 3 and more it takes longer and hardly gets shorter.
const LEVEL: Compression = Compression::new(2);
/// A thread's buffer that is larger is given back after the message.
const ROOM_KEPT_BYTES_MAX: usize = 64 * 1024;
/// Bytes that a stored block may have (RFC 1951, 3.2.4).
const STORED_BYTES_MAX: usize = 0xffff;
/// Bytes of its head, when it begins at a byte's boundary.
const STORED_HEAD_BYTES: usize = 5;

/// What a thread deflates with.
#[derive(Default)]
struct Bench {
    /// One compressor a window size, made when it is first needed.
    compressors: [Option<Compress>; WINDOWS],
    /// Where it writes; as long as it ever had to be.
    room: Vec<u8>,
}

thread_local! {
    static BENCH: Cell<Bench> = Cell::default();
}

/// A whole message, deflated without context takeover, its references reaching back at most
/// `2^window_bits` bytes (9 to 15; others count as the nearest of these). What deflating makes
/// longer is stored: five bytes more for each 64 KiB, and one.
#[must_use]
pub fn message(window_bits: u8, payload: &[u8]) -> Bytes {
    let deflated = within(window_bits, payload, stored_bytes(payload), Bytes::copy_from_slice);
    deflated.unwrap_or_else(|| stored(payload))
}

/// As [`message`], but only if that is shorter than the payload: what `take` makes of it.
pub fn shorter<R>(window_bits: u8, payload: &[u8], take: impl FnOnce(&[u8]) -> R) -> Option<R> {
    within(window_bits, payload, payload.len().checked_sub(1)?, take)
}

/// What `take` makes of the deflated payload, if that has at most `bytes_max` bytes.
fn within<R>(
    window_bits: u8,
    payload: &[u8],
    bytes_max: usize,
    take: impl FnOnce(&[u8]) -> R,
) -> Option<R> {
    let bits = window_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
    // Nobody else finds the bench empty: it is back before anything else can be deflated.
    let mut bench = BENCH.take();
    let Bench { compressors, room } = &mut bench;
    let slot = compressors.get_mut(usize::from(bits - WINDOW_BITS_MIN))?;
    let compress = slot.get_or_insert_with(|| Compress::new_with_window_bits(LEVEL, false, bits));
    compress.reset();
    // A byte more than it may take: when that is full, it was not all.
    let limit = bytes_max.saturating_add(TAIL.len() + 1);
    if room.len() < limit {
        *room = vec![0; limit];
    }
    let came = compress.compress(payload, room.get_mut(..limit)?, FlushCompress::Sync);
    let bytes = usize::try_from(compress.total_out()).unwrap_or(usize::MAX);
    let is_whole = matches!(came, Ok(Status::Ok)) && bytes < limit;
    let deflated = room.get(..bytes).filter(|_| is_whole);
    let taken = deflated.and_then(|deflated| deflated.strip_suffix(&TAIL)).map(take);
    if room.len() > ROOM_KEPT_BYTES_MAX {
        *room = Vec::new();
    }
    BENCH.set(bench);
    taken
}

fn stored_bytes(payload: &[u8]) -> usize {
    payload.len() + payload.len().div_ceil(STORED_BYTES_MAX) * STORED_HEAD_BYTES + 1
}

/// The payload in stored blocks.
fn stored(payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(stored_bytes(payload));
    for block in payload.chunks(STORED_BYTES_MAX) {
        let bytes = block.len() as u16; // a block has no more
        out.put_u8(0);
        out.put_u16_le(bytes);
        out.put_u16_le(!bytes);
        out.put_slice(block);
    }
    out.put_u8(0); // the empty block whose rest is the tail
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Decompress, FlushDecompress};
    use proptest::prelude::*;

    fn inflate(bits: u8, deflated: &[u8]) -> Vec<u8> {
        let mut whole = deflated.to_vec();
        whole.extend_from_slice(&TAIL);
        let mut out = Vec::with_capacity(1 << 20);
        let mut state = Decompress::new_with_window_bits(false, bits);
        state.decompress_vec(&whole, &mut out, FlushDecompress::Sync).unwrap();
        assert_eq!(state.total_in(), whole.len() as u64);
        out
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let mut rng = fastrand::Rng::with_seed(7);
        std::iter::repeat_with(|| rng.u8(..)).take(bytes).collect()
    }

    proptest! {
        #[test]
        fn messages_come_back(bits in 9..=15_u8, text in "[abc]{0,3000}", noise: Vec<u8>) {
            for payload in [text.as_bytes(), &noise] {
                let deflated = message(bits, payload);
                prop_assert!(deflated.len() <= stored_bytes(payload));
                prop_assert_eq!(&inflate(bits, &deflated)[..], payload);
                let short = shorter(bits, payload, Bytes::copy_from_slice);
                prop_assert_eq!(short, Some(deflated).filter(|it| it.len() < payload.len()));
                prop_assert_eq!(&inflate(bits, &stored(payload))[..], payload);
            }
        }
    }

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 7692, 7.2.3.1: one compressed block; 7.2.3.3: stored; 7.2.3.6: nothing.
        assert_eq!(&message(15, b"Hello")[..], b"\xf2\x48\xcd\xc9\xc9\x07\x00");
        assert_eq!(&stored(b"Hello")[..], b"\x00\x05\x00\xfa\xffHello\x00");
        assert_eq!(&message(15, b"")[..], b"\x00");
        assert_eq!(&stored(b"")[..], b"\x00");
    }

    #[test]
    fn what_cannot_be_deflated_hardly_grows() {
        for bytes in [1, 100, 65_535, 65_536, 200_000] {
            let payload = noise(bytes);
            let deflated = message(15, &payload);
            assert!(deflated.len() <= bytes + 5 * bytes.div_ceil(65_535) + 1);
            assert_eq!(inflate(15, &deflated), payload);
            assert_eq!(shorter(15, &payload, <[u8]>::len), None);
        }
        assert_eq!(shorter(15, b"", <[u8]>::len), None);
    }

    #[test]
    fn nothing_of_a_message_is_left_for_the_next() {
        let payload = "a message of some length, like many others".repeat(3);
        let first = message(15, payload.as_bytes());
        let _ = message(15, &noise(100_000));
        assert_eq!(message(15, payload.as_bytes()), first);
        let kept = BENCH.take();
        assert!(kept.room.len() <= ROOM_KEPT_BYTES_MAX);
        assert_eq!(kept.compressors.iter().flatten().count(), 1);
    }

    #[test]
    fn references_reach_no_further_than_the_window() {
        let far = [&noise(600)[..], &noise(600)[..]].concat();
        assert_eq!(inflate(9, &message(9, &far)), far);
        assert!(shorter(9, &far, <[u8]>::len).is_none(), "its second half is too far away");
        assert!(shorter(10, &far, <[u8]>::len).is_some());
    }
}
