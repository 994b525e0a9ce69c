//! Opens a WebSocket to a WebSocket backend (specification, WebSockets 2.1 to 2.3).
//!
//! Called by `accept` for each such target in turn. What it opens is relayed by a task (`relay`).

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use uuid::Uuid;

use super::compression::Hop;
use super::dialogue::Parties;
use super::relay::Relay;
use super::upgrade::{Attempt, Failed, Outcome, Rejection, lease, rejected, switching};
use crate::asking::onward::Onward;
use crate::asking::rules;
use crate::backend::body::RequestBody;
use crate::backend::exchange::Opened;
use crate::backend::gate::Load;
use crate::backend::journal::Deed;
use crate::forward::context::{Context, RouteRef};
use crate::forward::outgoing;
use crate::forward::shared::Shared;
use crate::listen::stream::Stream;
use crate::route::target::Target;
use crate::ws::{compression, handshake};

/// Asks one target.
pub async fn open(
    shared: &Rc<Shared>,
    context: &Context,
    route: &RouteRef,
    target: &Target,
    connection: Uuid,
    (load, connect_ms): (Option<Load>, u64),
) -> Attempt {
    let kind = outgoing::Kind::WebSocket;
    let outgoing = match outgoing::request(shared, context, route, target, kind) {
        Ok(outgoing) => outgoing,
        Err(error) => return other(&error),
    };
    let mut request = outgoing.request;
    let key = handshake::new_key();
    handshake::ask(request.headers_mut(), &key);
    let settings = &shared.settings.compression;
    if settings.allowed {
        compression::offer(request.headers_mut());
    }
    let request = request.map(|()| RequestBody::empty());
    let opened = shared.backend.upgrade(&outgoing.destination, request, load, connect_ms, None);
    let (response, io, read_ahead, occupancy) = match opened.await {
        Ok(Opened::Switched { response, io, read_ahead, occupancy }) => {
            (response, io, read_ahead, occupancy)
        }
        Ok(Opened::Answered(mut response)) => {
            // As of any answer: one whose body is seen to break off at once is none.
            let begun = poll_fn(|cx| Poll::Ready(response.body_mut().look_ahead(cx))).await;
            if let Err(error) = begun {
                shared.backend.journal().tell_of_body(target, &error, Deed::Answered(502));
                return Attempt::Decided(Outcome::Failed(Failed::Broken));
            }
            return Attempt::Decided(rejected(response.map(Rejection::Streamed)));
        }
        // A handshake is a GET: it may be made twice.
        Err(error) => return Attempt::Broken(Box::new(error), true),
    };
    if !handshake::is_accepted(response.headers(), &key) {
        return other(&"Sec-WebSocket-Accept does not answer the key");
    }
    let negotiated = match rules::negotiate(context, route, response.headers()) {
        Ok(negotiated) => negotiated,
        Err(error) => return other(&error),
    };
    let agreed = match compression::answered(response.headers(), settings.allowed) {
        Ok(agreed) => agreed,
        Err(error) => return other(&error),
    };
    let lease = lease(shared, context, route, connection);
    rules::subscribe_implicitly(&shared.hub, (context, route), lease.id(), target);
    let response = switching(context, response, negotiated.relayed);
    let parties = Parties {
        lease,
        context: context.clone(),
        route: route.clone(),
        client_hop: Hop::of_client(context.form, settings),
        backend_hop: Hop::of_backend(agreed, settings),
        prefix: negotiated.prefix,
        target: route.targets.iter().position(|one| std::ptr::eq(one, target)).unwrap_or(0),
        ears: Rc::clone(&shared.ears),
        askers: Rc::clone(&shared.askers),
    };
    let (stats, bounds) = (Rc::clone(&shared.stats), shared.settings.bounds.clone());
    let task = move |stream: Stream, early: Bytes| {
        let relay = Relay::new(parties, stats, &bounds, (stream, early), (io, read_ahead));
        Box::pin(async move {
            relay.run().await;
            drop(occupancy);
        }) as Pin<Box<dyn Future<Output = ()>>>
    };
    Attempt::Decided(Outcome::Accepted { response, onward: Onward::Task(Box::new(task)) })
}

fn other(why: &dyn std::fmt::Display) -> Attempt {
    Attempt::Decided(Outcome::Failed(Failed::Other(why.to_string())))
}

#[cfg(test)]
mod tests;
