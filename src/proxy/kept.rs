//! A WebSocket client's handshake as it is kept while its backend is asked over HTTP: its fields
//! are sent again with every request, and there may be very many clients.
//!
//! What clients have alike (browser, languages, origin) is kept once for all of them, the rest as
//! one piece of text; a [`Context`] is made of it for the time of a request. Used by `over_http`;
//! the [`Alike`] of a shard is in `sockets`.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;

use hashbrown::HashSet;
use http::header::{AUTHORIZATION, COOKIE, FORWARDED, HeaderName, SEC_WEBSOCKET_KEY};
use http::{HeaderMap, HeaderValue, Method};

use super::context::Context;
use crate::wire::http1::Version;

/// Texts that more than one client has.
#[derive(Default)]
pub struct Alike {
    texts: RefCell<HashSet<Rc<[u8]>, ahash::RandomState>>,
    /// How many there may be before those that nobody has any more are looked for.
    sweep_at: Cell<usize>,
}

impl Alike {
    /// The text, shared with whoever has the same.
    fn share(&self, text: &[u8]) -> Rc<[u8]> {
        let mut texts = self.texts.borrow_mut();
        if let Some(known) = texts.get(text) {
            return Rc::clone(known);
        }
        if texts.len() >= self.sweep_at.get() {
            texts.retain(|text| Rc::strong_count(text) > 1);
            // The next sweep is paid for by at least as many new texts as it will look at.
            self.sweep_at.set((texts.len() * 2).max(16));
        }
        let text: Rc<[u8]> = text.into();
        texts.insert(Rc::clone(&text));
        text
    }
}

/// See the module.
pub struct Kept {
    /// Lines `name:value`; an empty one stands for the next of `own`.
    alike: Rc<[u8]>,
    /// Host, path, query (with its `?`, if there is one), then lines.
    own: Box<[u8]>,
    peer: Option<IpAddr>,
    secure: bool,
    trusted: bool,
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
    /// Packs a handshake.
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
            alike: shared.share(&alike),
            own: own.into(),
            peer: context.peer,
            secure: context.secure,
            trusted: context.trusted,
            version: context.version,
        }
    }

    /// The handshake as it was.
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

    #[test]
    fn what_nobody_has_any_more_goes() {
        let alike = Alike::default();
        let mut last = None;
        for n in 0..1000 {
            let value = n.to_string();
            last = Some(Kept::new(&context(None, &[("x", value.as_bytes())]), &alike));
        }
        assert!(alike.texts.borrow().len() <= 17);
        assert_eq!(last.unwrap().context().headers["x"], "999");
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
