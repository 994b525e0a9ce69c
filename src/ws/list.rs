//! `Sec-WebSocket-Extensions` as a list: elements and their parameters (RFC 6455, 9.1).
//!
//! Read by `extensions` and `compression`, which say what the elements mean. Pure, and more lenient
//! than the RFC in what it takes for a token.

use std::borrow::Cow;

use http::header::SEC_WEBSOCKET_EXTENSIONS;
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

/// Why a header is not a list of extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListError {
    /// A quoted value without its closing quote.
    #[error("Sec-WebSocket-Extensions: a quoted value does not end")]
    UnterminatedQuote,
    /// Something else than `;` or `,` after a quoted value, or an element without a name.
    #[error("Sec-WebSocket-Extensions: not a list of extensions")]
    Malformed,
}

/// One element of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension<'a> {
    /// Its name, as written.
    pub name: &'a [u8],
    /// Its parameters, in order, those that are repeated too.
    pub parameters: SmallVec<[Parameter<'a>; 4]>,
    /// The whole element, as written.
    pub text: &'a [u8],
}

/// One parameter of an extension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// Its name, as written.
    pub name: &'a [u8],
    /// What follows `=`, unquoted; `None` without `=`.
    pub value: Option<Cow<'a, [u8]>>,
}

/// The elements of all header lines, in order. What follows an error is not read.
pub fn extensions(
    headers: &HeaderMap,
) -> impl Iterator<Item = Result<Extension<'_>, ListError>> + '_ {
    let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().map(HeaderValue::as_bytes);
    let mut failed = false;
    values.flat_map(Elements).take_while(move |element| {
        let is_read = !failed;
        failed |= element.is_err();
        is_read
    })
}

/// What is left to read of one header value.
struct Elements<'a>(&'a [u8]);

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Extension<'a>, ListError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip(|byte| matches!(byte, b' ' | b'\t' | b','));
        if self.0.is_empty() {
            return None;
        }
        let element = self.element();
        if element.is_err() {
            self.0 = b"";
        }
        Some(element)
    }
}

impl<'a> Elements<'a> {
    fn element(&mut self) -> Result<Extension<'a>, ListError> {
        let start = self.0;
        let name = self.token();
        if name.is_empty() {
            return Err(ListError::Malformed);
        }
        let mut parameters = SmallVec::new();
        while self.take(b';') {
            let name = self.token();
            let value = if self.take(b'=') { Some(self.value()?) } else { None };
            parameters.push(Parameter { name, value });
        }
        let length = start.len() - self.0.len();
        if !self.0.is_empty() && !self.take(b',') {
            return Err(ListError::Malformed);
        }
        let text = start.get(..length).unwrap_or(start).trim_ascii();
        Ok(Extension { name, parameters, text })
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

    fn value(&mut self) -> Result<Cow<'a, [u8]>, ListError> {
        let Some(mut quoted) = self.0.strip_prefix(b"\"") else {
            return Ok(self.token().into());
        };
        let mut value = Vec::new();
        loop {
            match quoted {
                [b'"', rest @ ..] => {
                    self.0 = rest;
                    return Ok(value.into());
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
                    value.push(*byte);
                    quoted = rest;
                }
                [] => return Err(ListError::UnterminatedQuote),
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

    fn text(bytes: &[u8]) -> String {
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// Elements as text, written anew.
    fn read(values: &[&str]) -> Vec<Result<String, ListError>> {
        let headers = lines(values);
        let all = extensions(&headers).map(|element| {
            element.map(|element| {
                let mut out = text(element.name);
                for parameter in &element.parameters {
                    out += &format!(";{}", text(parameter.name));
                    out += &parameter
                        .value
                        .as_ref()
                        .map_or(String::new(), |v| format!("={}", text(v)));
                }
                out
            })
        });
        all.collect()
    }

    #[test]
    fn elements_of_all_lines() {
        assert_eq!(
            read(&["a; b ;c = 1,, d;e=\"x, \\\"y\\\\\" ,f", "", " g;h="]),
            ["a;b;c=1", "d;e=x, \"y\\", "f", "g;h="].map(|one| Ok(one.to_owned()))
        );
        let headers = lines(&["x, grip ; message-prefix=\"a,b\" , y"]);
        let all: Vec<_> = extensions(&headers).map(|one| one.unwrap().text).collect();
        assert_eq!(all, [&b"x"[..], b"grip ; message-prefix=\"a,b\"", b"y"]);
    }

    #[test]
    fn what_is_no_list() {
        let error = |value| read(&[value, "more"]).pop().unwrap().unwrap_err();
        assert_eq!(error("grip; message-prefix=\"x"), ListError::UnterminatedQuote);
        assert_eq!(error("grip; message-prefix=\"x\\"), ListError::UnterminatedQuote);
        assert_eq!(error("grip; a=\"x\"y"), ListError::Malformed);
        assert_eq!(error("=x"), ListError::Malformed);
        assert_eq!(read(&["a, =x, b", "c"]), [Ok("a".into()), Err(ListError::Malformed)]);
    }

    proptest! {
        #[test]
        fn any_value_is_read_to_its_end(text in "[grip;,= \"\\\\!m-]*") {
            let _ = read(&[&text, &text]);
        }

        #[test]
        fn what_is_written_is_read(
            elements in prop::collection::vec(
                ("[a-z-]{1,9}", prop::collection::vec(
                    ("[a-z_]{1,9}", prop::option::of("[!-~ ]{0,6}")), 0..4)),
                1..5),
        ) {
            let mut written = Vec::new();
            for (name, parameters) in &elements {
                let mut one = name.clone();
                for (name, value) in parameters {
                    one += &format!("; {name}");
                    if let Some(value) = value {
                        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
                        one += &format!("=\"{value}\"");
                    }
                }
                written.push(one);
            }
            let headers = lines(&[&written.join(", ")]);
            let read: Vec<_> = extensions(&headers).map(Result::unwrap).collect();
            prop_assert_eq!(read.len(), elements.len());
            for ((read, (name, parameters)), text) in read.iter().zip(&elements).zip(&written) {
                prop_assert_eq!(read.name, name.as_bytes());
                prop_assert_eq!(read.text, text.as_bytes());
                let parameters = parameters.iter().map(|(name, value)| Parameter {
                    name: name.as_bytes(),
                    value: value.as_ref().map(|value| value.as_bytes().into()),
                });
                prop_assert!(read.parameters.iter().cloned().eq(parameters));
            }
        }
    }
}
