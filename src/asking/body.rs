//! The body of an answer to a client: none, whole, streamed from a target, or held.
//!
//! hyper polls it. It writes the access line when it ends, and tells the connection's hand-off when
//! a held stream has said all it has, so that the connection may leave hyper.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::answer::Answer;
use super::onward::Onward;
use crate::forward::access::Access;
use crate::http::BodyError;
use crate::http::park::Handoff;

/// What runs when an initial body that was too large to collect has been sent: the hold begins.
pub type BeginHold = Box<dyn FnOnce() -> Result<(), Bytes>>;

enum Source {
    Whole(Option<Bytes>),
    Relayed { first: Option<Bytes>, rest: Answer },
    Held { first: Option<Bytes>, handoff: Handoff<Onward> },
    Through { first: Option<Bytes>, rest: Answer, begin: Option<BeginHold>, held: Handoff<Onward> },
}

/// An answer's body.
pub struct Body {
    source: Source,
    access: Option<Access>,
}

impl Body {
    /// These bytes.
    #[must_use]
    pub fn whole(bytes: Bytes, access: Option<Access>) -> Body {
        Body { source: Source::Whole((!bytes.is_empty()).then_some(bytes)), access }
    }

    /// What a target sends, `first` before it.
    #[must_use]
    pub fn relayed(first: Option<Bytes>, rest: Answer, access: Option<Access>) -> Body {
        Body { source: Source::Relayed { first, rest }, access }
    }

    /// The beginning of a held stream.
    #[must_use]
    pub fn held(first: Bytes, handoff: Handoff<Onward>) -> Body {
        let first = (!first.is_empty()).then_some(first);
        Body { source: Source::Held { first, handoff }, access: None }
    }

    /// The beginning of a stream that is held when `rest` has ended. `begin` opens the hold; the
    /// bytes of its error end the stream instead.
    #[must_use]
    pub fn through(
        first: Bytes,
        rest: Answer,
        begin: BeginHold,
        held: Handoff<Onward>,
        access: Option<Access>,
    ) -> Body {
        let source = Source::Through { first: Some(first), rest, begin: Some(begin), held };
        Body { source, access }
    }

    fn poll_source(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.source {
            Source::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Source::Relayed { first, rest } => match first.take() {
                Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
                None => Pin::new(rest).poll_frame(cx),
            },
            Source::Held { first, handoff } => match first.take() {
                Some(first) => Poll::Ready(Some(Ok(Frame::data(first)))),
                None => {
                    handoff.idle();
                    Poll::Pending
                }
            },
            Source::Through { first, rest, begin, held } => {
                if let Some(first) = first.take() {
                    return Poll::Ready(Some(Ok(Frame::data(first))));
                }
                let Some(ready) = begin.take() else { return Poll::Ready(None) };
                match Pin::new(rest).poll_frame(cx) {
                    Poll::Pending => {
                        *begin = Some(ready);
                        Poll::Pending
                    }
                    Poll::Ready(Some(frame)) => {
                        *begin = Some(ready);
                        Poll::Ready(Some(frame))
                    }
                    Poll::Ready(None) => match ready() {
                        Ok(()) => {
                            held.idle();
                            if let Some(access) = self.access.take() {
                                access.accepted();
                            }
                            self.source = Source::Held { first: None, handoff: held.clone() };
                            Poll::Pending
                        }
                        Err(last) if last.is_empty() => Poll::Ready(None),
                        Err(last) => Poll::Ready(Some(Ok(Frame::data(last)))),
                    },
                }
            }
        }
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let polled = this.poll_source(cx);
        if let Some(access) = &this.access {
            match &polled {
                Poll::Ready(Some(Ok(frame))) => {
                    access.count(frame.data_ref().map_or(0, Bytes::len));
                    if this.is_end_stream() {
                        access.complete();
                    }
                }
                Poll::Ready(None) => access.complete(),
                _ => {}
            }
        }
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && frame.is_trailers()
        {
            // Trailers are not relayed.
            return Poll::Ready(None);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Whole(bytes) => bytes.is_none(),
            Source::Relayed { first, rest } => first.is_none() && rest.is_end_stream(),
            Source::Held { .. } | Source::Through { .. } => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Source::Relayed { first: None, rest } => rest.size_hint(),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        // A body without bytes (none of its own, HEAD, 204, 304) is never polled: it is complete
        // all the same.
        if let Some(access) = &self.access
            && self.is_end_stream()
        {
            access.complete();
        }
    }
}
