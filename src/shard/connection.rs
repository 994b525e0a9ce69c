//! One accepted connection: handshake, requests, and who takes it over.
//!
//! A task while the connection is served; a connection that is parked has none, and gets a new one
//! here when it has a next request.

use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tokio_rustls::rustls::ServerConfig;

use super::client;
use super::encryption;
use super::starting::Start;
use super::state::{Shard, Ticket};
use crate::asking::onward::Onward;
use crate::forward::request::Client;
use crate::http::park::Handoff;
use crate::http::{self, Ended, Incoming};
use crate::hub::slab::SessionId;
use crate::listen::preamble;
use crate::listen::socket::Socket;
use crate::listen::stream::Stream;

/// A client that was just let in.
pub struct Guest {
    /// Its connection.
    pub socket: Socket,
    /// Where it comes from; nobody knows it of a Unix socket.
    pub peer: Option<IpAddr>,
    /// A proxy in front says first who the client is.
    pub behind: bool,
    /// TLS is spoken, so configured.
    pub tls: Option<Arc<ServerConfig>>,
    /// Lives until it has sent its first request head.
    pub start: Start,
}

/// Serves a connection from its first byte. The ticket counts it until it ends or is parked. Its
/// time-out is the business of `starting` until the first request head has come.
pub async fn run(shard: Rc<Shard>, guest: Guest, ticket: Ticket) {
    let Guest { mut socket, mut peer, behind, tls, start } = guest;
    if behind {
        match preamble(&shard, socket).await {
            Some(told) => socket = told,
            None => return,
        }
        peer = socket.peer();
    }
    let ahead = match tls {
        None => socket.take_ahead(),
        Some(_) => Bytes::new(),
    };
    let stream = match tls {
        None => Stream::Plain(socket),
        Some(config) => match encryption::begin(&shard, socket, config).await {
            Some(stream) => stream,
            None => return,
        },
    };
    converse(shard, stream, ahead, ticket, peer, Some(start)).await;
}

/// Who the client is, as the proxy in front says.
async fn preamble(shard: &Rc<Shard>, socket: Socket) -> Option<Socket> {
    // Boxed: every connection's task would have room for it otherwise.
    let told = Box::pin(preamble::read(socket));
    tokio::select! {
        told = told => match told {
            Ok(socket) => Some(socket),
            Err(error) => {
                shard.stats.proxy_headers_invalid.inc();
                tracing::debug!(%error, "closed: a proxy did not say who its client is");
                None
            }
        },
        () = shard.stopped() => None,
    }
}

/// Serves the next requests of a connection that was parked.
pub async fn serve(shard: Rc<Shard>, stream: Stream, read_ahead: Bytes, ticket: Ticket) {
    let peer = stream.peer();
    converse(shard, stream, read_ahead, ticket, peer, None).await;
}

/// Serves the requests of a connection until it ends or somebody else takes it over.
async fn converse(
    shard: Rc<Shard>,
    stream: Stream,
    read_ahead: Bytes,
    ticket: Ticket,
    peer: Option<IpAddr>,
    start: Option<Start>,
) {
    let certificate = encryption::certificate(&shard, &stream);
    let client = Client { peer, secure: stream.is_tls(), certificate };
    let handoff = Handoff::default();
    let respond = {
        let (proxy, handoff) = (shard.proxy.clone(), handoff.clone());
        let start = Cell::new(start);
        move |request: ::http::Request<Incoming>, spelling| {
            drop(start.take());
            Rc::clone(&proxy).respond(client.clone(), request, spelling, handoff.clone())
        }
    };
    let ended = {
        let stop = (shard.stopped(), || shard.is_stopping());
        let settings = &shard.settings.http;
        // Boxed: it is by far the most of a task, which is moved about when it begins and ends.
        Box::pin(http::serve(stream, read_ahead, settings, handoff, stop, respond)).await
    };
    if matches!(ended, Ended::Stuck { .. }) {
        shard.stats.clients_stuck.inc();
    }
    match ended {
        Ended::Closed { unclaimed } | Ended::Stuck { unclaimed } => {
            if let Some(Onward::Park(lease)) = &unclaimed {
                shard.proxy.sockets().gone(lease.id());
            }
        }
        Ended::Malformed => shard.stats.requests_malformed.inc(),
        Ended::Handed { stream, read_ahead, wish: Onward::Park(lease) } => {
            park(&shard, lease.park(), stream, read_ahead);
        }
        Ended::Handed { stream, read_ahead, wish: Onward::Task(task) } => {
            count_early(&shard, &read_ahead);
            // A task of its own: this one has room for all that serving HTTP takes.
            let task = task(stream, read_ahead);
            tokio::task::spawn_local(async move {
                task.await;
                drop(ticket);
            });
            return;
        }
    }
    drop(ticket);
}

/// Counts a WebSocket client that had to wait with what it sent before it was answered.
fn count_early(shard: &Shard, read_ahead: &Bytes) {
    if !read_ahead.is_empty() && read_ahead.len() >= shard.settings.http.early_bytes_max {
        shard.stats.socket_early_waits.inc();
    }
}

/// Hands a held connection over to the lot. What a WebSocket's client sent ahead are frames; what
/// others sent ahead waits for their next request.
fn park(shard: &Rc<Shard>, id: SessionId, stream: Stream, read_ahead: Bytes) {
    let socket = shard.hub.with(|registry| registry.is_socket(id));
    if socket {
        count_early(shard, &read_ahead);
    }
    let (frames, kept) =
        if socket { (read_ahead, Bytes::new()) } else { (Bytes::new(), read_ahead) };
    let parked = shard.lot.borrow_mut().park(id, stream, kept);
    if let Err(error) = parked {
        tracing::debug!(%error, "cannot park a connection");
        shard.proxy.sockets().gone(id);
        shard.hub.close(id);
    } else if !frames.is_empty() {
        client::received(shard, id, &frames);
    }
}
