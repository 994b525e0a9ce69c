//! One held connection as plain data: what it is subscribed to, what it is sent, when it is due.
//!
//! No I/O, no task, no clock. The roof holds [`Session`]; the hub keeps them in its slab, so it is
//! kept small: what only some sessions have is boxed, what many have alike is shared.

pub mod answer;
pub mod compact;
pub mod cross_origin;
pub mod frames;
pub mod http;
pub mod keep_alive;
pub mod outbox;
pub mod patch;
mod queue;
pub mod socket;

use std::rc::Rc;

use bytes::Bytes;
use fastrand::Rng;

use crate::clock::Tick;
use crate::limits::{VARIABLES_BYTES_MAX, VARIABLES_MAX};

use http::{HeldResponse, Reply, StreamFraming};
use keep_alive::{Pacer, Pulse};
use socket::{Form, SocketHold};

/// Which of an item's formats a session takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A long-poll: `http-response`.
    Response,
    /// A stream: `http-stream`.
    Stream,
    /// A WebSocket: `ws-message`.
    Socket,
}

/// A held connection.
#[derive(Debug)]
pub struct Session {
    /// What kind of hold it is, with that kind's state.
    pub hold: Hold,
    /// Variables that filters read.
    meta: Option<Box<Variables>>,
}

type Variables = Vec<(Box<str>, Box<str>)>;

/// A session's kind and its state.
#[derive(Debug)]
pub enum Hold {
    /// A long-poll.
    Response {
        /// What it gets when it times out.
        held: Rc<HeldResponse>,
        /// How its answer is written.
        reply: Reply,
        /// When it times out.
        due: Tick,
    },
    /// A stream.
    Stream {
        /// How payloads are framed.
        framing: StreamFraming,
        /// Whether the connection goes on after the end.
        persistent: bool,
        /// Its keep-alive.
        keep_alive: Option<Pacer>,
    },
    /// A long-poll whose request is being repeated: it gets what comes of that.
    Asking {
        /// How its answer is written.
        reply: Reply,
    },
    /// A WebSocket.
    Socket {
        /// The form in which it gets what is published.
        form: Form,
        /// What only some have.
        timed: Option<Box<SocketHold>>,
    },
    /// Its last byte has been sent: it only waits to be closed.
    Muted {
        /// What it was.
        mode: Mode,
        /// A WebSocket's backend side may still want to be told.
        backend: Option<Tick>,
    },
}

/// Something of a session that is due.
#[derive(Debug)]
pub enum Due {
    /// A long-poll has timed out. It is due until it is muted.
    TimedOut,
    /// A keep-alive is to be sent.
    KeepAlive(Rc<Pulse>),
    /// A delayed message is to be sent.
    Delayed(Bytes),
    /// A WebSocket's backend side is to be told.
    Backend,
    /// A stream's next link is to be followed.
    Poll,
}

impl Session {
    /// A session of this kind.
    #[must_use]
    pub fn new(hold: Hold) -> Session {
        Session { hold, meta: None }
    }

    /// Which of an item's formats it takes, or took.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match self.hold {
            Hold::Response { .. } | Hold::Asking { .. } => Mode::Response,
            Hold::Stream { .. } => Mode::Stream,
            Hold::Socket { .. } => Mode::Socket,
            Hold::Muted { mode, .. } => mode,
        }
    }

    /// Whether it gets what is published in a form of its own.
    #[must_use]
    pub fn has_form(&self) -> bool {
        matches!(self.hold, Hold::Socket { form, .. } if form != Form::Plain)
    }

    /// Whether nothing more is sent to it.
    #[must_use]
    pub fn is_muted(&self) -> bool {
        matches!(self.hold, Hold::Muted { .. })
    }

    /// Nothing more is sent to it: all that it held goes.
    pub fn mute(&mut self) {
        let backend = match &self.hold {
            Hold::Socket { timed: Some(socket), .. } => socket.backend,
            Hold::Muted { .. } => return,
            _ => None,
        };
        self.hold = Hold::Muted { mode: self.mode(), backend };
    }

    /// Something was written to the client.
    pub fn touched(&mut self, now: Tick, rng: &mut Rng) {
        if let Some(pacer) = self.pacer() {
            pacer.touched(now, rng);
        }
    }

    fn pacer(&mut self) -> Option<&mut Pacer> {
        match &mut self.hold {
            Hold::Stream { keep_alive, .. } => keep_alive.as_mut(),
            Hold::Socket { timed: Some(socket), .. } => socket.keep_alive.as_mut(),
            _ => None,
        }
    }

    /// Changes what a WebSocket has that needs a timer. Others have nothing of it.
    pub fn with_socket<R>(&mut self, change: impl FnOnce(&mut SocketHold) -> R) -> Option<R> {
        let Hold::Socket { timed: boxed, .. } = &mut self.hold else { return None };
        let result = change(boxed.get_or_insert_default());
        if boxed.as_ref().is_some_and(|socket| socket.is_empty()) {
            *boxed = None;
        }
        Some(result)
    }

    /// Sets the moment at which a WebSocket's backend side is told.
    pub fn set_backend(&mut self, at: Option<Tick>) {
        match &mut self.hold {
            Hold::Muted { mode: Mode::Socket, backend } => *backend = at,
            _ => {
                self.with_socket(|socket| socket.backend = at);
            }
        }
    }

    /// The earliest moment at which [`Session::take_due`] has something.
    #[must_use]
    pub fn next_due(&self) -> Option<Tick> {
        match &self.hold {
            Hold::Response { due, .. } => Some(*due),
            Hold::Stream { keep_alive, .. } => keep_alive.as_ref().map(|pacer| pacer.due),
            Hold::Socket { timed, .. } => timed.as_ref().and_then(|socket| socket.next_due()),
            Hold::Muted { backend, .. } => *backend,
            Hold::Asking { .. } => None,
        }
    }

    /// The next thing that is due; what it is, it no longer is afterwards (but for a time-out).
    pub fn take_due(&mut self, now: Tick, rng: &mut Rng) -> Option<Due> {
        if self.next_due().is_none_or(|due| due > now) {
            return None;
        }
        if matches!(self.hold, Hold::Response { .. }) {
            return Some(Due::TimedOut);
        }
        let delayed = self.with_socket(|socket| match socket.delayed {
            Some((_, at)) if at <= now => socket.delayed.take(),
            _ => None,
        });
        if let Some(Some((frame, _))) = delayed {
            return Some(Due::Delayed(frame));
        }
        if let Some(pulse) = self.pacer().and_then(|pacer| pacer.take_due(now, rng)) {
            return Some(Due::KeepAlive(pulse));
        }
        self.set_backend(None);
        Some(Due::Backend)
    }

    /// Sets a variable, or removes it. `false` when it would be too much for one session: then the
    /// variable is not set.
    pub fn set_meta(&mut self, name: &str, value: Option<&str>) -> bool {
        let meta = self.meta.get_or_insert_default();
        meta.retain(|(known, _)| **known != *name);
        let bytes = |(name, value): &(Box<str>, Box<str>)| name.len() + value.len();
        let taken: usize = meta.iter().map(bytes).sum();
        let mut fits = true;
        if let Some(value) = value {
            let size = taken.saturating_add(name.len()).saturating_add(value.len());
            fits = meta.len() < VARIABLES_MAX && size <= VARIABLES_BYTES_MAX;
            if fits {
                meta.push((name.into(), value.into()));
            }
        }
        if meta.is_empty() {
            self.meta = None;
        }
        fits
    }

    /// All variables, in the order in which they were set.
    pub fn metas(&self) -> impl Iterator<Item = &(Box<str>, Box<str>)> {
        self.meta.iter().flat_map(|meta| meta.iter())
    }

    /// A variable's value.
    #[must_use]
    pub fn meta(&self, name: &str) -> Option<&str> {
        let (_, value) = self.meta.as_ref()?.iter().find(|(known, _)| **known == *name)?;
        Some(value)
    }
}

#[cfg(test)]
mod tests;
