//! HTTP holds: what a long-poll is answered with, what a stream is sent.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::cross_origin::CrossOrigin;
use crate::grip::instruction::{Field, KeepAlive, Response};
use crate::wire::http1::Version;

/// A held long-poll.
#[derive(Clone, Debug)]
pub struct ResponseHold {
    /// What the client gets when the hold times out; headers are the base of a published answer.
    pub held: Rc<HeldResponse>,
    /// The client's HTTP version: the answer is written in it.
    pub version: Version,
    /// Whether the connection goes on after the answer.
    pub persistent: bool,
    /// The request was HEAD: the answer has no body.
    pub head_only: bool,
    /// After how many seconds it is answered with `held`.
    pub timeout_s: u32,
}

/// What a long-poll is answered with, or on the base of. Holds that are alike share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldResponse {
    /// As its backend gave it.
    pub response: Response,
    /// For a page of another origin: how it gets it. Nothing where such pages are not served.
    pub cross_origin: Option<Rc<CrossOrigin>>,
}

impl From<Response> for HeldResponse {
    fn from(response: Response) -> HeldResponse {
        HeldResponse { response, cross_origin: None }
    }
}

impl std::ops::Deref for HeldResponse {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
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
    /// Where it goes on, if its backend said so.
    pub next: Option<Next>,
}

/// A stream's next link, as far as the hub is concerned: it says when the link is to be followed;
/// what it is, the proxy knows (specification, GRIP 3.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// After so long without anything published it is followed, in milliseconds.
    pub timeout_ms: u64,
    /// Streams of the same group are polled together: the resolved URI without its query.
    pub group: Rc<str>,
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

/// The same response in memory of its own: a hold must not keep the buffer alive in which its
/// backend's response was read.
#[must_use]
pub fn compact(held: &HeldResponse) -> HeldResponse {
    let HeldResponse { response, cross_origin } = held;
    let pieces = || {
        let fields = response.headers.iter().flat_map(|field| [&field.name, &field.value]);
        [&response.reason, &response.body].into_iter().chain(fields)
    };
    let mut all = BytesMut::with_capacity(pieces().map(Bytes::len).sum());
    pieces().for_each(|piece| all.extend_from_slice(piece));
    let mut all = all.freeze();
    let mut own = |piece: &Bytes| all.split_to(piece.len());
    let (reason, body) = (own(&response.reason), own(&response.body));
    let headers = response.headers.iter();
    let headers = headers.map(|f| Field { name: own(&f.name), value: own(&f.value) }).collect();
    let response = Response { code: response.code, reason, headers, body };
    HeldResponse { response, cross_origin: cross_origin.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compact_response_is_the_same() {
        let field = |name, value| Field {
            name: Bytes::from_static(name),
            value: Bytes::from_static(value),
        };
        let response = Response {
            code: 200,
            reason: Bytes::from_static(b"OK"),
            headers: vec![field(b"A", b"1"), field(b"B", b"")],
            body: Bytes::from_static(b"body"),
        };
        let held = HeldResponse::from(response);
        assert_eq!(compact(&held), held);
    }

    #[test]
    fn payloads_in_each_framing() {
        let payload = Bytes::from_static(b"init\n");
        assert_eq!(stream_bytes(StreamFraming::Chunked, &payload), &b"5\r\ninit\n\r\n"[..]);
        assert_eq!(stream_bytes(StreamFraming::Raw, &payload), payload);
        assert!(stream_bytes(StreamFraming::Silent, &payload).is_empty());
        assert_eq!(stream_end(StreamFraming::Chunked), &b"0\r\n\r\n"[..]);
        assert!(stream_end(StreamFraming::Raw).is_empty());
    }
}
