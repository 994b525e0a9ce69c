//! One item to many subscribers: each wire form encoded once; [`Outlet`] is the only way out.
//!
//! Called by `registry`, and by `due` for what timers send. Nothing is allocated per subscriber of
//! a stream or WebSocket: the same bytes go to each.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::answers::Answers;
use super::channels::ChannelIndex;
use super::seats::Seats;
use super::slab::SessionId;
use crate::clock::Tick;
use crate::grip::format::{Action, MessageContent, ResponseContent, StreamContent};
use crate::grip::item::Item;
use crate::session::answer;
use crate::session::frames::{close_frame, message_frame};
use crate::session::http::{StreamFraming, stream_bytes, stream_end};
use crate::session::{Hold, Mode};

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

    /// Nothing more will be sent; `then` happens when all has been written. The session stays in
    /// the registry, unsubscribed and deaf, until the shard (or the reader) closes it.
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
}

impl Fanout<'_> {
    /// Delivers one item to all who are subscribed to its channel.
    pub fn publish(&mut self, item: &Item, now: Tick) {
        let Some(channel) = self.seats.channel(&item.channel) else { return };
        if let Some(action) = &item.http_response {
            self.responses(channel, action);
        }
        if let Some(action) = &item.http_stream {
            self.streams(channel, action, now);
        }
        if let Some(action) = &item.ws_message {
            self.sockets(channel, action, now);
        }
    }

    /// Sends bytes to one session. Whether it can be sent more: if not, it has been muted, for its
    /// connection is closed or about to be.
    pub fn send(&mut self, id: SessionId, bytes: &Bytes) -> bool {
        match self.outlet.send(id, bytes) {
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

    /// The subscribers as they stand, for what makes them leave.
    fn standing(&self, channel: ChannelIndex, mode: Mode) -> Vec<SessionId> {
        self.seats.subscribers(channel, mode).iter().map(|subscriber| subscriber.id).collect()
    }

    fn responses(&mut self, channel: ChannelIndex, action: &Action<ResponseContent>) {
        self.receivers.matched += self.count(channel, Mode::Response);
        let content = match action {
            Action::Send(content) if is_for_unfiltered(&content.content_filters) => content,
            Action::Hint => {
                tracing::debug!("hint: asking the backend again is not built yet");
                return;
            }
            _ => return,
        };
        let mut answers = Answers::default();
        for id in self.standing(channel, Mode::Response) {
            let Some(Hold::Response { held, reply, .. }) =
                self.seats.session(id).map(|session| &session.hold)
            else {
                continue;
            };
            let (held, reply) = (Rc::clone(held), *reply);
            let bytes = answers.find(
                &held,
                reply,
                |a, b| answer::is_same_base(a, b, content),
                || answer::published(&held, reply, content),
            );
            self.finish(id, &bytes, Then::after(reply.persistent));
        }
    }

    fn streams(&mut self, channel: ChannelIndex, action: &Action<StreamContent>, now: Tick) {
        self.receivers.matched += self.count(channel, Mode::Stream);
        match action {
            Action::Send(content) if is_for_unfiltered(&content.content_filters) => {
                let mut chunk = None;
                self.each(channel, Mode::Stream, |fanout, id| {
                    let Some(Hold::Stream { framing, .. }) = fanout.seats.touched(id, now) else {
                        return true;
                    };
                    let bytes = match framing {
                        _ if content.content.is_empty() => return true,
                        StreamFraming::Chunked => chunk.get_or_insert_with(|| {
                            stream_bytes(StreamFraming::Chunked, &content.content)
                        }),
                        StreamFraming::Raw => &content.content,
                        StreamFraming::Silent => return true,
                    };
                    fanout.send(id, bytes)
                });
            }
            Action::Close(_) => {
                for id in self.standing(channel, Mode::Stream) {
                    self.end_stream(id, true);
                }
            }
            // A hint needs a next link, which no stream has yet.
            _ => {}
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

    fn sockets(&mut self, channel: ChannelIndex, action: &Action<MessageContent>, now: Tick) {
        let count = self.count(channel, Mode::Socket);
        self.receivers.matched += count;
        match action {
            Action::Send(content) if is_for_unfiltered(&content.content_filters) => {
                let Some(frame) = message_frame(&content.message) else {
                    tracing::debug!("a ping or pong of more than 125 bytes is not sent");
                    self.receivers.refused += count;
                    return;
                };
                self.each(channel, Mode::Socket, |fanout, id| {
                    fanout.seats.touched(id, now);
                    fanout.send(id, &frame)
                });
            }
            Action::Close(reason) => {
                let frame = close_frame(reason);
                for id in self.standing(channel, Mode::Socket) {
                    self.close_socket(id, &frame);
                }
            }
            Action::Refresh => {
                for id in self.standing(channel, Mode::Socket) {
                    self.effects.push_back(Effect::Refresh(id));
                }
            }
            _ => {}
        }
    }

    fn count(&self, channel: ChannelIndex, mode: Mode) -> u64 {
        self.seats.subscribers(channel, mode).len() as u64
    }

    /// Visits the subscribers, also while some of them leave: `visit` says whether this one stays.
    /// Into the place of one that has left comes the last one, which has not been visited.
    fn each(
        &mut self,
        channel: ChannelIndex,
        mode: Mode,
        mut visit: impl FnMut(&mut Self, SessionId) -> bool,
    ) {
        let mut place = 0;
        while let Some(&subscriber) = self.seats.subscribers(channel, mode).get(place) {
            if visit(self, subscriber.id) {
                place += 1;
            }
        }
    }
}

impl Then {
    /// What becomes of an HTTP connection.
    #[must_use]
    pub fn after(persistent: bool) -> Then {
        if persistent { Then::Reuse } else { Then::Close }
    }
}

/// Whether an item is for subscriptions without content filters, which is what all are until
/// filters are built.
fn is_for_unfiltered(content_filters: &Option<Vec<Box<str>>>) -> bool {
    content_filters.as_ref().is_none_or(Vec::is_empty)
}
