//! `build-id`: ids that the proxy makes, put into content (specification, GRIP 6.2).
//!
//! Called by `filter` for messages, and through [`ResponseRewriter`] by `proxy` for the bodies of
//! responses, which may come in pieces. An id is built from a template, which names channels.

use bytes::Bytes;

use super::directive::{self, DirectiveError, Output, Problem, Reader};
use super::{Fault, Filter, FilterError, Subject};

/// How ids are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Hex,
}

impl Encoding {
    /// The encoding that the subscription's variables ask for.
    fn of(name: Option<&str>) -> Result<Encoding, Fault> {
        match name {
            None => Ok(Encoding::Plain),
            Some("hex") => Ok(Encoding::Hex),
            Some(other) => Err(Fault::Encoding(other.into())),
        }
    }

    fn put(self, id: &[u8], out: &mut Output) -> Result<(), Problem> {
        match self {
            Encoding::Plain => out.put(id),
            Encoding::Hex => id.iter().try_for_each(|byte| {
                const DIGITS: &[u8; 16] = b"0123456789abcdef";
                let digit = |value: u8| DIGITS.get(usize::from(value)).copied().unwrap_or(b'0');
                out.put(&[digit(byte >> 4), digit(byte & 15)])
            }),
        }
    }
}

/// Writes what a directive in content stands for: `id` if it gives none itself.
fn expand(
    encoding: Encoding,
    id: Option<&[u8]>,
    (letter, argument): (u8, &[u8]),
    out: &mut Output,
) -> Result<(), Problem> {
    if letter != b'I' {
        return Err(Problem::Unknown(directive::shown(letter)));
    }
    let given = Some(argument).filter(|argument| !argument.is_empty());
    encoding.put(given.or(id).ok_or(Problem::NoId)?, out)
}

/// The id that a template says: `%(channel)s` is the id of the last item that the client has of
/// that channel.
fn id(template: &str, subject: &dyn Subject) -> Result<Vec<u8>, DirectiveError> {
    let value = |name: &str| subject.prev_id(name);
    directive::rewrite(template.as_bytes(), &|letter, argument, out: &mut Output| {
        super::variable(letter, argument, &value, out)
    })
}

/// Rewrites a message's content; `None` when it stays as it is.
pub fn message(subject: &dyn Subject, content: &Bytes) -> Result<Option<Bytes>, Fault> {
    let template = subject.meta("id_format").ok_or(Fault::NoFormat)?;
    let id = id(template, subject).map_err(Fault::Id)?;
    let encoding = Encoding::of(subject.meta("id_encoding"))?;
    if memchr::memchr(b'%', content).is_none() {
        return Ok(None);
    }
    let rewritten = directive::rewrite(content, &|letter, argument, out: &mut Output| {
        expand(encoding, Some(&id), (letter, argument), out)
    })?;
    Ok(Some(rewritten.into()))
}

/// Rewrites the body of a response, which may come in pieces, wherever it is cut.
///
/// There is no id here: only directives that give theirs are valid. What is wrong with the
/// subscription's variables is said when there is a body, or at its end.
#[derive(Debug)]
pub struct ResponseRewriter {
    encoding: Result<Encoding, Fault>,
    reader: Reader,
}

impl ResponseRewriter {
    /// A rewriter for the filters of all channels that an instruction names; `None` when none of
    /// them concerns responses. `meta` gives the variables of the subscription.
    #[must_use]
    pub fn new<T: AsRef<str>>(
        filters: impl IntoIterator<Item = Filter>,
        meta: impl Fn(&str) -> Option<T>,
    ) -> Option<ResponseRewriter> {
        if !filters.into_iter().any(|filter| filter == Filter::BuildId) {
            return None;
        }
        let encoding = match meta("id_format") {
            Some(_) => Encoding::of(meta("id_encoding").as_ref().map(AsRef::as_ref)),
            None => Err(Fault::NoFormat),
        };
        Some(ResponseRewriter { encoding, reader: Reader::default() })
    }

    /// What becomes of the next piece of the body, which must not be empty; an unfinished directive
    /// at its end is kept for the next one.
    ///
    /// # Errors
    /// When the body cannot be rewritten: then there is no more of it.
    pub fn push(&mut self, piece: &[u8]) -> Result<Bytes, FilterError> {
        let encoding = self.encoding.clone().map_err(error)?;
        // No bound: hexadecimal doubles, and an argument that is kept has one.
        let mut out = Output::unbounded();
        self.reader
            .push(
                piece,
                &|letter, argument, out: &mut Output| {
                    expand(encoding, None, (letter, argument), out)
                },
                &mut out,
            )
            .map_err(|fault| error(fault.into()))?;
        Ok(out.into_bytes().into())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// When it ends within a directive. The position is then that in the directive, as existing
    /// servers say it.
    pub fn end(self) -> Result<(), FilterError> {
        self.encoding.map_err(error)?;
        self.reader.end().map_err(|DirectiveError { problem, position }| {
            let position = position.saturating_sub(self.reader.marker());
            error(DirectiveError { problem, position }.into())
        })
    }

    /// What becomes of a whole body.
    ///
    /// # Errors
    /// When it cannot be rewritten.
    pub fn whole(mut self, body: &[u8]) -> Result<Bytes, FilterError> {
        let rewritten = self.push(body)?;
        self.end()?;
        Ok(rewritten)
    }
}

fn error(fault: Fault) -> FilterError {
    FilterError { filter: Filter::BuildId, fault }
}
