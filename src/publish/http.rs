//! The control HTTP API (specification, GRIP 7): accepts publishers' connections and ends them when
//! the server stops.
//!
//! Started by the server on the control thread, inside a `LocalSet`. What a request does is in
//! `api`, how it is read and answered in `connection`. It knows nothing of shards.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::api::Api;
use super::head::HeadLimits;
use super::publisher::Publisher;

/// After an accept that failed (out of descriptors, for example), wait this long.
const ACCEPT_RETRY_MS: u64 = 100;
/// A silent connection is probed after this, so that a peer that vanished does not keep its place.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);

/// What the control API allows.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Largest request head (option `push_in_http_max_headers_size`).
    pub head_bytes_max: usize,
    /// Largest request body (option `push_in_http_max_body_size`).
    pub body_bytes_max: usize,
    /// Connections served at once; further ones wait unaccepted.
    pub connections_max: usize,
    /// When stopping, requests in flight get this long.
    pub drain_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            head_bytes_max: crate::limits::CONTROL_HEAD_BYTES_MAX,
            body_bytes_max: crate::limits::CONTROL_BODY_BYTES_MAX,
            connections_max: crate::limits::CONTROL_CONNECTIONS_MAX,
            drain_ms: crate::limits::DRAIN_MS_DEFAULT,
        }
    }
}

/// Serves the API until `shutdown` turns true (or its sender is gone), then lets requests in flight
/// finish, for at most [`Settings::drain_ms`]. To be run in a `LocalSet`.
pub async fn serve(
    listener: TcpListener,
    publisher: Publisher,
    settings: Settings,
    stats: Rc<crate::stats::Stats>,
    shutdown: watch::Receiver<bool>,
) {
    let api = Rc::new(Api::new(publisher, stats, settings.connections_max));
    let limits = HeadLimits {
        head_bytes_max: settings.head_bytes_max,
        body_bytes_max: settings.body_bytes_max,
    };
    let mut connections = JoinSet::new();
    let mut stop = pin!(stopped(shutdown.clone()));
    loop {
        api.set_connections(connections.len());
        let room = connections.len() < settings.connections_max;
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, _)) => {
                    api.set_connections(connections.len() + 1);
                    let (api, stop) = (Rc::clone(&api), stopped(shutdown.clone()));
                    connections.spawn_local(connection(stream, api, limits, stop));
                }
                Err(error) => {
                    tracing::warn!("control: accept failed: {error}");
                    api.stats.accept_failures.inc();
                    crate::clock::sleep_ms(ACCEPT_RETRY_MS).await;
                }
            },
        }
    }
    drop(listener);
    tokio::select! {
        () = async { while connections.join_next().await.is_some() {} } => {}
        () = crate::clock::sleep_ms(settings.drain_ms) => {
            tracing::warn!("control: {} connections cut off", connections.len());
        }
    }
}

/// Ends when `shutdown` is true or can no longer become so.
async fn stopped(mut shutdown: watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|&stop| stop).await;
}

async fn connection(
    stream: TcpStream,
    api: Rc<Api>,
    limits: HeadLimits,
    stop: impl Future<Output = ()>,
) {
    let keep_alive = socket2::TcpKeepalive::new().with_time(TCP_KEEP_ALIVE);
    let options = stream
        .set_nodelay(true)
        .and_then(|()| socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive));
    if let Err(error) = options {
        tracing::debug!("control: socket options: {error}");
    }
    if let Err(error) = super::connection::serve(stream, &api, limits, stop).await {
        tracing::debug!("control: connection ended: {error}");
    }
}
