//! `Sec-WebSocket-Extensions` of a backend's answer: is GRIP spoken, and with which prefix
//! (specification, WebSockets 3.1).
//!
//! Called by `proxy` when a backend has accepted. Pure.

use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};

/// The prefix of ordinary messages when the backend names none.
const PREFIX_DEFAULT: &[u8] = b"m:";

/// Why a header is not a list of extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionsError {
    /// A quoted value without its closing quote.
    #[error("Sec-WebSocket-Extensions: a quoted value does not end")]
    UnterminatedQuote,
    /// Something else than `;` or `,` after a quoted value, or an element without a name.
    #[error("Sec-WebSocket-Extensions: not a list of extensions")]
    Malformed,
}

/// The prefix of ordinary messages, if the answer has the extension `grip` (in exactly this case).
pub fn grip_prefix(headers: &HeaderMap) -> Result<Option<Box<[u8]>>, ExtensionsError> {
    let mut found = None;
    for value in headers.get_all(SEC_WEBSOCKET_EXTENSIONS) {
        let mut rest = Rest(value.as_bytes());
        while let Some(prefix) = rest.element()? {
            // The first one counts.
            found = found.or(prefix);
        }
    }
    Ok(found)
}

/// The header lines that an upstream GRIP proxy is to see: those with the extension `grip`.
pub fn grip_lines(headers: &HeaderMap) -> Vec<HeaderValue> {
    let is_grip = |value: &&HeaderValue| {
        let mut one = HeaderMap::new();
        one.insert(SEC_WEBSOCKET_EXTENSIONS, (*value).clone());
        matches!(grip_prefix(&one), Ok(Some(_)))
    };
    headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().filter(is_grip).cloned().collect()
}

/// What is left to read of one header value.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// The next element: `Some(Some(prefix))` for `grip`, `Some(None)` for others.
    #[allow(clippy::type_complexity)]
    fn element(&mut self) -> Result<Option<Option<Box<[u8]>>>, ExtensionsError> {
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
        if self.0.is_empty() {
            return Ok(None);
        }
        let name = self.token();
        if name.is_empty() {
            return Err(ExtensionsError::Malformed);
        }
        let mut prefix: Box<[u8]> = PREFIX_DEFAULT.into();
        while self.take(b';') {
            let parameter = self.token();
            let value = if self.take(b'=') { self.value()? } else { Vec::new() };
            if parameter == b"message-prefix" {
                prefix = value.into();
            }
        }
        if !self.0.is_empty() && !self.take(b',') {
            return Err(ExtensionsError::Malformed);
        }
        Ok(Some((name == b"grip").then_some(prefix)))
    }

    fn skip(&mut self, while_true: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.0.iter().position(|&byte| !while_true(byte)).unwrap_or(self.0.len());
        let (skipped, rest) = self.0.split_at(end);
        self.0 = rest;
        skipped
    }

    /// Takes `byte` if it comes next, with the space around it.
    fn take(&mut self, byte: u8) -> bool {
        let next = self.0.trim_ascii_start();
        let Some(rest) = next.strip_prefix(&[byte]) else { return false };
        self.0 = rest.trim_ascii_start();
        true
    }

    fn token(&mut self) -> &'a [u8] {
        let token = self.skip(|byte| !matches!(byte, b';' | b',' | b'=' | b'"'));
        token.trim_ascii()
    }

    fn value(&mut self) -> Result<Vec<u8>, ExtensionsError> {
        let Some(mut quoted) = self.0.strip_prefix(b"\"") else {
            return Ok(self.token().to_vec());
        };
        let mut value = Vec::new();
        loop {
            match quoted {
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    return Ok(value);
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                    value.push(*byte);
                    quoted = rest;
                }
                [] => return Err(ExtensionsError::UnterminatedQuote),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn prefix(values: &[&str]) -> Option<String> {
        let found = grip_prefix(&lines(values)).unwrap();
        found.map(|prefix| String::from_utf8(prefix.into_vec()).unwrap())
    }

    #[test]
    fn the_table_of_the_specification() {
        assert_eq!(prefix(&["grip"]).as_deref(), Some("m:"));
        assert_eq!(prefix(&["grip; message-prefix=\"\""]).as_deref(), Some(""));
        assert_eq!(prefix(&["grip; message-prefix=\"!\""]).as_deref(), Some("!"));
        assert_eq!(prefix(&["grip;message-prefix=!"]).as_deref(), Some("!"));
        assert_eq!(prefix(&["grip; message-prefix=\"a\\\"b\\\\\""]).as_deref(), Some("a\"b\\"));
        assert_eq!(prefix(&["grip; other=1; x"]).as_deref(), Some("m:"));
    }

    #[test]
    fn grip_is_one_of_several_and_exact() {
        assert_eq!(prefix(&["GRIP"]), None);
        assert_eq!(prefix(&["grip2, gri"]), None);
        assert_eq!(prefix(&[]), None);
        assert_eq!(prefix(&["foo; a=\"x, grip\" , grip; message-prefix=z"]).as_deref(), Some("z"));
        assert_eq!(prefix(&["permessage-deflate", "grip"]).as_deref(), Some("m:"));
        let two = lines(&["permessage-deflate", "grip; message-prefix=x"]);
        assert_eq!(grip_lines(&two), ["grip; message-prefix=x"]);
    }

    #[test]
    fn what_is_no_list() {
        let read = |value| grip_prefix(&lines(&[value]));
        assert_eq!(read("grip; message-prefix=\"x"), Err(ExtensionsError::UnterminatedQuote));
        assert_eq!(read("grip; message-prefix=\"x\\"), Err(ExtensionsError::UnterminatedQuote));
        assert_eq!(read("grip; a=\"x\"y"), Err(ExtensionsError::Malformed));
        assert_eq!(read("=x"), Err(ExtensionsError::Malformed));
    }

    proptest! {
        #[test]
        fn any_value_is_read_to_its_end(text in "[grip;,= \"\\\\!m-]*") {
            let _ = grip_prefix(&lines(&[&text]));
        }
    }
}
