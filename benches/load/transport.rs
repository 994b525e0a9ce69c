//! The three ways a subscriber waits, as bytes: how a message is wrapped for it, and how what
//! arrives is cut into messages. Pure: knows no socket, no clock and no server.

use clap::ValueEnum;
use memchr::memmem;
use serde::{Deserialize, Serialize};

use crate::failure::{Fault, excerpt};

/// What the `test` target says at the start of a stream.
pub const GREETING: &[u8] = b"[stream opened]\n";
/// More than this without a complete unit is not a server of this test.
const LONGEST_UNIT: usize = 1 << 20;

/// How a subscriber is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// An endless chunked HTTP response.
    Stream,
    /// One response for each message; the client asks again on the same connection.
    Longpoll,
    /// WebSocket text messages.
    Websocket,
    /// The same with permessage-deflate.
    Deflated,
}

/// One thing cut off the front of what arrived.
#[derive(Debug, PartialEq, Eq)]
pub enum Unit<'a> {
    /// The response head of a stream or of a WebSocket.
    Head,
    /// Content: of a chunk, of a response or of a frame.
    Content(&'a [u8]),
    /// One of several frames that make a message.
    Part {
        /// What it adds.
        content: &'a [u8],
        /// Whether it is the last one.
        last: bool,
    },
    /// Content of a frame, deflated.
    Deflated(&'a [u8]),
    /// Something that carries no message (a WebSocket ping or pong).
    Nothing,
}

impl Transport {
    /// All that every server knows, in the order in which they are reported.
    pub const ALL: [Transport; 3] = [Transport::Stream, Transport::Longpoll, Transport::Websocket];

    /// As tables and messages call it.
    pub fn title(self) -> &'static str {
        match self {
            Transport::Stream => "HTTP stream",
            Transport::Longpoll => "long-poll",
            Transport::Websocket => "WebSocket",
            Transport::Deflated => "deflated WebSocket",
        }
    }

    /// The bytes that carry `payload` to one subscriber: what the bare loop writes.
    pub fn wire(self, payload: &[u8]) -> Vec<u8> {
        let mut out = match self {
            Transport::Stream => format!("{:x}\r\n", payload.len()).into_bytes(),
            Transport::Longpoll => format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
                payload.len()
            )
            .into_bytes(),
            Transport::Websocket | Transport::Deflated => frame_head(payload.len()),
        };
        out.extend_from_slice(payload);
        if self == Transport::Stream {
            out.extend_from_slice(b"\r\n");
        }
        out
    }

    /// What the bare loop answers to the request that subscribes.
    pub fn opening(self) -> Vec<u8> {
        match self {
            Transport::Stream => {
                let mut out = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\
                    Transfer-Encoding: chunked\r\n\r\n"
                    .to_vec();
                out.extend(self.wire(GREETING));
                out
            }
            Transport::Longpoll => Vec::new(),
            Transport::Websocket | Transport::Deflated => {
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
                    .to_vec()
            }
        }
    }

    /// Cuts the next unit off `bytes`: what it is and how many bytes it took. `None`: not all
    /// there yet. `opened` tells whether the head of a stream or WebSocket was taken already.
    pub fn unit(self, opened: bool, bytes: &[u8]) -> Result<Option<(Unit<'_>, usize)>, Fault> {
        let unit = match self {
            Transport::Longpoll => response(bytes, "HTTP/1.1 200 ")?,
            Transport::Stream if opened => chunk(bytes)?,
            Transport::Websocket if opened => frame(bytes, false)?,
            Transport::Deflated if opened => frame(bytes, true)?,
            Transport::Stream => head(bytes, "HTTP/1.1 200 ")?.map(|end| (Unit::Head, end)),
            Transport::Websocket => head(bytes, "HTTP/1.1 101 ")?.map(|end| (Unit::Head, end)),
            Transport::Deflated => match head(bytes, "HTTP/1.1 101 ")? {
                Some(end) if memmem::find(&bytes[..end], b"permessage-deflate").is_none() => {
                    return Err(protocol("permessage-deflate was not agreed to", bytes));
                }
                end => end.map(|end| (Unit::Head, end)),
            },
        };
        if unit.is_none() && bytes.len() > LONGEST_UNIT {
            return Err(protocol("a unit without an end", bytes));
        }
        Ok(unit)
    }
}

fn protocol(what: &'static str, bytes: &[u8]) -> Fault {
    Fault::Protocol { what, got: excerpt(bytes) }
}

fn frame_head(length: usize) -> Vec<u8> {
    let mut out = vec![0x81];
    match length {
        0..=125 => out.push(length as u8),
        126..=65535 => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out
}

/// The end of a response head that begins as `expected`.
fn head(bytes: &[u8], expected: &str) -> Result<Option<usize>, Fault> {
    let shared = bytes.len().min(expected.len());
    if bytes[..shared] != expected.as_bytes()[..shared] {
        return Err(protocol("an unexpected response", bytes));
    }
    Ok(memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4))
}

/// One response with a `Content-Length`.
pub fn response<'a>(bytes: &'a [u8], expected: &str) -> Result<Option<(Unit<'a>, usize)>, Fault> {
    let Some(end) = head(bytes, expected)? else { return Ok(None) };
    let length = header(&bytes[..end], "content-length")
        .and_then(|value| value.parse::<usize>().ok())
        .ok_or_else(|| protocol("a response without Content-Length", bytes))?;
    Ok(bytes.get(end..end + length).map(|body| (Unit::Content(body), end + length)))
}

/// The value of the header `name` (lower case) in a response head.
pub fn header<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let head = std::str::from_utf8(head).ok()?;
    head.split("\r\n").find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn chunk(bytes: &[u8]) -> Result<Option<(Unit<'_>, usize)>, Fault> {
    let Some(line) = memchr::memchr(b'\n', bytes) else { return Ok(None) };
    let size = std::str::from_utf8(&bytes[..line])
        .ok()
        .and_then(|text| usize::from_str_radix(text.trim_end(), 16).ok())
        .ok_or_else(|| protocol("a chunk without a size", bytes))?;
    if size == 0 {
        return Err(protocol("the stream was ended", bytes));
    }
    let (start, end) = (line + 1, line + 1 + size);
    if bytes.len() < end + 2 {
        return Ok(None);
    }
    if &bytes[end..end + 2] != b"\r\n" {
        return Err(protocol("a chunk without its line end", bytes));
    }
    Ok(Some((Unit::Content(&bytes[start..end]), end + 2)))
}

fn frame(bytes: &[u8], deflated: bool) -> Result<Option<(Unit<'_>, usize)>, Fault> {
    let (Some(&first), Some(&second)) = (bytes.first(), bytes.get(1)) else { return Ok(None) };
    let (start, length): (usize, usize) = match second {
        127 => match bytes.get(2..10).map(<[u8; 8]>::try_from) {
            Some(Ok(size)) => (10, u64::from_be_bytes(size) as usize),
            _ => return Ok(None),
        },
        126 => match bytes.get(2..4).map(<[u8; 2]>::try_from) {
            Some(Ok(size)) => (4, usize::from(u16::from_be_bytes(size))),
            _ => return Ok(None),
        },
        masked if masked >= 128 => return Err(protocol("a masked frame from the server", bytes)),
        length => (2, usize::from(length)),
    };
    let Some(end) = start.checked_add(length) else {
        return Err(protocol("a frame of impossible length", bytes));
    };
    let Some(content) = bytes.get(start..end) else { return Ok(None) };
    match first {
        0x81 if !deflated => Ok(Some((Unit::Content(content), end))),
        0xc1 if deflated => Ok(Some((Unit::Deflated(content), end))),
        0x01 | 0x00 => Ok(Some((Unit::Part { content, last: false }, end))),
        0x80 => Ok(Some((Unit::Part { content, last: true }, end))),
        0x89 | 0x8a => Ok(Some((Unit::Nothing, end))),
        0x88 => Err(protocol("the server closed the WebSocket", content)),
        _ => Err(protocol("an unexpected frame", bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_what_it_writes_at_every_length() {
        for transport in Transport::ALL {
            for size in [1, 100, 125, 126, 5000, 70_000] {
                let payload = vec![b'x'; size];
                let wire = transport.wire(&payload);
                let cuts = [1, 2, 5, wire.len() - 1];
                for cut in cuts.into_iter().filter(|cut| *cut < wire.len()) {
                    assert_eq!(transport.unit(true, &wire[..cut]), Ok(None));
                }
                let mut two = wire.clone();
                two.extend_from_slice(&wire);
                let unit = transport.unit(true, &two);
                assert_eq!(unit, Ok(Some((Unit::Content(&payload), wire.len()))));
            }
        }
    }

    #[test]
    fn tells_ends_and_errors_from_messages() {
        assert!(Transport::Stream.unit(true, b"0\r\n\r\n").is_err());
        assert!(Transport::Stream.unit(false, b"HTTP/1.1 502 Bad Gateway\r\n").is_err());
        assert!(Transport::Longpoll.unit(true, b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(Transport::Websocket.unit(true, &[0x88, 2, 3, 232]).is_err());
        let part = Unit::Part { content: b"x", last: false };
        assert_eq!(Transport::Websocket.unit(true, &[0x01, 1, b'x']), Ok(Some((part, 3))));
        assert_eq!(Transport::Websocket.unit(true, &[0x89, 0]), Ok(Some((Unit::Nothing, 2))));
    }

    #[test]
    fn who_asked_for_deflated_messages_takes_no_others() {
        let head = "HTTP/1.1 101 Switching Protocols\r\n";
        let agreed = format!("{head}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n");
        let unit = Transport::Deflated.unit(false, agreed.as_bytes());
        assert_eq!(unit, Ok(Some((Unit::Head, agreed.len()))));
        assert!(Transport::Deflated.unit(false, format!("{head}\r\n").as_bytes()).is_err());
        let unit = Transport::Deflated.unit(true, &[0xc1, 1, 9]);
        assert_eq!(unit, Ok(Some((Unit::Deflated(&[9]), 3))));
        assert!(Transport::Deflated.unit(true, &[0x81, 1, 9]).is_err());
        assert!(Transport::Websocket.unit(true, &[0xc1, 1, 9]).is_err());
    }
}
