//! The request as a target sees it: where it goes, its path and its header fields (specification,
//! routing 3.4 to 3.9; for WebSockets also websocket 2.1 and 5.1).
//!
//! Called for every target that is tried, by all that send requests. No I/O except the first
//! reading of a key file. The body and its framing are the backend's matter.

use std::borrow::Cow;
use std::rc::Rc;

use http::header::{
    ACCEPT, ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT,
    HOST, HeaderName, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use smallvec::SmallVec;

use super::context::Context;
use super::fields::{self, Fields};
use super::forwarded;
use super::shared::{Settings, Shared};
use super::signing::Keys;
use crate::backend::connect::{Destination, To, ToTls};
use crate::clock;
use crate::route::Route;
use crate::route::target::Target;

/// What this version does of GRIP's optional features (specification, GRIP 1.7; `session` is not
/// among it). A word is added with what it promises.
pub const FEATURES: &str = "status, link:next, link:gone, filter:skip-self, filter:skip-users, \
    filter:require-sub, filter:build-id, filter:var-subst, filter:http-check, filter:http-modify";

/// Marks a copy of a client's header field (route option `orig_headers`).
const ORIGINAL: &str = "eb9bf0f5-";

/// `Grip-Sig`.
pub const GRIP_SIG: HeaderName = HeaderName::from_static("grip-sig");
/// `Grip-Feature`.
pub const GRIP_FEATURE: HeaderName = HeaderName::from_static("grip-feature");
/// `Grip-Last`.
pub const GRIP_LAST: HeaderName = HeaderName::from_static("grip-last");

/// What a client has of a channel: the channel, without its route's prefix, and the id of the last
/// item.
pub type Last = (Box<str>, Rc<str>);

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An HTTP exchange.
    Http,
    /// A WebSocket handshake with a WebSocket backend.
    WebSocket,
    /// A request of WebSocket-over-HTTP.
    OverHttp,
}

/// A request, ready but for its body.
#[derive(Debug)]
pub struct Outgoing {
    /// Where it goes.
    pub destination: Destination,
    /// Method, origin-form URI and header fields. An HTTP request carries the client's
    /// `Content-Length`, which the backend corrects by the body. A WebSocket's handshake still
    /// needs its `Connection`, `Upgrade`, key and version; one over HTTP its `Accept`,
    /// `Content-Type`, `Connection-Id` and `Meta-*`.
    pub request: Request<()>,
}

/// The request cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    /// The target is `test`, which is not asked over the network.
    #[error("the target is built in")]
    BuiltIn,
    /// The rewritten path cannot stand in a request line.
    #[error("not a request path: {0:?}")]
    Path(String),
    /// The URL's host cannot stand in a header.
    #[error("not a host: {0:?}")]
    Host(String),
}

/// The request that `target` gets for the client's request.
pub fn request(
    shared: &Shared,
    context: &Context,
    route: &Route,
    target: &Target,
    kind: Kind,
) -> Result<Outgoing, OutgoingError> {
    build(&shared.settings, &shared.keys, context, route, target, kind)
}

/// The same, for who has no shard.
pub fn build(
    settings: &Settings,
    keys: &Keys,
    context: &Context,
    route: &Route,
    target: &Target,
    kind: Kind,
) -> Result<Outgoing, OutgoingError> {
    let (host, port) = url_host(context, route, target);
    let authority = authority(&host, port)?;
    let mut request = Request::new(());
    *request.method_mut() = match kind {
        Kind::Http => context.method.clone(),
        Kind::WebSocket => Method::GET,
        Kind::OverHttp => Method::POST,
    };
    *request.uri_mut() = uri(context, route)?;
    let mut fields = Fields::default();
    pipeline(&mut fields, settings, keys, context, route, kind);
    let mut headers = HeaderMap::with_capacity(context.headers.len() + 8);
    if let Ok(authority) = HeaderValue::from_bytes(&authority) {
        headers.append(HOST, authority);
    }
    fields.append_to(&mut headers);
    *request.headers_mut() = headers;
    Ok(Outgoing { destination: destination(target, &host)?.to_destination(), request })
}

/// The host and port of a URL as `Host` has them.
pub fn authority(host: &str, port: Option<u16>) -> Result<SmallVec<[u8; 64]>, OutgoingError> {
    if !host.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Err(OutgoingError::Host(host.to_owned()));
    }
    let mut authority = SmallVec::from_slice(host.as_bytes());
    if let Some(port) = port {
        authority.push(b':');
        authority.extend_from_slice(itoa::Buffer::new().format(port).as_bytes());
    }
    Ok(authority)
}

/// Where a target leads. `url_host` is [`url_host`]'s.
pub fn destination<'a>(target: &'a Target, url_host: &'a str) -> Result<To<'a>, OutgoingError> {
    let (host, port) = target.address.place().ok_or(OutgoingError::BuiltIn)?;
    let tls = target.tls.then(|| {
        let name = if target.trust_connect_host { host } else { url_host };
        let bare = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(name);
        ToTls { name: bare, insecure: target.insecure, identity: target.identity() }
    });
    Ok(To { host, port, tls, untrusted: target.untrusted })
}

/// Host and port of the URL towards the target: the client's, the route's `as_host` or the target's
/// `host`, the last one given; lower case, the port only if it is not the backend scheme's default.
pub fn url_host<'a>(
    context: &'a Context,
    route: &'a Route,
    target: &'a Target,
) -> (Cow<'a, str>, Option<u16>) {
    let text = target.host.as_deref().or(route.options.as_host.as_deref()).unwrap_or(&context.host);
    let (host, port) = split_port(text);
    let default = if target.tls { 443 } else { 80 };
    let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    (host, port.filter(|port| *port != default))
}

/// `host[:port]`; an IPv6 address stands in brackets, which stay.
fn split_port(text: &str) -> (&str, Option<u16>) {
    let host_end = if text.starts_with('[') { text.find(']').map_or(0, |at| at + 1) } else { 0 };
    let (bracketed, rest) = text.split_at(host_end);
    match rest.split_once(':') {
        Some((host, port)) if host_end == 0 => (host, port.parse().ok()),
        Some((_, port)) => (bracketed, port.parse().ok()),
        None => (text, None),
    }
}

/// The path after the route's rewriting, percent-encoded; it begins with `/` (but for `*`).
#[must_use]
pub fn path<'a>(context: &'a Context, route: &Route) -> Cow<'a, str> {
    let options = &route.options;
    let path: &str = &context.path;
    let (front, drop) = match &options.replace_beg {
        Some(front) => (&**front, route.condition.path_beg.as_ref().map_or(0, |p| p.len())),
        None => ("", usize::try_from(options.path_rem).unwrap_or(usize::MAX)),
    };
    if front.is_empty() && drop == 0 && (path.starts_with('/') || path == "*") {
        return Cow::Borrowed(path);
    }
    // Encoded paths are ASCII: every place in one is a boundary.
    let rest = path.get(drop.min(path.len())..).unwrap_or_default();
    let slash = if front.starts_with('/') || (front.is_empty() && rest.starts_with('/')) {
        ""
    } else {
        "/"
    };
    if front.is_empty() && slash.is_empty() {
        return Cow::Borrowed(rest);
    }
    Cow::Owned([slash, front, rest].concat())
}

/// What the request line asks a target for, its query with it.
///
/// # Errors
/// A rewritten path that no request line can hold.
pub fn uri(context: &Context, route: &Route) -> Result<Uri, OutgoingError> {
    let path = path(context, route);
    let text = match &context.query {
        Some(query) => [&*path, "?", query].concat(),
        None => path.into_owned(),
    };
    // Not parsed as a whole URI: `//a/b` is a path here, not a host.
    PathAndQuery::try_from(text.as_str()).map(Uri::from).map_err(|_| OutgoingError::Path(text))
}

/// The header fields but for `Host`, by the steps of the specification (routing 3.5).
pub fn pipeline<'a>(
    fields: &mut Fields<'a>,
    settings: &Settings,
    keys: &Keys,
    context: &'a Context,
    route: &Route,
    kind: Kind,
) {
    let (options, forwarding) = (&route.options, &settings.forwarding);
    let passing = Passing {
        named: named_by_client(context, route),
        grip: context.trusted,
        originals: options.orig_headers,
        protocol: !forwarding.owns_protocol(),
        route: !forwarding.accept_route,
    };
    if options.orig_headers && !context.trusted {
        fields.read(&context.headers);
        set_route_headers(fields, route);
        mark_originals(fields, &forwarding.need_mark);
        fields.keep(|name| passing.keeps(name));
    } else {
        fields.read_those(&context.headers, |name| passing.keeps(name));
        if !options.headers.is_empty() {
            set_route_headers(fields, route);
            fields.keep(|name| passing.keeps(name));
        }
    }
    if let Some(token) = &forwarding.cdn_loop {
        forwarded::cdn_loop(fields, token);
    }
    if !context.trusted && !options.no_grip {
        if let Some(token) = sign(settings, keys, route) {
            fields.add(GRIP_SIG, token);
        }
        fields.add(GRIP_FEATURE, HeaderValue::from_static(FEATURES));
    }
    if context.secure {
        forwarded::protocol(fields, forwarding.set_protocol, kind != Kind::Http);
    }
    forwarded::folded_for(fields, forwarding.for_rule(context.trusted), context.peer);
    match (kind, context.headers.get(CONTENT_LENGTH)) {
        (Kind::Http, Some(length)) => fields.put_back(CONTENT_LENGTH, Cow::Borrowed(length)),
        (Kind::Http, None) => {}
        _ => for_socket(fields, kind, options.no_grip),
    }
}

/// What the client's `Connection` removes: not what the operator adds, nor marked copies.
fn named_by_client(context: &Context, route: &Route) -> Vec<HeaderName> {
    let set = &route.options.headers;
    let is_set = |text: &str| set.iter().any(|(name, _)| name.eq_ignore_ascii_case(text));
    let mut named = fields::connection_names(&context.headers);
    named.retain(|name| !name.as_str().starts_with(ORIGINAL) && !is_set(name.as_str()));
    named
}

/// Which of a client's fields go on; all in one pass, as every request needs it.
struct Passing {
    /// Those that `Connection` names do not.
    named: Vec<HeaderName>,
    /// `Grip-*` do.
    grip: bool,
    /// Marked copies do.
    originals: bool,
    /// What is said of the client's protocol does.
    protocol: bool,
    /// The route that the client names does.
    route: bool,
}

impl Passing {
    fn keeps(&self, name: &HeaderName) -> bool {
        // What concerns this connection only, and what we say ourselves. All others that do not go
        // on have no name that the `http` crate knows; they differ in their first letter.
        let kept = match *name {
            HOST | CONNECTION | ACCEPT_ENCODING | CONTENT_ENCODING | TRANSFER_ENCODING | EXPECT
            | CONTENT_LENGTH => false,
            _ => match name.as_str() {
                text if text.starts_with("grip-") => self.grip,
                text if text.starts_with("x-forwarded-proto") => {
                    self.protocol || (*name != forwarded::PROTO && *name != forwarded::PROTOCOL)
                }
                text if text.starts_with(ORIGINAL) => self.originals,
                "pushpin-route" => self.route,
                "keep-alive" => false,
                _ => true,
            },
        };
        kept && !self.named.contains(name)
    }
}

/// The route's `header` options, last to first.
fn set_route_headers(fields: &mut Fields<'_>, route: &Route) {
    for (name, value) in route.options.headers.iter().rev() {
        let name = HeaderName::from_bytes(name.as_bytes());
        let parsed = HeaderValue::from_str(value);
        let (Ok(name), Ok(parsed)) = (name, parsed) else {
            tracing::warn!(line = route.line, "the route's header option is not a valid header");
            continue;
        };
        fields.remove(&name);
        if !value.is_empty() {
            fields.add(name, parsed);
        }
    }
}

/// Appends a marked copy of every field, but of those that only a client may mark; those that are
/// marked already move there as they are.
fn mark_originals(fields: &mut Fields<'_>, need_mark: &[HeaderName]) {
    let mut marked = Vec::new();
    for (name, value) in fields.iter() {
        if name.as_str().starts_with(ORIGINAL) {
            marked.push((name.clone().into_owned(), value.clone().into_owned()));
        } else if !need_mark.contains(name)
            && let Ok(name) = HeaderName::try_from(format!("{ORIGINAL}{name}"))
        {
            marked.push((name, value.clone().into_owned()));
        }
    }
    fields.keep(|name| !name.as_str().starts_with(ORIGINAL));
    for (name, value) in marked {
        fields.add(name, value);
    }
}

/// `Grip-Sig` with the route's issuer and key, or else the operator's.
pub fn sign(settings: &Settings, keys: &Keys, route: &Route) -> Option<HeaderValue> {
    let issuer = route.options.sig_iss.as_deref().unwrap_or(&settings.sig_iss);
    let candidates = [route.options.sig_key.as_deref(), settings.sig_key.as_deref()];
    if candidates == [None, None] {
        return None;
    }
    match keys.token(issuer, candidates.into_iter().flatten(), clock::unix_seconds()) {
        Ok(token) => token,
        Err(error) => {
            tracing::error!(%error, "failed to sign request");
            None
        }
    }
}

/// The value of `Grip-Last` for a channel; `None` if its name or the id cannot stand in a header.
///
/// An id that would be read otherwise than it is meant is quoted.
pub fn grip_last((channel, id): &Last) -> Option<HeaderValue> {
    let plain = !id.contains(['"', ';', ',']) && id.trim() == &**id;
    let text = if plain {
        format!("{channel}; last-id={id}")
    } else {
        let escaped = id.replace('\\', "\\\\").replace('"', "\\\"");
        format!("{channel}; last-id=\"{escaped}\"")
    };
    HeaderValue::try_from(text).ok()
}

/// What a WebSocket client says of its own connection does not concern the backend.
fn for_socket(fields: &mut Fields<'_>, kind: Kind, no_grip: bool) {
    fields.remove(&SEC_WEBSOCKET_EXTENSIONS);
    fields.remove(&UPGRADE);
    match kind {
        Kind::OverHttp => {
            let set_by_us = [ACCEPT, CONTENT_TYPE];
            fields.keep(|name| {
                !set_by_us.contains(name)
                    && !matches!(name.as_str(), "connection-id" | "content-bytes-replayed")
                    && !name.as_str().starts_with("meta-")
            });
        }
        _ => fields.keep(|name| name != SEC_WEBSOCKET_KEY && name != SEC_WEBSOCKET_VERSION),
    }
    if !no_grip {
        fields.add(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static("grip"));
    }
}

#[cfg(test)]
mod tests;
