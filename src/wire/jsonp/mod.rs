//! JSON-P (specification, routing 5.2): requests that a script's URL describes, and answers as a
//! call of the page's function. Pure.
//!
//! `query` reads what the page asks for, `text` writes JSON strings piece by piece, and this is the
//! wrapping: of answers that are relayed, whole or as they come, and of those that were held.

pub mod query;
pub mod text;

use smallvec::SmallVec;

use text::Text;

/// A field of an answer: its name and its value.
pub type Field<'f> = (&'f [u8], &'f [u8]);

/// How the answers to one request are wrapped.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wrapping {
    /// What is called, as the page wrote it.
    pub callback: Box<[u8]>,
    /// With an object of status, headers and body, or with the body itself.
    pub extended: bool,
}

/// What an answer says beside its body.
#[derive(Clone, Copy, Debug)]
pub struct Head<'h> {
    /// The status code.
    pub code: u16,
    /// The reason phrase.
    pub reason: &'h [u8],
    /// The header fields.
    pub fields: &'h [Field<'h>],
}

impl Wrapping {
    fn call(&self, out: &mut Vec<u8>) {
        // A comment first: the page's text is never the beginning of the file.
        out.extend_from_slice(b"/**/");
        out.extend_from_slice(&self.callback);
        out.push(b'(');
    }

    /// Appends the beginning of a relayed answer; its body's pieces go through what is given back.
    pub fn begin(&self, head: Head<'_>, out: &mut Vec<u8>) -> Pieces {
        self.call(out);
        if self.extended {
            out.extend_from_slice(b"{\"code\": ");
            out.extend_from_slice(itoa::Buffer::new().format(head.code).as_bytes());
            out.extend_from_slice(b", \"reason\": \"");
            text::write(head.reason, out);
            out.extend_from_slice(b"\", \"headers\": ");
            object(relayed(head.fields).iter().map(|(n, v)| (*n, [*v])), out);
            out.extend_from_slice(b", \"body\": \"");
            return Pieces::Extended(Text::default());
        }
        Pieces::Basic(Newline::None)
    }

    /// A relayed answer that is here whole.
    #[must_use]
    pub fn relayed(&self, head: Head<'_>, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + body.len() + body.len() / 8);
        let mut pieces = self.begin(head, &mut out);
        pieces.piece(body, &mut out);
        pieces.end(&mut out);
        out
    }

    /// The answer to a request that was held.
    #[must_use]
    pub fn held(&self, head: Head<'_>, body: &[u8]) -> Vec<u8> {
        if !self.extended {
            return self.relayed(head, body);
        }
        let mut out = Vec::with_capacity(256 + body.len() + body.len() / 8);
        self.call(&mut out);
        out.extend_from_slice(b"{\"body\":\"");
        text::write(body, &mut out);
        out.extend_from_slice(b"\",\"code\":");
        out.extend_from_slice(itoa::Buffer::new().format(head.code).as_bytes());
        out.extend_from_slice(b",\"headers\":");
        object(merged(head.fields).into_iter(), &mut out);
        out.extend_from_slice(b",\"reason\":\"");
        text::write(head.reason, &mut out);
        out.extend_from_slice(b"\"});\n");
        out
    }
}

/// Names as they are spelled, each with its first value, in their order.
fn relayed<'f>(fields: &[Field<'f>]) -> SmallVec<[Field<'f>; 16]> {
    let mut sorted = SmallVec::from_slice(fields);
    // Stable: the first value stays the first.
    sorted.sort_by_key(|(name, _): &Field<'f>| *name);
    sorted.dedup_by_key(|(name, _)| *name);
    sorted
}

type Merged<'f> = (&'f [u8], SmallVec<[&'f [u8]; 2]>);

/// Names in whatever case, as first spelled, each with all its values, in their order.
fn merged<'f>(fields: &[Field<'f>]) -> Vec<Merged<'f>> {
    let mut merged: Vec<Merged<'f>> = Vec::with_capacity(fields.len());
    for (name, value) in fields {
        match merged.iter_mut().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, values)) => values.push(*value),
            None => merged.push((name, SmallVec::from_slice(&[*value]))),
        }
    }
    merged.sort_by_key(|(name, _)| *name);
    merged
}

/// Appends a JSON object of names and their values, joined.
fn object<'o, V>(members: impl Iterator<Item = (&'o [u8], V)>, out: &mut Vec<u8>)
where
    V: IntoIterator<Item = &'o [u8]>,
{
    out.push(b'{');
    for (number, (name, values)) in members.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        out.push(b'"');
        text::write(name, out);
        out.extend_from_slice(b"\":\"");
        for (number, value) in values.into_iter().enumerate() {
            if number > 0 {
                out.extend_from_slice(b", ");
            }
            text::write(value, out);
        }
        out.push(b'"');
    }
    out.push(b'}');
}

/// The end of a line that a body of basic mode has had last, and that is left out if nothing
/// follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Newline {
    /// There is none.
    None,
    /// LF.
    Lf,
    /// CR: LF may follow.
    Cr,
    /// CR and LF.
    CrLf,
}

impl Newline {
    fn bytes(self) -> &'static [u8] {
        match self {
            Newline::None => b"",
            Newline::Lf => b"\n",
            Newline::Cr => b"\r",
            Newline::CrLf => b"\r\n",
        }
    }
}

/// A body on its way, of which nothing is kept but what may still change.
#[derive(Clone, Debug)]
pub enum Pieces {
    /// As it is, but for a newline at its end.
    Basic(Newline),
    /// One JSON string.
    Extended(Text),
}

impl Pieces {
    /// Appends what can be said of the body now that this piece of it has come; maybe nothing.
    pub fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        match self {
            Pieces::Basic(withheld) => {
                if piece.is_empty() {
                    return;
                }
                if (*withheld, piece) == (Newline::Cr, &b"\n"[..]) {
                    *withheld = Newline::CrLf;
                    return;
                }
                out.extend_from_slice(withheld.bytes());
                *withheld = match piece {
                    [.., b'\r', b'\n'] => Newline::CrLf,
                    [.., b'\n'] => Newline::Lf,
                    [.., b'\r'] => Newline::Cr,
                    _ => Newline::None,
                };
                let length = piece.len().saturating_sub(withheld.bytes().len());
                out.extend_from_slice(piece.get(..length).unwrap_or_default());
            }
            Pieces::Extended(text) => text.piece(piece, out),
        }
    }

    /// Appends what comes after the body.
    pub fn end(self, out: &mut Vec<u8>) {
        match self {
            // A CR alone ends no line.
            Pieces::Basic(Newline::Cr) => out.extend_from_slice(b"\r);\n"),
            Pieces::Basic(_) => out.extend_from_slice(b");\n"),
            Pieces::Extended(text) => {
                text.end(out);
                out.extend_from_slice(b"\"});\n");
            }
        }
    }
}

#[cfg(test)]
mod tests;
