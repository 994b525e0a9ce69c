//! HTTP towards clients: one connection from its first byte until it closes, is upgraded, or is
//! taken over by somebody else (the lot, a task).
//!
//! hyper reads requests and writes responses. This folder adds what hyper leaves open: framing that
//! is in doubt is refused before hyper sees it (`edge`), and a connection that only waits is taken
//! apart again (`park`). Called by `shard`; generic over the service and its body, so it knows
//! neither `proxy` nor `hub`.

pub mod edge;
mod interim;
pub mod park;
mod patience;
pub mod spelling;
pub mod state;
pub mod tracked;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
pub use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use crate::limits;
use crate::wire::names::Spelling;
use edge::Edge;
use park::Handoff;
use patience::Patience;
use tracked::{Busy, Serving};

/// Errors of bodies, as hyper wants them.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Largest request head, in bytes.
    pub head_bytes_max: usize,
    /// A connection without a request, or with half a head, is closed after this.
    pub idle_ms: u64,
    /// A client that takes nothing of an answer for so long is closed; 0 is no bound.
    pub stuck_ms: u64,
    /// Bytes that a client may send behind a WebSocket's handshake before it is answered; past it
    /// the client waits.
    pub early_bytes_max: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            head_bytes_max: limits::REQUEST_HEAD_BYTES_MAX,
            idle_ms: limits::CLIENT_IDLE_MS,
            stuck_ms: limits::DOWNLOAD_SILENCE_S.saturating_mul(1000),
            early_bytes_max: limits::WEBSOCKET_EARLY_BYTES_MAX,
        }
    }
}

/// How serving a connection ended.
pub enum Ended<S, W> {
    /// It is closed (or beyond use).
    Closed {
        /// Who was to take it over, had it lived.
        unclaimed: Option<W>,
    },
    /// It is closed, because the client took nothing of an answer for too long.
    Stuck {
        /// As above.
        unclaimed: Option<W>,
    },
    /// What came is not HTTP, or its framing is in doubt; it has been answered and closed.
    Malformed,
    /// Somebody else takes it over, as the service wished.
    Handed {
        /// The connection.
        stream: S,
        /// Bytes that were read and belong to what comes next.
        read_ahead: Bytes,
        /// Who.
        wish: W,
    },
}

/// Serves requests on one connection until it ends.
///
/// `read_ahead` are bytes that were read from `stream` before. `stop` resolves when the connection
/// is to end after the request in flight, if there is one; `stopping` says whether it would.
/// `respond` is given each request, and how its header names were written unless that is as usual.
///
/// A request costs the two system calls that read and write it, and beside what hyper allocates for
/// its head one allocation, the future that answers it.
pub async fn serve<S, W, F, Fut, B>(
    stream: S,
    read_ahead: Bytes,
    settings: &Settings,
    handoff: Handoff<W>,
    (stop, stopping): (impl Future<Output = ()>, impl Fn() -> bool),
    respond: F,
) -> Ended<S, W>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
    W: 'static,
    F: Fn(Request<Incoming>, Option<Spelling>) -> Fut + Unpin,
    Fut: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error = BodyError> + Unpin + 'static,
{
    let state = handoff.state().clone();
    let bounds = (settings.head_bytes_max, settings.early_bytes_max);
    let edge = Edge::new(stream, read_ahead, bounds, state.clone());
    let service = {
        let state = state.clone();
        hyper::service::service_fn(move |request: Request<Incoming>| {
            let spelling = state.begin();
            Serving::new(respond(request, spelling), Busy::new(state.clone()))
        })
    };
    // 100 header fields are hyper's own limit and the guard's. Said aloud, it would cost hyper two
    // kilobytes to fill for each head.
    let mut connection = http1::Builder::new()
        .auto_date_header(false)
        .title_case_headers(true)
        .half_close(false)
        .max_buf_size(settings.head_bytes_max.max(8192) * 2)
        .serve_connection(TokioIo::new(edge), service);

    let mut stop = pin!(stop);
    let (mut asked, mut stopped) = (false, false);
    // One timer a connection, armed again only when it has rung: hyper arms one for each request.
    let mut patience = Patience::new(settings.idle_ms, settings.stuck_ms);
    let outcome = poll_fn(|cx| {
        // Asked once, to be woken by it, and then only when it is known to be ready.
        if (!asked || (stopping() && !stopped)) && stop.as_mut().poll(cx).is_ready() {
            stopped = true;
            std::pin::Pin::new(&mut connection).graceful_shutdown();
        }
        asked = true;
        match connection.poll_without_shutdown(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Outcome::Done),
            Poll::Ready(Err(error)) => Poll::Ready(Outcome::Failed(error)),
            Poll::Pending if handoff.is_due(state.is_flushed(), cx) => Poll::Ready(Outcome::Parted),
            Poll::Pending if handoff.is_closing() && state.is_at_rest() => {
                Poll::Ready(Outcome::Answered)
            }
            Poll::Pending if state.is_to_be_refused() => Poll::Ready(Outcome::Doubtful),
            Poll::Pending if patience.poll_stuck(&state, cx) => Poll::Ready(Outcome::Stuck),
            Poll::Pending if patience.poll_over(&state, cx) => Poll::Ready(Outcome::Silent),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;

    let (wish, head) = handoff.take().unzip();
    match outcome {
        Outcome::Failed(error) => {
            tracing::debug!(%error, "connection ended");
            if error.is_parse() { Ended::Malformed } else { Ended::Closed { unclaimed: wish } }
        }
        Outcome::Silent => Ended::Closed { unclaimed: wish },
        Outcome::Stuck => Ended::Stuck { unclaimed: wish },
        Outcome::Answered => {
            let (stream, _) = connection.into_parts().io.into_inner().into_parts();
            linger(stream, limits::EARLY_LINGER_MS, limits::EARLY_LINGER_BYTES_MAX).await;
            Ended::Closed { unclaimed: wish }
        }
        Outcome::Done | Outcome::Parted => {
            let parts = connection.into_parts();
            let (mut stream, unread) = parts.io.into_inner().into_parts();
            match wish {
                Some(wish) => {
                    if say(&mut stream, &head.unwrap_or_default()).await.is_err() {
                        return Ended::Closed { unclaimed: Some(wish) };
                    }
                    let read_ahead = join(&parts.read_buf, &unread);
                    Ended::Handed { stream, read_ahead, wish }
                }
                None => {
                    close(stream).await;
                    Ended::Closed { unclaimed: None }
                }
            }
        }
        Outcome::Doubtful => {
            let answered = state.is_answered();
            let (stream, _) = connection.into_parts().io.into_inner().into_parts();
            if !answered {
                refuse(stream, state.violation_answer()).await;
            }
            Ended::Malformed
        }
    }
}

/// Makes a response carry a reason phrase that is not the standard one. A phrase that cannot be
/// sent is left out.
pub fn set_reason<T>(response: &mut Response<T>, reason: &Bytes) {
    let standard = response.status().canonical_reason();
    if standard.is_some_and(|standard| standard.as_bytes() == reason) {
        return;
    }
    if let Ok(reason) = hyper::ext::ReasonPhrase::try_from(reason.clone()) {
        response.extensions_mut().insert(reason);
    }
}

/// The reason phrase that a response came with, if it is not the standard one.
#[must_use]
pub fn reason<T>(response: &Response<T>) -> Option<Bytes> {
    let phrase = response.extensions().get::<hyper::ext::ReasonPhrase>()?;
    Some(Bytes::copy_from_slice(phrase.as_bytes()))
}

enum Outcome {
    Done,
    Failed(hyper::Error),
    Parted,
    Doubtful,
    Silent,
    /// The client has taken nothing for too long.
    Stuck,
    /// Before all of the request had come.
    Answered,
}

/// Both, copied: even empty, what hyper read ahead would keep its whole read buffer alive.
fn join(first: &[u8], second: &[u8]) -> Bytes {
    if first.is_empty() && second.is_empty() {
        return Bytes::new();
    }
    [first, second].concat().into()
}

/// Writes what a connection's new owner wants said first; mostly nothing.
async fn say<S: AsyncWrite + Unpin>(stream: &mut S, head: &[u8]) -> io::Result<()> {
    if head.is_empty() {
        return Ok(());
    }
    stream.write_all(head).await?;
    stream.flush().await
}

async fn close<S: AsyncWrite + Unpin>(mut stream: S) {
    // The peer may have gone already; there is nobody left to tell.
    let _ = stream.shutdown().await;
}

/// Answers what cannot be read as a request, and closes.
async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, answer: Bytes) {
    if stream.write_all(&answer).await.is_ok() {
        linger(stream, limits::REFUSAL_LINGER_MS, limits::REFUSAL_LINGER_BYTES_MAX).await;
    }
}

/// Says that nothing more comes. What the client still sends is read for a while and thrown away:
/// closing with unread input would reset the connection and take the answer with it.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, ms: u64, bytes_max: usize) {
    use tokio::io::AsyncReadExt;
    if stream.shutdown().await.is_err() {
        return;
    }
    let discard = async {
        let mut scratch = vec![0; 16 * 1024];
        let mut seen = 0_usize;
        while seen < bytes_max {
            match stream.read(&mut scratch).await {
                Ok(n) if n > 0 => seen = seen.saturating_add(n),
                _ => return,
            }
        }
    };
    tokio::select! {
        () = discard => {}
        () = crate::clock::sleep_ms(ms) => {}
    }
}
