//! How a long-poll is answered: the held response as it is, or merged with a published one
//! (specification, GRIP 2.2). Called by the hub, which shares the bytes between equal holds.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::cross_origin::CrossOrigin;
use super::http::{HeldResponse, Reply};
use super::patch;
use crate::grip::format::{ResponseBody, ResponseContent};
use crate::grip::instruction::Response;
use crate::wire::http1;
use crate::wire::jsonp::Head;

/// Fields that are the connection's affair, never the publisher's or the backend's.
const CONNECTION_FIELDS: [&str; 3] = ["Connection", "Content-Length", "Transfer-Encoding"];

/// What the client gets when its hold times out.
#[must_use]
pub fn held(held: &HeldResponse, reply: Reply) -> Bytes {
    whole(held, reply, held.cross_origin.as_deref())
}

/// A response as it is, but for what a page of another origin needs.
#[must_use]
pub fn whole(response: &Response, reply: Reply, page: Option<&CrossOrigin>) -> Bytes {
    let fields = response.headers.iter().map(|field| (&field.name[..], &field.value[..]));
    write((reply, page), response.code, &response.reason, fields, &response.body)
}

/// What the client gets when `content` is published to it.
#[must_use]
pub fn published(held: &HeldResponse, reply: Reply, content: &ResponseContent) -> Bytes {
    let (mut unexposed, mut replaced) = (Vec::new(), Vec::new());
    for (name, value) in &content.headers {
        if name.eq_ignore_ascii_case("Grip-Expose-Headers") {
            // The names listed are the ones left out: publishers have come to rely on it.
            unexposed.extend(value.split(',').map(str::trim));
        }
        replaced.push(&**name);
    }
    let is_in = |names: &[&str], name: &[u8]| {
        names.iter().any(|listed| listed.as_bytes().eq_ignore_ascii_case(name))
    };
    let base = held.headers.iter().map(|field| (&field.name[..], &field.value[..]));
    let own = content.headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let fields = base
        .filter(|(name, _)| !is_in(&replaced, name))
        .chain(own.filter(|(name, _)| !is_grip(name)))
        .filter(|(name, _)| !is_in(&unexposed, name));
    let reason = match content.reason.as_deref() {
        Some(reason) if !reason.is_empty() => reason,
        _ => http1::reason(content.code),
    };
    let page = held.cross_origin.as_deref();
    write((reply, page), content.code, reason.as_bytes(), fields, &body(held, &content.body))
}

/// Whether what is published to one of two holds is, but for their connections, what is published
/// to the other.
#[must_use]
pub fn is_same_base(a: &HeldResponse, b: &HeldResponse, content: &ResponseContent) -> bool {
    let is_same_body = || matches!(content.body, ResponseBody::Whole(_)) || a.body == b.body;
    a.headers == b.headers && a.cross_origin == b.cross_origin && is_same_body()
}

/// The body that a published response has for a hold: its own, or the held one, patched.
#[must_use]
pub fn published_body(held: &Response, content: &ResponseContent) -> Bytes {
    match (&content.body, body(held, &content.body)) {
        (ResponseBody::Whole(bytes), _) => bytes.clone(),
        (ResponseBody::Patch(_), body) => Bytes::copy_from_slice(&body),
    }
}

/// An error in place of a published response (specification, GRIP 2.4).
#[must_use]
pub fn failed(held: &HeldResponse, reply: Reply, message: &str) -> Bytes {
    let body = format!("{message}\n");
    let fields = [(&b"Content-Type"[..], &b"text/plain"[..])];
    let page = held.cross_origin.as_deref();
    write((reply, page), 502, b"Bad Gateway", fields.into_iter(), body.as_bytes())
}

fn body<'a>(held: &Response, body: &'a ResponseBody) -> Cow<'a, [u8]> {
    match body {
        ResponseBody::Whole(bytes) => Cow::Borrowed(bytes),
        ResponseBody::Patch(operations) => match patch::apply(&held.body, operations) {
            Ok(patched) => Cow::Owned(patched),
            Err(error) => {
                tracing::debug!(%error, "a held body could not be patched");
                Cow::Borrowed(&[])
            }
        },
    }
}

fn is_grip(name: &[u8]) -> bool {
    name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"grip-"))
}

fn write<'a>(
    (reply, page): (Reply, Option<&CrossOrigin>),
    code: u16,
    reason: &'a [u8],
    fields: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    body: &[u8],
) -> Bytes {
    let fields = fields.filter(|(name, value)| is_writable(name, value));
    let mut out = BytesMut::with_capacity(512 + body.len());
    match page {
        None => line(reply, code, reason).write(&mut out, fields, body),
        Some(page) => write_for(page, &mut out, (line(reply, code, reason), fields), body),
    }
    out.freeze()
}

/// The same for a page of another origin.
fn write_for<'a>(
    page: &CrossOrigin,
    out: &mut BytesMut,
    (line, fields): (http1::Answer<'_>, impl Iterator<Item = (&'a [u8], &'a [u8])>),
    body: &[u8],
) {
    let fields: Vec<(&[u8], &[u8])> = fields.collect();
    let head = Head { code: line.code, reason: line.reason, fields: &fields };
    let fit = page.held(head, body);
    let (code, reason) = fit.status.unwrap_or((line.code, line.reason));
    let fields = fit.fields.iter().map(|(name, value)| (&**name, &**value));
    let body = fit.body.as_deref().unwrap_or(body);
    http1::Answer { code, reason, ..line }.write(out, fields, body);
}

/// The head of a response whose body, of this length, comes by itself; and whether it does.
#[must_use]
pub fn opening(response: &Response, reply: Reply, length: http1::Length) -> (Bytes, bool) {
    let fields = response.headers.iter().map(|field| (&field.name[..], &field.value[..]));
    let fields = fields.filter(|(name, value)| is_writable(name, value));
    let mut out = BytesMut::with_capacity(512);
    let line = line(reply, response.code, &response.reason);
    line.write_head(&mut out, fields, length);
    (out.freeze(), line.has_body())
}

fn line(reply: Reply, code: u16, reason: &[u8]) -> http1::Answer<'_> {
    let Reply { version, persistent, head_only } = reply;
    let reason = if is_field_text(reason) { reason } else { http1::reason(code).as_bytes() };
    http1::Answer { version, code, reason, head_only, persistent }
}

/// A field that would break the framing of the response, or start another one, is left out.
fn is_writable(name: &[u8], value: &[u8]) -> bool {
    if CONNECTION_FIELDS.iter().any(|field| field.as_bytes().eq_ignore_ascii_case(name)) {
        return false;
    }
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let is_valid = !name.is_empty() && name.iter().all(is_token) && is_field_text(value);
    if !is_valid {
        tracing::debug!(name = %name.escape_ascii(), "a header field is not valid: left out");
    }
    is_valid
}

fn is_field_text(text: &[u8]) -> bool {
    !text.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grip::instruction::Field;
    use crate::wire::http1::Version;

    const REPLY: Reply = Reply { version: Version::Http11, persistent: true, head_only: false };

    fn fields(pairs: &[(&str, &str)]) -> Vec<Field> {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        pairs.iter().map(|(n, v)| Field { name: bytes(n), value: bytes(v) }).collect()
    }

    fn hold(headers: &[(&str, &str)], body: &'static str) -> HeldResponse {
        let response = Response {
            code: 202,
            reason: Bytes::from_static(b"Accepted"),
            headers: fields(headers),
            body: Bytes::from_static(body.as_bytes()),
        };
        response.into()
    }

    fn content(code: u16, headers: &[(&str, &str)], body: &'static str) -> ResponseContent {
        ResponseContent {
            code,
            reason: None,
            headers: headers.iter().map(|&(n, v)| (n.into(), v.into())).collect(),
            body: ResponseBody::Whole(Bytes::from_static(body.as_bytes())),
            content_filters: None,
        }
    }

    fn text(bytes: &Bytes) -> &str {
        std::str::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_example_of_the_specification() {
        let hold = hold(&[("Content-Type", "text/plain"), ("X-A", "a"), ("X-B", "b")], "held");
        let headers = [("Content-Length", "77"), ("Grip-Foo", "zz"), ("X-N", "1"), ("x-a", "new")];
        assert_eq!(
            text(&published(&hold, REPLY, &content(200, &headers, "pub"))),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-B: b\r\nX-N: 1\r\nx-a: new\r\n\
             Content-Length: 3\r\n\r\npub"
        );
        assert_eq!(
            text(&held(&hold, REPLY)),
            "HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\nX-A: a\r\nX-B: b\r\n\
             Content-Length: 4\r\n\r\nheld"
        );
    }

    #[test]
    fn exposed_names_are_the_ones_removed() {
        let hold = hold(&[("Content-Type", "text/plain"), ("X-B", "b")], "");
        let headers = [
            ("X-A", "1"),
            ("X-A", "2"),
            ("X-C", "3"),
            ("Grip-Expose-Headers", "x-a, CONTENT-TYPE"),
        ];
        assert_eq!(
            text(&published(&hold, REPLY, &content(200, &headers, ""))),
            "HTTP/1.1 200 OK\r\nX-B: b\r\nX-C: 3\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn codes_and_reasons() {
        let hold = hold(&[], "");
        for (code, line) in [
            (0, "HTTP/1.1 0 Undefined Reason\r\n"),
            (1, "HTTP/1.1 1 Undefined Reason\r\n"),
            (99, "HTTP/1.1 99 Undefined Reason\r\n"),
            (600, "HTTP/1.1 600 Undefined Reason\r\n"),
            (999, "HTTP/1.1 999 Undefined Reason\r\n"),
            (404, "HTTP/1.1 404 Not Found\r\n"),
        ] {
            assert!(text(&published(&hold, REPLY, &content(code, &[], "x"))).starts_with(line));
        }
        for (code, bare) in [(204, "204 No Content"), (304, "304 Not Modified")] {
            assert_eq!(
                text(&published(&hold, REPLY, &content(code, &[], "x"))),
                format!("HTTP/1.1 {bare}\r\n\r\n")
            );
        }
        let mut own = content(200, &[], "");
        own.reason = Some("Fine".into());
        assert!(text(&published(&hold, REPLY, &own)).starts_with("HTTP/1.1 200 Fine\r\n"));
        own.reason = Some("".into());
        assert!(text(&published(&hold, REPLY, &own)).starts_with("HTTP/1.1 200 OK\r\n"));
    }

    #[test]
    fn versions_and_connections() {
        let hold = hold(&[("A", "b")], "");
        let reply = Reply { persistent: false, ..REPLY };
        let item =
            content(200, &[("Connection", "keep-alive"), ("Transfer-Encoding", "chunked")], "x");
        assert_eq!(
            text(&published(&hold, reply, &item)),
            "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
        );
        let reply = Reply { head_only: true, version: Version::Http10, ..reply };
        assert_eq!(
            text(&published(&hold, reply, &item)),
            "HTTP/1.0 200 OK\r\nA: b\r\nContent-Length: 1\r\n\r\n"
        );
    }

    #[test]
    fn no_header_ends_the_head() {
        let hold = hold(&[("Held", "a\r\nInjected: b")], "");
        let headers =
            [("X", "a\r\nB: c"), ("a name", "x"), ("", "x"), ("Y\r\nB", "c"), ("Ok", "é")];
        let mut item = content(200, &headers, "");
        item.reason = Some("a\nB: c".into());
        assert_eq!(
            text(&published(&hold, REPLY, &item)),
            "HTTP/1.1 200 OK\r\nOk: é\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_patch_that_fails_leaves_an_empty_body() {
        let patch = |path: &str| ResponseContent {
            body: ResponseBody::Patch(vec![
                serde_json::json!({"op": "replace", "path": path, "value": 2}),
            ]),
            ..content(200, &[], "")
        };
        let hold = hold(&[], "{\"a\":1}\n");
        assert!(text(&published(&hold, REPLY, &patch("/a"))).ends_with("8\r\n\r\n{\"a\":2}\n"));
        assert!(text(&published(&hold, REPLY, &patch("/b"))).ends_with("Length: 0\r\n\r\n"));
    }
}
