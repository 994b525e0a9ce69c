//! How much of a message has come, against what a peer may send: bytes, bytes of one frame, frames.
//!
//! Counted piece by piece, while a message is relayed (`websocket::relay`) or collected
//! (`messages`), so that what is too much ends as soon as it has come. Pure.

use super::reader::{Piece, Violation};

/// What a peer may send. [`u64::MAX`] is no bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message.
    pub message_bytes: u64,
    /// Bytes of one frame.
    pub frame_bytes: u64,
    /// Frames of one message.
    pub fragments: u64,
}

impl Limits {
    /// No bound at all.
    pub const NONE: Limits =
        Limits { message_bytes: u64::MAX, frame_bytes: u64::MAX, fragments: u64::MAX };
}

impl From<usize> for Limits {
    /// Only the bytes of a message are bounded.
    fn from(message_bytes: usize) -> Limits {
        Limits { message_bytes: message_bytes as u64, ..Limits::NONE }
    }
}

/// What has come of the message that is being read. Between messages it is as new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    message_bytes: u64,
    frame_bytes: u64,
    fragments: u64,
}

impl Meter {
    /// Counts a piece.
    ///
    /// # Errors
    /// When it is the one too many; then nothing of it is to be used.
    pub fn count(&mut self, piece: &Piece, limits: &Limits) -> Result<(), Violation> {
        let Piece::Data { last, frame_end, bytes, .. } = piece else { return Ok(()) };
        let length = bytes.len() as u64;
        self.message_bytes = self.message_bytes.saturating_add(length);
        self.frame_bytes = self.frame_bytes.saturating_add(length);
        let too_large = self.message_bytes.saturating_sub(limits.message_bytes);
        let long_frame = self.frame_bytes.saturating_sub(limits.frame_bytes);
        // Of both, the one that was met first, however the bytes are cut.
        if too_large > 0 && too_large >= long_frame {
            let limit_bytes = usize::try_from(limits.message_bytes).unwrap_or(usize::MAX);
            return Err(Violation::TooLarge { limit_bytes });
        }
        if long_frame > 0 {
            return Err(Violation::LongFrame { limit_bytes: limits.frame_bytes });
        }
        if *frame_end {
            self.frame_bytes = 0;
            self.fragments = self.fragments.saturating_add(1);
        }
        if self.fragments > limits.fragments {
            return Err(Violation::Fragments { limit: limits.fragments });
        }
        if *last {
            *self = Meter::default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::ws::reader::DataKind;

    fn piece(length: usize, frame_end: bool, last: bool) -> Piece {
        let bytes = Bytes::from(vec![b'x'; length]);
        Piece::Data { kind: DataKind::Text, first: false, last, frame_end, bytes }
    }

    #[test]
    fn each_bound_is_met_and_passed() {
        let limits = Limits { message_bytes: 10, frame_bytes: 6, fragments: 3 };
        let count = |pieces: &[(usize, bool, bool)]| {
            let mut meter = Meter::default();
            pieces.iter().try_for_each(|&(length, frame_end, last)| {
                meter.count(&piece(length, frame_end, last), &limits)
            })
        };
        // As much as may be, twice: a message's end forgets it.
        let most = [(6, true, false), (3, false, false), (1, true, false), (0, true, true)];
        assert_eq!(count(&[most, most].concat()), Ok(()));
        let large = Err(Violation::TooLarge { limit_bytes: 10 });
        assert_eq!(count(&[(6, true, false), (5, true, true)]), large);
        assert_eq!(count(&[(6, false, false), (1, true, true)]).unwrap_err().close_code(), 1009);
        let empty = (0, true, false);
        assert_eq!(count(&[empty, empty, empty]), Ok(()));
        let many = count(&[empty, empty, empty, (0, true, true)]);
        assert_eq!(many, Err(Violation::Fragments { limit: 3 }));
        assert_eq!(many.unwrap_err().close_code(), 1008);
    }

    #[test]
    fn control_frames_do_not_count() {
        let limits = Limits { message_bytes: 0, frame_bytes: 0, fragments: 1 };
        let mut meter = Meter::default();
        for _ in 0..5 {
            assert_eq!(meter.count(&Piece::Ping(Bytes::from_static(b"p")), &limits), Ok(()));
        }
        assert_eq!(meter, Meter::default());
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_message_is_cut(
            frames in prop::collection::vec((0_usize..20, any::<bool>()), 1..10),
            message_bytes in 0_u64..100,
            frame_bytes in 0_u64..30,
            fragments in 0_u64..8,
        ) {
            let limits = Limits { message_bytes, frame_bytes, fragments };
            let count = |pieces: Vec<(usize, bool, bool)>| {
                let mut meter = Meter::default();
                pieces.iter().try_for_each(|&(length, frame_end, last)| {
                    meter.count(&piece(length, frame_end, last), &limits)
                })
            };
            let whole = frames.iter().map(|&(length, last)| (length, true, last)).collect();
            let bytes = frames.iter().flat_map(|&(length, last)| {
                (0..length.max(1)).map(move |n| {
                    let end = n + 1 >= length;
                    (length.min(1), end, end && last)
                })
            });
            prop_assert_eq!(count(whole), count(bytes.collect()));
        }
    }
}
