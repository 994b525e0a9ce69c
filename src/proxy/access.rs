//! The access line: one for each finished or held request (specification, routing 8.3).
//!
//! Made when a request has been routed, written when its answer is over: by whoever drops the
//! answer's body last, so that a client that leaves half-way is seen too.

use std::cell::Cell;

use http::Method;

use super::context::Context;
use crate::clock::{self, Tick};

/// Where access lines go in the log: `RUST_LOG=access=warn` turns them off.
const TARGET: &str = "access";

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
    route: Option<String>,
    json: bool,
    started: Tick,
    status: Cell<u16>,
    bytes: Cell<u64>,
    end: Cell<End>,
}

impl Access {
    /// Begins a line; `None` when nobody would see it, so that it costs nothing.
    #[must_use]
    pub fn begin(context: &Context, json: bool) -> Option<Access> {
        if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            return None;
        }
        let scheme = match (context.websocket, context.secure) {
            (false, false) => "http",
            (false, true) => "https",
            (true, false) => "ws",
            (true, true) => "wss",
        };
        let mut uri = format!("{scheme}://{}{}", context.host, context.path);
        if let Some(query) = &context.query {
            uri.push('?');
            uri.push_str(query);
        }
        Some(Access(Box::new(Line {
            method: context.method.clone(),
            uri,
            target: None,
            route: None,
            json,
            started: clock::now(),
            status: Cell::new(0),
            bytes: Cell::new(0),
            end: Cell::new(End::Open),
        })))
    }

    /// The route's explicit id.
    pub fn set_route(&mut self, id: Option<&str>) {
        self.0.route = id.map(str::to_owned);
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

    /// The request is held.
    pub fn accepted(&self) {
        self.0.end.set(End::Accepted);
    }
}

impl Line {
    fn outcome(&self) -> String {
        match self.end.get() {
            End::Open => "error".to_owned(),
            End::Complete => format!("code={} {}", self.status.get(), self.bytes.get()),
            End::Accepted => "accept".to_owned(),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let ms = clock::now().ms_since(self.started);
        let arrow = if self.target.is_some() { " -> " } else { "" };
        let target = self.target.as_deref().unwrap_or_default();
        let outcome = self.outcome();
        if self.json {
            tracing::info!(
                target: TARGET,
                method = %self.method,
                uri = %self.uri,
                to = target,
                route = self.route.as_deref().unwrap_or_default(),
                status = self.status.get(),
                bytes = self.bytes.get(),
                ms,
                outcome,
                "request"
            );
        } else {
            let route = self.route.as_ref().map_or_else(String::new, |id| format!(" route={id}"));
            tracing::info!(
                target: TARGET,
                "{} {}{arrow}{target}{route} {outcome} {ms}ms",
                self.method,
                self.uri
            );
        }
    }
}
