//! What would become of a request, without sending any: its route, and the head that each target
//! would get (for `linchpin explain`).
//!
//! Called by `config`. The head is written by the code that writes it when it counts.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use http::header::{CONNECTION, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use super::context::Context;
use super::cross_origin;
use super::heading::Heading;
use super::outgoing::{self, Kind};
use super::request::{self, Client, HeadError};
use super::routing::Routing;
use super::shared::Settings;
use super::signing::Keys;
use crate::backend::body::RequestBody;
use crate::backend::request::RequestHead;
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
    /// What each of the route's targets would get, in the order of the line.
    pub sent: Vec<Sent>,
}

/// What a target would get.
#[derive(Clone, Debug)]
pub enum Sent {
    /// This head.
    Head(String),
    /// Nothing: it is the test backend, which is part of the program.
    BuiltIn,
    /// What its session asks for: the path is one of SockJS.
    SockJs,
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
    let sent = route.as_deref().map_or_else(Vec::new, |route| sent(settings, context, route));
    let route = route.map(|route| route.number());
    Ok(Preview { url, route, verdicts, sent })
}

/// What each target of its route would get of a request.
fn sent(settings: &Settings, mut context: Context, route: &Route) -> Vec<Sent> {
    let sockjs = route.options.sockjs.as_ref();
    if sockjs.is_some_and(|sockjs| context.path.starts_with(&*sockjs.base)) {
        return route.targets.iter().map(|_| Sent::SockJs).collect();
    }
    let (mut spelling, mut body) = (None, RequestBody::empty());
    if let Some(mut page) = cross_origin::of(&context, settings, Some(route)) {
        match cross_origin::rewrite(&mut page, &mut context, &mut spelling, Some(route)) {
            Ok(Some(given)) if !given.is_empty() => body = RequestBody::Whole(Some(given)),
            Ok(_) => {}
            Err(error) => {
                let nothing = |_| Sent::Impossible(error.to_string());
                return route.targets.iter().map(nothing).collect();
            }
        }
    }
    let keys = Keys::new(PathBuf::new());
    let would = |target: &Target| match (&target.address, context.websocket) {
        (Address::Test, _) => Sent::BuiltIn,
        (_, true) => socket(settings, &keys, &context, route, target),
        (_, false) => {
            let (host, port) = outgoing::url_host(&context, route, target);
            let spelling = spelling.as_ref();
            let heading = Heading { context: &context, spelling, route, lasts: &[] };
            shown(heading.write(settings, &keys, (&host, port), &body))
        }
    };
    route.targets.iter().map(would).collect()
}

/// What makes a request a WebSocket's handshake.
fn handshake() -> [(HeaderName, HeaderValue); 4] {
    [
        (CONNECTION, HeaderValue::from_static("Upgrade")),
        (UPGRADE, HeaderValue::from_static("websocket")),
        (SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        (SEC_WEBSOCKET_KEY, HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==")),
    ]
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
        let mut request = outgoing.request.map(|()| RequestBody::empty());
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
        assert_eq!(look(&["b.com a:1"], "http://a.com/", false).route, None);
    }
}
