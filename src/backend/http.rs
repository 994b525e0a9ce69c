//! One exchange, or one WebSocket handshake, with a target.
//!
//! Called by the roof only. Knows connections, not where they come from.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::task::Poll;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper_util::rt::TokioIo;

use super::body::{AnswerBody, RequestBody};
use super::connect::BackendStream;
use super::drive::{Drive, Wire};
use super::error::{Error, Kind, Stage};
use super::lease::Lease;
use super::link::{Link, Sender, Watched};
use super::pool::Pool;
use crate::clock;

/// How connections speak HTTP.
#[derive(Clone, Copy, Debug)]
pub struct Speech {
    /// Limit of a response head, in bytes.
    pub response_head_bytes_max: usize,
    /// A backend that makes no progress is given up after this, in milliseconds.
    pub progress_ms: u64,
}

/// How a backend answered a WebSocket handshake.
pub enum Opened {
    /// 101: the connection is no longer HTTP. The accept value is not checked here.
    Switched {
        /// Status and headers.
        response: Response<()>,
        /// The connection.
        io: BackendStream,
        /// What the backend sent right after the head.
        read_ahead: Bytes,
    },
    /// Any other answer.
    Answered(Response<AnswerBody>),
}

/// An exchange that failed.
pub struct Failed {
    /// Why.
    pub error: Error,
    /// The request, if none of it was written.
    pub unsent: Option<Request<RequestBody>>,
    /// Not a byte of a response came, and the connection was closed.
    pub silent: bool,
}

/// Puts HTTP/1.1 on a fresh connection.
pub async fn speak(io: Watched, speech: Speech) -> Result<(Sender, Wire), Error> {
    hyper::client::conn::http1::Builder::new()
        // Names go out as they came in; those that we add, in title case.
        .preserve_header_case(true)
        .title_case_headers(true)
        .max_header_size(speech.response_head_bytes_max)
        .handshake(TokioIo::new(io))
        .await
        .map_err(|error| Error::from_hyper(&error, Stage::Connect, false))
}

/// Frames the body (specification, routing 3.8): its own length if it is known, else chunks. A
/// client's `Content-Length` that says otherwise is corrected: the body is what is sent.
pub fn frame(request: &mut Request<RequestBody>) {
    let ended = request.body().is_end_stream();
    let exact = if ended { Some(0) } else { request.body().size_hint().exact() };
    let bodyless = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let headers = request.headers_mut();
    headers.remove(TRANSFER_ENCODING);
    match exact {
        Some(length) => {
            let given = headers.get(CONTENT_LENGTH).map(HeaderValue::as_bytes);
            let right = given.is_some_and(|value| {
                std::str::from_utf8(value).is_ok_and(|text| text.parse() == Ok(length))
            });
            if length == 0 && bodyless && !right {
                headers.remove(CONTENT_LENGTH);
            } else if !right {
                headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
            }
        }
        None => {
            headers.remove(CONTENT_LENGTH);
            headers.append(CONNECTION, HeaderValue::from_static("Transfer-Encoding"));
            // hyper would leave out a GET's body of unknown length if this did not say it.
            headers.append(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }
}

/// Sends a request over a connection that a task drives; the response's body takes the lease on.
pub async fn exchange(
    mut lease: Lease,
    request: Request<RequestBody>,
    reused: bool,
) -> Result<Response<AnswerBody>, Box<Failed>> {
    let link = Rc::clone(lease.link());
    let before = link.received.get();
    let Some(sender) = lease.sender() else {
        let error = Error::new(Stage::Send, Kind::Closed, "the connection is gone");
        return Err(Box::new(Failed { error, unsent: Some(request), silent: true }));
    };
    match sender.try_send_request(request).await {
        Ok(response) => Ok(response.map(|incoming| AnswerBody::new(incoming, lease))),
        Err(mut failure) => {
            let unsent = failure.take_message();
            let mut error = Error::from_hyper(failure.error(), Stage::Head, link.timed_out.get());
            error.reused = reused;
            let silent = error.kind == Kind::Closed && link.received.get() == before;
            Err(Box::new(Failed { error, unsent, silent }))
        }
    }
}

/// Sends a WebSocket handshake over a fresh connection and waits for the answer. The connection is
/// driven here, so that it can be taken apart; only for an answer other than 101 a task takes it
/// on.
pub async fn upgrade(
    mut sender: Sender,
    wire: Wire,
    link: Rc<Link>,
    pool: &Rc<Pool>,
    mut request: Request<RequestBody>,
    speech: Speech,
) -> Result<Opened, Error> {
    frame(&mut request);
    let mut wire = Some(wire);
    let mut parts = None;
    let mut answer = pin!(sender.send_request(request));
    let exchange = poll_fn(|cx| {
        poll_wire(&mut wire, &mut parts, cx);
        answer.as_mut().poll(cx)
    });
    let response = tokio::select! {
        biased;
        answered = exchange => {
            answered.map_err(|error| Error::from_hyper(&error, Stage::Head, false))?
        }
        () = clock::sleep_ms(speech.progress_ms) => {
            return Err(Error::new(Stage::Head, Kind::TimedOut, "the backend made no progress"));
        }
    };
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        if let Some(wire) = wire {
            Drive::start(wire, &link, pool, speech.progress_ms);
        }
        let lease = Lease::new(sender, link, Weak::clone(&Rc::downgrade(pool)));
        return Ok(Opened::Answered(response.map(|incoming| AnswerBody::new(incoming, lease))));
    }
    poll_fn(|cx| {
        poll_wire(&mut wire, &mut parts, cx);
        if wire.is_none() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    let Some((io, read_ahead)) = parts else {
        return Err(Error::new(
            Stage::Head,
            Kind::Closed,
            "closed right after switching protocols",
        ));
    };
    Ok(Opened::Switched { response: response.map(|_| ()), io, read_ahead })
}

/// Polls `wire`; when it is done, takes it apart into `parts` (unless it failed: then the answer
/// says why).
fn poll_wire(
    wire: &mut Option<Wire>,
    parts: &mut Option<(BackendStream, Bytes)>,
    cx: &mut std::task::Context<'_>,
) {
    let Some(polled) = wire.as_mut().map(|w| w.poll_without_shutdown(cx)) else { return };
    if let Poll::Ready(ended) = polled {
        let taken = wire.take();
        if let (Ok(()), Some(taken)) = (ended, taken) {
            let taken = taken.into_parts();
            *parts = Some((taken.io.into_inner().io, taken.read_buf));
        }
    }
}
