//! The control HTTP API (specification, GRIP 7): `POST /publish` into the [`Publisher`].
//!
//! Started by the server on the control thread, inside a `LocalSet`. Connections are kept alive as
//! HTTP/1.1 allows. It knows nothing of shards.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answer::{Answer, Format};
use super::guard::{Guard, Signals};
use super::head::{Endpoint, HeadLimits, Refusal};
use super::publisher::Publisher;
use crate::grip::item::{ItemsError, parse_items};

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

/// What all connections share.
struct Api {
    publisher: Publisher,
    settings: Settings,
    stats: Rc<crate::stats::Stats>,
    /// Connections being served.
    connections: Cell<usize>,
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
    let api = Rc::new(Api { publisher, settings, stats, connections: Cell::new(0) });
    let mut connections = JoinSet::new();
    let mut stopped = pin!(stopped(shutdown.clone()));
    loop {
        api.connections.set(connections.len());
        let room = connections.len() < settings.connections_max;
        tokio::select! {
            biased;
            () = &mut stopped => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok((stream, _)) => {
                    api.connections.set(connections.len() + 1);
                    connections.spawn_local(connection(stream, Rc::clone(&api), shutdown.clone()));
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

async fn connection(stream: TcpStream, api: Rc<Api>, shutdown: watch::Receiver<bool>) {
    let keep_alive = socket2::TcpKeepalive::new().with_time(TCP_KEEP_ALIVE);
    let options = stream
        .set_nodelay(true)
        .and_then(|()| socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive));
    if let Err(error) = options {
        tracing::debug!("control: socket options: {error}");
    }
    let limits = HeadLimits {
        head_bytes_max: api.settings.head_bytes_max,
        body_bytes_max: api.settings.body_bytes_max,
    };
    let signals = Rc::new(Signals::default());
    let guard = Guard::new(stream, limits, Rc::clone(&signals), Rc::clone(&api.stats));
    let service = {
        let signals = Rc::clone(&signals);
        hyper::service::service_fn(move |request| {
            respond(request, Rc::clone(&api), Rc::clone(&signals))
        })
    };
    let serving = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .title_case_headers(true)
        .half_close(true)
        .serve_connection(TokioIo::new(guard), service);
    let mut serving = pin!(serving);
    let ended = tokio::select! {
        ended = serving.as_mut() => ended,
        () = stopped(shutdown) => {
            signals.stopping.set(true);
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("control: connection ended: {error}");
    }
}

async fn respond(
    request: Request<Incoming>,
    api: Rc<Api>,
    signals: Rc<Signals>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    // The body is read whatever the answer will be: the next request begins after it.
    let mut body = read_body(body, api.settings.body_bytes_max).await?;
    let answer = if signals.body_exceeded.get() {
        Answer::Refused(Refusal::BodyExceeded)
    } else {
        answer(&head, &mut body, &api).await
    };
    // The guard asks for it in its canonical head. And whoever has the last place gives it up, or
    // idle publishers could keep others out forever.
    let full = api.connections.get() >= api.settings.connections_max;
    let close = full || head.version == Version::HTTP_10 || asks_to_close(&head);
    Ok(answer.into_response(close))
}

fn asks_to_close(head: &http::request::Parts) -> bool {
    head.headers.get(http::header::CONNECTION).is_some_and(|value| value.as_bytes() == b"close")
}

/// The whole body; the guard has checked that it is not longer than `bytes_max`.
async fn read_body(mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, hyper::Error> {
    let announced = hyper::body::Body::size_hint(&body).exact().unwrap_or(0);
    let mut whole = Vec::with_capacity(usize::try_from(announced).unwrap_or(0).min(bytes_max));
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole)
}

/// Accept, path, method, body: in this order (specification, GRIP 7.1).
async fn answer(head: &http::request::Parts, body: &mut [u8], api: &Api) -> Answer {
    let accept = head.headers.get(http::header::ACCEPT);
    let Some(format) = Format::negotiate(accept.map(http::HeaderValue::as_bytes)) else {
        return Answer::NotAcceptable;
    };
    let endpoint = Endpoint::from_path(head.uri.path());
    match endpoint {
        Endpoint::Root => Answer::Api,
        Endpoint::Unknown => Answer::NotFound,
        Endpoint::Publish | Endpoint::Recover if head.method != http::Method::POST => {
            Answer::MethodNotAllowed(head.method.to_string())
        }
        // To answer "Updated" without an effect would deceive a publisher that relies on it.
        Endpoint::Recover => Answer::RecoverNotBuilt,
        Endpoint::Publish => publish(body, format, api).await,
    }
}

async fn publish(body: &mut [u8], format: Format, api: &Api) -> Answer {
    let items = match parse_items(body) {
        Ok(items) => items,
        Err(error) => {
            api.stats.publishes_invalid.inc();
            log_invalid(&error);
            return Answer::Invalid(error);
        }
    };
    match api.publisher.publish(items).await {
        Ok(accepted) => {
            api.stats.items_received.add(accepted.items as u64);
            Answer::Published(format)
        }
        Err(refused) => {
            api.stats.publishes_refused.inc();
            tracing::warn!("publish {refused}");
            Answer::NotAccepted(refused)
        }
    }
}

fn log_invalid(error: &ItemsError) {
    match error {
        ItemsError::Invalid { index: Some(index), field, .. } => {
            tracing::warn!(item = index, field, "publish refused: {error}");
        }
        ItemsError::Invalid { index: None, field, .. } => {
            tracing::warn!(field, "publish refused: {error}");
        }
        ItemsError::NotJson | ItemsError::NotAnObject => {
            tracing::warn!("publish refused: {error}");
        }
    }
}
