//! Header fields as GRIP hands them on: how names are written, which are never relayed, and the two
//! JSON forms of a header list (specification, GRIP 1.1, 1.6 and 4.3).
//!
//! Called by the parsers of instructions and items, and by whatever writes a field that came out of
//! an `http::HeaderMap`, where all names are lower case.

use bytes::Bytes;

use super::instruction::Field;
use super::json::{Array, Fault, Member, Object, Value};

/// Whether a field concerns one connection or the framing of one body only, so that it is never
/// part of what an instruction shows the client. `name` in any case.
#[must_use]
pub fn is_hop_by_hop(name: &str) -> bool {
    ["connection", "keep-alive", "transfer-encoding", "content-encoding", "content-length"]
        .iter()
        .any(|hop| name.eq_ignore_ascii_case(hop))
}

/// Whether a field is one of GRIP's own. `name` in any case.
#[must_use]
pub fn is_grip(name: &str) -> bool {
    name.as_bytes().get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"grip-"))
}

/// A lower-case field name as it is usually written: `content-type` as `Content-Type`, `etag` as
/// `ETag`.
#[must_use]
pub fn title_case(name: &str) -> Bytes {
    if let Some(usual) = usual_spelling(name) {
        return Bytes::from_static(usual.as_bytes());
    }
    let mut out = Vec::with_capacity(name.len());
    let mut first = true;
    for byte in name.bytes() {
        out.push(if first { byte.to_ascii_uppercase() } else { byte });
        first = byte == b'-';
    }
    Bytes::from(out)
}

/// The names that title case would spell wrongly, and the commonest ones, which then cost nothing.
fn usual_spelling(name: &str) -> Option<&'static str> {
    Some(match name {
        "content-type" => "Content-Type",
        "cache-control" => "Cache-Control",
        "date" => "Date",
        "server" => "Server",
        "set-cookie" => "Set-Cookie",
        "vary" => "Vary",
        "location" => "Location",
        "access-control-allow-origin" => "Access-Control-Allow-Origin",
        "content-md5" => "Content-MD5",
        "dnt" => "DNT",
        "etag" => "ETag",
        "expect-ct" => "Expect-CT",
        "nel" => "NEL",
        "p3p" => "P3P",
        "sec-websocket-accept" => "Sec-WebSocket-Accept",
        "sec-websocket-extensions" => "Sec-WebSocket-Extensions",
        "sec-websocket-key" => "Sec-WebSocket-Key",
        "sec-websocket-protocol" => "Sec-WebSocket-Protocol",
        "sec-websocket-version" => "Sec-WebSocket-Version",
        "sourcemap" => "SourceMap",
        "te" => "TE",
        "www-authenticate" => "WWW-Authenticate",
        "x-ua-compatible" => "X-UA-Compatible",
        "x-xss-protection" => "X-XSS-Protection",
        _ => return None,
    })
}

/// A field value or a reason phrase without what would end its line: CR, LF and NUL become blanks
/// (RFC 9110, 5.5). JSON can say them; on the wire they would forge fields.
#[must_use]
pub fn one_line(text: &str) -> Bytes {
    let mut bytes = text.as_bytes().to_vec();
    for byte in &mut bytes {
        if matches!(byte, b'\r' | b'\n' | 0) {
            *byte = b' ';
        }
    }
    Bytes::from(bytes)
}

/// [`one_line`] as text.
#[must_use]
pub fn one_line_text(text: &str) -> Box<str> {
    if memchr::memchr3(b'\r', b'\n', 0, text.as_bytes()).is_none() {
        return text.into();
    }
    text.replace(['\r', '\n', '\0'], " ").into()
}

/// A field out of JSON; `None` when its name cannot be a field name, then it is left out.
#[must_use]
pub fn field(name: &str, value: &str) -> Option<Field> {
    is_token(name)
        .then(|| Field { name: Bytes::copy_from_slice(name.as_bytes()), value: one_line(value) })
}

/// Whether `name` can be a field name (RFC 9110, 5.1).
#[must_use]
pub fn is_token(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(allowed)
}

/// The member `headers`: an object of strings (given in the order of its names) or an array of
/// pairs (given as it is).
pub fn header_list<'a>(
    headers: Member<'a>,
    owner: &str,
) -> Result<Option<Vec<(&'a str, &'a str)>>, Fault> {
    match headers.value {
        None => Ok(None),
        Some(Value::Object(headers)) => from_object(headers).map(Some),
        Some(Value::Array(headers)) => headers.map(pair).collect::<Result<_, _>>().map(Some),
        Some(_) => Err(headers.wrong_type(owner)),
    }
}

fn from_object(headers: Object<'_>) -> Result<Vec<(&str, &str)>, Fault> {
    let text = |(name, value)| match value {
        Value::Text(text) => Ok((name, text)),
        _ => Err(Fault::new("headers", format!("headers contains '{name}' with wrong type"))),
    };
    headers.sorted().into_iter().map(text).collect()
}

fn pair(element: Value<'_>) -> Result<(&str, &str), Fault> {
    let fault = |message: &str| Err(Fault::new("headers", message));
    let Value::Array(list) = element else {
        return fault("headers contains element with wrong type");
    };
    match two(list) {
        None => fault("headers contains list with wrong number of elements"),
        Some((Value::Text(name), Value::Text(value))) => Ok((name, value)),
        Some((Value::Text(_), _)) => fault("header contains value element with wrong type"),
        Some(_) => fault("header contains name element with wrong type"),
    }
}

fn two(mut list: Array<'_>) -> Option<(Value<'_>, Value<'_>)> {
    let two = (list.next()?, list.next()?);
    list.next().is_none().then_some(two)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_they_are_usually_written() {
        for (name, written) in [
            ("content-type", "Content-Type"),
            ("etag", "ETag"),
            ("www-authenticate", "WWW-Authenticate"),
            ("te", "TE"),
            ("dnt", "DNT"),
            ("x-a", "X-A"),
            ("x-request-id", "X-Request-Id"),
            ("access-control-allow-methods", "Access-Control-Allow-Methods"),
            ("a--b-", "A--B-"),
        ] {
            assert_eq!(title_case(name), written);
            assert!(title_case(name).eq_ignore_ascii_case(name.as_bytes()));
        }
    }

    #[test]
    fn what_is_never_relayed() {
        assert!(is_hop_by_hop("Keep-Alive"));
        assert!(is_hop_by_hop("content-length"));
        assert!(!is_hop_by_hop("Upgrade"));
        assert!(is_grip("GRIP-x"));
        assert!(is_grip("grip-"));
        assert!(!is_grip("Grip"));
        assert!(!is_grip("gri\u{e9}-"));
    }

    #[test]
    fn nothing_forges_a_line() {
        assert_eq!(one_line("a\r\nX: y\0"), "a  X: y ");
        assert_eq!(&*one_line_text("a\r\nX: y\0"), "a  X: y ");
        assert_eq!(&*one_line_text("plain é"), "plain é");
        assert_eq!(field("a b", "1"), None);
        assert_eq!(field("", "1"), None);
        assert_eq!(field("a:", "1"), None);
        let field = field("X-A", "2\n").unwrap();
        assert_eq!((&field.name[..], &field.value[..]), (&b"X-A"[..], &b"2 "[..]));
    }
}
