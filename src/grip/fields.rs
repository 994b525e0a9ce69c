//! Header fields as GRIP hands them on: how names are written, which are never relayed, and the two
//! JSON forms of a header list (specification, GRIP 1.1, 1.6 and 4.3).
//!
//! Called by the parsers of instructions and items, and by whatever writes a field that came out of
//! an `http::HeaderMap`, where all names are lower case.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::instruction::Field;
use super::json::{Array, Fault, Member, Object, Value};
use crate::wire::names::{self, Spelling};

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

/// The fields of a head that are `wanted`, with their names as they were written, in their order.
pub fn written<'h>(
    headers: &'h HeaderMap,
    spelling: Option<&'h Spelling>,
    wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (Bytes, &'h HeaderValue)> {
    let mut names = spelling.map(Spelling::names);
    let headers = headers.iter().filter(move |(name, _)| wanted(name.as_str()));
    headers.map(move |(name, value)| {
        let spelled = names.as_mut().and_then(|names| names.take(name.as_str()));
        let spelled = spelled.map(Bytes::copy_from_slice);
        (spelled.unwrap_or_else(|| title_case(name.as_str())), value)
    })
}

/// A lower-case field name as it is usually written, which is how it was if nothing else is known
/// (`wire::names`): `content-type` as `Content-Type`.
#[must_use]
pub fn title_case(name: &str) -> Bytes {
    if let Some(common) = common(name) {
        return Bytes::from_static(common.as_bytes());
    }
    let mut out = Vec::with_capacity(name.len());
    names::put_usual(&mut out, name);
    Bytes::from(out)
}

/// The commonest names, which then cost nothing.
fn common(name: &str) -> Option<&'static str> {
    Some(match name {
        "content-type" => "Content-Type",
        "cache-control" => "Cache-Control",
        "date" => "Date",
        "server" => "Server",
        "set-cookie" => "Set-Cookie",
        "vary" => "Vary",
        "location" => "Location",
        "access-control-allow-origin" => "Access-Control-Allow-Origin",
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
            ("etag", "Etag"),
            ("www-authenticate", "Www-Authenticate"),
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
    fn names_as_they_were_written() {
        let mut headers = HeaderMap::new();
        let all =
            [("x-a", "1"), ("etag", "2"), ("x-a", "3"), ("grip-hold", ""), ("content-type", "4")];
        for (name, value) in all {
            headers.append(name, HeaderValue::from_static(value));
        }
        let shown = |spelling: Option<&Spelling>| {
            let fields = written(&headers, spelling, |name| name != "grip-hold");
            let fields = fields.map(|(name, value)| [&name[..], value.as_bytes()].concat());
            String::from_utf8(fields.collect::<Vec<_>>().join(&b' ')).unwrap()
        };
        assert_eq!(shown(None), "X-A1 X-A3 Etag2 Content-Type4");
        let spelling = Spelling::new(b"x-A:ETag:X-a:GRIP-Hold:");
        assert_eq!(shown(Some(&spelling)), "x-A1 X-a3 ETag2 Content-Type4");
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
