//! One session of the HTTP transports: what its receivers are told and when, and when it is over
//! (specification, SockJS 6.5, 6.7 and 6.9). Pure: the present moment is passed in.
//!
//! Driven by `proxy`, which has the connection to the backend and the receivers' answers, and calls
//! [`Session::say`] whenever something may have changed and the receiver takes more. It knows
//! frames, not how a transport writes them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::clock::Tick;
use crate::limits;
use crate::wire::sockjs;

/// What may be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// A receiver that has got nothing for so long is told that the connection lives.
    pub heartbeat_ms: u64,
    /// Without a receiver for so long a session is over.
    pub disconnect_ms: u64,
    /// So long after a client has been told of the close, it is told again.
    pub linger_ms: u64,
    /// A streaming answer ends when it has so many bytes.
    pub response_bytes_max: usize,
    /// Messages that wait for the client, as JSON strings.
    pub queue_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            heartbeat_ms: limits::SOCKJS_HEARTBEAT_MS,
            disconnect_ms: limits::SOCKJS_DISCONNECT_MS,
            linger_ms: limits::SOCKJS_LINGER_MS,
            response_bytes_max: limits::SOCKJS_RESPONSE_BYTES_MAX as usize,
            queue_bytes_max: limits::SOCKJS_QUEUE_BYTES_MAX,
        }
    }
}

/// A streaming answer's frames have about so many bytes at most, so that one of them is not in
/// memory several times over.
const FRAME_BYTES: usize = 32 * 1024;

/// The session has a receiver already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another connection is still open")]
pub struct Busy;

/// More waits for the client than may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client does not fetch its messages")]
pub struct Full;

/// What becomes of a receiver's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    /// More frames follow.
    On,
    /// It is whole.
    Ends,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// The backend has not decided.
    Opening,
    Open,
    /// The backend has closed it, then; and then the client was first told.
    Closed {
        frame: Bytes,
        at: Tick,
        told: Option<Tick>,
    },
}

#[derive(Debug)]
struct Receiver {
    streaming: bool,
    heartbeat: Tick,
    bytes: usize,
    /// It was just told of the close.
    closed: bool,
}

/// See the module.
#[derive(Debug)]
pub struct Session {
    settings: Settings,
    state: State,
    greeted: bool,
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    receiver: Option<Receiver>,
    /// Since when there is none.
    idle_since: Tick,
}

impl Session {
    /// A session that its first receiver opens; its backend is being asked.
    #[must_use]
    pub fn new(settings: Settings, streaming: bool, now: Tick) -> Session {
        let mut session = Session {
            settings,
            state: State::Opening,
            greeted: false,
            queue: VecDeque::new(),
            queued_bytes: 0,
            receiver: None,
            idle_since: now,
        };
        session.receive(streaming, now);
        session
    }

    fn receive(&mut self, streaming: bool, now: Tick) {
        let heartbeat = now.plus_ms(self.settings.heartbeat_ms);
        self.receiver = Some(Receiver { streaming, heartbeat, bytes: 0, closed: false });
    }

    /// The backend has accepted.
    pub fn accepted(&mut self, now: Tick) {
        if self.state == State::Opening {
            self.state = State::Open;
            let heartbeat = now.plus_ms(self.settings.heartbeat_ms);
            if let Some(receiver) = &mut self.receiver {
                receiver.heartbeat = heartbeat;
            }
        }
    }

    /// A receiver comes.
    ///
    /// # Errors
    /// When there is one: the new one is told [`second_receiver`], and the session goes on.
    pub fn attach(&mut self, streaming: bool, now: Tick) -> Result<(), Busy> {
        if self.receiver.is_some() {
            return Err(Busy);
        }
        self.receive(streaming, now);
        Ok(())
    }

    /// The backend sends a message; `quoted` is it as a JSON string. One that comes when nothing
    /// waits is taken whatever its size.
    ///
    /// # Errors
    /// When more waits than may: the session is over.
    pub fn message(&mut self, quoted: Bytes) -> Result<(), Full> {
        if matches!(self.state, State::Closed { .. }) {
            return Ok(());
        }
        let bytes = self.queued_bytes.saturating_add(quoted.len());
        if !self.queue.is_empty() && bytes > self.settings.queue_bytes_max {
            return Err(Full);
        }
        self.queued_bytes = bytes;
        self.queue.push_back(quoted);
        Ok(())
    }

    /// Whether the backend may be heard: otherwise enough waits for the client.
    #[must_use]
    pub fn wants_messages(&self) -> bool {
        self.state == State::Open && self.queued_bytes <= self.settings.queue_bytes_max / 2
    }

    /// The backend has closed.
    pub fn close(&mut self, code: u16, reason: &[u8], now: Tick) {
        if matches!(self.state, State::Closed { .. }) {
            return;
        }
        let reason = if reason.is_empty() { b"Connection closed" } else { reason };
        let frame = sockjs::close(code, reason);
        self.state = State::Closed { frame, at: now, told: None };
    }

    /// What the receiver is told next, if anything; then [`Session::said`] is to be called.
    pub fn say(&mut self, now: Tick) -> Option<Bytes> {
        let receiver = self.receiver.as_mut().filter(|_| self.state != State::Opening)?;
        if !std::mem::replace(&mut self.greeted, true) {
            return Some(sockjs::OPEN);
        }
        if !self.queue.is_empty() {
            let streaming = receiver.streaming;
            return Some(self.messages(streaming));
        }
        if let State::Closed { frame, told, .. } = &mut self.state {
            told.get_or_insert(now);
            receiver.closed = true;
            return Some(frame.clone());
        }
        if receiver.heartbeat <= now {
            receiver.heartbeat = now.plus_ms(self.settings.heartbeat_ms);
            return Some(sockjs::HEARTBEAT);
        }
        None
    }

    /// Whether [`Session::say`] has something to say.
    #[must_use]
    pub fn has_something_to_say(&self, now: Tick) -> bool {
        let Some(receiver) = &self.receiver else { return false };
        match self.state {
            State::Opening => false,
            State::Closed { .. } => true,
            State::Open => !self.greeted || !self.queue.is_empty() || receiver.heartbeat <= now,
        }
    }

    fn messages(&mut self, streaming: bool) -> Bytes {
        let mut count = 0;
        let mut bytes = 0;
        for message in &self.queue {
            if streaming && count > 0 && bytes + message.len() > FRAME_BYTES {
                break;
            }
            count += 1;
            bytes += message.len();
        }
        let quoted: Vec<Bytes> = self.queue.drain(..count).collect();
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
        if self.queue.is_empty() {
            // An idle session keeps no memory for what once waited.
            self.queue = VecDeque::new();
        }
        sockjs::messages(&quoted)
    }

    /// What was said took so many bytes, as its transport writes it.
    pub fn said(&mut self, bytes: usize, now: Tick) -> Goes {
        let Some(receiver) = &mut self.receiver else { return Goes::Ends };
        receiver.bytes = receiver.bytes.saturating_add(bytes);
        let full = receiver.bytes >= self.settings.response_bytes_max;
        if receiver.streaming && !receiver.closed && !full {
            return Goes::On;
        }
        self.receiver = None;
        self.idle_since = now;
        Goes::Ends
    }

    /// When it is to be looked at again, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Tick> {
        match (&self.receiver, &self.state) {
            (Some(_), State::Opening) => None,
            (Some(receiver), _) => Some(receiver.heartbeat),
            (None, State::Opening | State::Open) => {
                Some(self.idle_since.plus_ms(self.settings.disconnect_ms))
            }
            (None, State::Closed { told: Some(told), .. }) => {
                Some(told.plus_ms(self.settings.linger_ms))
            }
            (None, State::Closed { at, told: None, .. }) => {
                Some(self.idle_since.max(*at).plus_ms(self.settings.disconnect_ms))
            }
        }
    }

    /// Whether nobody has come for it for too long.
    #[must_use]
    pub fn is_over(&self, now: Tick) -> bool {
        self.receiver.is_none() && self.deadline().is_some_and(|at| at <= now)
    }

    /// Whether the backend has accepted, and has not closed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }
}

/// What a receiver is told that comes while another one waits.
#[must_use]
pub fn second_receiver() -> Bytes {
    sockjs::close(2010, b"Another connection still open")
}

#[cfg(test)]
mod tests;
