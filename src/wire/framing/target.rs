//! The target of a request (RFC 9112, 3.2): what hyper would refuse of it without a word is refused
//! here with one. Used by `framing`.

use http::Uri;

use super::byte::{TARGET, is};
use super::violation::Kind;

/// What of a target has come.
#[derive(Debug, Default)]
pub(super) struct Target {
    form: Form,
    /// All of one that does not begin with a slash: it is rare, and must be seen whole.
    other: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    #[default]
    None,
    Path,
    /// After a path, from the first `?` or `#` on.
    Query,
    Other,
}

impl Target {
    /// Whether it has a character.
    pub(super) fn is_some(&self) -> bool {
        self.form != Form::None
    }

    /// Takes the characters of `rest` that a target can have here, up to the first other one, and
    /// says how many they are.
    pub(super) fn add(&mut self, rest: &[u8]) -> usize {
        if self.form == Form::None {
            self.form = match rest.first() {
                Some(b'/') => Form::Path,
                Some(byte) if is(*byte, TARGET) => Form::Other,
                _ => return 0,
            };
        }
        let mut length = 0_usize;
        loop {
            let further = rest.get(length..).unwrap_or_default();
            let plain = further.iter().take_while(|byte| is(**byte, TARGET)).count();
            length = length.saturating_add(plain);
            let part = rest.get(..length).unwrap_or_default();
            if self.form == Form::Other {
                self.other.extend_from_slice(further.get(..plain).unwrap_or_default());
            }
            let next = rest.get(length);
            // To be known only where it matters: what comes next, or comes later.
            let asked = matches!(next, None | Some(b'`')) && self.form == Form::Path;
            if asked && part.iter().any(|byte| matches!(byte, b'?' | b'#')) {
                self.form = Form::Query;
            }
            if next != Some(&b'`') || self.form == Form::Path {
                return length;
            }
            // Browsers send it in queries as it is.
            if self.form == Form::Other {
                self.other.push(b'`');
            }
            length = length.saturating_add(1);
        }
    }

    /// Its end; a new one may begin.
    pub(super) fn end(&mut self) -> Result<(), Kind> {
        self.form = Form::None;
        let other = std::mem::take(&mut self.other);
        match other.is_empty() || Uri::try_from(other.as_slice()).is_ok() {
            true => Ok(()),
            false => Err(Kind::TargetForm),
        }
    }
}
