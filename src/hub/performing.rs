//! What items do to one plain session, several at once.
//!
//! Called by `broadcast` where more than one item waits for a session, or something that is no
//! message.

use bytes::Bytes;
use smallvec::SmallVec;

use super::fanout::{Effect, Fanout};
use super::slab::SessionId;
use super::waiting::{Load, Step};
use crate::clock::Tick;
use crate::session::http::StreamFraming;
use crate::session::socket::Form;

/// How a session's bytes go on the wire: the payloads of a stream, the frames of a WebSocket.
#[derive(Clone, Copy)]
pub struct Wire {
    /// Of a stream's payloads.
    pub framing: StreamFraming,
    /// Of a WebSocket's messages.
    pub form: Form,
}

/// Does to one session what these steps do: what is to be written goes out in one piece, as far as
/// no end comes between.
pub fn perform<'s>(
    fanout: &mut Fanout<'_>,
    id: SessionId,
    wire: Wire,
    now: Tick,
    loads: impl Iterator<Item = &'s Load>,
) {
    let mut pieces: SmallVec<[&Bytes; 8]> = SmallVec::new();
    let mut touched = false;
    for load in loads.filter(|load| load.for_all) {
        let piece = match &load.step {
            Step::Payload { raw, chunk } => match wire.framing {
                StreamFraming::Chunked => Some(chunk),
                StreamFraming::Raw => Some(raw),
                StreamFraming::Silent => None,
            },
            Step::Frame(frame) => Some(frame.in_form(wire.form, &mut fanout.seats.ledger)),
            Step::EndStream => {
                if fanout.publish_all(id, &pieces) {
                    fanout.end_stream(id, true);
                }
                return;
            }
            Step::CloseSocket(frame) => {
                if fanout.publish_all(id, &pieces) {
                    fanout.close_socket(id, frame);
                }
                return;
            }
            Step::Refresh => {
                fanout.effects.push_back(Effect::Refresh(id));
                continue;
            }
            Step::Answer(_) | Step::Hint | Step::Nothing => continue,
        };
        fanout.cost += u64::from(load.cost);
        if !touched {
            touched = true;
            fanout.seats.touched(id, now);
        }
        pieces.extend(piece.filter(|piece| !piece.is_empty()));
    }
    fanout.publish_all(id, &pieces);
}
