//! The access line: one for each finished or held request (specification, routing 8.3).
//!
//! Made when a request has been routed, written when its answer is over: by whoever drops the
//! answer's body last, so that a client that leaves half-way is seen too. What a client has said of
//! itself is looked up then, not before. For a WebSocket the line is written when it is accepted.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt::{Display, Write as _};
use std::net::IpAddr;
use std::rc::Rc;

use http::header::{REFERER, USER_AGENT};
use http::{HeaderMap, Method};
use url::Url;

use super::context::Context;
use super::forwarded;
use super::outgoing::GRIP_LAST;
use super::shared::Settings;
use crate::clock::{self, Tick};
use crate::route::Route;
use crate::wire::params::{elements, parameters};

/// Where access lines go in the log: `RUST_LOG=access=warn` turns them off.
const TARGET: &str = "access";
/// The same of routes that have a `log_level` of their own: the process's level does not count.
const TARGET_OF_ROUTES: &str = "access_of_route";
/// Where subscriptions go, which Pushpin's handler tells of, and those of such routes.
const SUBSCRIPTIONS: &str = "subscriptions";
const SUBSCRIPTIONS_OF_ROUTES: &str = "subscriptions_of_route";
/// Most lines for people have no more bytes.
const LINE_BYTES: usize = 128;
/// The level of access lines, and of subscriptions, as `log_level` counts.
const INFO: u8 = 2;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Open,
    Complete,
    Accepted,
}

/// The line of one request. Boxed: it travels with every answer, and mostly there is none.
pub struct Access(Box<Line>);

struct Line {
    method: Method,
    uri: String,
    target: Option<String>,
    /// For `from=`: where it says the client is, if it is to say so.
    from: Option<IpAddr>,
    route: Option<String>,
    headers: Rc<HeaderMap>,
    user_agent: bool,
    retry: bool,
    /// The route has a level of its own.
    of_route: bool,
    json: bool,
    started: Tick,
    status: Cell<u16>,
    bytes: Cell<u64>,
    end: Cell<End>,
}

/// Whether access lines of a route with this level are told, or of one without.
fn is_told(level: Option<u8>) -> bool {
    match level {
        None => tracing::enabled!(target: TARGET, tracing::Level::INFO),
        Some(level) => {
            level >= INFO && tracing::enabled!(target: TARGET_OF_ROUTES, tracing::Level::INFO)
        }
    }
}

impl Access {
    /// Begins a line; `None` when nobody would see it, so that it costs nothing.
    #[must_use]
    pub fn begin(context: &Context, route: Option<&Route>, settings: &Settings) -> Option<Access> {
        let level = route.and_then(|route| route.options.log_level);
        if !is_told(level) {
            return None;
        }
        let forwarding = &settings.forwarding;
        // Of a plain request that a backend has seen, it is the connection's.
        let from = if context.websocket || route.is_none() {
            let rule = forwarding.for_rule(context.trusted);
            forwarded::logical_address(&context.headers, rule, context.peer)
        } else {
            context.peer.map(|peer| peer.to_canonical())
        };
        Some(Access(Box::new(Line {
            method: context.method.clone(),
            uri: context.url(),
            target: None,
            from: from.filter(|_| forwarding.log_from),
            route: route.and_then(|route| route.options.id.as_deref()).map(str::to_owned),
            headers: Rc::clone(&context.headers),
            user_agent: forwarding.log_user_agent,
            retry: false,
            of_route: level.is_some(),
            json: settings.json_log,
            started: clock::now(),
            status: Cell::new(0),
            bytes: Cell::new(0),
            end: Cell::new(End::Open),
        })))
    }

    /// It is made once more on behalf of a hold.
    #[must_use]
    pub fn again(mut self) -> Access {
        self.0.retry = true;
        self
    }

    /// The target that was tried last.
    pub fn set_target(&mut self, target: String) {
        self.0.target = Some(target);
    }

    /// The status that is sent.
    pub fn set_status(&self, status: u16) {
        self.0.status.set(status);
    }

    /// So many bytes of the body went to the client.
    pub fn count(&self, bytes: usize) {
        self.0.bytes.set(self.0.bytes.get() + bytes as u64);
    }

    /// The answer is whole.
    pub fn complete(&self) {
        self.0.end.set(End::Complete);
    }

    /// The answer is whole: this status, and so many bytes in all.
    pub fn answered(&self, status: u16, bytes: usize) {
        self.set_status(status);
        self.0.bytes.set(bytes as u64);
        self.complete();
    }

    /// The request is held.
    pub fn accepted(&self) {
        self.0.end.set(End::Accepted);
    }
}

impl Line {
    fn outcome(&self, line: &mut String) {
        match self.end.get() {
            End::Open => line.push_str("error"),
            End::Complete => {
                let (mut status, mut bytes) = (itoa::Buffer::new(), itoa::Buffer::new());
                let (status, bytes) =
                    (status.format(self.status.get()), bytes.format(self.bytes.get()));
                ["code=", status, " ", bytes].into_iter().for_each(|part| line.push_str(part));
            }
            End::Accepted => line.push_str("accept"),
        }
    }

    /// `Referer`, if it is a URL.
    fn referer(&self) -> Option<&str> {
        let text = self.headers.get(REFERER)?.to_str().ok()?;
        let clean = text.bytes().all(|byte| byte.is_ascii_graphic());
        (clean && Url::parse(text).is_ok()).then_some(text)
    }

    fn user_agent(&self) -> Option<Cow<'_, str>> {
        let value = self.headers.get(USER_AGENT).filter(|_| self.user_agent)?;
        Some(printable(value.as_bytes()))
    }

    /// What the client has of which channels: pairs as they were written.
    fn lasts(&self) -> impl Iterator<Item = (String, String)> {
        let values = self.headers.get_all(GRIP_LAST).iter();
        values.flat_map(|value| elements(value.as_bytes())).filter_map(|element| {
            let read = parameters(element)?;
            let id = read.value("last-id")?;
            Some((printable(read.first).into_owned(), printable(id.bytes()).into_owned()))
        })
    }

    /// The line for people, as Pushpin writes it.
    fn text(&self) -> String {
        let mut line = String::with_capacity(LINE_BYTES);
        let put = |line: &mut String, before: &str, text: &str| {
            line.push_str(before);
            line.push_str(text);
        };
        put(&mut line, self.method.as_str(), " ");
        line.push_str(&self.uri);
        if let Some(target) = &self.target {
            put(&mut line, " -> ", target);
        }
        if let Some(from) = self.from {
            // Writing to a String cannot fail.
            let _ = write!(line, " from={from}");
        }
        if let Some(referer) = self.referer() {
            put(&mut line, " ref=", referer);
        }
        if let Some(route) = &self.route {
            put(&mut line, " route=", route);
        }
        line.push(' ');
        self.outcome(&mut line);
        if self.retry {
            line.push_str(" retry");
        }
        if let Some(name) = self.user_agent() {
            put(&mut line, " ua=", &name);
        }
        for (channel, id) in self.lasts() {
            put(&mut line, " #", &channel);
            put(&mut line, "=", &id);
        }
        line
    }

    fn tell_json(&self) {
        let from = self.from.map(|from| from.to_string()).unwrap_or_default();
        let lasts: Vec<_> = self.lasts().map(|(channel, id)| format!("{channel}={id}")).collect();
        let mut outcome = String::new();
        self.outcome(&mut outcome);
        // The name of a line's target is part of what is known of it at compile time.
        macro_rules! tell {
            ($target:expr) => {
                tracing::info!(
                    target: $target,
                    method = %self.method,
                    uri = %self.uri,
                    to = self.target.as_deref().unwrap_or_default(),
                    from,
                    referer = self.referer().unwrap_or_default(),
                    route = self.route.as_deref().unwrap_or_default(),
                    status = self.status.get(),
                    bytes = self.bytes.get(),
                    ms = clock::now().ms_since(self.started),
                    outcome,
                    retry = self.retry,
                    user_agent = self.user_agent().as_deref().unwrap_or_default(),
                    last = lasts.join(" "),
                    "request"
                )
            };
        }
        if self.of_route { tell!(TARGET_OF_ROUTES) } else { tell!(TARGET) }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        match (self.json, self.of_route) {
            (true, _) => self.tell_json(),
            (false, false) => tracing::info!(target: TARGET, "{}", self.text()),
            (false, true) => tracing::info!(target: TARGET_OF_ROUTES, "{}", self.text()),
        }
    }
}

/// Tells that a channel has one subscriber more, unless the route is to be quiet: `subscribe URL
/// channel=NAME[ retry]` (specification, routing 8.2).
pub fn subscribed<D: Display>(route: &Route, request: impl FnOnce() -> D, name: &str, note: &str) {
    // The target of a line is part of what is known of it at compile time.
    match route.options.log_level {
        None if tracing::enabled!(target: SUBSCRIPTIONS, tracing::Level::INFO) => {
            tracing::info!(target: SUBSCRIPTIONS, "subscribe {} channel={name}{note}", request());
        }
        Some(INFO..) => {
            tracing::info!(target: SUBSCRIPTIONS_OF_ROUTES, "subscribe {} channel={name}{note}", request());
        }
        _ => {}
    }
}

/// What a client sent as a part of a line: it must not look like another one.
fn printable(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    if text.contains(char::is_control) {
        return Cow::Owned(text.replace(char::is_control, " "));
    }
    text
}

#[cfg(test)]
mod tests;
