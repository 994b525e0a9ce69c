//! permessage-deflate's payloads (RFC 7692, section 7.2): messages deflated and inflated.
//!
//! Called by `session` for what is published and by `ws` and `proxy` for what is relayed. Pure: no
//! I/O. State that only lives as long as a message is shared by the connections of a thread.

use std::cell::RefCell;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};

/// What a sync flush ends with, and permessage-deflate leaves out (RFC 7692, 7.2.1).
pub(super) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The smallest window that is used (zlib cannot do 8).
pub const WINDOW_BITS_MIN: u8 = 9;
/// The largest window.
pub const WINDOW_BITS_MAX: u8 = 15;

thread_local! {
    /// One compressor a window size, made when it is first needed.
    static COMPRESSORS: RefCell<[Option<Compress>; 7]> =
        const { RefCell::new([const { None }; 7]) };
}

/// A whole message, deflated without context takeover, its references reaching back at most
/// `2^window_bits` bytes (9 to 15; others count as the nearest of these).
#[must_use]
pub fn message(window_bits: u8, payload: &[u8]) -> Bytes {
    let bits = window_bits.clamp(WINDOW_BITS_MIN, WINDOW_BITS_MAX);
    COMPRESSORS.with_borrow_mut(|compressors| {
        let slot = &mut compressors[usize::from(bits - WINDOW_BITS_MIN)];
        let compress = slot.get_or_insert_with(|| {
            Compress::new_with_window_bits(Compression::fast(), false, bits)
        });
        compress.reset();
        let mut out = Vec::with_capacity(payload.len() / 2 + 64);
        loop {
            let taken = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
            let rest = payload.get(taken..).unwrap_or(&[]);
            // It fails only when it can do nothing: then there is nothing left to do.
            let _ = compress.compress_vec(rest, &mut out, FlushCompress::Sync);
            if out.len() < out.capacity() {
                break;
            }
            out.reserve(out.len().max(64));
        }
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        out.into()
    })
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
        out
    }

    proptest! {
        #[test]
        fn messages_come_back(bits in 9..=15_u8, text in "[abc]{0,3000}", noise: Vec<u8>) {
            for payload in [text.as_bytes(), &noise] {
                let deflated = message(bits, payload);
                prop_assert_eq!(&inflate(bits, &deflated)[..], payload);
            }
        }
    }

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 7692, 7.2.3.1: one compressed block.
        assert_eq!(&message(15, b"Hello")[..], b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    }
}
