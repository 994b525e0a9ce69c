//! The same sessions, kept as simply as can be: a list, searched from end to end for everything.

use linchpin::clock::Tick;
use linchpin::grip::format::Action;
use linchpin::grip::instruction::KeepAliveMode;
use linchpin::grip::item::Item;
use linchpin::hub::fanout::Then;
use linchpin::hub::registry::Effect;
use linchpin::hub::slab::SessionId;
use linchpin::session::socket::Form;

use crate::forms::{first_byte, frames};

/// What kind of session it is, and how it is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Response { persistent: bool, due: Tick },
    Chunked { persistent: bool },
    Raw,
    Silent,
    Socket(Form),
}

/// When a keep-alive must come: not before `from`, and by `to`.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub mode: KeepAliveMode,
    pub timeout_s: u32,
    pub from: u64,
    pub to: u64,
}

impl Window {
    pub fn new(mode: KeepAliveMode, timeout_s: u32, now: Tick) -> Window {
        let mut window = Window { mode, timeout_s, from: 0, to: 0 };
        window.restart(now);
        window
    }

    pub fn restart(&mut self, now: Tick) {
        self.to = now.0 + u64::from(self.timeout_s) * 1000;
        self.from = self.to - 999;
    }
}

#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub kind: Kind,
    /// Channels, and whether each is implicit.
    pub channels: Vec<(u8, bool)>,
    pub muted: bool,
    pub keep_alive: Option<Window>,
    pub delayed: Option<(Vec<u8>, Tick)>,
    pub backend: Option<Tick>,
    /// What was published for it and has not been delivered yet, each with its channel.
    pub due: Vec<(u8, Expected)>,
}

/// What one session is to be sent by one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub bytes: Vec<u8>,
    pub then: Option<Then>,
    pub effect: Option<Effect>,
}

pub const HELD: &str = "held";
pub const KEEP_ALIVE: &str = "<ka>";

impl Session {
    pub fn touched(&mut self, now: Tick) {
        if let Some(window) = self.keep_alive.as_mut()
            && window.mode == KeepAliveMode::Idle
        {
            window.restart(now);
        }
    }

    /// It may have been sent something that cannot be seen.
    pub fn maybe_touched(&mut self, now: Tick) {
        if let Some(window) = self.keep_alive.as_mut()
            && window.mode == KeepAliveMode::Idle
        {
            window.to = now.0 + u64::from(window.timeout_s) * 1000;
        }
    }

    pub fn mute(&mut self) {
        self.muted = true;
        self.channels.clear();
        self.keep_alive = None;
        self.delayed = None;
        self.due.clear();
    }

    /// It left a channel: what waits there is not for it any more.
    pub fn leave(&mut self, channel: u8) {
        self.channels.retain(|&(known, implicit)| known != channel || implicit);
        if !self.channels.iter().any(|&(known, _)| known == channel) {
            self.due.retain(|&(known, _)| known != channel);
        }
    }

    /// All that is due, as one: up to an end; a long-poll takes one answer. The effects that come
    /// before it apart, and whether there are messages among it.
    pub fn take_due(&mut self) -> (Expected, Vec<Effect>, bool) {
        let (mut effects, mut messages) = (Vec::new(), false);
        let mut all = Expected { bytes: Vec::new(), then: None, effect: None };
        for (_, due) in self.due.drain(..) {
            all.bytes.extend(due.bytes);
            if due.then.is_some() {
                (all.then, all.effect) = (due.then, due.effect);
                break;
            }
            messages |= due.effect.is_none();
            effects.extend(due.effect);
        }
        (all, effects, messages)
    }

    /// Whether a delivery of what is due could be seen at all.
    pub fn shows(&self) -> bool {
        let shows =
            |due: &Expected| !due.bytes.is_empty() || due.then.is_some() || due.effect.is_some();
        self.due.iter().any(|(_, due)| shows(due))
    }

    pub fn is_socket(&self) -> bool {
        matches!(self.kind, Kind::Socket(_))
    }

    /// What its client reads of what it was sent; of a WebSocket's frames each with what it says.
    pub fn reads(&self, sent: Vec<u8>) -> Vec<u8> {
        match self.kind {
            Kind::Socket(_) => {
                frames(&sent).iter().flat_map(|(first, content)| frame(*first, content)).collect()
            }
            _ => sent,
        }
    }

    /// What a stream writes for a keep-alive, and a WebSocket.
    pub fn pulse(&self) -> Vec<u8> {
        match self.kind {
            Kind::Chunked { .. } => chunk(KEEP_ALIVE),
            Kind::Raw => KEEP_ALIVE.into(),
            Kind::Socket(_) => frame(0x81, KEEP_ALIVE.as_bytes()),
            Kind::Silent | Kind::Response { .. } => Vec::new(),
        }
    }

    /// What this session is sent for an item of its channel; `None` when the item does nothing.
    pub fn receive(&self, item: &Item) -> Option<Expected> {
        let bytes = |bytes| Some(Expected { bytes, then: None, effect: None });
        match self.kind {
            Kind::Response { persistent, .. } => match item.http_response.as_ref()? {
                Action::Send(_) => Some(answer(&body_of(item), persistent)),
                _ => None,
            },
            Kind::Chunked { .. } | Kind::Raw | Kind::Silent => match item.http_stream.as_ref()? {
                Action::Send(content) if content.content_filters.is_some() => None,
                Action::Send(_) => bytes(match self.kind {
                    Kind::Chunked { .. } => chunk(&body_of(item)),
                    Kind::Raw => body_of(item).into_bytes(),
                    _ => Vec::new(),
                }),
                Action::Close(_) => self.end(None),
                _ => None,
            },
            Kind::Socket(form) => match item.ws_message.as_ref()? {
                Action::Send(_) => {
                    let body = body_of(item);
                    bytes(frame(first_byte(form, &body), body.as_bytes()))
                }
                Action::Close(reason) => self.end(Some(reason.code.unwrap_or(1000))),
                Action::Refresh => {
                    let effect = Some(Effect::Refresh(self.id));
                    Some(Expected { bytes: Vec::new(), then: None, effect })
                }
                Action::Hint => None,
            },
        }
    }

    /// What ends this session: a stream by its end, a WebSocket with this code.
    pub fn end(&self, code: Option<u16>) -> Option<Expected> {
        let (bytes, then, effect) = match self.kind {
            Kind::Chunked { persistent } => (b"0\r\n\r\n".to_vec(), after(persistent), None),
            Kind::Raw | Kind::Silent => (Vec::new(), Then::Close, None),
            Kind::Socket(_) => {
                let bytes = frame(0x88, &code?.to_be_bytes());
                (bytes, Then::AwaitClose, Some(Effect::SocketClosed(self.id)))
            }
            Kind::Response { .. } => return None,
        };
        Some(Expected { bytes, then: Some(then), effect })
    }
}

pub fn answer(body: &str, persistent: bool) -> Expected {
    let close = if persistent { "" } else { "Connection: close\r\n" };
    let length = body.len();
    let bytes = format!("HTTP/1.1 200 OK\r\nA: b\r\n{close}Content-Length: {length}\r\n\r\n{body}");
    Expected { bytes: bytes.into(), then: Some(after(persistent)), effect: None }
}

fn after(persistent: bool) -> Then {
    if persistent { Then::Reuse } else { Then::Close }
}

fn body_of(item: &Item) -> String {
    item.id.as_deref().unwrap_or("").to_string()
}

pub fn chunk(text: &str) -> Vec<u8> {
    match text.len() {
        0 => Vec::new(),
        len => format!("{len:x}\r\n{text}\r\n").into_bytes(),
    }
}

/// A frame of fewer than 126 bytes.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}
