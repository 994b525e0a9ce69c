//! One WebSocket-over-HTTP conversation as a state machine: what the client did and what the
//! backend answered go in, request bodies and what the client is to get come out (specification,
//! WebSockets 5.3, 5.5, 5.9 and 5.11).
//!
//! It begins when the backend has accepted. No I/O, no time: `courier` carries its requests,
//! `sockets` tells it of the client. At most one request is in flight, and every event is told
//! exactly once.

use bytes::{Bytes, BytesMut};

use super::offer::{Offer, Queue};
use super::turn::{End, divide};
use crate::grip::events::{self, Event};
use crate::grip::message::Message;
use crate::limits;

pub use super::turn::{Answer, Close, Reply, Request, Then};

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

/// Why what is to be told at the end waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    None,
    /// The CLOSE was told and not answered: it is told again when the interval is over.
    Answer,
    /// The backend takes nothing of what comes before the CLOSE: it is told again a little later.
    Content,
}

/// How much of a request a backend took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    All,
    Part,
    /// There was something, and it took nothing of it.
    Nothing,
    /// Its count makes no sense, or leaves nothing to go on with.
    Senseless,
}

/// What one request is about.
#[derive(Clone, Copy, Debug)]
struct Flight {
    offer: Offer,
    close: bool,
    disconnect: bool,
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
    pause: Pause,
    /// So often in a row nothing was taken of what comes before the CLOSE.
    refused: u8,
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
            pause: Pause::None,
            refused: 0,
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
            State::ClientClosed if self.pause == Pause::Answer => self.end(),
            // Its CLOSE is still told; nobody waits for the answer.
            State::ClientClosed => {
                self.state = State::Answering;
                self.pause = Pause::None;
            }
            _ => {}
        }
    }

    /// The backend is parted from: it gets CLOSE without a code, after what is queued for it. It
    /// has been told already if the client's CLOSE was.
    pub fn sever(&mut self) {
        match self.state {
            State::ClientClosed if self.pause == Pause::Answer => self.end(),
            State::Open | State::ClientClosed | State::BackendClosed => {
                self.state = State::Severed;
                self.close = None;
                self.pause = Pause::None;
            }
            _ => {}
        }
    }

    /// An empty request is wanted now (`refresh`). Several before the next request are one.
    pub fn refresh(&mut self) {
        self.due |= self.state == State::Open;
    }

    /// The time of the keep-alive interval is up, or that of [`Conversation::again_ms`].
    pub fn timer_due(&mut self) {
        self.due |= self.timer_s().is_some() || self.again_ms().is_some();
    }

    /// Nothing more is said: the process stops, for example.
    pub fn end(&mut self) {
        self.state = State::Done;
        self.queue.clear();
    }

    /// After how many seconds `timer_due` is to be called, counted from the last answer.
    #[must_use]
    pub fn timer_s(&self) -> Option<u32> {
        let waits = match self.state {
            State::Open => true,
            State::ClientClosed => self.pause != Pause::None,
            _ => false,
        };
        self.interval_s.filter(|_| waits && self.flight.is_none())
    }

    /// The same in milliseconds, where there is no interval, or nobody is left who has its timer.
    #[must_use]
    pub fn again_ms(&self) -> Option<u64> {
        let waits = self.pause == Pause::Content && self.flight.is_none() && !self.is_done();
        (waits && self.timer_s().is_none()).then_some(limits::EVENTS_CLOSE_AGAIN_MS)
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
        match self.state {
            State::Gone => self.flight.as_ref().is_some_and(|flight| !flight.disconnect),
            state => state == State::Done,
        }
    }

    /// Whether `begin` has a request.
    #[must_use]
    pub fn wants_request(&self) -> bool {
        let wants = match self.state {
            State::Done | State::BackendClosed => false,
            State::Gone => true,
            State::Open => self.queue.has_news() || self.due,
            State::ClientClosed | State::Answering | State::Severed => {
                self.pause == Pause::None || self.due
            }
        };
        wants && self.flight.is_none()
    }

    /// The next request, if one is wanted. It is in flight until `answered`, `failed` or `abandon`.
    pub fn begin(&mut self) -> Option<Request> {
        if !self.wants_request() {
            return None;
        }
        self.due = false;
        self.pause = Pause::None;
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
        let taken = self.accept(*flight, answer.accepted_bytes);
        if taken == Taken::Senseless {
            return self.broken(Vec::new());
        }
        let close_told = flight.close && taken == Taken::All;
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
                self.pause = Pause::Answer;
                Reply { deliver, then: Then::Continue }
            }
            (State::Answering | State::Severed, _) => {
                if close_told {
                    self.end();
                } else if flight.close && taken == Taken::Nothing {
                    self.put_off(Vec::new());
                }
                Reply::nothing()
            }
            (State::ClientClosed, End::None) if flight.close && taken == Taken::Nothing => {
                self.put_off(deliver)
            }
            _ => Reply { deliver, then: Then::Continue },
        }
    }

    /// The backend wants more before it takes what comes before the CLOSE, but there will be no
    /// more. After a few times it is told that the client is gone.
    fn put_off(&mut self, deliver: Vec<Event>) -> Reply {
        self.pause = Pause::Content;
        if self.timer_s().is_none() {
            self.refused += 1;
        }
        if self.refused <= limits::EVENTS_CLOSES_AGAIN_MAX {
            return Reply { deliver, then: Then::Continue };
        }
        let heard = self.is_heard();
        self.state = State::Gone;
        self.pause = Pause::None;
        self.queue.clear();
        if heard { Reply::drop_client(deliver) } else { Reply::nothing() }
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
        self.end();
        if heard { Reply::drop_client(deliver) } else { Reply::nothing() }
    }

    /// Takes off the queue what the backend took.
    fn accept(&mut self, flight: Flight, accepted: Option<u64>) -> Taken {
        let close_bytes = match self.close.as_deref() {
            Some((_, reason)) if flight.close => 2 + reason.len(),
            _ => 0,
        };
        let offered = flight.offer.bytes + close_bytes;
        let accepted = accepted.map_or(offered, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if accepted > offered {
            return Taken::Senseless;
        }
        self.queue.took(flight.offer, accepted);
        if accepted == offered {
            self.refused = 0;
            return Taken::All;
        }
        // All but the CLOSE; or more is wanted, but there is no room for it, or it was not offered.
        let stuck = self.state == State::Open && self.queue.is_stuck();
        if accepted >= flight.offer.bytes || stuck || (accepted == 0 && !flight.offer.whole) {
            return Taken::Senseless;
        }
        if accepted > 0 {
            self.refused = 0;
            return Taken::Part;
        }
        Taken::Nothing
    }
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
