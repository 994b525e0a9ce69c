//! What is sent to sessions, and what follows from it; [`Outlet`] is the only way out.
//!
//! Called by `broadcast` for what is published and by `due` for what timers send. Nothing is
//! allocated per subscriber of a stream or WebSocket: the same bytes go to each.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::seats::Seats;
use super::slab::SessionId;
use crate::session::Hold;
use crate::session::http::{StreamFraming, stream_end};
use crate::session::outbox::Slow;

/// How bytes leave. Implemented by `parking::Lot`, and by a plain recorder in tests.
///
/// A session has three ages here: bytes queue for it (`open`), then either a reader takes them (a
/// task or a hyper body, `poll_next`) or its socket is parked in the lot and is written at once.
pub trait Outlet {
    /// A session is born: what is sent to it queues until a reader or the lot takes it up.
    fn open(&mut self, id: SessionId);

    /// Sends `bytes` to a session's client, after all that was sent before. Never blocks and never
    /// copies: what the socket does not take is queued as a share of `bytes`.
    fn send(&mut self, id: SessionId, bytes: &Bytes) -> Delivery;

    /// Sends several pieces, none of them empty, as `send` does, in one write where possible. How
    /// many of them were written or queued, and what came of the last one that was tried.
    fn send_many(&mut self, id: SessionId, pieces: &[&Bytes]) -> (usize, Delivery) {
        let mut delivery = Delivery::Written;
        for (taken, piece) in pieces.iter().enumerate() {
            delivery = self.send(id, piece);
            if matches!(delivery, Delivery::Refused | Delivery::Gone) {
                return (taken, delivery);
            }
        }
        (pieces.len(), delivery)
    }

    /// Sends a published message as `send` does; but it may be dropped, whole, while it waits for a
    /// client that does not read.
    fn publish(&mut self, id: SessionId, message: &Bytes) -> Delivery {
        self.send(id, message)
    }

    /// Sends several published messages, none of them empty, as `send_many` does; any of them may
    /// be dropped, as in `publish`.
    fn publish_many(&mut self, id: SessionId, messages: &[&Bytes]) -> (usize, Delivery) {
        self.send_many(id, messages)
    }

    /// What is done when this session's client does not read; otherwise it is what the outlet does
    /// with all.
    fn set_slow(&mut self, id: SessionId, slow: Slow) {
        let _ = (id, slow);
    }

    /// Nothing more will be sent; `then` happens when all has been written. The session stays in
    /// the registry, unsubscribed and deaf, until the shard (or the reader) closes it.
    fn finish(&mut self, id: SessionId, then: Then);

    /// What is to happen when all has been written, if nothing more will be sent.
    fn finished(&self, id: SessionId) -> Option<Then> {
        let _ = id;
        None
    }

    /// Bytes that wait for the client to read.
    fn backlog(&self, id: SessionId) -> usize;

    /// Bytes that may wait for a client before it is taken for one that does not read.
    fn room(&self) -> usize {
        usize::MAX
    }

    /// Whether the shard is to read from the client: `false` lets a fast client wait.
    fn set_reading(&mut self, id: SessionId, on: bool);

    /// Whether it is; for the reader of a session that is not parked, who is woken when it changes.
    fn wants_reading(&self, id: SessionId) -> bool {
        let _ = id;
        true
    }

    /// For the reader of a session that is not parked: the next piece, `None` after the last one
    /// (`finish` was called and all has been taken, or the session is gone), pending until then.
    fn poll_next(&mut self, id: SessionId, waker: &Waker) -> Poll<Option<Bytes>>;

    /// For whoever is about to park a session: ready when it is gone (its client did not read).
    fn poll_closed(&mut self, id: SessionId, cx: &mut Context<'_>) -> Poll<()> {
        let _ = (id, cx);
        Poll::Pending
    }

    /// Drops the connection now, without a further byte. Unknown ids are ignored.
    fn close(&mut self, id: SessionId);
}

/// What came of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The socket took all of it.
    Written,
    /// Some or all of it waits in the outbox.
    Queued,
    /// The outbox is over its bound: the outlet has marked the connection for closing.
    Refused,
    /// There is no such connection any more.
    Gone,
}

/// What becomes of a connection after its last byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It serves the client's next request.
    Reuse,
    /// It is closed.
    Close,
    /// A WebSocket: it is closed when the client has answered the CLOSE, or after a bound.
    AwaitClose,
}

/// What the hub asks of its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A `refresh` item reached this WebSocket: ask its backend now.
    Refresh(SessionId),
    /// A `close` item (or the end of the shard) reached this WebSocket: its client has been sent a
    /// CLOSE; tell its backend.
    SocketClosed(SessionId),
    /// The backend timer of this WebSocket (see `set_backend_timer`) is due.
    BackendTimer(SessionId),
    /// The backend of this long-poll or stream is to be asked again: its request is repeated, or
    /// its next link followed. Whoever does it calls `begin_update` when it is about to ask. It may
    /// come again while it is still wanted, with `soon` set.
    Update {
        /// Whose.
        id: SessionId,
        /// Now, rather than when there is time.
        soon: bool,
    },
    /// This hold, which asked for it by `tell_end`, has ended: answered, closed, or left.
    Ended(SessionId),
    /// What this WebSocket has missed of a channel can only be had from its backend. Nothing of the
    /// channel is delivered to it until it is subscribed anew.
    Missed {
        /// Whose.
        id: SessionId,
        /// The channel, without its route's prefix.
        channel: Box<str>,
        /// The id of the last item that it has.
        prev_id: Rc<str>,
    },
    /// An item for this session waits for what an HTTP filter says; see `filter_request`.
    Filter(SessionId),
}

/// What came of publishing one item here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receivers {
    /// Sessions that the item was for, over all transports: the subscribers of each format's mode.
    pub matched: u64,
    /// Sessions that were sent something.
    pub delivered: u64,
    /// Deliveries that were refused because a client does not read, or because the message is a
    /// ping or pong that no client may be sent.
    pub refused: u64,
}

impl Receivers {
    /// Counts both together.
    pub fn add(&mut self, other: Receivers) {
        self.matched += other.matched;
        self.delivered += other.delivered;
        self.refused += other.refused;
    }
}

/// What came of publishing one item here, for a publisher that wants to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// Sessions that the item is for.
    pub matched: u64,
    /// Deliveries that were put down for them.
    pub queued: u64,
    /// Deliveries that cannot be made at all.
    pub refused: u64,
    /// It waits for the item before it.
    pub waiting: bool,
    /// It cannot wait for the item before it: it is lost here.
    pub dropped: bool,
}

/// The sessions and the way out, while something is sent.
pub struct Fanout<'a> {
    /// The sessions.
    pub seats: &'a mut Seats,
    /// The way out.
    pub outlet: &'a mut dyn Outlet,
    /// What the shard is asked to do.
    pub effects: &'a mut VecDeque<Effect>,
    /// What came of it.
    pub receivers: Receivers,
    /// What the deliveries cost, where deliveries are limited.
    pub cost: u64,
}

impl Fanout<'_> {
    /// Sends bytes to one session. Whether it can be sent more: if not, it has been muted, for its
    /// connection is closed or about to be.
    pub fn send(&mut self, id: SessionId, bytes: &Bytes) -> bool {
        let delivery = self.outlet.send(id, bytes);
        self.note_one(id, delivery)
    }

    /// Sends a message that may be dropped if its client does not read; see [`Fanout::send`].
    pub fn publish(&mut self, id: SessionId, message: &Bytes) -> bool {
        let delivery = self.outlet.publish(id, message);
        self.note_one(id, delivery)
    }

    /// Sends several pieces to one session, in one write where that is possible. Whether it can be
    /// sent more, as [`Fanout::send`] says it.
    pub fn send_all(&mut self, id: SessionId, pieces: &[&Bytes]) -> bool {
        let came = match pieces {
            [] => return true,
            [one] => return self.send(id, one),
            many => self.outlet.send_many(id, many),
        };
        self.note_many(id, came)
    }

    /// Sends several messages that may be dropped if their client does not read; see
    /// [`Fanout::send_all`].
    pub fn publish_all(&mut self, id: SessionId, messages: &[&Bytes]) -> bool {
        let came = match messages {
            [] => return true,
            [one] => return self.publish(id, one),
            many => self.outlet.publish_many(id, many),
        };
        self.note_many(id, came)
    }

    fn note_one(&mut self, id: SessionId, delivery: Delivery) -> bool {
        match delivery {
            Delivery::Written | Delivery::Queued => {
                self.receivers.delivered += 1;
                return true;
            }
            Delivery::Refused => self.receivers.refused += 1,
            Delivery::Gone => {}
        }
        self.seats.mute(id);
        false
    }

    fn note_many(&mut self, id: SessionId, (taken, delivery): (usize, Delivery)) -> bool {
        self.receivers.delivered += taken as u64;
        match delivery {
            Delivery::Written | Delivery::Queued => return true,
            Delivery::Refused => self.receivers.refused += 1,
            Delivery::Gone => {}
        }
        self.seats.mute(id);
        false
    }

    /// Sends a session its last bytes, if it still takes any, and lets it wait to be closed.
    pub fn finish(&mut self, id: SessionId, bytes: &Bytes, then: Then) -> bool {
        if !bytes.is_empty() && !self.send(id, bytes) {
            return false;
        }
        self.seats.mute(id);
        self.outlet.finish(id, then);
        true
    }

    /// Ends a WebSocket with a CLOSE.
    pub fn close_socket(&mut self, id: SessionId, frame: &Bytes) {
        if self.finish(id, frame, Then::AwaitClose) {
            self.effects.push_back(Effect::SocketClosed(id));
        }
    }

    /// Ends a stream cleanly. Its connection goes on only if the client can tell the end, and if it
    /// may at all.
    pub fn end_stream(&mut self, id: SessionId, may_persist: bool) {
        let Some(Hold::Stream { framing, persistent, .. }) =
            self.seats.session(id).map(|session| &session.hold)
        else {
            return;
        };
        let reuse = may_persist && *persistent && *framing == StreamFraming::Chunked;
        let end = stream_end(*framing);
        self.finish(id, &end, Then::after(reuse));
    }
}

impl Then {
    /// What becomes of an HTTP connection.
    #[must_use]
    pub fn after(persistent: bool) -> Then {
        if persistent { Then::Reuse } else { Then::Close }
    }
}
