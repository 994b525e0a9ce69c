//! One exchange, or one WebSocket handshake, over one connection.
//!
//! Called by the roof only. Knows connections, not where they come from.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Response, StatusCode};

use super::body::AnswerBody;
use super::connect::BackendStream;
use super::connection::Connection;
use super::error::{Error, Kind, Stage, Taken};
use super::gate::Occupancy;
use super::head::{self, ResponseHead};
use super::outbound::{Outbound, OutboundError};
use super::pool::Pool;
use crate::limits::INTERIM_RESPONSES_MAX;

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
        /// To be kept as long as the connection.
        occupancy: Option<Occupancy>,
    },
    /// Any other answer.
    Answered(Response<AnswerBody>),
}

/// Hears of each interim answer (1xx) before the answer itself, but for `100 Continue`: no
/// expectation is ever passed on.
pub type Heard<'a> = Option<&'a dyn Fn(Response<()>)>;

/// Sends a request; the response's body takes the connection on.
///
/// # Errors
/// Why there is no response, and how much of the request the backend may have seen.
pub async fn exchange(
    mut talk: Box<Talk>,
    pool: &Rc<Pool>,
    heard: Heard<'_>,
) -> Result<Response<AnswerBody>, Box<Error>> {
    match poll_fn(|cx| talk.poll(cx, heard)).await {
        Ok(head) if head.response.status() != StatusCode::SWITCHING_PROTOCOLS => {
            Ok(talk.answer(head, pool))
        }
        Ok(_) => {
            let detail = "switches protocols without being asked";
            let error = Error::new(Stage::Head, Kind::Malformed, detail);
            Err(Box::new(talk.failed(error, pool)))
        }
        Err(error) => Err(Box::new(talk.failed(error, pool))),
    }
}

/// Sends a WebSocket handshake and waits for the answer.
///
/// # Errors
/// As [`exchange`].
pub async fn upgrade(
    mut talk: Box<Talk>,
    pool: &Rc<Pool>,
    heard: Heard<'_>,
) -> Result<Opened, Error> {
    let head = match poll_fn(|cx| talk.poll(cx, heard)).await {
        Ok(head) => head,
        Err(error) => return Err(talk.failed(error, pool)),
    };
    if head.response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Opened::Answered(talk.answer(head, pool)));
    }
    pool.answered(&talk.connection);
    let (io, read_ahead, occupancy) = talk.connection.into_parts();
    Ok(Opened::Switched { response: head.response, io, read_ahead, occupancy })
}

/// A request under way. Boxed: whoever waits for it is moved about.
pub struct Talk {
    connection: Box<Connection>,
    request: Outbound,
    sent: bool,
    /// The connection did not take all of the request; the backend may have answered all the same.
    broken: Option<Error>,
    /// Anything has come.
    heard: bool,
    /// Bytes at the front of what was read that do not end a head.
    seen: usize,
    limit_bytes: usize,
    /// 1xx that came.
    interim: usize,
}

impl Talk {
    /// A request that is to be sent over `connection`; its response's head may have so many bytes.
    #[must_use]
    pub fn new(connection: Box<Connection>, request: Outbound, limit_bytes: usize) -> Box<Talk> {
        let (sent, heard, broken) = (false, false, None);
        let (seen, interim) = (0, 0);
        Box::new(Talk { connection, request, sent, broken, heard, seen, limit_bytes, interim })
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        heard: Heard<'_>,
    ) -> Poll<Result<ResponseHead, Error>> {
        if !self.sent {
            match self.request.poll(cx, &mut self.connection) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.sent = true,
                Poll::Ready(Err(OutboundError::Connection(error))) => {
                    self.sent = true;
                    self.broken = Some(Error::from_io(&error, Stage::Head));
                }
                Poll::Ready(Err(OutboundError::Body(error))) => {
                    let detail = format!("the request's body failed: {error}");
                    return Poll::Ready(Err(Error::new(Stage::Send, Kind::Upload, detail)));
                }
            }
        }
        loop {
            match self.connection.poll_fill(cx) {
                // What it has closed without a word it will not answer.
                Poll::Pending => match self.broken.take() {
                    Some(error) => return Poll::Ready(Err(error)),
                    None => return Poll::Pending,
                },
                Poll::Ready(Ok(0)) => {
                    let closed = Error::new(Stage::Head, Kind::Closed, "closed before the answer");
                    return Poll::Ready(Err(self.broken.take().unwrap_or(closed)));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(Error::from_io(&error, Stage::Head)));
                }
            }
            self.heard = true;
            match self.read(heard) {
                Ok(None) => {}
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Err(error) => {
                    let kind = match error {
                        head::HeadError::TooLarge
                        | head::HeadError::Syntax(httparse::Error::TooManyHeaders) => {
                            Kind::TooLarge
                        }
                        _ => Kind::Malformed,
                    };
                    let error = Error::new(Stage::Head, kind, error.to_string());
                    return Poll::Ready(Err(error));
                }
            }
        }
    }

    /// The head, if it is there. 1xx before it are only told of.
    fn read(&mut self, heard: Heard<'_>) -> Result<Option<ResponseHead>, head::HeadError> {
        while !self.connection.read.is_empty() {
            let (read, asked) = (&mut self.connection.read, self.request.asked());
            let Some(head) = head::response(read, self.seen, asked, self.limit_bytes)? else {
                self.seen = self.connection.read.len();
                return Ok(None);
            };
            let status = head.response.status();
            if !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS {
                return Ok(Some(head));
            }
            self.seen = 0;
            self.interim = self.interim.saturating_add(1);
            if self.interim > INTERIM_RESPONSES_MAX {
                return Err(head::HeadError::Interim);
            }
            if let Some(heard) = heard.filter(|_| status != StatusCode::CONTINUE) {
                heard(head.response);
            }
        }
        Ok(None)
    }

    fn answer(mut self, head: ResponseHead, pool: &Rc<Pool>) -> Response<AnswerBody> {
        let persistent = head.persistent && self.broken.is_none();
        let request = (!self.sent).then(|| Box::new(self.request));
        if let Some(seconds) = head.idle_s {
            self.connection.idle_ms = u64::from(seconds).saturating_mul(1000);
        }
        pool.answered(&self.connection);
        let body = AnswerBody::new(self.connection, head.length, persistent, request, pool);
        head.response.map(|()| body)
    }

    /// The error, with what the backend may have seen.
    fn failed(&self, error: Error, pool: &Pool) -> Error {
        let taken = match (self.heard, self.request.is_untouched()) {
            (true, _) => Taken::Answered,
            (false, true) => Taken::Nothing,
            // A handshake that was refused after all.
            (false, false) if error.stage == Stage::Tls => Taken::Nothing,
            (false, false) => Taken::Some,
        };
        let reused = self.connection.link().reused.get();
        let error = Error { taken, reused, ..error };
        pool.failed(&self.connection, &error);
        error
    }
}
