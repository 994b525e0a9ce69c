//! What is due: time-outs, keep-alives, delayed messages; and the end of a shard, when all is.
//!
//! Called by `registry`. Bytes leave through `fanout`.

use std::rc::Rc;

use super::answers::Answers;
use super::catching;
use super::fanout::{Effect, Fanout, Then};
use super::slab::SessionId;
use crate::clock::Tick;
use crate::grip::format::CloseReason;
use crate::session::frames::close_frame;
use crate::session::http::Reply;
use crate::session::{Due, Hold, answer};

/// "Going away" (RFC 6455, 7.4.1).
const GOING_AWAY: u16 = 1001;

/// Does what is due at `now`.
pub fn tick(fanout: &mut Fanout<'_>, now: Tick) {
    let mut fired = Vec::new();
    fanout.seats.advance(now, &mut fired);
    let mut answers = Answers::default();
    for id in fired {
        while let Some(due) = fanout.seats.take_due(id, now) {
            match due {
                Due::TimedOut => answer_held(fanout, id, &mut answers, true),
                Due::KeepAlive(pulse) => {
                    // A client that has not read what came before needs no keep-alive.
                    if fanout.outlet.backlog(id) == 0 {
                        fanout.send(id, &pulse.bytes);
                    }
                }
                Due::Delayed(frame) => {
                    fanout.seats.touched(id, now);
                    fanout.send(id, &frame);
                }
                Due::Poll => catching::polled(fanout, id),
                Due::Backend => fanout.effects.push_back(Effect::BackendTimer(id)),
            }
        }
    }
}

/// Ends all sessions, each as its protocol asks.
pub fn drain(fanout: &mut Fanout<'_>) {
    let mut answers = Answers::default();
    let going_away = close_frame(&CloseReason { code: Some(GOING_AWAY), reason: "".into() });
    let ids: Vec<SessionId> = fanout.seats.ids().collect();
    for id in ids {
        match fanout.seats.session(id).map(|session| &session.hold) {
            Some(Hold::Response { .. }) => answer_held(fanout, id, &mut answers, false),
            Some(Hold::Stream { .. }) => fanout.end_stream(id, false),
            Some(Hold::Socket { .. }) => fanout.close_socket(id, &going_away),
            Some(Hold::Muted { .. } | Hold::Asking { .. }) | None => {}
        }
    }
}

/// Answers a long-poll with the response that its backend gave for this case.
fn answer_held(fanout: &mut Fanout<'_>, id: SessionId, answers: &mut Answers, may_persist: bool) {
    let Some(Hold::Response { held, reply, .. }) =
        fanout.seats.session(id).map(|session| &session.hold)
    else {
        return;
    };
    let reply = Reply { persistent: reply.persistent && may_persist, ..*reply };
    let held = Rc::clone(held);
    let bytes = answers.find(&held, reply, |a, b| a == b, || answer::held(&held, reply));
    fanout.finish(id, &bytes, Then::after(reply.persistent));
}
