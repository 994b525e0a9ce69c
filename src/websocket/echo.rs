//! The WebSocket of the built-in `test` target (specification, WebSockets 8.5): it subscribes to
//! what the query names and sends everything back. Its connections are parked: plain data, no task.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};

use super::compression::Hop;
use super::courier::finish;
use crate::asking::rules;
use crate::backend::builtin;
use crate::clock;
use crate::forward::access;
use crate::forward::context::Context;
use crate::forward::outgoing;
use crate::forward::shared::Shared;
use crate::grip::channel::ChannelName;
use crate::grip::message::{Message, MessageKind};
use crate::hub::fanout::Then;
use crate::hub::slab::SessionId;
use crate::route::Route;
use crate::session::socket::Form;
use crate::stats::Stats;
use crate::wire::frame::{Opcode, close_payload, server_frame};
use crate::ws::messages::{Incoming, Messages};
use crate::ws::reader::{DataKind, Sender, Violation};
use crate::ws::writer;

/// One client of the test target.
pub struct Echo {
    id: SessionId,
    form: Form,
    incoming: RefCell<Messages>,
    /// It was sent CLOSE by a publisher; its answer is awaited.
    pub closing: Cell<bool>,
    paused: Cell<bool>,
}

/// What becomes of the client after it was read from.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on.
    Read,
    /// It reads too slowly: it is not read from until it has read.
    Pause,
    /// It is finished: what it still sends means nothing.
    Finished,
    /// It answered CLOSE: its connection is to be closed.
    Closed,
}

/// Whether the test target takes a WebSocket at this path; else this is its answer.
pub fn refuse(context: &Context, route: &Route) -> Option<http::Response<Bytes>> {
    let path = outgoing::path(context, route);
    if builtin::resource(&path, route.condition.path_beg.as_deref()) == builtin::SOCKET {
        return None;
    }
    let mut response = http::Response::new(Bytes::from_static(builtin::NO_RESOURCE));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Some(response)
}

impl Echo {
    /// Takes up a client, and subscribes it as GRIP control messages would.
    #[must_use]
    pub fn open(shared: &Shared, context: &Context, route: &Route, id: SessionId) -> Echo {
        if !route.options.no_grip && !context.trusted {
            for name in builtin::channels(context.query.as_deref()) {
                let name = ChannelName::prefixed(&route.options.prefix, &name);
                shared.hub.with(|registry| registry.subscribe(id, &name, false));
                access::subscribed(route, || rules::uri(context), name.as_str(), "");
            }
        }
        let hop = Hop::of_client(context.form, &shared.settings.compression);
        Echo {
            id,
            form: context.form,
            incoming: RefCell::new(Messages::new(Sender::Client).inflating(hop.inflation)),
            closing: Cell::new(false),
            paused: Cell::new(false),
        }
    }

    /// The client sent `bytes`.
    pub fn received(&self, shared: &Shared, bytes: &[u8]) -> Progress {
        self.incoming.borrow_mut().feed(bytes);
        self.advance(shared)
    }

    /// The client has read all that was sent to it.
    pub fn drained(&self, shared: &Shared) -> Progress {
        if !self.paused.get() {
            return Progress::Read;
        }
        let progress = self.advance(shared);
        if progress == Progress::Read {
            self.paused.set(false);
            shared.hub.set_reading(self.id, true);
        }
        progress
    }

    /// Sends back what has come, as long as the client takes it.
    fn advance(&self, shared: &Shared) -> Progress {
        let limits = shared.settings.bounds.of_collected();
        let mut incoming = self.incoming.borrow_mut();
        loop {
            if !self.closing.get() && shared.hub.backlog(self.id) > 0 {
                self.paused.set(true);
                return Progress::Pause;
            }
            let message = match incoming.next(limits) {
                Ok(None) => return Progress::Read,
                Ok(Some(Incoming::Message(message))) => message,
                Ok(Some(Incoming::Close(_))) if self.closing.get() => return Progress::Closed,
                Ok(Some(Incoming::Close(close))) => {
                    let text = close.as_ref().map(|(_, reason)| std::str::from_utf8(reason));
                    let code = close.as_ref().map(|(code, _)| *code);
                    self.close(
                        shared,
                        &close_payload(code, text.and_then(Result::ok).unwrap_or("")),
                    );
                    return Progress::Finished;
                }
                Err(_) if self.closing.get() => return Progress::Closed,
                Err(violation) => {
                    count(&shared.stats, violation);
                    self.close(shared, &close_payload(Some(violation.close_code()), ""));
                    return Progress::Finished;
                }
            };
            if !self.closing.get() {
                shared.hub.send(self.id, &self.frame(shared, &message), clock::now());
            }
        }
    }

    /// A message as it is sent back.
    fn frame(&self, shared: &Shared, message: &Message) -> Bytes {
        let kind = match message.kind {
            MessageKind::Text => DataKind::Text,
            MessageKind::Binary => DataKind::Binary,
            MessageKind::Ping => return server_frame(Opcode::Ping, &message.content),
            MessageKind::Pong => return server_frame(Opcode::Pong, &message.content),
        };
        let hop = Hop::of_client(self.form, &shared.settings.compression);
        writer::whole(hop.deflation, kind, &message.content)
    }

    fn close(&self, shared: &Shared, payload: &[u8]) {
        shared.hub.send(self.id, &server_frame(Opcode::Close, payload), clock::now());
        finish(shared, self.id, Then::Close);
    }
}

/// Counts a client that broke the protocol.
pub fn count(stats: &Stats, violation: Violation) {
    match violation {
        Violation::TooLarge { .. } | Violation::LongFrame { .. } => {
            stats.socket_messages_too_large.inc();
        }
        Violation::Fragments { .. } => stats.socket_fragments_refused.inc(),
        _ => stats.socket_protocol_errors.inc(),
    }
}
