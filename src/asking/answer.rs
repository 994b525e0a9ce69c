//! What a target answered with, whether a backend sent it or the built-in one made it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::backend::body::AnswerBody;
use crate::backend::error::Error;
use crate::forward::carried::CarriedBody;
use crate::http::BodyError;

/// The body of a target's answer.
pub enum Answer {
    /// From a backend, as it comes.
    Backend(AnswerBody),
    /// From a backend, as another worker or a request for several passes it on.
    Carried(CarriedBody),
    /// From either, as a script for a page of another origin.
    Wrapped(Pin<Box<dyn Body<Data = Bytes, Error = BodyError>>>),
    /// All of it is here.
    Whole(Option<Bytes>),
}

impl Answer {
    /// A body that is here.
    #[must_use]
    pub fn whole(bytes: Bytes) -> Answer {
        Answer::Whole((!bytes.is_empty()).then_some(bytes))
    }
}

impl Answer {
    /// See [`AnswerBody::set_told_by_reader`].
    pub fn set_told_by_reader(&mut self, told: bool) {
        if let Answer::Backend(body) = self {
            body.set_told_by_reader(told);
        }
    }

    /// Takes in what is here already of a body that comes, without waiting for more.
    ///
    /// # Errors
    /// When it breaks off within that.
    pub fn look_ahead(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        match self {
            Answer::Backend(body) => body.look_ahead(cx),
            Answer::Carried(_) | Answer::Wrapped(_) | Answer::Whole(_) => Ok(()),
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Answer::Backend(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Answer::Carried(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Answer::Wrapped(body) => body.as_mut().poll_frame(cx),
            Answer::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Backend(body) => body.is_end_stream(),
            Answer::Carried(body) => body.is_end_stream(),
            Answer::Wrapped(body) => body.is_end_stream(),
            Answer::Whole(bytes) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Backend(body) => body.size_hint(),
            Answer::Carried(body) => body.size_hint(),
            Answer::Wrapped(body) => body.size_hint(),
            Answer::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
        }
    }
}
