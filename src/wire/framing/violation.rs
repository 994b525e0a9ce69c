//! Why bytes of a client are not let through, and what it is told. Made by `framing`.

use std::fmt;

/// What is wrong with a request's framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The method is empty or has a character that no token has.
    Method,
    /// The target is empty or has a character that no target has.
    Target,
    /// The target is neither a path, nor `*`, nor a URL.
    TargetForm,
    /// What follows the target is not `HTTP/1.0` or `HTTP/1.1` and a line end.
    Version,
    /// The preface of HTTP/2, or a request line that names it.
    Http2,
    /// A header line has no colon, or a character in its name that no token has.
    HeaderName,
    /// A header line begins with its colon.
    HeaderNameEmpty,
    /// White space stands between a header's name and its colon.
    SpaceBeforeColon,
    /// A header line begins with white space: obsolete line folding.
    Folding,
    /// NUL or another control character in a header's value.
    Control,
    /// CR without LF.
    BareCr,
    /// LF without CR where chunks and trailers allow none.
    BareLf,
    /// `Content-Length` is not one decimal number.
    Length,
    /// Several `Content-Length`s that differ.
    LengthsDiffer,
    /// `Transfer-Encoding` is not `chunked` and nothing else.
    Encoding,
    /// Several `Transfer-Encoding`s.
    EncodingTwice,
    /// `Transfer-Encoding` in a request of HTTP/1.0.
    EncodingInHttp10,
    /// Both `Content-Length` and `Transfer-Encoding`.
    LengthAndEncoding,
    /// The size of a chunk is missing, not hexadecimal, or followed by something unknown.
    ChunkSize,
    /// A chunk of more than 2^32-1 bytes.
    ChunkTooLarge,
    /// A chunk's bytes are not followed by CR LF.
    ChunkSuffix,
    /// The head, or the trailers, exceed the limit of so many bytes.
    HeadTooLarge(usize),
    /// More header lines than so many.
    TooManyHeaders(usize),
}

/// Why a run of bytes is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What is wrong.
    pub kind: Kind,
    /// How many bytes of the run may still be passed on: those before the head of the offending
    /// request (0 if that began in an earlier run), or before the offending byte of a body.
    pub offset: usize,
    /// It is in the body (or the trailers) of a request whose head has been passed on: that request
    /// is under way and will never be whole.
    pub in_body: bool,
    /// The name of the header at fault, if one is.
    pub(super) header: Name,
}

impl Violation {
    /// The status to answer with.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.kind {
            Kind::HeadTooLarge(_) | Kind::TooManyHeaders(_) => 431,
            Kind::Http2 => 505,
            _ => 400,
        }
    }

    /// What the client is told, without a line feed at the end (specification, routing 3.1).
    #[must_use]
    pub fn body(&self) -> String {
        match self.kind {
            Kind::HeadTooLarge(limit) => {
                format!("Request header size exceeded limit of {limit} bytes.")
            }
            _ => format!("Failed to parse request: {}", self.detail()),
        }
    }

    /// The detail in the words that clients of Pushpin see.
    fn detail(&self) -> &'static str {
        match self.kind {
            Kind::Method | Kind::Target | Kind::TargetForm => "invalid token",
            Kind::Version | Kind::Http2 => "invalid HTTP version",
            Kind::HeaderName | Kind::HeaderNameEmpty | Kind::SpaceBeforeColon => {
                "invalid header name"
            }
            Kind::Folding | Kind::Control | Kind::BareCr | Kind::BareLf => "invalid header value",
            Kind::Length | Kind::LengthsDiffer | Kind::LengthAndEncoding => {
                "invalid content length"
            }
            Kind::Encoding | Kind::EncodingTwice | Kind::EncodingInHttp10 => {
                "unsupported transfer encoding"
            }
            Kind::ChunkSize => "invalid chunk size",
            Kind::ChunkTooLarge => "chunk too large",
            Kind::ChunkSuffix => "invalid chunk suffix",
            Kind::HeadTooLarge(_) | Kind::TooManyHeaders(_) => "too many headers",
        }
    }

    /// What would have been right.
    fn expected(&self) -> &'static str {
        match self.kind {
            Kind::Method => "a method of letters, digits and !#$%&'*+-.^_`|~, then one space",
            Kind::Target => {
                "visible ASCII characters without \", < and >, nor ` in the path, then one space"
            }
            Kind::TargetForm => "a path that begins with a slash, a whole URL, or `*`",
            Kind::Version => "`HTTP/1.1` or `HTTP/1.0` at the end of the request line",
            Kind::Http2 => "HTTP/1.1: this port does not speak HTTP/2",
            Kind::HeaderName => {
                "a name of letters, digits and !#$%&'*+-.^_`|~, directly followed by a colon"
            }
            Kind::HeaderNameEmpty => "a name before the colon",
            Kind::SpaceBeforeColon => "the colon directly after the name",
            Kind::Folding => "each header on one line: folded lines are obsolete",
            Kind::Control => "no control characters but tabs",
            Kind::BareCr => "a LF after each CR",
            Kind::BareLf => "a CR before the LF that ends a chunk's or a trailer's line",
            Kind::Length => "one decimal number",
            Kind::LengthsDiffer => "the same number each time",
            Kind::Encoding => "`chunked` and nothing else",
            Kind::EncodingTwice => "`Transfer-Encoding` once",
            Kind::EncodingInHttp10 => "no `Transfer-Encoding` in a request of HTTP/1.0",
            Kind::LengthAndEncoding => "`Content-Length` or `Transfer-Encoding`, not both",
            Kind::ChunkSize => "a hexadecimal number, then `;` or CR LF",
            Kind::ChunkTooLarge => "at most 4294967295 bytes in one chunk",
            Kind::ChunkSuffix => "CR LF after the bytes of a chunk",
            Kind::HeadTooLarge(_) | Kind::TooManyHeaders(_) => "a smaller head",
        }
    }
}

impl fmt::Display for Violation {
    /// For the log: what the client is told, the header at fault, and what was expected.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.body())?;
        match self.kind {
            Kind::HeadTooLarge(_) => return Ok(()),
            Kind::TooManyHeaders(limit) => return write!(f, "; expected at most {limit}"),
            _ => {}
        }
        if !self.header.as_str().is_empty() {
            write!(f, " in `{}`", self.header.as_str())?;
        }
        write!(f, "; expected {}", self.expected())
    }
}

impl std::error::Error for Violation {}

/// The beginning of a header's name in lower case: enough to know the ones that matter and to show
/// the others.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Name {
    bytes: [u8; 32],
    length: usize,
}

impl Name {
    /// Adds a character; forgets those that have no room, but not that there were some.
    pub(super) fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte.to_ascii_lowercase();
        }
        self.length = self.length.saturating_add(1);
    }

    /// Adds characters.
    pub(super) fn add(&mut self, part: &[u8]) {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        for (place, byte) in room.iter_mut().zip(part) {
            *place = byte.to_ascii_lowercase();
        }
        self.length = self.length.saturating_add(part.len());
    }

    /// All of the name, if it had room.
    pub(super) fn whole(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length)
    }

    fn as_str(&self) -> &str {
        let kept = self.bytes.get(..self.length).unwrap_or(&self.bytes);
        std::str::from_utf8(kept).unwrap_or_default()
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}
