//! One WebSocket-over-HTTP conversation as a state machine: what the client did and what the
//! backend answered go in, request bodies and what the client is to get come out (specification,
//! WebSockets 5.3, 5.5, 5.9 and 5.11).
//!
//! It begins when the backend has accepted. No I/O, no time: `courier` carries its requests,
//! `sockets` tells it of the client. At most one request is in flight, and every event is told
//! exactly once.

use bytes::{Bytes, BytesMut};

use super::offer::{Offer, Queue};
use crate::grip::events::{self, Event};
use crate::grip::message::Message;

/// A CLOSE: its code and reason, if it has any.
pub type Close = Option<(u16, Bytes)>;

/// Where the conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Both sides talk.
    Open,
    /// The client sent CLOSE: the backend is to be told, and to answer it.
    ClientClosed,
    /// The backend sent CLOSE: the client's answer is awaited.
    BackendClosed,
    /// Both did, but the backend does not know of the client's yet. Any answer ends it.
    Answering,
    /// We part from the backend (detach, a published close): CLOSE is to be told, any answer ends
    /// it.
    Severed,
    /// The client is gone: DISCONNECT is to be told, any answer ends it.
    Gone,
    /// There is nothing more to say.
    Done,
}

/// What one request is about.
#[derive(Clone, Copy, Debug)]
struct Flight {
    offer: Offer,
    close: bool,
    disconnect: bool,
}

/// A request to the backend. A retry sends the same body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The events.
    pub body: Bytes,
    /// Bytes of content that the backend has had before (`Content-Bytes-Replayed`).
    pub replayed_bytes: usize,
}

/// A valid answer of the backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its events.
    pub events: Vec<Event>,
    /// `Keep-Alive-Interval`, if there: in seconds, or off.
    pub interval_s: Option<Option<u32>>,
    /// `Content-Bytes-Accepted`, if there.
    pub accepted_bytes: Option<u64>,
}

/// What the client is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Messages, pings and pongs, through the rules of GRIP.
    pub deliver: Vec<Event>,
    /// And then.
    pub then: Then,
}

/// What becomes of the client after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// It goes on.
    Continue,
    /// It gets this CLOSE.
    Close(Close),
    /// It is dropped without one.
    Drop,
}

impl Reply {
    fn nothing() -> Reply {
        Reply { deliver: Vec::new(), then: Then::Continue }
    }

    fn drop_client(deliver: Vec<Event>) -> Reply {
        Reply { deliver, then: Then::Drop }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Conversation {
    state: State,
    /// At most one event a request.
    one_event: bool,
    queue: Queue,
    /// What follows is there for a moment in most conversations' lives, so it is boxed.
    close: Option<Box<(u16, Bytes)>>,
    flight: Option<Box<Flight>>,
    interval_s: Option<u32>,
    /// A request is due although there may be nothing to tell.
    due: bool,
    /// The CLOSE was told and not answered: it is told again when the timer is due.
    waiting: bool,
}

impl Conversation {
    /// A conversation that the backend has just accepted.
    #[must_use]
    pub fn new(one_event: bool, interval_s: Option<u32>) -> Conversation {
        Conversation {
            state: State::Open,
            one_event,
            queue: Queue::default(),
            close: None,
            flight: None,
            interval_s,
            due: false,
            waiting: false,
        }
    }

    /// The client sent a message. Ignored once either side has closed.
    pub fn client_message(&mut self, message: Message) {
        if self.state == State::Open {
            self.queue.push(message);
        }
    }

    /// The client has missed something of a channel: the backend is to bring it. Whether it can be
    /// told.
    pub fn missed(&mut self, channel: Box<str>, content: Bytes) -> bool {
        if self.state == State::Open {
            self.queue.push_recover(channel, content);
        }
        self.state == State::Open
    }

    /// The backend has subscribed the client to a channel or taken it out: it need not be told any
    /// more what the client had missed before.
    pub fn settled(&mut self, channel: &str) {
        self.queue.forget_recover(channel);
    }

    /// The client sent CLOSE.
    pub fn client_closed(&mut self, close: Close) {
        match self.state {
            State::Open => self.state = State::ClientClosed,
            State::BackendClosed => self.state = State::Answering,
            _ => return,
        }
        self.close = close.map(Box::new);
    }

    /// The client's connection ended, or was ended because the client broke the protocol.
    pub fn client_gone(&mut self) {
        match self.state {
            State::Open | State::BackendClosed => {
                self.state = State::Gone;
                self.queue.clear();
            }
            // Its CLOSE is still told; nobody waits for the answer.
            State::ClientClosed => self.state = State::Answering,
            _ => {}
        }
    }

    /// The backend is parted from: it gets CLOSE without a code, after what is queued for it.
    pub fn sever(&mut self) {
        if self.state == State::Open {
            self.state = State::Severed;
            self.close = None;
        }
    }

    /// An empty request is wanted now (`refresh`). Several before the next request are one.
    pub fn refresh(&mut self) {
        self.due |= self.state == State::Open;
    }

    /// The time of the keep-alive interval is up.
    pub fn timer_due(&mut self) {
        self.due |= self.timer_s().is_some();
    }

    /// Nothing more is said: the process stops.
    pub fn stop(&mut self) {
        self.state = State::Done;
        self.queue.clear();
    }

    /// After how many seconds `timer_due` is to be called, counted from the last answer.
    #[must_use]
    pub fn timer_s(&self) -> Option<u32> {
        let waits = self.state == State::Open || self.waiting;
        self.interval_s.filter(|_| waits && self.flight.is_none())
    }

    /// Whether the client must wait before it says more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.is_full()
    }

    /// Whether there is nothing more to say.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether events of the backend still reach the client.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        matches!(self.state, State::Open | State::ClientClosed)
    }

    /// Whether the request in flight has no meaning any more, so that it need not be sent again.
    #[must_use]
    pub fn is_moot(&self) -> bool {
        self.state == State::Gone && self.flight.as_ref().is_some_and(|flight| !flight.disconnect)
    }

    /// Whether `begin` has a request.
    #[must_use]
    pub fn wants_request(&self) -> bool {
        let wants = match self.state {
            State::Done | State::BackendClosed => false,
            State::Gone => true,
            State::Open => self.queue.has_news() || self.due,
            State::ClientClosed | State::Answering | State::Severed => !self.waiting || self.due,
        };
        wants && self.flight.is_none()
    }

    /// The next request, if one is wanted. It is in flight until `answered`, `failed` or `abandon`.
    pub fn begin(&mut self) -> Option<Request> {
        if !self.wants_request() {
            return None;
        }
        self.due = false;
        self.waiting = false;
        let mut body = BytesMut::new();
        let disconnect = self.state == State::Gone;
        // What was queued is forgotten when the client goes: DISCONNECT is alone.
        let offer = self.queue.offer(if self.one_event { 1 } else { usize::MAX }, &mut body);
        let closing = !matches!(self.state, State::Open | State::Gone);
        let close = closing && offer.whole && !(self.one_event && offer.messages > 0);
        if disconnect {
            events::encode(&Event::Disconnect, &mut body);
        } else if close {
            events::encode(&Event::Close(self.close.as_deref().cloned()), &mut body);
        }
        self.flight = Some(Box::new(Flight { offer, close, disconnect }));
        Some(Request { body: body.freeze(), replayed_bytes: offer.replayed_bytes })
    }

    /// The backend gave a valid answer.
    pub fn answered(&mut self, answer: Answer) -> Reply {
        let Some(flight) = self.flight.take() else { return Reply::nothing() };
        if let Some(interval_s) = answer.interval_s {
            self.interval_s = interval_s;
        }
        let (deliver, end) = divide(answer.events);
        if flight.disconnect || self.state == State::Done {
            self.state = State::Done;
            return Reply::nothing();
        }
        if self.state == State::Gone {
            if end == End::Broken {
                self.state = State::Done;
            }
            return Reply::nothing();
        }
        let Some(close_told) = self.accept(*flight, answer.accepted_bytes) else {
            return self.broken(Vec::new());
        };
        match (self.state, end) {
            (_, End::Broken) => self.broken(deliver),
            (State::Open, End::Close(close)) => {
                self.state = State::BackendClosed;
                self.queue.clear();
                Reply { deliver, then: Then::Close(close) }
            }
            (State::ClientClosed, End::Close(close)) => {
                self.state = if close_told { State::Done } else { State::Answering };
                self.queue.clear();
                Reply { deliver, then: Then::Close(close) }
            }
            (State::ClientClosed, End::None) if close_told => {
                if self.interval_s.is_none() {
                    return self.broken(deliver);
                }
                self.waiting = true;
                Reply { deliver, then: Then::Continue }
            }
            (State::Answering | State::Severed, _) => {
                if close_told {
                    self.state = State::Done;
                }
                Reply::nothing()
            }
            _ => Reply { deliver, then: Then::Continue },
        }
    }

    /// The request failed for good, or its answer was not valid: nothing more is said. Whether the
    /// client is to be dropped.
    pub fn failed(&mut self) -> bool {
        self.flight = None;
        self.broken(Vec::new()).then == Then::Drop
    }

    /// The request in flight is moot and is not sent again.
    pub fn abandon(&mut self) {
        self.flight = None;
    }

    fn broken(&mut self, deliver: Vec<Event>) -> Reply {
        let heard = self.is_heard();
        self.state = State::Done;
        self.queue.clear();
        if heard { Reply::drop_client(deliver) } else { Reply::nothing() }
    }

    /// Takes off the queue what the backend took; whether that includes the CLOSE. `None` when the
    /// backend's count makes no sense, or leaves nothing to go on with.
    fn accept(&mut self, flight: Flight, accepted: Option<u64>) -> Option<bool> {
        let close_bytes = match self.close.as_deref() {
            Some((_, reason)) if flight.close => 2 + reason.len(),
            _ => 0,
        };
        let offered = flight.offer.bytes + close_bytes;
        let accepted = accepted.map_or(offered, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if accepted > offered {
            return None;
        }
        self.queue.took(flight.offer, accepted);
        if accepted >= flight.offer.bytes {
            return (accepted == offered).then_some(flight.close);
        }
        if accepted == 0 {
            // More could come only if there is room for it, and was not offered already.
            let stuck = !flight.offer.whole || self.queue.is_full();
            if stuck || (flight.close && self.interval_s.is_none()) {
                return None;
            }
            self.waiting = flight.close;
        }
        Some(false)
    }
}

/// How the events of an answer end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    None,
    Close(Close),
    /// DISCONNECT, or an OPEN where none may be.
    Broken,
}

/// What comes before a CLOSE, DISCONNECT or OPEN; what follows means nothing.
fn divide(events: Vec<Event>) -> (Vec<Event>, End) {
    let mut events = events;
    let is_end = |event: &Event| matches!(event, Event::Close(_) | Event::Disconnect | Event::Open);
    let Some(place) = events.iter().position(is_end) else { return (events, End::None) };
    let end = match events.drain(place..).next() {
        Some(Event::Close(close)) => End::Close(close),
        _ => End::Broken,
    };
    (events, end)
}

/// What the events that came with the first answer, after its OPEN, mean.
#[must_use]
pub fn opening_reply(conversation: &mut Conversation, events: Vec<Event>) -> Reply {
    let (deliver, end) = divide(events);
    match end {
        End::None => Reply { deliver, then: Then::Continue },
        End::Close(close) => {
            if conversation.state == State::Open {
                conversation.state = State::BackendClosed;
            }
            Reply { deliver, then: Then::Close(close) }
        }
        End::Broken => conversation.broken(deliver),
    }
}

#[cfg(test)]
mod tests;
