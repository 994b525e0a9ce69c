//! The head of an HTTP/1.1 response: its end, status and framing. Pure; used by what reads whole
//! responses and by what reads streams.

use memchr::{memchr, memmem};

use crate::failure::{Fault, excerpt};

/// A head without an end after so many bytes is not a server of this test.
const LONGEST: usize = 64 * 1024;

/// What a response head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Bytes of the head, its empty line counted.
    pub size: usize,
    /// `Content-Length`.
    pub length: Option<usize>,
    /// Whether the body comes in chunks.
    pub chunked: bool,
    /// Whether the server closes the connection after it.
    pub closes: bool,
}

impl Head {
    /// The head at the start of `bytes`; `None`: not all there yet.
    pub fn parse(bytes: &[u8]) -> Result<Option<Head>, Fault> {
        let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
            if bytes.len() > LONGEST {
                return Err(protocol("a head without an end", bytes));
            }
            return Ok(None);
        };
        let mut rest = bytes.get(..end + 2).unwrap_or_default();
        let status =
            status(line(&mut rest)).ok_or_else(|| protocol("no HTTP/1.1 response", bytes))?;
        let mut head = Head { status, size: end + 4, length: None, chunked: false, closes: false };
        while !rest.is_empty() {
            let line = line(&mut rest);
            let colon = memchr(b':', line).ok_or_else(|| protocol("no header", line))?;
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            if name.eq_ignore_ascii_case(b"content-length") {
                let length = number(value).ok_or_else(|| protocol("no length", line))?;
                if head.length.replace(length).is_some_and(|other| other != length) {
                    return Err(protocol("two lengths", bytes));
                }
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                head.chunked = value.eq_ignore_ascii_case(b"chunked");
            } else if name.eq_ignore_ascii_case(b"connection") {
                head.closes = value.eq_ignore_ascii_case(b"close");
            }
        }
        Ok(Some(head))
    }
}

/// Takes a line off the front of `rest`, without its end.
fn line<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = memchr(b'\n', rest).unwrap_or(rest.len());
    let (line, more) = rest.split_at(end);
    *rest = more.get(1..).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.1 ")?;
    let status = number(rest.get(..3)?)?;
    matches!(rest.get(3), None | Some(b' ')).then_some(())?;
    u16::try_from(status).ok()
}

/// A decimal number and nothing else.
pub fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_usize, |value, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(usize::from(digit))
    })
}

/// Something that is against the protocol.
pub fn protocol(what: &'static str, bytes: &[u8]) -> Fault {
    Fault::Protocol { what, got: excerpt(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_frames_the_body() {
        let text = b"HTTP/1.1 200 OK\r\nServer: x\r\ncontent-length:  42 \r\n\
            Connection: Close\r\n\r\nrest";
        let head = Head {
            status: 200,
            size: text.len() - 4,
            length: Some(42),
            chunked: false,
            closes: true,
        };
        assert_eq!(Head::parse(text), Ok(Some(head)));
        for cut in 0..text.len() - 4 {
            assert_eq!(Head::parse(&text[..cut]), Ok(None), "{cut}");
        }
        let chunked = Head::parse(b"HTTP/1.1 201\r\nTransfer-Encoding: chunked\r\n\r\n");
        assert!(matches!(chunked, Ok(Some(Head { status: 201, chunked: true, length: None, .. }))));
    }

    #[test]
    fn refuses_what_is_none() {
        for text in [
            "HTTP/1.0 200 OK\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nnothing\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "\r\n\r\n",
        ] {
            assert!(Head::parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Head::parse(&vec![b'x'; LONGEST + 1]).is_err());
    }
}
