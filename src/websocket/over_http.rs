//! One WebSocket-over-HTTP request and its answer (specification, WebSockets 5.1, 5.6 and 5.7).
//!
//! An [`Origin`] is what every request of one client connection has in common: its handshake, its
//! target, its id, its metadata. Used by `opening` for the first request and by `courier` for all
//! others; it knows neither what is said nor what becomes of it.

use std::borrow::Cow;
use std::cell::RefCell;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, SEC_WEBSOCKET_EXTENSIONS, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body_util::BodyExt;
use uuid::Uuid;

use super::conversation::{Answer, Request};
use crate::backend::Terms;
use crate::backend::body::{AnswerBody, RequestBody};
use crate::backend::error::Error;
use crate::backend::journal::{Deed, Request as Failed};
use crate::backend::request::RequestHead;
use crate::forward::context::{Context, RouteRef};
use crate::forward::kept::{Alike, Kept};
use crate::forward::outgoing;
use crate::forward::shared::Shared;
use crate::grip::events::{self, EventsError};
use crate::limits;
use crate::route::target::Target;
use crate::session::socket::Form;

const EVENTS: HeaderValue = HeaderValue::from_static("application/websocket-events");
const CONNECTION_ID: HeaderName = HeaderName::from_static("connection-id");
const KEEP_ALIVE_INTERVAL: HeaderName = HeaderName::from_static("keep-alive-interval");
const BYTES_ACCEPTED: HeaderName = HeaderName::from_static("content-bytes-accepted");
const BYTES_REPLAYED: HeaderName = HeaderName::from_static("content-bytes-replayed");

/// Why a request had no answer.
#[derive(Debug, thiserror::Error)]
pub enum PostError {
    /// It could not be made.
    #[error(transparent)]
    Outgoing(#[from] outgoing::OutgoingError),
    /// The backend did not answer.
    #[error(transparent)]
    Backend(#[from] Error),
}

impl PostError {
    /// The backend's error, if it is one.
    #[must_use]
    pub fn backend(&self) -> Option<&Error> {
        match self {
            PostError::Backend(error) => Some(error),
            PostError::Outgoing(_) => None,
        }
    }
}

/// What the requests of one client connection have in common.
pub struct Origin {
    handshake: Handshake,
    /// Its route.
    pub route: RouteRef,
    /// Which of the route's targets.
    target: usize,
    connection_id: Uuid,
    /// `Meta-*`, in the order in which they were set. Most backends set none.
    meta: RefCell<Option<Box<Meta>>>,
}

type Meta = Vec<(HeaderName, HeaderValue)>;

/// The client's handshake.
enum Handshake {
    /// As it came, until the backend has decided.
    Fresh(Box<Context>),
    Kept(Kept),
}

impl Origin {
    /// The origin of one client connection at the route's target number `target`.
    #[must_use]
    pub fn new(context: Context, route: RouteRef, target: usize, connection_id: Uuid) -> Origin {
        let handshake = Handshake::Fresh(Box::new(context));
        Origin { handshake, route, target, connection_id, meta: RefCell::default() }
    }

    /// The same for the rest of the connection's life, as small as can be.
    #[must_use]
    pub fn keep(&self, alike: &Alike) -> Origin {
        Origin {
            handshake: Handshake::Kept(Kept::new(&self.context(), alike)),
            route: self.route.clone(),
            target: self.target,
            connection_id: self.connection_id,
            meta: RefCell::new(self.meta.borrow().clone()),
        }
    }

    /// The client's handshake; for the time of a request.
    #[must_use]
    pub fn context(&self) -> Cow<'_, Context> {
        match &self.handshake {
            Handshake::Fresh(context) => Cow::Borrowed(context),
            Handshake::Kept(kept) => Cow::Owned(kept.context()),
        }
    }

    /// In which form the client gets what is published.
    #[must_use]
    pub fn form(&self) -> Form {
        match &self.handshake {
            Handshake::Fresh(context) => context.form,
            Handshake::Kept(kept) => kept.form(),
        }
    }

    /// Where the requests go. `None` only for a number that the route does not have.
    #[must_use]
    pub fn target(&self) -> Option<&Target> {
        self.route.targets.get(self.target)
    }

    /// The id of the connection, as its backend knows it.
    #[must_use]
    pub fn connection_id(&self) -> Uuid {
        self.connection_id
    }

    /// Which of the route's targets it is.
    #[must_use]
    pub fn target_index(&self) -> usize {
        self.target
    }

    /// Makes one request; its signature is fresh. `connect_ms` is as in [`Terms`].
    pub async fn post(
        &self,
        shared: &Shared,
        target: &Target,
        request: &Request,
        connect_ms: Option<u64>,
    ) -> Result<http::Response<AnswerBody>, PostError> {
        let kind = outgoing::Kind::OverHttp;
        let outgoing = outgoing::request(shared, &self.context(), &self.route, target, kind)?;
        let mut head = outgoing.request;
        *head.method_mut() = Method::POST;
        self.dress(head.headers_mut(), request);
        // An absent body and an empty one are not the same: the length is always sent.
        let body = RequestBody::Whole(Some(request.body.clone()).filter(|body| !body.is_empty()));
        let whole = head.map(|()| body);
        let head = RequestHead::of(&whole);
        // Its protocol lets it be made again when nothing came of it.
        let terms = Terms { once: true, repeat: true, connect_ms };
        let to = outgoing.destination.as_to();
        Ok(shared.backend.ask(to, terms, head, whole.into_body()).await?)
    }

    /// Tells the log of a failure, and what is done about it.
    pub fn tell(&self, shared: &Shared, error: &PostError, attempt: usize, deed: Deed) {
        let (Some(target), Some(error)) = (self.target(), error.backend()) else { return };
        let context = self.context();
        let request = Failed {
            target,
            route: &self.route,
            method: &Method::POST,
            path: &context.path,
            attempt,
        };
        shared.backend.journal().tell(&request, error, deed);
    }

    /// Takes away what a client must not say, and adds what belongs to this protocol.
    fn dress(&self, headers: &mut HeaderMap, request: &Request) {
        let foreign: Vec<HeaderName> = headers
            .keys()
            .filter(|name| {
                [UPGRADE, CONNECTION, BYTES_REPLAYED].contains(name)
                    || name.as_str().starts_with("meta-")
            })
            .cloned()
            .collect();
        for name in foreign {
            headers.remove(name);
        }
        headers.insert(ACCEPT, EVENTS);
        headers.insert(CONTENT_TYPE, EVENTS);
        headers.insert(CONTENT_LENGTH, HeaderValue::from(request.body.len()));
        let mut id = Uuid::encode_buffer();
        let id = self.connection_id.as_hyphenated().encode_lower(&mut id);
        if let Ok(id) = HeaderValue::from_str(id) {
            headers.insert(CONNECTION_ID, id);
        }
        if request.replayed_bytes > 0 {
            headers.insert(BYTES_REPLAYED, HeaderValue::from(request.replayed_bytes));
        }
        for (name, value) in self.meta.borrow().iter().flat_map(|meta| meta.iter()) {
            headers.insert(name.clone(), value.clone());
        }
    }

    /// Tells what the backend's `Set-Meta-*` have come to so far: names in lower case, and values.
    pub fn each_variable(&self, mut tell: impl FnMut(&str, &str)) {
        for (name, value) in self.meta.borrow().iter().flat_map(|meta| meta.iter()) {
            let name = name.as_str().strip_prefix("meta-").unwrap_or_default();
            tell(name, &String::from_utf8_lossy(value.as_bytes()));
        }
    }

    /// Reads a whole answer that [`is_events`], and keeps the metadata that it sets.
    pub fn read(&self, headers: &HeaderMap, body: &Bytes) -> Result<Answer, EventsError> {
        let events = events::decode(body)?;
        remember(&mut self.meta.borrow_mut(), headers);
        Ok(Answer {
            events,
            interval_s: headers.get(KEEP_ALIVE_INTERVAL).map(interval_s),
            accepted_bytes: headers
                .get(BYTES_ACCEPTED)
                .and_then(|value| value.to_str().ok()?.parse().ok()),
        })
    }
}

/// Whether an answer speaks this protocol: status 200 and exactly its content type.
#[must_use]
pub fn is_events<B>(answer: &http::Response<B>) -> bool {
    answer.status() == StatusCode::OK && answer.headers().get(CONTENT_TYPE) == Some(&EVENTS)
}

/// `Keep-Alive-Interval`: at least 20 seconds, or off.
fn interval_s(value: &HeaderValue) -> Option<u32> {
    let digits = value.to_str().ok()?.trim();
    // What is too large for the number is still a number.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = digits.parse().unwrap_or(u32::MAX);
    (seconds > 0).then(|| seconds.max(limits::EVENTS_KEEP_ALIVE_S_MIN))
}

/// `Set-Meta-NAME`: sets, or with an empty value removes; what is set again moves to the end.
fn remember(all: &mut Option<Box<Meta>>, headers: &HeaderMap) {
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix("set-") else { continue };
        if !name.starts_with("meta-") || name == "meta-" {
            continue;
        }
        let meta = all.get_or_insert_default();
        meta.retain(|(known, _)| known.as_str() != name);
        // A copy: the value may be a part of the backend's much larger response head.
        let value = Some(value).filter(|value| !value.is_empty());
        let value = value.and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
        let taken: usize = meta.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        if let (Ok(name), Some(value)) = (HeaderName::from_bytes(name.as_bytes()), value)
            && meta.len() < limits::VARIABLES_MAX
            && taken + name.as_str().len() + value.len() <= limits::VARIABLES_BYTES_MAX
        {
            meta.push((name, value));
        }
        if meta.is_empty() {
            *all = None;
        }
    }
}

/// What an answer's `Set-Meta-*` say to the filters of the client's subscriptions: names in lower
/// case, and their new values.
pub fn variables(headers: &HeaderMap) -> impl Iterator<Item = (&str, Option<Cow<'_, str>>)> {
    headers.iter().filter_map(|(name, value)| {
        let name = name.as_str().strip_prefix("set-meta-").filter(|name| !name.is_empty())?;
        let value = Some(value.as_bytes()).filter(|value| !value.is_empty());
        Some((name, value.map(String::from_utf8_lossy)))
    })
}

/// Takes from the first answer's headers what the client is not to see.
pub fn undress(headers: &mut HeaderMap) {
    let own: Vec<HeaderName> = headers
        .keys()
        .filter(|name| {
            [
                CONTENT_LENGTH,
                CONTENT_TYPE,
                SEC_WEBSOCKET_EXTENSIONS,
                KEEP_ALIVE_INTERVAL,
                BYTES_ACCEPTED,
                CONNECTION_ID,
            ]
            .contains(name)
                || name.as_str().starts_with("set-meta-")
        })
        .cloned()
        .collect();
    for name in own {
        headers.remove(name);
    }
}

/// Why a body could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// It is over the limit; so much of it there is.
    #[error("the response body is over {} bytes", .0.len())]
    TooLarge(Bytes),
    /// The backend broke off.
    #[error("the response body broke off: {0}")]
    Broken(crate::backend::body::BodyError),
}

/// Collects a body of at most `limit_bytes`.
pub async fn collect(mut body: AnswerBody, limit_bytes: usize) -> Result<Bytes, CollectError> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(CollectError::Broken)?.into_data() else { continue };
        let have = first.len() + all.len();
        if have == 0 {
            first = data;
        } else {
            if all.is_empty() {
                all.extend_from_slice(&std::mem::take(&mut first));
            }
            all.extend_from_slice(&data);
        }
        if first.len() + all.len() > limit_bytes {
            let mut all = if all.is_empty() { first } else { all.freeze() };
            all.truncate(limit_bytes);
            return Err(CollectError::TooLarge(all));
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let read = |text| interval_s(&HeaderValue::from_static(text));
        assert_eq!(read("1"), Some(20));
        assert_eq!(read("30"), Some(30));
        assert_eq!(read("99999999999"), Some(u32::MAX));
        for off in ["0", "-5", "", "x", "1.5", "+3"] {
            assert_eq!(read(off), None, "{off}");
        }
    }

    #[test]
    fn metadata_is_kept_in_the_order_in_which_it_was_set() {
        let mut meta = None;
        let mut set = |lines: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for &(name, value) in lines {
                headers.append(name, HeaderValue::from_static(value));
            }
            remember(&mut meta, &headers);
            let texts = meta
                .iter()
                .flat_map(|meta| meta.iter())
                .map(|(n, v)| format!("{n}={}", v.to_str().unwrap()));
            texts.collect::<Vec<_>>()
        };
        assert_eq!(set(&[("set-meta-a", "1"), ("set-meta-b", "2")]), ["meta-a=1", "meta-b=2"]);
        assert_eq!(set(&[("Set-Meta-A", "3"), ("other", "x")]), ["meta-b=2", "meta-a=3"]);
        assert_eq!(set(&[("set-meta-b", ""), ("set-meta-", "x")]), ["meta-a=3"]);
    }

    #[test]
    fn metadata_is_bounded() {
        let mut meta = None;
        for n in 0..2 * limits::VARIABLES_MAX {
            let name = HeaderName::try_from(format!("set-meta-{n}")).unwrap();
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static("x"))]);
            remember(&mut meta, &headers);
        }
        assert_eq!(meta.as_ref().map(|meta| meta.len()), Some(limits::VARIABLES_MAX));
        let mut meta = None;
        let half = "x".repeat(limits::VARIABLES_BYTES_MAX / 2);
        for name in ["set-meta-a", "set-meta-b"] {
            let value = HeaderValue::try_from(half.as_str()).unwrap();
            let name = HeaderName::from_static(name);
            remember(&mut meta, &HeaderMap::from_iter([(name, value)]));
        }
        assert_eq!(meta.map(|meta| meta.len()), Some(1));
    }

    #[test]
    fn metadata_is_for_filters_too() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("set-meta-User", "alice"), ("set-meta-gone", ""), ("set-meta-", "x"), ("meta-x", "y")]
        {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_static(value));
        }
        let all: Vec<_> = variables(&headers).collect();
        assert_eq!(all, [("user", Some("alice".into())), ("gone", None)]);
    }

    #[test]
    fn only_the_exact_type_with_200_is_an_answer() {
        let answer = |status: u16, kind| {
            let response = http::Response::builder().status(status).header(CONTENT_TYPE, kind);
            is_events(&response.body(()).unwrap())
        };
        assert!(answer(200, "application/websocket-events"));
        assert!(!answer(200, "application/websocket-events; charset=utf-8"));
        assert!(!answer(200, "Application/websocket-events"));
        assert!(!answer(201, "application/websocket-events"));
    }

    #[test]
    fn the_client_does_not_see_the_protocol() {
        let mut headers = HeaderMap::new();
        for name in ["content-type", "set-meta-x", "connection-id", "sec-websocket-protocol"] {
            headers.insert(name, HeaderValue::from_static("v"));
        }
        undress(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["sec-websocket-protocol"]);
    }
}
