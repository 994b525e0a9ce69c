//! One item to many subscribers: each wire form encoded once; [`Outlet`] is the only way out.

use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::slab::SessionId;

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

    /// Nothing more will be sent; `then` happens when all has been written. The session stays in the
    /// registry, unsubscribed and deaf, until the shard (or the reader) closes it.
    fn finish(&mut self, id: SessionId, then: Then);

    /// Bytes that wait for the client to read.
    fn backlog(&self, id: SessionId) -> usize;

    /// Whether the shard is to read from the client: `false` lets a fast client wait.
    fn set_reading(&mut self, id: SessionId, on: bool);

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
