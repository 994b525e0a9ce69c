//! What a backend asked for: hold or not, channels, timing, and what the client is to see.

use bytes::Bytes;

use super::channel::Channel;

/// The parsed instruction of one backend response.
#[derive(Clone, Debug, PartialEq)]
pub struct Instruction {
    /// How to hold the request; `None` answers it at once.
    pub hold: Option<Hold>,
    /// The channels to subscribe, duplicates removed, in order.
    pub channels: Vec<Channel>,
    /// After how many seconds a response hold is answered (at least 5, by default 55).
    pub timeout_s: u32,
    /// What to write to a stream that would otherwise be silent.
    pub keep_alive: Option<KeepAlive>,
    /// Variables of the subscription; `None` is set and null.
    pub meta: Vec<(Box<str>, Option<Box<str>>)>,
    /// Names, in lower case, of the only response headers that are relayed; empty relays all.
    pub expose_headers: Vec<Box<str>>,
    /// Where a stream continues.
    pub next: Option<Link>,
    /// What to tell when the client has gone.
    pub gone: Option<Link>,
    /// What the client sees: at once without a hold, at the start of a stream, at the time-out of a
    /// response hold.
    pub response: Response,
}

/// How a request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// Long-polling: the first item answers it.
    Response,
    /// Streaming: each item is written to it.
    Stream,
}

/// Keep-alive of a stream or a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// What is written; may be empty, then nothing is.
    pub data: Bytes,
    /// When its time starts again.
    pub mode: KeepAliveMode,
    /// Its period in seconds, at least 1.
    pub timeout_s: u32,
}

/// When the time of a keep-alive starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepAliveMode {
    /// With everything that is written to the client.
    Idle,
    /// Only with the keep-alive itself.
    Interval,
}

/// A `Grip-Link`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// An absolute or relative reference, unresolved.
    pub uri: Box<str>,
    /// For `rel=next`: after how many seconds it is fetched although nothing happened.
    pub timeout_s: u32,
}

/// A response as data: what an instruction holds back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code, 0 to 999.
    pub code: u16,
    /// The reason phrase; never absent: the standard one is filled in.
    pub reason: Bytes,
    /// The header fields in order; hop-by-hop fields, `Grip-*` and `Content-Length` are not among
    /// them, and `Grip-Expose-Headers` has been applied.
    pub headers: Vec<Field>,
    /// The body.
    pub body: Bytes,
}

/// One header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, in the case in which it is to be written.
    pub name: Bytes,
    /// Its value.
    pub value: Bytes,
}
