//! How the answers to one request are made fit for a page of another origin: by CORS fields, or
//! wrapped as a script (specification, routing 5).
//!
//! Made by `proxy` when a request comes in, for routes that serve such pages only; kept with a
//! hold, and asked by [`super::answer`] and by `proxy` when an answer is written. Pure.

use std::borrow::Cow;

use bytes::Bytes;

use crate::grip::instruction::{Field, Response};
use crate::wire::cors::Cors;
use crate::wire::jsonp::{self, Head, Wrapping};

/// The type of a wrapped answer.
pub const SCRIPT: &[u8] = b"application/javascript";

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct CrossOrigin {
    /// What its request says of the page.
    pub cors: Cors,
    /// It is a script's, by JSON-P.
    pub jsonp: Option<Wrapping>,
}

/// A field on its way out.
pub type Shown<'f> = (Cow<'f, [u8]>, Cow<'f, [u8]>);

/// What is written in place of an answer.
#[derive(Debug)]
pub struct Fit<'f> {
    /// Status code and reason, if they are others.
    pub status: Option<(u16, &'f [u8])>,
    /// The fields.
    pub fields: Vec<Shown<'f>>,
    /// The body, if it is another one.
    pub body: Option<Vec<u8>>,
}

impl CrossOrigin {
    /// The answer to a held request, which times out or is published to.
    #[must_use]
    pub fn held<'f>(&'f self, head: Head<'f>, body: &[u8]) -> Fit<'f> {
        let fields = head.fields;
        let borrowed =
            |(name, value): &jsonp::Field<'f>| (Cow::Borrowed(*name), Cow::Borrowed(*value));
        let Some(wrapping) = &self.jsonp else {
            let mut all: Vec<Shown<'f>> = fields.iter().map(borrowed).collect();
            all.extend(self.cors_fields(fields.iter().map(|(name, _)| *name)));
            return Fit { status: None, fields: all, body: None };
        };
        let is_type = |name: &[u8]| name.eq_ignore_ascii_case(b"content-type");
        let kept = fields.iter().filter(|(name, _)| !is_type(name));
        let mut all: Vec<Shown<'f>> = kept.map(borrowed).collect();
        all.push((Cow::Borrowed(b"Content-Type"), Cow::Borrowed(SCRIPT)));
        let body = wrapping.held(head, body);
        Fit { status: Some((200, b"OK")), fields: all, body: Some(body) }
    }

    fn cors_fields<'f, 'n, N>(&'f self, names: N) -> impl Iterator<Item = Shown<'f>>
    where
        N: Iterator<Item = &'n [u8]> + Clone,
    {
        let lacking = self.cors.lacking(names).into_iter();
        lacking.map(|(name, value)| (Cow::Borrowed(name.as_bytes()), value))
    }

    /// A response with the CORS fields that it lacks.
    #[must_use]
    pub fn shared(&self, response: &Response) -> Response {
        let mut response = response.clone();
        let lacking: Vec<Field> = self
            .cors_fields(response.headers.iter().map(|field| &field.name[..]))
            .map(|(name, value)| Field { name: owned(&name), value: owned(&value) })
            .collect();
        response.headers.extend(lacking);
        response
    }

    /// A response that is relayed whole: with CORS fields, or wrapped.
    #[must_use]
    pub fn relayed(&self, response: &Response) -> Response {
        let Some(wrapping) = &self.jsonp else { return self.shared(response) };
        let fields: Vec<jsonp::Field<'_>> =
            response.headers.iter().map(|field| (&field.name[..], &field.value[..])).collect();
        let head = Head { code: response.code, reason: &response.reason, fields: &fields };
        let body = wrapping.relayed(head, &response.body).into();
        let cached = |field: &&Field| field.name.eq_ignore_ascii_case(b"cache-control");
        let script =
            Field { name: Bytes::from_static(b"Content-Type"), value: Bytes::from_static(SCRIPT) };
        let cached = response.headers.iter().filter(cached).cloned();
        let headers = std::iter::once(script).chain(cached).collect();
        Response { code: 200, reason: Bytes::from_static(b"OK"), headers, body }
    }
}

fn owned(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grip::format::{ResponseBody, ResponseContent};
    use crate::session::answer;
    use crate::session::http::{HeldResponse, Reply};
    use crate::wire::http1::Version;
    use std::rc::Rc;

    const REPLY: Reply = Reply { version: Version::Http11, persistent: true, head_only: false };

    fn response(fields: &[(&'static str, &'static str)], body: &'static str) -> Response {
        let field = |(name, value): &(&'static str, &'static str)| Field {
            name: Bytes::from_static(name.as_bytes()),
            value: Bytes::from_static(value.as_bytes()),
        };
        let headers = fields.iter().map(field).collect();
        let body = Bytes::from_static(body.as_bytes());
        Response { code: 202, reason: Bytes::from_static(b"Accepted"), headers, body }
    }

    fn hold(callback: Option<&str>, extended: bool) -> HeldResponse {
        let cors = Cors::new(Some(b"http://o"), None, std::iter::empty());
        let jsonp = callback.map(|name| Wrapping { callback: name.as_bytes().into(), extended });
        let fields = [("Content-Type", "text/plain"), ("X-A", "1"), ("X-A", "2")];
        let cross_origin = Some(Rc::new(CrossOrigin { cors, jsonp }));
        HeldResponse { response: response(&fields, "held\n"), cross_origin }
    }

    fn content(code: u16, headers: &[(&str, &str)]) -> ResponseContent {
        ResponseContent {
            code,
            reason: None,
            headers: headers.iter().map(|&(n, v)| (n.into(), v.into())).collect(),
            body: ResponseBody::Whole(Bytes::from_static(b"pub\n")),
            content_filters: None,
        }
    }

    const CORS: &str = "Access-Control-Allow-Credentials: true\r\n\
        Access-Control-Allow-Origin: http://o\r\nAccess-Control-Max-Age: 3600\r\n";
    const METHODS: &str = "Access-Control-Allow-Methods: OPTIONS, HEAD, GET, POST, PUT, DELETE\r\n";

    #[test]
    fn held_with_cors() {
        let held = hold(None, false);
        let expected = format!(
            "HTTP/1.1 202 Accepted\r\nContent-Type: text/plain\r\nX-A: 1\r\nX-A: 2\r\n{METHODS}\
             Access-Control-Expose-Headers: X-A\r\n{CORS}Content-Length: 5\r\n\r\nheld\n"
        );
        assert_eq!(answer::held(&held, REPLY), expected);
        let published = content(204, &[("X-B", "b"), ("access-control-allow-methods", "GET")]);
        let expected = format!(
            "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\nX-A: 1\r\nX-A: 2\r\nX-B: b\r\n\
             access-control-allow-methods: GET\r\n\
             Access-Control-Expose-Headers: X-A, X-B\r\n{CORS}\r\n"
        );
        assert_eq!(answer::published(&held, REPLY, &published), expected);
        let failed = answer::failed(&held, REPLY, "why");
        let expected = format!(
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\n{METHODS}{CORS}\
             Content-Length: 4\r\n\r\nwhy\n"
        );
        assert_eq!(failed, expected);
    }

    #[test]
    fn held_for_a_script() {
        let (held, basic) = (hold(Some("f"), true), hold(Some("f"), false));
        let head =
            "HTTP/1.1 200 OK\r\nX-A: 1\r\nX-A: 2\r\nContent-Type: application/javascript\r\n";
        let object = "/**/f({\"body\":\"held\\n\",\"code\":202,\"headers\":\
            {\"Content-Type\":\"text/plain\",\"X-A\":\"1, 2\"},\"reason\":\"Accepted\"});\n";
        let expected = format!("{head}Content-Length: {}\r\n\r\n{object}", object.len());
        assert_eq!(answer::held(&held, REPLY), expected);
        let expected = format!("{head}Content-Length: 13\r\n\r\n/**/f(held);\n");
        assert_eq!(answer::held(&basic, REPLY), expected);
        let published = content(204, &[("content-TYPE", "a/b"), ("Content-Length", "7")]);
        let object = "/**/f({\"body\":\"pub\\n\",\"code\":204,\"headers\":{\"X-A\":\"1, 2\",\
            \"content-TYPE\":\"a/b\"},\"reason\":\"No Content\"});\n";
        let reply = Reply { persistent: false, ..REPLY };
        let expected =
            format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n{object}", object.len());
        assert_eq!(answer::published(&held, reply, &published), expected);
    }

    #[test]
    fn who_is_answered_alike() {
        let whole = content(200, &[]);
        let same = |a: &HeldResponse, b: &HeldResponse| answer::is_same_base(a, b, &whole);
        assert!(same(&hold(None, false), &hold(None, false)));
        assert!(same(&hold(Some("f"), true), &hold(Some("f"), true)));
        assert!(!same(&hold(Some("f"), true), &hold(Some("g"), true)));
        assert!(!same(&hold(Some("f"), true), &hold(Some("f"), false)));
        assert!(!same(&hold(None, false), &hold(None, false).response.into()));
    }

    #[test]
    fn relayed_whole() {
        let fields = [("Cache-Control", "no"), ("X-A", "1"), ("Cache-Control", "b")];
        let given = response(&fields, "x\n");
        let page = CrossOrigin {
            jsonp: Some(Wrapping { callback: (*b"f").into(), extended: false }),
            ..CrossOrigin::default()
        };
        let relayed = page.relayed(&given);
        let names: Vec<&[u8]> = relayed.headers.iter().map(|field| &field.name[..]).collect();
        assert_eq!(names, [&b"Content-Type"[..], b"Cache-Control", b"Cache-Control"]);
        assert_eq!((relayed.code, &relayed.body[..]), (200, &b"/**/f(x);\n"[..]));
        let shared = page.shared(&given);
        assert_eq!((shared.code, shared.headers.len(), &shared.body), (202, 8, &given.body));
    }
}
