//! TNetStrings, both ways (specification, GRIP appendix B): `<length>:<payload><type>`.
//!
//! Used where items travel over ZeroMQ. Decoded byte strings share the memory of the input.

use bytes::{BufMut, Bytes, BytesMut};

/// How deeply lists and dictionaries may be nested.
pub const DEPTH_MAX: usize = 64;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A byte string.
    Bytes(Bytes),
    /// A list.
    List(Vec<Value>),
    /// A dictionary, in the order in which it was written; of equal keys the last counts.
    Dict(Vec<(Bytes, Value)>),
}

impl Value {
    /// A byte string that is a copy of `text`.
    #[must_use]
    pub fn text(text: &str) -> Value {
        Value::Bytes(Bytes::copy_from_slice(text.as_bytes()))
    }

    /// A member of a dictionary; the last one when there are several, `None` for other values.
    #[must_use]
    pub fn member(&self, key: &[u8]) -> Option<&Value> {
        match self {
            Value::Dict(members) => members.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }
}

/// Why bytes are not a TNetString. Positions are byte offsets of the value at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TnetError {
    /// The length is missing, not decimal, or too large.
    #[error("value at byte {0}: no decimal length before a colon")]
    BadLength(usize),
    /// The payload or the type byte is cut off.
    #[error("value at byte {0}: runs past the end")]
    PastEnd(usize),
    /// An unknown type byte.
    #[error("value at byte {0}: unknown type")]
    UnknownType(usize),
    /// A payload that does not fit its type.
    #[error("value at byte {0}: payload does not fit its type")]
    BadPayload(usize),
    /// A dictionary key that is not a byte string, or that has no value.
    #[error("dictionary at byte {0}: a key is not a byte string or has no value")]
    BadKey(usize),
    /// Nested deeper than [`DEPTH_MAX`].
    #[error("value at byte {0}: nested too deeply")]
    TooDeep(usize),
}

/// Reads the value that `input` begins with, and how many bytes it took. What follows is ignored.
pub fn decode(input: &Bytes) -> Result<(Value, usize), TnetError> {
    let reader = Reader { input };
    reader.value(0, input.len(), 0)
}

struct Reader<'a> {
    input: &'a Bytes,
}

impl Reader<'_> {
    /// The value at `at`, within `end`, and where it ends.
    fn value(&self, at: usize, end: usize, depth: usize) -> Result<(Value, usize), TnetError> {
        let (start, length) = self.length(at, end)?;
        let stop = start.checked_add(length).ok_or(TnetError::BadLength(at))?;
        if stop >= end {
            return Err(TnetError::PastEnd(at));
        }
        let payload = self.input.get(start..stop).ok_or(TnetError::PastEnd(at))?;
        let kind = *self.input.get(stop).ok_or(TnetError::PastEnd(at))?;
        if depth >= DEPTH_MAX && matches!(kind, b']' | b'}') {
            return Err(TnetError::TooDeep(at));
        }
        let value = match kind {
            b',' => Value::Bytes(self.input.slice(start..stop)),
            b'#' => Value::Int(number(payload).ok_or(TnetError::BadPayload(at))?),
            b'^' => {
                let float: f64 = number(payload).ok_or(TnetError::BadPayload(at))?;
                if !float.is_finite() {
                    return Err(TnetError::BadPayload(at));
                }
                Value::Float(float)
            }
            b'!' => match payload {
                b"true" => Value::Bool(true),
                b"false" => Value::Bool(false),
                _ => return Err(TnetError::BadPayload(at)),
            },
            b'~' if payload.is_empty() => Value::Null,
            b'~' => return Err(TnetError::BadPayload(at)),
            b']' => Value::List(self.list(start, stop, depth + 1)?),
            b'}' => Value::Dict(self.dict(start, stop, depth + 1)?),
            _ => return Err(TnetError::UnknownType(at)),
        };
        Ok((value, stop + 1))
    }

    /// Where the payload of the value at `at` starts, and its length.
    fn length(&self, at: usize, end: usize) -> Result<(usize, usize), TnetError> {
        let bytes = self.input.get(at..end).ok_or(TnetError::PastEnd(at))?;
        let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 || bytes.get(digits) != Some(&b':') {
            return Err(TnetError::BadLength(at));
        }
        let length = bytes.get(..digits).and_then(number).ok_or(TnetError::BadLength(at))?;
        Ok((at + digits + 1, length))
    }

    fn list(&self, mut at: usize, end: usize, depth: usize) -> Result<Vec<Value>, TnetError> {
        let mut list = Vec::new();
        while at < end {
            let (value, next) = self.value(at, end, depth)?;
            list.push(value);
            at = next;
        }
        Ok(list)
    }

    fn dict(
        &self,
        start: usize,
        end: usize,
        depth: usize,
    ) -> Result<Vec<(Bytes, Value)>, TnetError> {
        let mut members = Vec::new();
        let mut at = start;
        while at < end {
            let (Value::Bytes(key), next) = self.value(at, end, depth)? else {
                return Err(TnetError::BadKey(start));
            };
            if next >= end {
                return Err(TnetError::BadKey(start));
            }
            let (value, next) = self.value(next, end, depth)?;
            members.push((key, value));
            at = next;
        }
        Ok(members)
    }
}

fn number<T: std::str::FromStr>(payload: &[u8]) -> Option<T> {
    std::str::from_utf8(payload).ok()?.parse().ok()
}

/// Appends a value. A float that is not finite, which the format cannot say, becomes null.
pub fn encode(value: &Value, out: &mut BytesMut) {
    let mut payload = BytesMut::new();
    let kind = match value {
        Value::Null => b'~',
        Value::Bool(flag) => {
            payload.put_slice(if *flag { b"true" } else { b"false" });
            b'!'
        }
        Value::Int(int) => {
            payload.put_slice(itoa::Buffer::new().format(*int).as_bytes());
            b'#'
        }
        Value::Float(float) if float.is_finite() => {
            payload.put_slice(float.to_string().as_bytes());
            b'^'
        }
        Value::Float(_) => b'~',
        Value::Bytes(bytes) => {
            encode_bytes(bytes, out);
            return;
        }
        Value::List(list) => {
            list.iter().for_each(|element| encode(element, &mut payload));
            b']'
        }
        Value::Dict(members) => {
            for (key, element) in members {
                encode_bytes(key, &mut payload);
                encode(element, &mut payload);
            }
            b'}'
        }
    };
    put(&payload, kind, out);
}

fn encode_bytes(bytes: &[u8], out: &mut BytesMut) {
    put(bytes, b',', out);
}

fn put(payload: &[u8], kind: u8, out: &mut BytesMut) {
    out.put_slice(itoa::Buffer::new().format(payload.len()).as_bytes());
    out.put_u8(b':');
    out.put_slice(payload);
    out.put_u8(kind);
}

#[cfg(test)]
mod tests;
