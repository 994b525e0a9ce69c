//! What a request means that is not itself what its targets are sent: a JSON-P script, or a request
//! of SockJS; for `linchpin explain`. Called by `preview`, in the order of the roof of `proxy`.

use std::rc::Rc;

use bytes::Bytes;
use http::Method;
use http::header::SEC_WEBSOCKET_EXTENSIONS;

use super::context::Context;
use super::cross_origin;
use super::shared::Settings;
use super::visit::as_handshake;
use crate::route::Route;
use crate::route::sockjs::SockJs;
use crate::sockjs::path::{Endpoint, Sending, endpoint};
use crate::sockjs::transport::Receiver;
use crate::ws::handshake;

/// See the module. The request that targets are sent is in the context afterwards.
#[derive(Debug, Default)]
pub struct Meaning {
    /// What is to be said of it, in sentences.
    pub notes: Vec<String>,
    /// It is answered here: no target is asked because of it.
    pub is_answered: bool,
    /// The body that it has instead of the client's.
    pub body: Option<Bytes>,
}

impl Meaning {
    fn answered(note: impl Into<String>) -> Meaning {
        Meaning { notes: vec![note.into()], is_answered: true, body: None }
    }

    fn asking(note: impl Into<String>) -> Meaning {
        Meaning { notes: vec![note.into()], ..Meaning::default() }
    }
}

/// What a request means on its route.
#[must_use]
pub fn of(context: &mut Context, settings: &Settings, route: Option<&Route>) -> Meaning {
    let sockjs = route.and_then(|route| route.options.sockjs.as_ref());
    match sockjs.filter(|sockjs| context.path.starts_with(&*sockjs.base)) {
        Some(sockjs) => of_sockjs(sockjs, context),
        None => of_page(context, settings, route),
    }
}

fn of_page(context: &mut Context, settings: &Settings, route: Option<&Route>) -> Meaning {
    let Some(mut page) = cross_origin::of(context, settings, route) else {
        return Meaning::default();
    };
    let body = match cross_origin::rewrite(&mut page, context, &mut None, route) {
        Ok(body) => body,
        Err(error) => return Meaning::answered(format!("a JSON-P script, answered 400: {error}")),
    };
    let Some(wrapping) = page.jsonp else {
        return Meaning::asking("its answer gets the fields of CORS that it does not have");
    };
    let sent = body.as_ref().map_or_else(String::new, |b| format!(" with {} bytes", b.len()));
    let callback = String::from_utf8_lossy(&wrapping.callback);
    let what = match wrapping.extended {
        true => "status, fields and body of its answer as an object",
        false => "the body of its answer",
    };
    let note = format!(
        "a JSON-P script: it means {} {}{sent}; the client gets {what}, in a call of {callback}(...)",
        context.method,
        context.url(),
    );
    Meaning { notes: vec![note], is_answered: false, body }
}

fn of_sockjs(sockjs: &SockJs, context: &mut Context) -> Meaning {
    let path = Rc::clone(&context.path);
    let rest = path.get(sockjs.base.len()..).unwrap_or_default();
    let asks_well = context.websocket && handshake::is_requested(&context.headers);
    let query = context.query.clone();
    match endpoint(&context.method, rest, asks_well) {
        Endpoint::Greeting => Meaning::answered("SockJS: its greeting, answered here"),
        Endpoint::Info => Meaning::answered("SockJS: what a client asks first, answered here"),
        Endpoint::Iframe => Meaning::answered("SockJS: the page for an iframe, answered here"),
        Endpoint::Options { allowed } => {
            Meaning::answered(format!("SockJS: a preflight, answered here: {allowed}"))
        }
        Endpoint::WrongMethod { allowed } => {
            Meaning::answered(format!("SockJS: answered 405: this is for {allowed}"))
        }
        Endpoint::NotFound => Meaning::answered("SockJS: answered 404: there is no such endpoint"),
        Endpoint::Receive { session, transport } => {
            if let Err(fault) = Receiver::new(transport, query.as_deref()) {
                return Meaning::answered(format!("SockJS: answered 500: {fault}"));
            }
            context.method = Method::GET;
            context.websocket = true;
            context.path = sockjs.backend_path("").into();
            context.headers = Rc::new(as_handshake(context.headers.as_ref().clone()));
            let word = transport.word();
            Meaning::asking(format!(
                "SockJS: session {session}, transport {word}: the first such request opens the \
                 session, a WebSocket to the backend; the others fetch what has come over it"
            ))
        }
        Endpoint::Send { session, form } => {
            let word = match form {
                Sending::Xhr => "xhr_send",
                Sending::Jsonp => "jsonp_send",
            };
            Meaning::answered(format!(
                "SockJS: session {session}, {word}: its messages go over the session's WebSocket, \
                 which a request to receive has opened; without a session it is answered 404"
            ))
        }
        Endpoint::WebSocket { .. } | Endpoint::RawWebSocket if !sockjs.websocket => {
            Meaning::answered("SockJS: answered 404: the route takes no WebSockets")
        }
        Endpoint::WebSocket { .. } | Endpoint::RawWebSocket if !asks_well => {
            Meaning::answered("SockJS: answered 400: this is for WebSocket handshakes")
        }
        kind @ (Endpoint::WebSocket { .. } | Endpoint::RawWebSocket) => {
            context.path = sockjs.backend_path("/websocket").into();
            if kind == Endpoint::RawWebSocket {
                return Meaning::asking("SockJS: a WebSocket without frames of SockJS");
            }
            // What is compressed is between the client and its frames.
            Rc::make_mut(&mut context.headers).remove(SEC_WEBSOCKET_EXTENSIONS);
            Meaning::asking("SockJS: a session over a WebSocket; to the backend it is a plain one")
        }
    }
}
