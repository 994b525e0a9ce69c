//! What the query of a script's URL asks for by JSON-P (specification, routing 5.2): the function
//! to call, and perhaps a method, header fields and a body. Called by `proxy` once a request.
//!
//! A `+` is a plus, and a percent sign that begins no escape is itself.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// How a route names the parameters.
#[derive(Clone, Copy, Debug)]
pub struct Names<'n> {
    /// The one with the callback.
    pub callback: &'n str,
    /// The one with a body of JSON, if there is one; then `_body` means nothing.
    pub body: Option<&'n str>,
    /// What is called if there is a body of JSON but no callback.
    pub default_callback: Option<&'n str>,
}

/// What a query asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What is called, as it was written. Not empty.
    pub callback: Vec<u8>,
    /// The method, a token.
    pub method: Option<String>,
    /// Further header fields, in the order of their names, which are tokens. Values are one line.
    pub headers: BTreeMap<String, String>,
    /// The request's body.
    pub body: Option<Vec<u8>>,
    /// The body is JSON.
    pub json: bool,
    /// The rest of the query, if there is any.
    pub rest: Option<String>,
}

/// A parameter that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The callback is empty.
    #[error("Invalid callback parameter.")]
    Callback,
    /// The method is none.
    #[error("Invalid _method parameter.")]
    Method,
    /// The header fields are no object of strings, or could not be sent.
    #[error("Invalid _headers parameter.")]
    Headers,
    /// There is no body where one was promised.
    #[error("Invalid _body parameter.")]
    Body,
    /// The same, of a body of JSON.
    #[error("Invalid body parameter.")]
    JsonBody,
}

/// The values of a query that are looked for.
#[derive(Default)]
struct Found<'q> {
    callback: Option<&'q str>,
    method: Option<&'q str>,
    headers: Option<&'q str>,
    body: Option<&'q str>,
}

/// Reads a query; `None` if it does not ask for JSON-P.
///
/// # Errors
/// When it does, but not rightly.
pub fn read(query: &str, names: Names<'_>) -> Option<Result<Asked, QueryError>> {
    let mut found = Found::default();
    let (mut rest, mut others) = (String::with_capacity(query.len()), 0_usize);
    for item in query.strip_suffix('&').unwrap_or(query).split('&') {
        let (name, value) = item.split_once('=').unwrap_or((item, ""));
        let name: Cow<'_, [u8]> = percent_decode_str(name).into();
        let is = |known: &str| *name == *known.as_bytes();
        let place = if is(names.callback) {
            &mut found.callback
        } else if is(names.body.unwrap_or("_body")) {
            &mut found.body
        } else if is("_method") {
            &mut found.method
        } else if is("_headers") {
            &mut found.headers
        } else {
            // What is empty stays where it is, too.
            if others > 0 {
                rest.push('&');
            }
            rest.push_str(item);
            others += 1;
            continue;
        };
        // The first one counts.
        place.get_or_insert(value);
    }
    let by_default = || names.body.and(found.body).and(names.default_callback);
    let callback = match found.callback {
        Some(callback) => decoded(callback),
        None => by_default()?.as_bytes().to_vec(),
    };
    Some(
        found
            .understood(callback, names.body.is_some())
            .map(|asked| Asked { rest: has_words(&rest).then_some(rest), ..asked }),
    )
}

/// Of a query that is nothing but `&` nothing is left.
fn has_words(query: &str) -> bool {
    query.bytes().any(|byte| byte != b'&')
}

fn decoded(value: &str) -> Vec<u8> {
    percent_decode_str(value).collect()
}

impl Found<'_> {
    fn understood(&self, callback: Vec<u8>, json: bool) -> Result<Asked, QueryError> {
        if callback.is_empty() {
            return Err(QueryError::Callback);
        }
        let method = self.method.map(method).transpose()?;
        let headers = self.headers.map(headers).transpose()?.unwrap_or_default();
        let body = self.body.map(decoded);
        if body.as_ref().is_some_and(Vec::is_empty) {
            return Err(if json { QueryError::JsonBody } else { QueryError::Body });
        }
        let json = json && body.is_some();
        Ok(Asked { callback, method, headers, body, json, rest: None })
    }
}

fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}

/// Only a token can stand in a request line; and CONNECT asks for something else than an answer.
fn method(value: &str) -> Result<String, QueryError> {
    String::from_utf8(decoded(value))
        .ok()
        .filter(|m| is_token(m) && m != "CONNECT")
        .ok_or(QueryError::Method)
}

fn headers(value: &str) -> Result<BTreeMap<String, String>, QueryError> {
    let read: Option<BTreeMap<String, String>> = serde_json::from_slice(&decoded(value)).ok();
    let can_be_sent = |(name, value): (&String, &String)| {
        is_token(name) && !value.bytes().any(|byte| byte < b' ' && byte != b'\t' || byte == 0x7f)
    };
    read.filter(|headers| headers.iter().all(can_be_sent)).ok_or(QueryError::Headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const USUAL: Names<'static> =
        Names { callback: "callback", body: None, default_callback: None };
    const JSON: Names<'static> =
        Names { callback: "cb", body: Some("data"), default_callback: Some("dcb") };

    fn asked(query: &str) -> Asked {
        read(query, USUAL).unwrap().unwrap()
    }

    fn error(query: &str, names: Names<'_>) -> String {
        read(query, names).unwrap().unwrap_err().to_string()
    }

    #[test]
    fn all_of_it() {
        let headers = "%7B%22X-b%22:%221%22,%22A%22:%22%C3%A9%22%7D";
        let query = format!(
            "x=1&callback=f&y=%zz&callback=g&_method=PUT&_headers={headers}&_body=a+b%20&z"
        );
        let asked = asked(&query);
        let pairs: Vec<_> = asked.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("A", "é"), ("X-b", "1")]);
        assert_eq!((&asked.callback[..], asked.method.as_deref()), (&b"f"[..], Some("PUT")));
        assert_eq!((asked.body.as_deref(), asked.json), (Some(&b"a+b "[..]), false));
        assert_eq!(asked.rest.as_deref(), Some("x=1&y=%zz&z"));
    }

    #[test]
    fn what_is_called() {
        let called = |query: &str| String::from_utf8(asked(query).callback).unwrap();
        assert_eq!(called("callback=a%3Cb.c%5B0%5D+%zz%4"), "a<b.c[0]+%zz%4");
        assert_eq!(called("callback=c=b"), "c=b");
        assert_eq!(called("call%62ack=f"), "f");
        assert_eq!(asked("callback=f").rest, None);
        assert_eq!(asked("&callback=f&").rest, None);
        assert_eq!(asked("&callback=f&&a=b&").rest.as_deref(), Some("&&a=b"));
        assert_eq!(asked("a&&callback=f&&b=&").rest.as_deref(), Some("a&&&b="));
        assert_eq!(asked("callback=%ff").callback, b"\xff");
    }

    #[test]
    fn what_does_not_ask() {
        for (query, names) in [
            ("", USUAL),
            ("a=b&_method=PUT&_body=x", USUAL),
            ("cb=f", USUAL),
            ("a=b;callback=f", USUAL),
            ("callback=f&_body=x", JSON),
            ("data=5", Names { default_callback: None, ..JSON }),
            ("data=5", Names { body: None, ..JSON }),
        ] {
            assert_eq!(read(query, names), None, "{query}");
        }
    }

    #[test]
    fn bodies_of_json() {
        let read = |query| read(query, JSON).unwrap().unwrap();
        let alone = read("data=%7B%7D&x=y");
        assert_eq!((&alone.callback[..], alone.body.as_deref()), (&b"dcb"[..], Some(&b"{}"[..])));
        assert!(alone.json && alone.rest.as_deref() == Some("x=y"));
        let other = read("cb=f&data=5&_body=zz");
        assert_eq!(
            (other.body.as_deref(), other.rest.as_deref()),
            (Some(&b"5"[..]), Some("_body=zz"))
        );
        let without = read("cb=f&_body=zz");
        assert_eq!((without.body, without.json), (None, false));
    }

    #[test]
    fn what_is_wrong() {
        for query in ["callback=", "callback", "callback=&callback=f", "x&callback=&_method="] {
            assert_eq!(error(query, USUAL), "Invalid callback parameter.", "{query}");
        }
        for method in ["", "=", "=A%0AB", "=A%20B", "=%C3%A9", "=%ff", "=CONNECT"] {
            let query = format!("callback=f&_method{method}");
            assert_eq!(error(&query, USUAL), "Invalid _method parameter.", "{query}");
        }
        let headers =
            ["", "[]", "1", "{", "{\"a\":1}", "{\"a b\":\"\"}", "{\"\":\"\"}", "{\"a\":\"\\r\"}"];
        for headers in headers {
            let query = format!("callback=f&_headers={headers}");
            assert_eq!(error(&query, USUAL), "Invalid _headers parameter.", "{query}");
        }
        for body in ["_body", "_body="] {
            assert_eq!(error(&format!("callback=f&{body}"), USUAL), "Invalid _body parameter.");
        }
        for query in ["data=", "data", "cb=f&data="] {
            assert_eq!(error(query, JSON), "Invalid body parameter.", "{query}");
        }
        assert!(asked("callback=f&_headers={}").headers.is_empty());
    }

    proptest! {
        #[test]
        fn it_never_panics(
            query in "((callback|data|cb|_(method|headers|body)|a|%[0-9a-z]{0,2})[=&]{0,2}){0,8}",
        ) {
            for names in [USUAL, JSON] {
                if let Some(Ok(asked)) = read(&query, names) {
                    prop_assert!(!asked.callback.is_empty());
                    let again = read(asked.rest.as_deref().unwrap_or_default(), names);
                    prop_assert!(again.is_none(), "all of it has been taken out");
                }
            }
        }

        #[test]
        fn what_was_written_is_read(callback: String, method in "[A-Z]{1,8}", body: Vec<u8>) {
            use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
            let of = |bytes: &[u8]| percent_encode(bytes, NON_ALPHANUMERIC).to_string();
            let (called, sent) = (format!("f{callback}"), [b"x", &body[..]].concat());
            let query = format!(
                "callback={}&_method={method}&_body={}", of(called.as_bytes()), of(&sent));
            let asked = asked(&query);
            prop_assert_eq!(asked.callback, called.into_bytes());
            prop_assert_eq!(asked.method, Some(method));
            prop_assert_eq!(asked.body, Some(sent));
        }
    }
}
