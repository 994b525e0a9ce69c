//! What would become of a request, without sending any: its route, and the head that each target
//! would get (for `linchpin explain`).
//!
//! Called by `config`. The head is written by the code that writes it when it counts.

use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Waiting, Poll};

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use http_body::{Body, Frame, SizeHint};

use super::context::Context;
use super::heading::Heading;
use super::meaning;
use super::outgoing::{self, Kind};
use super::request::{self, Client, HeadError};
use super::routing::Routing;
use super::shared::Settings;
use super::signing::Keys;
use crate::backend::body::RequestBody;
use crate::backend::request::RequestHead;
use crate::http::BodyError;
use crate::route::explain::Verdict;
use crate::route::target::{Address, Target};
use crate::route::{Route, Table};

/// A request that a client might send.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where it comes from.
    pub peer: Option<IpAddr>,
    /// Its scheme is https or wss.
    pub secure: bool,
    /// It is a WebSocket's handshake.
    pub websocket: bool,
    /// Its method.
    pub method: Method,
    /// Its URL, absolute.
    pub uri: Uri,
    /// Its header fields.
    pub headers: HeaderMap,
}

/// What would become of it.
#[derive(Clone, Debug)]
pub struct Preview {
    /// Its URL, as it is understood.
    pub url: String,
    /// The number of its route.
    pub route: Option<usize>,
    /// What each route is to it.
    pub verdicts: Vec<Verdict>,
    /// What it means, if that is not itself; what is done about its answer.
    pub notes: Vec<String>,
    /// What each of the route's targets would get, in the order of the line; nothing if the request
    /// is answered without them.
    pub sent: Vec<Sent>,
}

/// What a target would get.
#[derive(Clone, Debug)]
pub enum Sent {
    /// This head.
    Head(String),
    /// Nothing: it is the test backend, which is part of the program.
    BuiltIn,
    /// Nothing, because that cannot be sent.
    Impossible(String),
}

/// Looks at a request.
///
/// # Errors
/// When it is one that no route is looked up for.
pub fn preview(
    settings: &Settings,
    table: &Arc<Table>,
    asked: Asked,
) -> Result<Preview, HeadError> {
    let mut headers = asked.headers;
    if !headers.contains_key(HOST)
        && let Some(authority) = asked.uri.authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(HOST, host);
    }
    if asked.websocket {
        for (name, value) in handshake() {
            headers.entry(name).or_insert(value);
        }
    }
    let certificate = request::Certificate::Untold;
    let client = Client { peer: asked.peer, secure: asked.secure, certificate };
    let version = Version::HTTP_11;
    let mut context = request::context(client, &asked.method, &asked.uri, version, headers)?;
    request::judge(&mut context, settings);
    let routing = Routing::default();
    routing.set(Arc::clone(table));
    let may_name = settings.forwarding.accept_route;
    let route = routing.of(&context, may_name);
    let verdicts = routing.explain(&context, may_name);
    let url = context.url();
    let keys = Keys::new(PathBuf::new());
    let meaning = meaning::of(&mut context, settings, route.as_deref());
    let body = meaning
        .body
        .map_or_else(|| announced(&context.headers), |bytes| RequestBody::Whole(Some(bytes)));
    let asked = route.as_deref().filter(|_| !meaning.is_answered);
    let sent = asked.map_or_else(Vec::new, |route| {
        let would = |target: &Target| match (&target.address, context.websocket) {
            (Address::Test, _) => Sent::BuiltIn,
            (_, true) => socket(settings, &keys, &context, route, target),
            (_, false) => {
                let (host, port) = outgoing::url_host(&context, route, target);
                let heading = Heading { context: &context, spelling: None, route, lasts: &[] };
                shown(heading.write(settings, &keys, (&host, port), &body))
            }
        };
        route.targets.iter().map(would).collect()
    });
    let route = route.map(|route| route.number());
    Ok(Preview { url, route, verdicts, notes: meaning.notes, sent })
}

/// What makes a request a WebSocket's handshake.
fn handshake() -> [(HeaderName, HeaderValue); 4] {
    [
        (UPGRADE, HeaderValue::from_static("websocket")),
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        (SEC_WEBSOCKET_KEY, HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==")),
    ]
}

/// The body that these fields say there is.
fn announced(headers: &HeaderMap) -> RequestBody {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    match length {
        None | Some(0) => RequestBody::empty(),
        Some(length) => RequestBody::Streamed(Box::pin(Announced(length))),
    }
}

/// A body of which nothing but the length is known, in bytes.
struct Announced(u64);

impl Body for Announced {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Waiting<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

/// A handshake, or the first of the requests that stand for a WebSocket; without what each of them
/// has anew.
fn socket(
    settings: &Settings,
    keys: &Keys,
    context: &Context,
    route: &Route,
    target: &Target,
) -> Sent {
    let kind = if target.over_http { Kind::OverHttp } else { Kind::WebSocket };
    let made = outgoing::build(settings, keys, context, route, target, kind);
    shown(made.map(|outgoing| {
        let open = target.over_http.then_some(Bytes::from_static(b"OPEN\r\n"));
        let mut request = outgoing.request.map(|()| RequestBody::Whole(open));
        let fields = request.headers_mut();
        if target.over_http {
            fields.insert("accept", HeaderValue::from_static("application/websocket-events"));
            fields.insert("content-type", HeaderValue::from_static("application/websocket-events"));
        } else {
            let steady = handshake().into_iter().filter(|(name, _)| *name != SEC_WEBSOCKET_KEY);
            fields.extend(steady.map(|(name, value)| (Some(name), value)));
        }
        RequestHead::of(&request)
    }))
}

fn shown(head: Result<RequestHead, outgoing::OutgoingError>) -> Sent {
    match head {
        Ok(head) => Sent::Head(String::from_utf8_lossy(head.as_bytes()).into_owned()),
        Err(error) => Sent::Impossible(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(lines: &[&str], url: &str, websocket: bool) -> Preview {
        let (table, problems) = Table::parse(lines.join("\n").as_bytes());
        assert!(problems.is_empty(), "{problems:?}");
        let asked = Asked {
            peer: Some([192, 0, 2, 1].into()),
            secure: url.starts_with("https"),
            websocket,
            method: Method::GET,
            uri: url.parse().unwrap(),
            headers: HeaderMap::new(),
        };
        let settings = Settings { sig_iss: String::new(), ..Settings::default() };
        preview(&settings, &Arc::new(table), asked).unwrap()
    }

    #[test]
    fn requests_of_sockjs() {
        let lines =
            ["*,sockjs=/s,sockjs_as_path=/chat a:1", "b.com,sockjs=/s,sockjs_websocket=false a:1"];
        let at = |path: &str, websocket| look(&lines, &format!("http://a.com{path}"), websocket);
        for (path, note) in [
            ("/s", "its greeting"),
            ("/s/info", "asks first"),
            ("/s/iframe-1.html", "iframe"),
            ("/s/1/abc/xhr", "405: this is for OPTIONS, POST"),
            ("/s/nothing", "404"),
            ("/s/1/abc/jsonp", "\"callback\" parameter required"),
            ("/s/1/abc/jsonp_send", "session abc, jsonp_send"),
            ("/s/websocket", "400"),
        ] {
            let preview = at(path, false);
            assert!(preview.notes[0].contains(note), "{path}: {:?}", preview.notes);
            assert!(preview.sent.is_empty() && preview.route == Some(0), "{path}");
        }
        let polling = at("/s/1/abc/eventsource?x", false);
        assert_eq!(polling.url, "http://a.com/s/1/abc/eventsource?x");
        assert!(polling.notes[0].contains("session abc, transport eventsource"));
        let opening = head(&polling.sent[0]);
        assert!(opening.starts_with("get /chat?x http/1.1\r\nhost: a.com\r\n"), "{opening}");
        assert!(opening.contains("\r\nupgrade: websocket\r\n"), "{opening}");
        for (path, note) in
            [("/s/1/abc/websocket", "over a WebSocket"), ("/s/websocket", "without frames")]
        {
            let preview = at(path, true);
            assert!(preview.notes[0].contains(note), "{:?}", preview.notes);
            assert!(head(&preview.sent[0]).starts_with("get /chat http/1.1\r\n"));
        }
        let refused = look(&lines, "http://b.com/s/websocket", true);
        assert!(refused.notes[0].contains("takes no WebSockets") && refused.sent.is_empty());
        assert!(at("/elsewhere", false).notes.is_empty());
    }

    #[test]
    fn scripts_mean_other_requests() {
        let lines = ["*,aco,jsonp_mode=basic a:1"];
        let script = look(&lines, "http://a.com/x?callback=cb&_body=abc&y", false);
        let said = "a JSON-P script: it means POST http://a.com/x?y with 3 bytes; the client gets \
                    the body of its answer, in a call of cb(...)";
        assert_eq!(script.notes, [said]);
        let sent = head(&script.sent[0]);
        assert!(sent.starts_with("post /x?y http/1.1\r\n"), "{sent}");
        assert!(sent.contains("\r\ncontent-length: 3\r\n"), "{sent}");
        let bad = look(&lines, "http://a.com/x?callback=", false);
        assert_eq!(bad.notes, ["a JSON-P script, answered 400: Invalid callback parameter."]);
        assert!(bad.sent.is_empty());
        let page = look(&lines, "http://a.com/x", false);
        assert!(page.notes[0].contains("CORS") && page.sent.len() == 1);
    }

    fn head(sent: &Sent) -> String {
        let Sent::Head(head) = sent else { panic!("{sent:?}") };
        head.to_ascii_lowercase()
    }

    #[test]
    fn each_target_gets_its_head() {
        let lines = ["* test", "a.com,path_beg=/x,replace_beg=/y b:1 c:2,host=d.com test"];
        let preview = look(&lines, "http://A.com:80/x/../x/z?q", false);
        assert_eq!((preview.url.as_str(), preview.route), ("http://a.com/x/z?q", Some(1)));
        assert_eq!(preview.verdicts.len(), 2);
        let [first, second, Sent::BuiltIn] = &preview.sent[..] else { panic!("{preview:?}") };
        assert!(head(first).starts_with("get /y/z?q http/1.1\r\nhost: a.com\r\n"));
        assert!(head(second).starts_with("get /y/z?q http/1.1\r\nhost: d.com\r\n"));
    }

    #[test]
    fn websockets() {
        let lines = ["* a:1 b:2,over_http"];
        let preview = look(&lines, "http://a.com/", true);
        assert!(preview.url.starts_with("ws://"));
        let direct = head(&preview.sent[0]);
        assert!(direct.starts_with("get / http/1.1\r\n"), "{direct}");
        assert!(direct.contains("\r\nupgrade: websocket\r\n"), "{direct}");
        let over_http = head(&preview.sent[1]);
        assert!(over_http.starts_with("post / http/1.1\r\n"), "{over_http}");
        assert!(over_http.contains("\r\ncontent-type: application/websocket-events\r\n"));
        assert!(over_http.ends_with("\r\ncontent-length: 6\r\n\r\n"), "{over_http}");
        assert_eq!(look(&["b.com a:1"], "http://a.com/", false).route, None);
    }
}
