//! Header fields on their way through: a list that keeps its order, and what no proxy passes on.
//!
//! Used by `outgoing` for requests and by the relaying of responses. Pure.

use std::borrow::Cow;

use http::header::{
    CONNECTION, CONTENT_LENGTH, FORWARDED, HOST, HeaderName, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, VIA,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use smallvec::SmallVec;

/// `Keep-Alive`, which the `http` crate does not name.
pub const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// So many fields need no allocation.
const FIELDS: usize = 16;

/// A field: borrowed from the client's request, or made here.
pub type Field<'a> = (Cow<'a, HeaderName>, Cow<'a, HeaderValue>);

/// Header fields in order, duplicates included. (`HeaderMap::remove` would change the order.)
#[derive(Clone, Debug, Default)]
pub struct Fields<'a>(SmallVec<[Field<'a>; FIELDS]>);

impl<'a> Fields<'a> {
    /// Adds those of `headers`; values of one name stand together.
    pub fn read(&mut self, headers: &'a HeaderMap) {
        let fields = headers.iter();
        self.0.extend(fields.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))));
    }

    /// Adds those of `headers` of whose name `keep` says so; values of one name stand together.
    pub fn read_those(&mut self, headers: &'a HeaderMap, keep: impl Fn(&HeaderName) -> bool) {
        let fields = headers.iter().filter(|(name, _)| keep(name));
        self.0.extend(fields.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))));
    }

    /// Adds one at the end.
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.push((Cow::Owned(name), Cow::Owned(value)));
    }

    /// Adds one of those that were there at the end.
    pub fn put_back(&mut self, name: HeaderName, value: Cow<'a, HeaderValue>) {
        self.0.push((Cow::Owned(name), value));
    }

    /// Keeps those of whose name `keep` says so.
    pub fn keep(&mut self, keep: impl Fn(&HeaderName) -> bool) {
        // Moving what is kept costs more than looking twice.
        if !self.0.iter().all(|(name, _)| keep(name)) {
            self.0.retain(|(name, _)| keep(name));
        }
    }

    /// Removes all of that name.
    pub fn remove(&mut self, name: &HeaderName) {
        self.keep(|other| other != name);
    }

    /// Removes all of that name and gives their values.
    pub fn take(&mut self, name: &HeaderName) -> Vec<Cow<'a, HeaderValue>> {
        let mut taken = Vec::new();
        if self.0.iter().all(|(other, _)| **other != *name) {
            return taken;
        }
        self.0.retain(|(other, value)| {
            let found = **other == *name;
            if found {
                taken.push(value.clone());
            }
            !found
        });
        taken
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = &Field<'a>> {
        self.0.iter()
    }

    /// Appends them to `headers`.
    pub fn append_to(self, headers: &mut HeaderMap) {
        for (name, value) in self.0 {
            // Full only beyond 24,000 fields; heads are limited to a hundred.
            let _ = headers.try_append(name.into_owned(), value.into_owned());
        }
    }
}

/// The names that `Connection` lists as meant for the next hop only (RFC 9110, 7.6.1).
///
/// `Upgrade`, `TE` and `Trailer` are passed on all the same (specification, routing 3.5 and 3.11).
/// Framing, `Host` and what other proxies say of the client and of the way that its request has
/// come (RFC 8586, 2, forbids it for `CDN-Loop`) are not for a client to remove.
#[must_use]
pub fn connection_names(headers: &HeaderMap) -> Vec<HeaderName> {
    let kept = |name: &HeaderName| {
        [HOST, CONTENT_LENGTH, UPGRADE, TE, TRAILER, FORWARDED, VIA].contains(name)
            || name == "cdn-loop"
            || name.as_str().starts_with("client-cert")
            || name.as_str().starts_with("x-forwarded-")
    };
    headers
        .get_all(CONNECTION)
        .iter()
        // What it usually says names no field that is passed on.
        .filter(|value| !value.as_bytes().eq_ignore_ascii_case(b"keep-alive"))
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !kept(name))
        .collect()
}

/// A response's header fields as a client gets them (specification, routing 3.11), in their order.
///
/// `Content-Encoding` stays, because bodies are not decoded. A length that stands beside a transfer
/// coding, or where there is no body (1xx, 204, 304), goes. Most responses stay as they are:
/// `backend` leaves out what the connection itself says.
#[must_use]
pub fn response_headers(status: StatusCode, headers: HeaderMap) -> HeaderMap {
    let bodyless = status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED;
    let own =
        |name: &HeaderName| matches!(*name, CONNECTION | TRANSFER_ENCODING) || *name == KEEP_ALIVE;
    if !bodyless && !headers.keys().any(own) {
        return headers;
    }
    let encoded = headers.contains_key(TRANSFER_ENCODING);
    let named = connection_names(&headers);
    let mut kept = HeaderMap::with_capacity(headers.len());
    let mut fields = Fields::default();
    fields.read(&headers);
    fields.keep(|name| {
        !own(name) && !((bodyless || encoded) && name == CONTENT_LENGTH) && !named.contains(name)
    });
    fields.append_to(&mut kept);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    fn relayed(status: u16, fields: &[(&str, &str)]) -> Vec<(String, String)> {
        let status = StatusCode::from_u16(status).unwrap();
        response_headers(status, map(fields))
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect()
    }

    #[test]
    fn responses_lose_what_belongs_to_the_hop() {
        let kept = relayed(
            200,
            &[
                ("Server", "x"),
                ("Connection", "keep-alive, X-Hop"),
                ("Keep-Alive", "timeout=5"),
                ("X-Hop", "1"),
                ("Set-Cookie", "a"),
                ("Content-Encoding", "gzip"),
                ("Set-Cookie", "b"),
                ("Upgrade", "h2c"),
                ("Trailer", "T"),
                ("Content-Length", "5"),
            ],
        );
        let names: Vec<&str> = kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "server",
                "set-cookie",
                "set-cookie",
                "content-encoding",
                "upgrade",
                "trailer",
                "content-length"
            ]
        );
    }

    #[test]
    fn lengths_go_where_they_would_lie() {
        let chunked = [("Transfer-Encoding", "chunked"), ("Content-Length", "5")];
        assert!(relayed(200, &chunked).is_empty());
        for status in [204, 304] {
            assert!(relayed(status, &[("Content-Length", "5")]).is_empty());
        }
        assert_eq!(relayed(200, &[("Content-Length", "5")]).len(), 1);
    }

    #[test]
    fn connection_cannot_remove_framing_or_what_proxies_say() {
        let headers = map(&[
            ("Connection", "close, Content-Length,host , X-Forwarded-For"),
            ("Connection", "Upgrade, te, x-mine, not a name,"),
            ("Connection", "CDN-Loop, forwarded, Via"),
        ]);
        let names = connection_names(&headers);
        assert_eq!(names, [HeaderName::from_static("close"), HeaderName::from_static("x-mine")]);
    }
}
