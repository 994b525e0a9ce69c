//! The header values that decide about framing, read byte by byte. Used by `framing`.

use super::violation::Kind;

/// Largest `Content-Length`: what a signed number holds.
const LENGTH_MAX: u64 = i64::MAX as u64;
/// The one coding that a request's body may have.
const CHUNKED: &[u8] = b"chunked";

/// A value that decides about framing, as far as it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Of no interest here.
    Other,
    /// `Content-Length`: the number so far; `ended` by white space.
    Length { number: Option<u64>, ended: bool },
    /// `Transfer-Encoding`: so many characters of `chunked`; `ended` by white space.
    Encoding { at: usize, ended: bool },
}

/// What the headers so far say of the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Framing {
    /// `Content-Length`.
    pub(super) length: Option<u64>,
    /// `Transfer-Encoding: chunked`.
    pub(super) chunked: bool,
}

impl Framing {
    /// Takes in a whole value.
    pub(super) fn decide(&mut self, value: Value, http10: bool) -> Result<(), Kind> {
        match value {
            Value::Other => {}
            Value::Length { number: None, .. } => return Err(Kind::Length),
            Value::Length { .. } if self.chunked => return Err(Kind::LengthAndEncoding),
            Value::Length { number, .. } if self.length.is_none() => self.length = number,
            Value::Length { number, .. } if self.length == number => {}
            Value::Length { .. } => return Err(Kind::LengthsDiffer),
            Value::Encoding { at, .. } if at != CHUNKED.len() => return Err(Kind::Encoding),
            Value::Encoding { .. } if self.chunked => return Err(Kind::EncodingTwice),
            Value::Encoding { .. } if self.length.is_some() => return Err(Kind::LengthAndEncoding),
            Value::Encoding { .. } if http10 => return Err(Kind::EncodingInHttp10),
            Value::Encoding { .. } => self.chunked = true,
        }
        Ok(())
    }
}

impl Value {
    /// The value that a header of this name is to have.
    pub(super) fn of(name: &[u8]) -> Value {
        const LENGTH: &[u8] = b"content-length";
        const ENCODING: &[u8] = b"transfer-encoding";
        match name.len() {
            14 if name.eq_ignore_ascii_case(LENGTH) => Value::Length { number: None, ended: false },
            17 if name.eq_ignore_ascii_case(ENCODING) => Value::Encoding { at: 0, ended: false },
            _ => Value::Other,
        }
    }

    /// This and one more byte.
    pub(super) fn and(self, byte: u8) -> Result<Value, Kind> {
        let space = matches!(byte, b' ' | b'\t');
        match self {
            Value::Other => Ok(self),
            Value::Length { number, .. } if space => {
                Ok(Value::Length { number, ended: number.is_some() })
            }
            Value::Length { number, ended: false } if byte.is_ascii_digit() => {
                let digit = u64::from(byte.wrapping_sub(b'0'));
                let number = number.unwrap_or(0).saturating_mul(10).saturating_add(digit);
                if number > LENGTH_MAX {
                    Err(Kind::Length)
                } else {
                    Ok(Value::Length { number: Some(number), ended: false })
                }
            }
            Value::Length { .. } => Err(Kind::Length),
            Value::Encoding { at, .. } if space && (at == 0 || at == CHUNKED.len()) => {
                Ok(Value::Encoding { at, ended: at > 0 })
            }
            Value::Encoding { at, ended: false }
                if CHUNKED.get(at) == Some(&byte.to_ascii_lowercase()) =>
            {
                Ok(Value::Encoding { at: at.saturating_add(1), ended: false })
            }
            Value::Encoding { .. } => Err(Kind::Encoding),
        }
    }
}
