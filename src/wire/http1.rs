//! What a parked HTTP/1 connection writes: response heads, chunks, the last chunk.
//!
//! hyper writes the heads of everything that it still serves; this is for connections that hyper
//! has let go of. Called by `session` and `parking`.

use bytes::{BufMut, Bytes, BytesMut};

/// The chunk that ends a chunked body (RFC 9112, 7.1).
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// One chunk of a chunked body. An empty payload gives no bytes: an empty chunk would end the body.
#[must_use]
pub fn chunk(payload: &[u8]) -> Bytes {
    if payload.is_empty() {
        return Bytes::new();
    }
    let mut out = BytesMut::with_capacity(payload.len() + 20);
    let mut digits = [0_u8; 16];
    let mut at = digits.len();
    let mut rest = payload.len();
    while rest > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest & 15];
        rest >>= 4;
    }
    out.put_slice(&digits[at..]);
    out.put_slice(b"\r\n");
    out.put_slice(payload);
    out.put_slice(b"\r\n");
    out.freeze()
}

/// Which HTTP/1 version a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// HTTP/1.0: no chunks; persistent only when asked for.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How a whole response is written.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The client's version.
    pub version: Version,
    /// The status code.
    pub code: u16,
    /// The reason phrase.
    pub reason: &'a [u8],
    /// The request was HEAD: the length is sent and the body is not.
    pub head_only: bool,
    /// Whether the connection goes on afterwards.
    pub persistent: bool,
}

/// How a client is told where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// It has so many bytes.
    Exact(u64),
    /// It comes in chunks.
    Chunked,
    /// It ends with the connection.
    UntilClose,
}

impl Answer<'_> {
    /// Appends head, with a computed `Content-Length`, and body to `out`.
    ///
    /// 204, 304 and 1xx get neither length nor body. `fields` are written as they are, in order.
    pub fn write<'f>(
        &self,
        out: &mut BytesMut,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        body: &[u8],
    ) {
        self.write_head(out, fields, Length::Exact(body.len() as u64));
        if self.has_body() {
            out.put_slice(body);
        }
    }

    /// Whether a body follows the head.
    #[must_use]
    pub fn has_body(&self) -> bool {
        !self.is_bodyless() && !self.head_only
    }

    fn is_bodyless(&self) -> bool {
        self.code == 204 || self.code == 304 || (100..200).contains(&self.code)
    }

    /// Appends the head of an answer whose body, of this length, comes by itself.
    pub fn write_head<'f>(
        &self,
        out: &mut BytesMut,
        fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
        length: Length,
    ) {
        let mut number = itoa::Buffer::new();
        out.put_slice(match self.version {
            Version::Http10 => b"HTTP/1.0 ",
            Version::Http11 => b"HTTP/1.1 ",
        });
        out.put_slice(number.format(self.code).as_bytes());
        out.put_u8(b' ');
        out.put_slice(self.reason);
        out.put_slice(b"\r\n");
        for (name, value) in fields {
            out.put_slice(name);
            out.put_slice(b": ");
            out.put_slice(value);
            out.put_slice(b"\r\n");
        }
        let chunked = length == Length::Chunked && !self.is_bodyless();
        match (self.version, self.persistent) {
            (Version::Http11, false) if chunked => {
                out.put_slice(b"Connection: Transfer-Encoding, close\r\n");
            }
            (Version::Http11, true) if chunked => {
                out.put_slice(b"Connection: Transfer-Encoding\r\n");
            }
            (Version::Http11, false) => out.put_slice(b"Connection: close\r\n"),
            (Version::Http10, true) => out.put_slice(b"Connection: keep-alive\r\n"),
            _ => {}
        }
        match length {
            _ if self.is_bodyless() => {}
            Length::Exact(bytes) => {
                out.put_slice(b"Content-Length: ");
                out.put_slice(number.format(bytes).as_bytes());
                out.put_slice(b"\r\n");
            }
            Length::Chunked => out.put_slice(b"Transfer-Encoding: chunked\r\n"),
            Length::UntilClose => {}
        }
        out.put_slice(b"\r\n");
    }
}

/// The standard reason phrase of a status code; `Undefined Reason` where there is none
/// (specification, GRIP appendix A).
#[must_use]
pub fn reason(code: u16) -> &'static str {
    match code {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        207 => "Multi-Status",
        208 => "Already Reported",
        226 => "IM Used",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        305 => "Use Proxy",
        306 => "Reserved",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Requested Range Not Satisfiable",
        417 => "Expectation Failed",
        422 => "Unprocessable Entity",
        423 => "Locked",
        424 => "Failed Dependency",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        506 => "Variant Also Negotiates",
        507 => "Insufficient Storage",
        508 => "Loop Detected",
        510 => "Not Extended",
        511 => "Network Authentication Required",
        _ => "Undefined Reason",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks() {
        assert_eq!(&chunk(b"init\n")[..], b"5\r\ninit\n\r\n");
        assert_eq!(&chunk(&[b'x'; 0x1ab])[..5], b"1ab\r\n");
        assert!(chunk(b"").is_empty());
    }

    fn answer(version: Version, code: u16, reason: &[u8]) -> Answer<'_> {
        Answer { version, code, reason, head_only: false, persistent: true }
    }

    #[test]
    fn a_whole_response() {
        let mut out = BytesMut::new();
        let fields: [(&[u8], &[u8]); 2] = [(b"Content-Type", b"text/plain"), (b"x-a", b"new")];
        answer(Version::Http11, 200, b"OK").write(&mut out, fields.into_iter(), b"pub");
        assert_eq!(
            &out[..],
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nx-a: new\r\nContent-Length: 3\r\n\r\npub"
        );
    }

    #[test]
    fn bodyless_codes_have_neither_length_nor_body() {
        for code in [204, 304, 101] {
            let mut out = BytesMut::new();
            answer(Version::Http11, code, b"X").write(&mut out, std::iter::empty(), b"pub");
            assert_eq!(out, format!("HTTP/1.1 {code} X\r\n\r\n").as_bytes());
        }
    }

    #[test]
    fn the_connection_field_depends_on_the_version() {
        for (version, persistent, expected) in [
            (Version::Http10, true, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"),
            (Version::Http10, false, "HTTP/1.0 200 OK\r\nContent-Length"),
            (Version::Http11, false, "HTTP/1.1 200 OK\r\nConnection: close\r\n"),
        ] {
            let mut out = BytesMut::new();
            let answer = Answer { persistent, ..answer(version, 200, b"OK") };
            answer.write(&mut out, std::iter::empty(), b"");
            assert!(out.starts_with(expected.as_bytes()), "{out:?}");
        }
    }

    #[test]
    fn heads_of_bodies_that_come_by_themselves() {
        for (version, persistent, length, expected) in [
            (
                Version::Http11,
                true,
                Length::Chunked,
                "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
            ),
            (
                Version::Http11,
                false,
                Length::Chunked,
                "Connection: Transfer-Encoding, close\r\nTransfer-Encoding: chunked\r\n",
            ),
            (Version::Http10, false, Length::UntilClose, ""),
            (Version::Http11, true, Length::Exact(7), "Content-Length: 7\r\n"),
        ] {
            let mut out = BytesMut::new();
            let answer = Answer { persistent, ..answer(version, 200, b"OK") };
            answer.write_head(&mut out, std::iter::empty(), length);
            assert_eq!(out[17..], format!("{expected}\r\n").as_bytes()[..]);
        }
    }

    #[test]
    fn a_head_request_gets_the_length_without_the_body() {
        let mut out = BytesMut::new();
        let answer = Answer { head_only: true, ..answer(Version::Http11, 200, b"OK") };
        answer.write(&mut out, std::iter::empty(), b"four");
        assert!(out.ends_with(b"Content-Length: 4\r\n\r\n"));
    }
}
