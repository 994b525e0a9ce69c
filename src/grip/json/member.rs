//! A member that a reader asked for by name, and what it may be.
//!
//! Used by every parser above `json`. The name goes with the value, so that a fault names the
//! member that it is about; `owner` in these functions is what a fault calls the object.

use super::{Fault, Value};

/// A member of an object, there or not.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// Its name.
    pub name: &'static str,
    /// Its value, if it is there.
    pub value: Option<Value<'a>>,
}

impl<'a> Member<'a> {
    /// `<owner> contains '<name>' with wrong type`.
    #[must_use]
    pub fn wrong_type(self, owner: &str) -> Fault {
        Fault::wrong_type(owner, self.name)
    }

    /// A string; null or anything else is of the wrong type.
    #[inline]
    pub fn text(self, owner: &str) -> Result<Option<&'a str>, Fault> {
        match self.value {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong_type(owner)),
        }
    }

    /// Something like a number, see [`Value::number_like`].
    pub fn number(self, owner: &str) -> Result<Option<i64>, Fault> {
        match self.value {
            None => Ok(None),
            Some(value) => value.number_like().map(Some).ok_or_else(|| self.wrong_type(owner)),
        }
    }

    /// Something like a number that may not be negative; larger values than fit become the largest.
    pub fn unsigned(self, owner: &str) -> Result<Option<u32>, Fault> {
        match self.number(owner)? {
            Some(..0) => Err(Fault::invalid_value(owner, self.name)),
            number => Ok(number.map(|n| u32::try_from(n).unwrap_or(u32::MAX))),
        }
    }

    /// A status code: something like a number, 0 to 999.
    pub fn status(self, owner: &str) -> Result<Option<u16>, Fault> {
        match self.number(owner)? {
            None => Ok(None),
            Some(code) => match u16::try_from(code) {
                Ok(code @ 0..=999) => Ok(Some(code)),
                _ => Err(Fault::invalid_value(owner, self.name)),
            },
        }
    }

    /// An object of strings, ordered by name.
    pub fn text_map(self, owner: &str) -> Result<Vec<(&'a str, &'a str)>, Fault> {
        let object = match self.value {
            None => return Ok(Vec::new()),
            Some(Value::Object(object)) => object,
            Some(_) => return Err(self.wrong_type(owner)),
        };
        let text = |(name, value)| match value {
            Value::Text(text) => Ok((name, text)),
            _ => {
                let message = format!("'{}' contains '{name}' with wrong type", self.name);
                Err(Fault::new(self.name, message))
            }
        };
        object.sorted().into_iter().map(text).collect()
    }
}
