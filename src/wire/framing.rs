//! The strict reader that stands between a client's socket and hyper's HTTP/1 server, and lets
//! through only requests whose framing is beyond doubt: hyper takes some things that a backend
//! could read differently (RFC 9112, section 11.2).
//!
//! Called by whatever reads a client's socket, with each run of bytes before hyper sees it. It
//! follows the connection from request to request (head, body, next head) and keeps no copy of
//! anything, only where it is. It knows neither hyper nor sockets. A run that holds whole heads is
//! passed over line by line; nothing is done twice when runs are cut elsewhere.

mod byte;
mod chunk;
mod state;
mod target;
pub mod unchunk;
mod value;
mod violation;
mod whole;
use byte::{TOKEN, is, is_control};
use chunk::Chunk;
use state::State;
use target::Target;
use value::{Framing, Value};
use violation::Name;
pub use violation::{Kind, Violation};

use super::names::{Noted, Spelling};

/// Most header lines of a request; hyper's own limit.
const HEADERS_MAX: usize = 100;
/// Longest line that gives a chunk's size, with its extensions.
const CHUNK_LINE_BYTES_MAX: usize = 4096;

/// Follows the bytes of one client.
#[derive(Debug)]
pub struct HeadGuard {
    limit: usize,
    state: State,
    /// Bytes of the empty lines, the head, the trailers, or the chunk line so far.
    counted: usize,
    headers: usize,
    /// The lines are a chunked body's trailers, not a head.
    trailers: bool,
    http10: bool,
    target: Target,
    name: Name,
    value: Value,
    framing: Framing,
    names: Noted,
}

const VERSION: &[u8] = b"HTTP/1.";
/// Behind most targets.
const USUAL_VERSION: &[u8] = b"HTTP/1.1\r\n";

impl HeadGuard {
    /// A guard for a new connection. A head of exactly `head_limit_bytes` is let through.
    #[must_use]
    pub fn new(head_limit_bytes: usize) -> HeadGuard {
        HeadGuard {
            limit: head_limit_bytes,
            state: State::Blank { cr: false },
            counted: 0,
            headers: 0,
            trailers: false,
            http10: false,
            target: Target::default(),
            name: Name::default(),
            value: Value::Other,
            framing: Framing::default(),
            names: Noted::default(),
        }
    }

    /// Looks at the next bytes of the client. Without an error all of them may be passed on.
    ///
    /// # Errors
    ///
    /// Something in them is in doubt. The connection is to be answered and closed: nobody can tell
    /// any more where a request begins, so all that is fed after that is refused too.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Violation> {
        let mut at = 0;
        // Where the request began whose head is being read: before this run until one begins in it.
        let mut head = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let Some(used) = self.whole_head(rest) {
                at = at.saturating_add(used);
                if self.is_between_requests() {
                    head = at;
                }
                continue;
            }
            let used = self.run(rest).map_err(|(kind, behind)| {
                let offset = if self.in_head() { head } else { at.saturating_add(behind) };
                let in_body = self.trailers || !self.in_head();
                let violation = Violation { kind, offset, in_body, header: self.header(kind) };
                self.state = State::Refused(kind);
                violation
            })?;
            at = at.saturating_add(used);
            if self.is_between_requests() {
                head = at;
            }
        }
        Ok(())
    }

    /// The spellings of heads that have passed and were not written as usual, each with how many
    /// heads came before it; to be taken out.
    pub fn spelled(&mut self) -> &mut Vec<(u64, Spelling)> {
        self.names.spelled()
    }

    /// From now on everything passes: the connection is no longer one of HTTP/1 (an upgrade or a
    /// CONNECT that was accepted). To be called before the answer that says so is written. Until
    /// then what follows such a request is taken for another one, as it would be if it were
    /// refused.
    pub fn release(&mut self) {
        self.state = State::Released;
    }

    /// No request has begun, or the last one is complete.
    #[must_use]
    pub fn is_between_requests(&self) -> bool {
        matches!(self.state, State::Blank { .. })
    }

    fn in_head(&self) -> bool {
        match self.state {
            State::Body { .. } | State::Chunks(_) | State::Released | State::Refused(_) => false,
            _ => !self.trailers,
        }
    }

    /// The header that a violation is to name.
    fn header(&self, kind: Kind) -> Name {
        match (self.state, kind) {
            (_, Kind::TooManyHeaders(_) | Kind::HeadTooLarge(_) | Kind::Folding) => Name::default(),
            (State::Name | State::Value | State::LineCr, _) => self.name,
            _ => Name::default(),
        }
    }

    /// Reads a head that is all here and beyond doubt; `None` if there is none.
    fn whole_head(&mut self, rest: &[u8]) -> Option<usize> {
        let begins = self.state == State::Blank { cr: false } && self.counted == 0;
        let head = begins.then(|| whole::read(rest, self.limit)).flatten()?;
        self.framing = head.framing;
        if head.unusual {
            self.names.add_all(&head.names);
        }
        self.end_head();
        Some(head.length)
    }

    /// Reads at least one byte of `rest`, which is not empty, and says how many. An error says how
    /// many before it are sound.
    fn run(&mut self, rest: &[u8]) -> Result<usize, (Kind, usize)> {
        match self.state {
            State::Released => return Ok(rest.len()),
            State::Refused(kind) => return Err((kind, 0)),
            State::Body { left } | State::Chunks(Chunk::Data { left }) => {
                return Ok(self.skip(rest, left));
            }
            _ => {}
        }
        let (most, too_much) = match self.state {
            State::Chunks(_) => (CHUNK_LINE_BYTES_MAX, Kind::ChunkSize),
            _ => (self.limit, Kind::HeadTooLarge(self.limit)),
        };
        let room = most.saturating_sub(self.counted);
        let rest = rest.get(..rest.len().min(room)).unwrap_or_default();
        let Some(first) = rest.first() else { return Err((too_much, 0)) };
        let used = match self.state {
            State::Method => self.method(rest),
            State::Target => self.target(rest),
            State::Name => self.name(rest),
            State::Value => self.value(rest),
            // What most heads have is not read byte by byte.
            State::Version { at: 0 } if rest.starts_with(USUAL_VERSION) => {
                self.state = State::Line { cr: false };
                Ok(USUAL_VERSION.len())
            }
            State::Line { cr: false } if rest.starts_with(b"\r\n") => {
                self.end_head();
                return Ok(2);
            }
            _ => {
                // Before the step: the last byte of a head begins a new count.
                self.counted = self.counted.saturating_add(1);
                return self.step(*first).map(|()| 1).map_err(|kind| (kind, 0));
            }
        }?;
        self.counted = self.counted.saturating_add(used);
        Ok(used)
    }

    /// Passes over the bytes of a body or a chunk, of which `left` are to come.
    fn skip(&mut self, rest: &[u8], left: u64) -> usize {
        let used = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left.saturating_sub(used as u64);
        self.state = match self.state {
            State::Chunks(_) if left == 0 => State::Chunks(Chunk::End { cr: false }),
            State::Chunks(_) => State::Chunks(Chunk::Data { left }),
            _ if left == 0 => State::Blank { cr: false },
            _ => State::Body { left },
        };
        used
    }

    /// The rest of the method, up to the space after it.
    fn method(&mut self, rest: &[u8]) -> Result<usize, (Kind, usize)> {
        let length = rest.iter().take_while(|byte| is(**byte, TOKEN)).count();
        match rest.get(length) {
            None => return Ok(length),
            Some(b' ') => self.state = State::Target,
            Some(_) => return Err((Kind::Method, length)),
        }
        Ok(length.saturating_add(1))
    }

    /// The target, up to the space after it.
    fn target(&mut self, rest: &[u8]) -> Result<usize, (Kind, usize)> {
        let length = self.target.add(rest);
        match rest.get(length) {
            None => Ok(length),
            Some(b' ') if self.target.is_some() => {
                self.target.end().map_err(|kind| (kind, length))?;
                self.state = State::Version { at: 0 };
                Ok(length.saturating_add(1))
            }
            Some(b'\r' | b'\n') => Err((Kind::Version, length)),
            Some(_) => Err((Kind::Target, length)),
        }
    }

    fn name(&mut self, rest: &[u8]) -> Result<usize, (Kind, usize)> {
        let length = rest.iter().take_while(|byte| is(**byte, TOKEN)).count();
        let part = rest.get(..length).unwrap_or_default();
        self.name.add(part);
        match rest.get(length) {
            None => {}
            Some(b':') => {
                if !self.trailers {
                    self.names.add(part);
                    self.names.end();
                }
                self.begin_value();
                return Ok(length.saturating_add(1));
            }
            Some(b' ' | b'\t') => return Err((Kind::SpaceBeforeColon, length)),
            Some(_) => return Err((Kind::HeaderName, length)),
        }
        if !self.trailers {
            self.names.add(part);
        }
        Ok(length)
    }

    fn begin_value(&mut self) {
        self.state = State::Value;
        // Trailers decide nothing.
        self.value = if self.trailers {
            Value::Other
        } else {
            self.name.whole().map_or(Value::Other, Value::of)
        };
    }

    /// A value up to the end of its line, or of what there is.
    fn value(&mut self, rest: &[u8]) -> Result<usize, (Kind, usize)> {
        let feed = memchr::memchr(b'\n', rest);
        let line = rest.get(..feed.unwrap_or(rest.len())).unwrap_or_default();
        let (text, cr) = line.strip_suffix(b"\r").map_or((line, false), |text| (text, true));
        let control = |byte: u8| if byte == b'\r' { Kind::BareCr } else { Kind::Control };
        if self.value != Value::Other {
            // In their order: what is wrong first is told, however the bytes come.
            for (at, byte) in text.iter().enumerate() {
                let next =
                    if is_control(*byte) { Err(control(*byte)) } else { self.value.and(*byte) };
                self.value = next.map_err(|kind| (kind, at))?;
            }
        } else if text.iter().fold(false, |bad, byte| bad | is_control(*byte)) {
            // Without a branch for each byte, so that it runs on many at a time.
            let at = text.iter().position(|byte| is_control(*byte)).unwrap_or_default();
            return Err((text.get(at).map_or(Kind::Control, |byte| control(*byte)), at));
        }
        let Some(feed) = feed else {
            if cr {
                self.state = State::LineCr;
            }
            return Ok(rest.len());
        };
        if self.trailers && !cr {
            return Err((Kind::BareLf, feed));
        }
        self.end_line().map_err(|kind| (kind, feed))?;
        Ok(feed.saturating_add(1))
    }

    /// The line feed of a request line or of a header line.
    fn end_line(&mut self) -> Result<(), Kind> {
        self.framing.decide(self.value, self.http10)?;
        self.value = Value::Other;
        self.name = Name::default();
        self.state = State::Line { cr: false };
        Ok(())
    }

    /// The empty line after a head or after trailers.
    fn end_head(&mut self) {
        let state = match (self.trailers, self.framing.chunked, self.framing.length) {
            (false, true, _) => State::Chunks(Chunk::FIRST),
            (false, false, Some(left)) if left > 0 => State::Body { left },
            _ => State::Blank { cr: false },
        };
        if !self.trailers {
            self.names.end_head();
        }
        self.state = state;
        (self.counted, self.headers, self.trailers, self.http10) = (0, 0, false, false);
        (self.value, self.framing) = (Value::Other, Framing::default());
    }

    /// One byte, where runs are short.
    fn step(&mut self, byte: u8) -> Result<(), Kind> {
        self.state = match (self.state, byte) {
            (State::Blank { .. }, b'\n') => State::Blank { cr: false },
            (State::Blank { cr: true } | State::Line { cr: true } | State::LineCr, byte)
                if byte != b'\n' =>
            {
                return Err(Kind::BareCr);
            }
            (State::Blank { .. }, b'\r') => State::Blank { cr: true },
            (State::Blank { .. }, byte) if is(byte, TOKEN) => {
                self.counted = 1;
                State::Method
            }
            (State::Blank { .. }, _) => return Err(Kind::Method),
            (State::Version { at }, byte) => self.version(at, byte)?,
            (State::LineCr, _) => return self.end_line(),
            (State::Line { cr }, byte) => return self.line(cr, byte),
            (State::Chunks(chunk), byte) => self.chunk(chunk, byte)?,
            (state, _) => state,
        };
        Ok(())
    }

    fn version(&mut self, at: usize, byte: u8) -> Result<State, Kind> {
        match (VERSION.get(at), byte) {
            (Some(expected), byte) if *expected == byte => {}
            (Some(b'1'), b'2') => return Err(Kind::Http2),
            (None, b'0' | b'1') if at == VERSION.len() => self.http10 = byte == b'0',
            (None, b'\r') if at > VERSION.len() => return Ok(State::LineCr),
            (None, b'\n') if at > VERSION.len() => return Ok(State::Line { cr: false }),
            _ => return Err(Kind::Version),
        }
        Ok(State::Version { at: at.saturating_add(1) })
    }

    /// The first byte of a line, or the second one of an empty line.
    fn line(&mut self, cr: bool, byte: u8) -> Result<(), Kind> {
        match byte {
            b'\n' if self.trailers && !cr => return Err(Kind::BareLf),
            b'\n' => self.end_head(),
            b'\r' => self.state = State::Line { cr: true },
            b' ' | b'\t' => return Err(Kind::Folding),
            b':' => return Err(Kind::HeaderNameEmpty),
            byte if is(byte, TOKEN) => {
                if self.headers >= HEADERS_MAX {
                    return Err(Kind::TooManyHeaders(HEADERS_MAX));
                }
                self.headers = self.headers.saturating_add(1);
                self.name = Name::default();
                self.name.push(byte);
                if !self.trailers {
                    self.names.add(&[byte]);
                }
                self.state = State::Name;
            }
            _ => return Err(Kind::HeaderName),
        }
        Ok(())
    }

    /// One byte of what stands around the chunks of a body.
    fn chunk(&mut self, chunk: Chunk, byte: u8) -> Result<State, Kind> {
        let Some(next) = chunk.and(byte)? else {
            (self.trailers, self.counted) = (true, 0);
            return Ok(State::Line { cr: false });
        };
        if next.begins() {
            self.counted = 0;
        }
        Ok(State::Chunks(next))
    }
}

#[cfg(test)]
mod tests;
