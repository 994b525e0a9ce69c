//! A backend's answer as one worker passes it on to another: its head, its body piece by piece, its
//! end. Sent by `ferry`, read as an `answer`; knows nothing of who asked.
//!
//! Pieces are shares of what was read, not copies. An answer that stops without its end has been
//! broken off.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::{Body, Frame};
use tokio::sync::mpsc;

/// A part of an answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// It has begun.
    Head(Arc<Head>),
    /// There is none, for this reason.
    Failed(Arc<str>),
    /// The next piece of its body.
    Data(Bytes),
    /// That was all.
    End,
}

/// What an answer begins with.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub headers: HeaderMap,
    /// The reason phrase, if it is not the standard one.
    pub reason: Option<Bytes>,
}

/// There is no answer, or no more of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CarriedError {
    /// The backend did not give any.
    #[error("{0}")]
    Failed(Arc<str>),
    /// Whoever passes it on has stopped, or the backend has.
    #[error("the answer was broken off")]
    BrokenOff,
}

/// The body of such an answer.
#[derive(Debug)]
pub struct CarriedBody {
    replies: mpsc::Receiver<Reply>,
    ended: bool,
}

/// Waits for the head of an answer; its body is to be read.
///
/// # Errors
/// When there is none.
pub async fn response(
    mut replies: mpsc::Receiver<Reply>,
) -> Result<Response<CarriedBody>, CarriedError> {
    let head = match replies.recv().await {
        Some(Reply::Head(head)) => Arc::unwrap_or_clone(head),
        Some(Reply::Failed(reason)) => return Err(CarriedError::Failed(reason)),
        Some(Reply::Data(_) | Reply::End) | None => return Err(CarriedError::BrokenOff),
    };
    let mut response = Response::new(CarriedBody { replies, ended: false });
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    if let Some(reason) = &head.reason {
        crate::http::set_reason(&mut response, reason);
    }
    Ok(response)
}

impl Body for CarriedBody {
    type Data = Bytes;
    type Error = CarriedError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CarriedError>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let reply = std::task::ready!(self.replies.poll_recv(cx));
        self.ended = !matches!(reply, Some(Reply::Data(_)));
        Poll::Ready(match reply {
            Some(Reply::Data(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Reply::End) => None,
            Some(Reply::Failed(reason)) => Some(Err(CarriedError::Failed(reason))),
            Some(Reply::Head(_)) | None => Some(Err(CarriedError::BrokenOff)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    fn head() -> Reply {
        let headers = HeaderMap::from_iter([("a".parse().unwrap(), "b".parse().unwrap())]);
        Reply::Head(Arc::new(Head { status: StatusCode::ACCEPTED, headers, reason: None }))
    }

    fn read(replies: &[Reply]) -> Result<Response<Vec<Result<Bytes, CarriedError>>>, CarriedError> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (sender, receiver) = mpsc::channel(8);
            for reply in replies {
                sender.try_send(reply.clone()).unwrap();
            }
            drop(sender);
            let (parts, mut body) = response(receiver).await?.into_parts();
            let mut frames = Vec::new();
            while let Some(frame) = body.frame().await {
                frames.push(frame.map(|frame| frame.into_data().unwrap()));
            }
            assert!(body.is_end_stream());
            Ok(Response::from_parts(parts, frames))
        })
    }

    #[test]
    fn an_answer_is_what_it_was() {
        let piece = Bytes::from_static(b"piece");
        let answer = read(&[head(), Reply::Data(piece.clone()), Reply::End]).unwrap();
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        assert_eq!(answer.headers()["a"], "b");
        assert_eq!(answer.body(), &[Ok(piece)]);
    }

    #[test]
    fn an_answer_without_its_end_is_broken_off() {
        let piece = Bytes::from_static(b"piece");
        let answer = read(&[head(), Reply::Data(piece.clone())]).unwrap();
        assert_eq!(answer.body(), &[Ok(piece), Err(CarriedError::BrokenOff)]);
    }

    #[test]
    fn who_is_gone_and_who_failed_give_none() {
        assert_eq!(read(&[]).unwrap_err(), CarriedError::BrokenOff);
        let failed = Reply::Failed("refused".into());
        assert_eq!(read(&[failed]).unwrap_err(), CarriedError::Failed("refused".into()));
    }
}
