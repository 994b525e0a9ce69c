//! `application/websocket-events`, both ways (specification, WoH 5.2).
//!
//! Called by the WebSocket-over-HTTP side of `proxy`. Knows nothing of what an event means: that
//! nothing counts after a close, or that `OPEN` comes first, is the caller's affair.

use bytes::{BufMut, Bytes, BytesMut};

/// One event of a WebSocket-over-HTTP body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The connection opens (or is accepted).
    Open,
    /// A text message.
    Text(Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A close, with its code and reason (raw bytes) if it has any.
    Close(Option<(u16, Bytes)>),
    /// The other side is gone, or does not know the connection.
    Disconnect,
}

/// Why a body is not a list of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// A type line without CRLF.
    #[error("event at byte {0}: type line does not end in CRLF")]
    UnfinishedLine(usize),
    /// A length that is not hexadecimal.
    #[error("event at byte {0}: content length is not a hexadecimal number")]
    BadLength(usize),
    /// Content that runs past the body.
    #[error("event at byte {0}: content runs past the end of the body")]
    ContentPastEnd(usize),
    /// Content that CRLF does not follow.
    #[error("event at byte {0}: content is not followed by CRLF")]
    MissingTerminator(usize),
}

/// Appends one event. Empty content is written without a length.
pub fn encode(event: &Event, out: &mut BytesMut) {
    match event {
        Event::Open => line(b"OPEN", out),
        Event::Text(content) => with_content(b"TEXT", &[content], out),
        Event::Binary(content) => with_content(b"BINARY", &[content], out),
        Event::Ping(content) => with_content(b"PING", &[content], out),
        Event::Pong(content) => with_content(b"PONG", &[content], out),
        Event::Close(None) => line(b"CLOSE", out),
        Event::Close(Some((code, reason))) => {
            with_content(b"CLOSE", &[&code.to_be_bytes(), reason], out);
        }
        Event::Disconnect => line(b"DISCONNECT", out),
    }
}

/// Appends the event that asks a backend for what its client has missed. Ours alone: a client's
/// messages are other events, so that none can be taken for it, and from a backend it means
/// nothing.
pub fn encode_recover(content: &[u8], out: &mut BytesMut) {
    with_content(b"RECOVER", &[content], out);
}

fn line(name: &[u8], out: &mut BytesMut) {
    out.put_slice(name);
    out.put_slice(b"\r\n");
}

fn with_content(name: &[u8], parts: &[&[u8]], out: &mut BytesMut) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    if length == 0 {
        line(name, out);
        return;
    }
    out.reserve(name.len() + length + 21);
    out.put_slice(name);
    out.put_u8(b' ');
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4);
    for place in (0..digits).rev() {
        out.put_u8(b"0123456789abcdef"[(length >> (4 * place)) & 15]);
    }
    out.put_slice(b"\r\n");
    parts.iter().for_each(|part| out.put_slice(part));
    out.put_slice(b"\r\n");
}

/// Reads a whole body. Unknown events are skipped; contents share the body's memory.
pub fn decode(body: &Bytes) -> Result<Vec<Event>, EventsError> {
    let mut events = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let (name, content, next) = next_event(body, at)?;
        let event = match name {
            b"TEXT" => Some(Event::Text(content)),
            b"BINARY" => Some(Event::Binary(content)),
            b"OPEN" => Some(Event::Open),
            b"PING" => Some(Event::Ping(content)),
            b"PONG" => Some(Event::Pong(content)),
            b"CLOSE" => Some(Event::Close(close_content(&content))),
            b"DISCONNECT" => Some(Event::Disconnect),
            _ => None,
        };
        events.extend(event);
        at = next;
    }
    Ok(events)
}

/// The name and the content of the event at `at`, and where the next one begins.
fn next_event(body: &Bytes, at: usize) -> Result<(&[u8], Bytes, usize), EventsError> {
    let rest = body.get(at..).unwrap_or_default();
    let end = memchr::memmem::find(rest, b"\r\n").ok_or(EventsError::UnfinishedLine(at))?;
    let line = rest.get(..end).unwrap_or_default();
    let content_start = at + end + 2;
    let Some(space) = memchr::memchr(b' ', line) else {
        return Ok((line, Bytes::new(), content_start));
    };
    let (name, length) = line.split_at(space);
    let length = length.get(1..).and_then(hexadecimal).ok_or(EventsError::BadLength(at))?;
    let content_end = content_start
        .checked_add(length)
        .filter(|end| *end <= body.len())
        .ok_or(EventsError::ContentPastEnd(at))?;
    match body.get(content_end..) {
        Some([b'\r', b'\n', ..]) => {
            Ok((name, body.slice(content_start..content_end), content_end + 2))
        }
        _ => Err(EventsError::MissingTerminator(at)),
    }
}

fn hexadecimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |value, digit| {
        let digit = crate::wire::text::hex_digit(*digit)?;
        value.checked_mul(16)?.checked_add(usize::from(digit))
    })
}

/// Code and reason of a close; content of less than two bytes says neither.
fn close_content(content: &Bytes) -> Option<(u16, Bytes)> {
    let code = content.first_chunk::<2>()?;
    Some((u16::from_be_bytes(*code), content.slice(2..)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};

    use super::*;

    fn written(events: &[Event]) -> Bytes {
        let mut out = BytesMut::new();
        events.iter().for_each(|event| encode(event, &mut out));
        out.freeze()
    }

    fn text(content: &'static str) -> Event {
        Event::Text(Bytes::from_static(content.as_bytes()))
    }

    #[test]
    fn vectors_of_the_specification() {
        let bye = Event::Close(Some((3001, Bytes::from_static(b"bye"))));
        for (event, bytes) in [
            (Event::Open, &b"OPEN\r\n"[..]),
            (text("hello"), b"TEXT 5\r\nhello\r\n"),
            (text("m:world"), b"TEXT 7\r\nm:world\r\n"),
            (text(""), b"TEXT\r\n"),
            (Event::Binary(Bytes::new()), b"BINARY\r\n"),
            (Event::Ping(Bytes::new()), b"PING\r\n"),
            (Event::Ping(Bytes::from_static(b"pp")), b"PING 2\r\npp\r\n"),
            (text("frag1frag2"), b"TEXT a\r\nfrag1frag2\r\n"),
            (bye, b"CLOSE 5\r\n\x0b\xb9bye\r\n"),
            (Event::Close(None), b"CLOSE\r\n"),
            (Event::Disconnect, b"DISCONNECT\r\n"),
            (
                text("c:{\"type\":\"subscribe\",\"channel\":\"t\"}"),
                b"TEXT 24\r\nc:{\"type\":\"subscribe\",\"channel\":\"t\"}\r\n",
            ),
        ] {
            assert_eq!(written(std::slice::from_ref(&event)), bytes);
            assert_eq!(decode(&Bytes::from_static(bytes)), Ok(vec![event]));
        }
        let batch = b"TEXT 3\r\ntwo\r\nTEXT\r\nTEXT 4\r\nfour\r\nPING 1\r\np\r\nPONG\r\n";
        let events = [
            text("two"),
            text(""),
            text("four"),
            Event::Ping(Bytes::from_static(b"p")),
            Event::Pong(Bytes::new()),
        ];
        assert_eq!(decode(&Bytes::from_static(batch)), Ok(events.to_vec()));
        assert_eq!(written(&events), &batch[..]);
        assert_eq!(decode(&Bytes::new()), Ok(vec![]));
    }

    #[test]
    fn what_was_missed_is_asked_for_by_an_event_of_its_own() {
        let mut out = BytesMut::new();
        encode_recover(b"{}", &mut out);
        assert_eq!(out, &b"RECOVER 2\r\n{}\r\n"[..]);
        assert_eq!(decode(&out.freeze()), Ok(vec![]));
    }

    #[test]
    fn what_a_backend_may_also_write() {
        for (bytes, events) in [
            (&b"TEXT 0\r\n\r\n"[..], vec![text("")]),
            (b"TEXT 00A\r\n0123456789\r\n", vec![text("0123456789")]),
            (b"OPEN 2\r\nxx\r\nopen\r\nNOVEL 1\r\ny\r\n\r\n", vec![Event::Open]),
            (b"CLOSE 1\r\nx\r\n", vec![Event::Close(None)]),
            (b"TEXT 4\r\n\r\n\r\n\r\n", vec![text("\r\n\r\n")]),
        ] {
            assert_eq!(decode(&Bytes::from_static(bytes)), Ok(events));
        }
    }

    #[test]
    fn malformed() {
        for (bytes, error) in [
            ("OPEN", EventsError::UnfinishedLine(0)),
            ("OPEN\n", EventsError::UnfinishedLine(0)),
            ("OPEN\r\nTEXT", EventsError::UnfinishedLine(6)),
            ("TEXT x\r\n", EventsError::BadLength(0)),
            ("TEXT \r\n", EventsError::BadLength(0)),
            ("TEXT 0x1\r\na\r\n", EventsError::BadLength(0)),
            ("TEXT -1\r\n", EventsError::BadLength(0)),
            ("TEXT 1 \r\na\r\n", EventsError::BadLength(0)),
            ("TEXT fffffffffffffffff\r\n", EventsError::BadLength(0)),
            ("NOVEL x\r\n", EventsError::BadLength(0)),
            ("TEXT ffffffffffffffff\r\n", EventsError::ContentPastEnd(0)),
            ("TEXT 2\r\na", EventsError::ContentPastEnd(0)),
            ("TEXT 1\r\na", EventsError::MissingTerminator(0)),
            ("TEXT 1\r\na\r", EventsError::MissingTerminator(0)),
            ("OPEN\r\nTEXT 1\r\nab\r\n", EventsError::MissingTerminator(6)),
        ] {
            assert_eq!(decode(&Bytes::from_static(bytes.as_bytes())), Err(error), "{bytes:?}");
        }
    }

    #[test]
    fn contents_share_the_memory_of_the_body() {
        let body = Bytes::from_static(b"BINARY 3\r\nabc\r\n");
        let events = decode(&body).unwrap();
        let [Event::Binary(content)] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(content.as_ptr(), body[10..].as_ptr());
    }

    fn event() -> impl Strategy<Value = Event> {
        let content = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        prop_oneof![
            Just(Event::Open),
            Just(Event::Disconnect),
            Just(Event::Close(None)),
            content().prop_map(Event::Text),
            content().prop_map(Event::Binary),
            content().prop_map(Event::Ping),
            content().prop_map(Event::Pong),
            (any::<u16>(), content()).prop_map(|close| Event::Close(Some(close))),
        ]
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(events in prop::collection::vec(event(), 0..8)) {
            proptest::prop_assert_eq!(decode(&written(&events)), Ok(events));
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            let _ = decode(&Bytes::from(bytes));
        }

        #[test]
        fn nothing_panics_on_almost_events(text in "(TEXT|CLOSE|X) ?[0-9a-f]{0,18}\r\n[a-z\r\n]{0,6}") {
            let _ = decode(&Bytes::from(text));
        }
    }
}
