//! One receiver of a SockJS session: a request that waits for frames, and its answer.
//!
//! Used by `talk` and `session`. The answer's parts go through a short channel to
//! whoever writes them to the client; a frame is written only when there is room for it, so nothing
//! waits here.

use std::future::pending;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::roster::{Roster, Waiting};
use crate::forward::access::Access;
use crate::forward::carried::Reply;
use crate::forward::visit;
use crate::sockjs::answers;
use crate::sockjs::client::Client;
use crate::sockjs::session::second_receiver;
use crate::sockjs::transport::Receiver;
use crate::websocket::upgrade::Rejection;

/// Parts of an answer that a frame may take: itself, and the end.
const PIECES_A_FRAME: usize = 2;

/// See the module.
pub struct Listener {
    receiver: Receiver,
    client: Client,
    reply: mpsc::Sender<Reply>,
    /// The head of its answer was sent.
    begun: bool,
    _waiting: Waiting,
}

impl Listener {
    /// A receiver that waits from now on.
    #[must_use]
    pub fn new(
        roster: &Rc<Roster>,
        receiver: Receiver,
        client: Client,
        reply: mpsc::Sender<Reply>,
    ) -> Listener {
        Listener { receiver, client, reply, begun: false, _waiting: roster.wait() }
    }

    /// Whether it takes more than one frame.
    #[must_use]
    pub fn is_streaming(&self) -> bool {
        self.receiver.transport().is_streaming()
    }

    /// Whether its client has left.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.reply.is_closed()
    }

    /// Whether it takes a frame now.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.begun || self.reply.capacity() >= PIECES_A_FRAME
    }

    /// A streaming answer begins before there is a frame for it.
    pub fn begin_stream(&mut self) {
        if self.is_streaming() && !self.begun {
            self.begin(None);
        }
    }

    fn begin(&mut self, bytes: Option<usize>) {
        self.begun = true;
        let mut head = answers::receiving(&self.client, &self.receiver);
        if let Some(bytes) = bytes {
            head.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
        }
        visit::begin(&self.reply, head);
        let prelude = self.receiver.prelude();
        if !prelude.is_empty() {
            self.give(prelude);
        }
    }

    /// Writes a frame; how many bytes it takes.
    pub fn write(&mut self, frame: &[u8]) -> usize {
        let written = self.receiver.write(frame);
        let bytes = written.len();
        if !self.begun {
            self.begin(Some(bytes));
        }
        self.give(written);
        bytes
    }

    fn give(&self, bytes: Bytes) {
        // There is room; that the client has left is noticed by whoever waits for it.
        let _ = self.reply.try_send(Reply::Data(bytes));
    }

    /// Its answer is whole.
    pub fn end(self) {
        let _ = self.reply.try_send(Reply::End);
    }

    /// Its session is over without a close: it is told, unless its answer has begun; then that is
    /// broken off.
    pub fn lose(self) {
        if !self.begun {
            visit::answer(&self.reply, answers::terminated(&self.client));
        }
    }

    /// The backend has declined the session that it was to open: it is told how, as a WebSocket is.
    /// `access` is the line of that request.
    pub async fn refuse(self, response: Response<Rejection>, access: Option<&Access>) {
        let (mut parts, body) = response.into_parts();
        self.client.mark(&mut parts.headers);
        let mut body = match body {
            Rejection::Whole(bytes) => {
                if let Some(access) = access {
                    access.count(bytes.len());
                    access.complete();
                }
                return visit::answer(&self.reply, Response::from_parts(parts, bytes));
            }
            Rejection::Streamed(body) => body,
        };
        visit::begin(&self.reply, Response::from_parts(parts, ()));
        while let Some(frame) = body.frame().await {
            // Without its end the answer is broken off, as the backend's is.
            let Ok(frame) = frame else { return };
            let Ok(data) = frame.into_data() else { continue };
            let bytes = data.len();
            if self.reply.send(Reply::Data(data)).await.is_err() {
                return;
            }
            if let Some(access) = access {
                access.count(bytes);
            }
        }
        if let Some(access) = access {
            access.complete();
        }
        let _ = self.reply.send(Reply::End).await;
    }
}

/// Tells a receiver that it is one too many.
pub fn refuse(client: &Client, receiver: &Receiver, reply: &mpsc::Sender<Reply>) {
    let frame = second_receiver();
    if !receiver.transport().is_streaming() {
        return visit::answer(reply, answers::polled(client, receiver, &frame));
    }
    visit::begin(reply, answers::receiving(client, receiver));
    for piece in [receiver.prelude(), receiver.write(&frame)] {
        let _ = reply.try_send(Reply::Data(piece));
    }
    let _ = reply.try_send(Reply::End);
}

/// Waits until the receiver has gone.
pub async fn left(listener: Option<&Listener>) {
    match listener {
        Some(listener) => listener.reply.closed().await,
        None => pending().await,
    }
}

/// Waits until the receiver takes a frame.
pub async fn room(listener: Option<&Listener>) {
    match listener {
        // That it has gone is seen elsewhere.
        Some(listener) if listener.reply.reserve_many(PIECES_A_FRAME).await.is_ok() => {}
        _ => pending().await,
    }
}
