//! What came deflated, inflated again: once for each message, since all who get it deflated are to
//! get the same bytes. Asked by the ledger.

use std::collections::VecDeque;

use flate2::{Decompress, FlushDecompress};

/// More messages than are ever under way.
const KNOWN: usize = 32;
/// What permessage-deflate leaves out (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
const LONGEST: usize = 1 << 20;

/// The messages that came lately: deflated, and what that means.
#[derive(Default)]
pub struct Inflating {
    known: VecDeque<(Vec<u8>, Vec<u8>)>,
}

impl Inflating {
    /// The message of one frame, which refers to none before it; `None` if it is not deflated.
    pub fn message(&mut self, deflated: &[u8]) -> Option<&[u8]> {
        let at = self.known.iter().position(|(known, _)| known == deflated);
        let at = match at {
            Some(at) => at,
            None => {
                let message = inflate(deflated)?;
                self.known.truncate(KNOWN - 1);
                self.known.push_front((deflated.to_vec(), message));
                0
            }
        };
        self.known.get(at).map(|(_, message)| message.as_slice())
    }
}

fn inflate(deflated: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::with_capacity(LONGEST);
    let whole = [deflated, &TAIL].concat();
    let mut state = Decompress::new(false);
    state.decompress_vec(&whole, &mut message, FlushDecompress::Sync).ok()?;
    (state.total_in() == whole.len() as u64).then_some(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inflates_each_message_once() {
        let mut inflating = Inflating::default();
        for _ in 0..2 {
            // RFC 7692, 7.2.3.1.
            let hello = inflating.message(b"\xf2\x48\xcd\xc9\xc9\x07\x00");
            assert_eq!(hello, Some(&b"Hello"[..]));
        }
        assert_eq!(inflating.known.len(), 1);
        assert_eq!(inflating.message(b"\xff\xff"), None);
    }
}
