//! The directives within filtered content: `%%`, `%c`, `%(argument)c` (specification, GRIP 6.2).
//!
//! Called by the filters that rewrite content. The reader takes content in pieces of any size; what
//! a directive stands for is the caller's to say. Knows nothing of subscriptions.

use crate::limits;

/// What is wrong with a directive.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The text ends behind a `%`.
    #[error("Expected directive after '%'")]
    NoDirective,
    /// The text ends behind `%(`.
    #[error("Expected character after '('")]
    NoArgument,
    /// The text ends behind a backslash.
    #[error("Expected character after '\\'")]
    NoEscaped,
    /// The text ends within an argument, or the argument is too long.
    #[error("Unterminated field starting")]
    Unterminated,
    /// The text ends behind an argument.
    #[error("Expected directive after ')'")]
    NothingAfterArgument,
    /// There is no such directive here.
    #[error("Unknown directive '{0}'")]
    Unknown(char),
    /// The directive makes no sense without an argument.
    #[error("Directive '{0}' requires argument")]
    NeedsArgument(char),
    /// The variable is not set.
    #[error("No such variable '{0}'")]
    NoVariable(String),
    /// There is no id, and none is given.
    #[error("No ID specified and no default ID in context")]
    NoId,
    /// The text would become too long.
    #[error("Content grew by more than {} bytes", limits::FILTER_GROWTH_BYTES_MAX)]
    Grown,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at position {position}")]
pub struct DirectiveError {
    /// What.
    pub problem: Problem,
    /// At which byte of the text, counted from 0.
    pub position: u64,
}

/// What has been rewritten, up to a bound.
#[derive(Debug)]
pub struct Output {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Output {
    /// Room for what `text_bytes` bytes of text become.
    #[must_use]
    pub fn bounded(text_bytes: usize) -> Output {
        let bytes_max = text_bytes.saturating_add(limits::FILTER_GROWTH_BYTES_MAX);
        Output { bytes: Vec::with_capacity(text_bytes), bytes_max }
    }

    /// Room for anything: for whose directives cannot say much more than what stands in them.
    #[must_use]
    pub fn unbounded() -> Output {
        Output { bytes: Vec::new(), bytes_max: usize::MAX }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// When the bound is passed.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        if bytes.len() > self.bytes_max.saturating_sub(self.bytes.len()) {
            return Err(Problem::Grown);
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// What was appended.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Says what a directive stands for: its letter, and its argument, which is empty without one.
pub type Expand<'a> = dyn Fn(u8, &[u8], &mut Output) -> Result<(), Problem> + 'a;

/// `letter`, as [`Problem`] shows it.
#[must_use]
pub fn shown(letter: u8) -> char {
    if letter.is_ascii() { char::from(letter) } else { char::REPLACEMENT_CHARACTER }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Between directives.
    #[default]
    Text,
    /// Behind `%`.
    Marked,
    /// Behind `%(`.
    Opened,
    /// Within an argument.
    Argument,
    /// Behind a backslash in an argument.
    Escaped,
    /// Behind `)`.
    Closed,
}

/// Reads text with directives, in pieces.
#[derive(Debug, Default)]
pub struct Reader {
    state: State,
    argument: Vec<u8>,
    /// Bytes that have been read.
    at: u64,
    /// Where the directive under way, or else the last one, begins.
    marker: u64,
}

impl Reader {
    /// Reads a piece and writes what becomes of it, up to a directive that is not finished.
    ///
    /// # Errors
    /// At the first directive that is not valid. What has been written by then stays in `out`.
    pub fn push(
        &mut self,
        piece: &[u8],
        expand: &Expand<'_>,
        out: &mut Output,
    ) -> Result<(), DirectiveError> {
        let mut rest = piece;
        while let [byte, after @ ..] = rest {
            if self.state != State::Text {
                self.take(*byte, expand, out).map_err(|problem| self.error(problem))?;
                self.at = self.at.saturating_add(1);
                rest = after;
                continue;
            }
            let plain = memchr::memchr(b'%', rest).unwrap_or(rest.len());
            let (text, marked) = rest.split_at(plain);
            out.put(text).map_err(|problem| self.error(problem))?;
            self.at = self.at.saturating_add(text.len() as u64);
            let [_, after @ ..] = marked else { break };
            self.marker = self.at;
            self.at = self.at.saturating_add(1);
            self.state = State::Marked;
            rest = after;
        }
        Ok(())
    }

    fn error(&self, problem: Problem) -> DirectiveError {
        let position = match problem {
            Problem::Unterminated => self.marker.saturating_add(1),
            _ => self.at,
        };
        DirectiveError { problem, position }
    }

    /// Takes one byte of a directive.
    fn take(&mut self, byte: u8, expand: &Expand<'_>, out: &mut Output) -> Result<(), Problem> {
        self.state = match (self.state, byte) {
            (State::Marked, b'%') => {
                out.put(b"%")?;
                State::Text
            }
            (State::Marked, b'(') => State::Opened,
            (State::Opened | State::Argument, b'\\') => State::Escaped,
            (State::Opened | State::Argument, b')') => State::Closed,
            (State::Opened | State::Argument | State::Escaped, byte) => {
                if self.argument.len() >= limits::FILTER_ARGUMENT_BYTES_MAX {
                    return Err(Problem::Unterminated);
                }
                self.argument.push(byte);
                State::Argument
            }
            (State::Marked | State::Closed | State::Text, letter) => {
                expand(letter, &self.argument, out)?;
                self.argument.clear();
                State::Text
            }
        };
        Ok(())
    }

    /// The text ends here.
    ///
    /// # Errors
    /// When it ends within a directive.
    pub fn end(&self) -> Result<(), DirectiveError> {
        let (last, opened) = (self.at.saturating_sub(1), self.marker.saturating_add(1));
        let (problem, position) = match self.state {
            State::Text => return Ok(()),
            State::Marked => (Problem::NoDirective, self.marker),
            State::Opened => (Problem::NoArgument, opened),
            State::Argument => (Problem::Unterminated, opened),
            State::Escaped => (Problem::NoEscaped, last),
            State::Closed => (Problem::NothingAfterArgument, last),
        };
        Err(DirectiveError { problem, position })
    }

    /// Where the directive under way begins.
    #[must_use]
    pub fn marker(&self) -> u64 {
        self.marker
    }
}

/// Rewrites a whole text.
///
/// # Errors
/// When a directive is not valid, or the text would grow too much.
pub fn rewrite(text: &[u8], expand: &Expand<'_>) -> Result<Vec<u8>, DirectiveError> {
    let (mut reader, mut out) = (Reader::default(), Output::bounded(text.len()));
    reader.push(text, expand, &mut out)?;
    reader.end()?;
    Ok(out.into_bytes())
}
