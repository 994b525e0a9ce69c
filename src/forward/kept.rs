//! A client's request as it is kept while it may be made again: a WebSocket's handshake, whose
//! fields are sent with every request over HTTP, and a long-poll's request. There may be very many.
//!
//! What clients have alike (browser, languages, origin) is kept once for all of them, the rest as
//! one piece of text; a [`Context`] is made of it for the time of a request. Used by `over_http`
//! and `held`.

use std::net::IpAddr;
use std::rc::Rc;

use http::header::{AUTHORIZATION, COOKIE, FORWARDED, HeaderName, SEC_WEBSOCKET_KEY};
use http::{HeaderMap, HeaderValue, Method};

use super::context::Context;
use super::shelf::Shelf;
use crate::session::socket::Form;
use crate::wire::http1::Version;

/// Texts that more than one client has.
pub type Alike = Shelf<[u8]>;

/// See the module.
#[derive(PartialEq, Eq, Hash)]
pub struct Kept {
    /// Lines `name:value`; an empty one stands for the next of `own`.
    alike: Rc<[u8]>,
    /// Host, path, query (with its `?`, if there is one), then lines.
    own: Box<[u8]>,
    peer: Option<IpAddr>,
    secure: bool,
    trusted: bool,
    form: Form,
    version: Version,
}

/// Fields that are different for every client.
fn is_own(name: &HeaderName) -> bool {
    [SEC_WEBSOCKET_KEY, COOKIE, AUTHORIZATION, FORWARDED].contains(name)
        || matches!(
            name.as_str(),
            "x-forwarded-for" | "x-real-ip" | "x-request-id" | "traceparent" | "tracestate"
        )
}

impl Kept {
    /// Packs a request, but for its method and body.
    #[must_use]
    pub fn new(context: &Context, shared: &Alike) -> Kept {
        let (mut alike, mut own) = (Vec::new(), Vec::new());
        own.extend_from_slice(context.host.as_bytes());
        own.push(b'\n');
        own.extend_from_slice(context.path.as_bytes());
        own.push(b'\n');
        if let Some(query) = &context.query {
            own.push(b'?');
            own.extend_from_slice(query.as_bytes());
        }
        own.push(b'\n');
        for (name, value) in context.headers.iter() {
            let text = if is_own(name) {
                alike.push(b'\n');
                &mut own
            } else {
                &mut alike
            };
            text.extend_from_slice(name.as_str().as_bytes());
            text.push(b':');
            text.extend_from_slice(value.as_bytes());
            text.push(b'\n');
        }
        Kept {
            alike: shared.share(&*alike),
            own: own.into(),
            peer: context.peer,
            secure: context.secure,
            trusted: context.trusted,
            form: context.form,
            version: context.version,
        }
    }

    /// See [`Context::form`].
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// The request as it was, as a handshake.
    #[must_use]
    pub fn context(&self) -> Context {
        // Neither URLs nor field values have line ends in them.
        let mut own = self.own.split(|byte| *byte == b'\n');
        let mut text = || std::str::from_utf8(own.next().unwrap_or_default()).unwrap_or_default();
        let (host, path) = (text().into(), text().into());
        let query = text().strip_prefix('?').map(Into::into);
        let mut headers = HeaderMap::new();
        for line in self.alike.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = if line.is_empty() { own.next().unwrap_or_default() } else { line };
            if let Some((name, value)) = field(line) {
                headers.append(name, value);
            }
        }
        Context {
            peer: self.peer,
            secure: self.secure,
            method: Method::GET,
            host,
            path,
            query,
            headers: Rc::new(headers),
            version: self.version,
            websocket: true,
            trusted: self.trusted,
            form: self.form,
        }
    }
}

fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
    Some((HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn context(query: Option<&str>, fields: &[(&str, &[u8])]) -> Context {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        Context {
            peer: Some([127, 0, 0, 1].into()),
            secure: true,
            method: Method::GET,
            host: "a.example:81".into(),
            path: "/ws/%C3%BC".into(),
            query: query.map(Into::into),
            headers: Rc::new(headers),
            version: Version::Http11,
            websocket: true,
            trusted: false,
            form: Form::default(),
        }
    }

    fn assert_same(a: &Context, b: &Context) {
        let lines = |context: &Context| {
            let lines = context.headers.iter();
            lines.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
        };
        assert_eq!(lines(a), lines(b));
        assert_eq!((&a.host, &a.path, &a.query), (&b.host, &b.path, &b.query));
        assert_eq!((a.peer, a.secure, a.trusted), (b.peer, b.secure, b.trusted));
        assert!(b.websocket && b.method == Method::GET && a.version == b.version);
    }

    #[test]
    fn equal_browsers_share() {
        let alike = Alike::default();
        let kept = |key: &[u8], cookie: &[u8]| {
            let fields: [(&str, &[u8]); 4] = [
                ("user-agent", b"one of many"),
                ("sec-websocket-key", key),
                ("origin", b"https://a.example"),
                ("cookie", cookie),
            ];
            Kept::new(&context(None, &fields), &alike)
        };
        let (a, b) = (kept(b"k1", b"x=1"), kept(b"k2", b"x=2"));
        assert!(Rc::ptr_eq(&a.alike, &b.alike));
        assert_eq!(b.context().headers["cookie"], "x=2");
        assert_eq!(b.context().headers["origin"], "https://a.example");
    }

    proptest! {
        #[test]
        fn it_comes_back_as_it_was(
            fields in prop::collection::vec(
                ("x-[a-c]|cookie|sec-websocket-key|accept", "[ -~\\t\u{a0}-\u{ff}]{0,12}"), 0..12),
            query in prop::option::of("[!-~]{0,8}"),
        ) {
            let fields: Vec<(&str, &[u8])> =
                fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
            let before = context(query.as_deref(), &fields);
            assert_same(&before, &Kept::new(&before, &Alike::default()).context());
        }
    }
}
