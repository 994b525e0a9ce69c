//! HTTP holds: what a long-poll is answered with, what a stream is sent.

use bytes::Bytes;

use crate::grip::instruction::{KeepAlive, Response};
use crate::wire::http1::Version;

/// A held long-poll.
#[derive(Clone, Debug)]
pub struct ResponseHold {
    /// What the client gets when the hold times out; headers are the base of a published answer.
    pub held: std::rc::Rc<Response>,
    /// The client's HTTP version: the answer is written in it.
    pub version: Version,
    /// Whether the connection goes on after the answer.
    pub persistent: bool,
    /// The request was HEAD: the answer has no body.
    pub head_only: bool,
    /// After how many seconds it is answered with `held`.
    pub timeout_s: u32,
}

/// How an answer is written to its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The client's HTTP version.
    pub version: Version,
    /// Whether the connection goes on after the answer.
    pub persistent: bool,
    /// The request was HEAD: the answer has no body.
    pub head_only: bool,
}

/// A held stream.
#[derive(Clone, Debug)]
pub struct StreamHold {
    /// How payloads are framed.
    pub framing: StreamFraming,
    /// What is written when nothing else is.
    pub keep_alive: Option<KeepAlive>,
    /// Whether the connection goes on after the end of the stream.
    pub persistent: bool,
}

/// How a stream's payloads are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFraming {
    /// HTTP/1.1: a chunk each.
    Chunked,
    /// HTTP/1.0: bare bytes; the end is the end of the connection.
    Raw,
    /// HEAD, 204 or 304: nothing is written; the stream only ends.
    Silent,
}

/// A payload as a stream carries it; no bytes where it carries none.
#[must_use]
pub fn stream_bytes(framing: StreamFraming, payload: &Bytes) -> Bytes {
    match framing {
        StreamFraming::Chunked => crate::wire::http1::chunk(payload),
        StreamFraming::Raw => payload.clone(),
        StreamFraming::Silent => Bytes::new(),
    }
}

/// Bytes of the end of a stream.
#[must_use]
pub fn stream_end(framing: StreamFraming) -> Bytes {
    match framing {
        StreamFraming::Chunked => Bytes::from_static(crate::wire::http1::LAST_CHUNK),
        StreamFraming::Raw | StreamFraming::Silent => Bytes::new(),
    }
}
