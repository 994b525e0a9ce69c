//! Where in a request the guard is. Used by `framing`.

use super::chunk::Chunk;
use super::violation::Kind;

/// Where in a request the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Before a request; empty lines are skipped. `true` after a CR.
    Blank { cr: bool },
    /// In the method, which has a character.
    Method,
    /// In the target.
    Target,
    /// So many characters of the version have been read.
    Version { at: usize },
    /// At the end of a line, after its CR.
    LineCr,
    /// At the beginning of a header line. `true` after a CR.
    Line { cr: bool },
    /// In a header's name.
    Name,
    /// In a header's value.
    Value,
    /// In a body, so many bytes before its end.
    Body { left: u64 },
    /// In a chunked body, before its trailers.
    Chunks(Chunk),
    /// Nothing is looked at any more.
    Released,
    /// Something was refused; so is all that follows.
    Refused(Kind),
}
