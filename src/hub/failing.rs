//! A session that ends with an error which its client may read: in debug (specification, GRIP 2.4
//! and 3.1).
//!
//! Called by `offers` and `asking` for what filters say.

use bytes::Bytes;

use super::fanout::{Fanout, Then};
use super::slab::SessionId;
use crate::grip::format::CloseReason;
use crate::session::frames::close_frame;
use crate::session::http::stream_bytes;
use crate::session::{Hold, answer};

/// "Internal error" (RFC 6455, 7.4.1).
const INTERNAL_ERROR: u16 = 1011;

/// Ends a session with this message.
pub fn fail(fanout: &mut Fanout<'_>, id: SessionId, message: &str) {
    match fanout.seats.session(id).map(|session| &session.hold) {
        Some(Hold::Response { held, reply, .. }) => {
            let reply = *reply;
            let bytes = answer::failed(held, reply, message);
            fanout.finish(id, &bytes, Then::after(reply.persistent));
        }
        Some(Hold::Stream { framing, .. }) => {
            let text = Bytes::from(format!("\n\n{message}\n"));
            let bytes = stream_bytes(*framing, &text);
            if bytes.is_empty() || fanout.send(id, &bytes) {
                fanout.end_stream(id, true);
            }
        }
        Some(Hold::Socket { .. }) => {
            let reason = CloseReason { code: Some(INTERNAL_ERROR), reason: message.into() };
            fanout.close_socket(id, &close_frame(&reason));
        }
        Some(Hold::Asking { .. } | Hold::Muted { .. }) | None => {}
    }
}
