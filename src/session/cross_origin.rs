//! How the answers to one request are made fit for a page of another origin: by CORS fields, or
//! wrapped as a script (specification, routing 5).
//!
//! Made by `proxy` when a request comes in, for routes that serve such pages only; kept with a hold,
//! and asked by [`super::answer`] and by `proxy` when an answer is written. Pure.

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
