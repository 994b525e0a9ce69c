//! The task that relays a WebSocket between a client and a WebSocket backend (specification,
//! WebSockets 2.4 to 2.6 and 3).
//!
//! One task a connection, made by `passthrough`. Messages are relayed while they come, in whatever
//! parts they come, and each side waits for the other. What the hub sends to the client goes between
//! the backend's messages, never into one. When idle it holds no buffer.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};

use super::context::{Context as Request, RouteRef};
use super::end::End;
use super::rules::{self, Consequence, Subject, Verdict};
use crate::clock::{self, Tick};
use crate::hub::Lease;
use crate::limits;
use crate::stats::Stats;
use crate::wire::frame::{
    self, Head, Opcode, client_fragment, close_payload, server_fragment, server_frame,
};
use crate::ws::random;
use crate::ws::reader::{Close, DataKind, Piece, Sender, Violation};

/// Towards either side so many bytes may wait; then the other side is not read from.
const WINDOW_BYTES: usize = 64 * 1024;
/// A longer control message is ignored.
const CONTROL_MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// A payload of at least so many bytes is not copied behind its head.
const SHARED_PAYLOAD_BYTES_MIN: usize = 1024;

/// Who talks to whom.
pub struct Parties {
    /// The client's session.
    pub lease: Lease,
    /// The client's handshake.
    pub context: Request,
    /// Its route.
    pub route: RouteRef,
    /// The prefix of ordinary messages, when GRIP is spoken.
    pub prefix: Option<Box<[u8]>>,
    /// The shard's counters.
    pub stats: Rc<Stats>,
}

/// What becomes of the backend's message that is being read.
#[derive(Debug)]
enum Message {
    /// There is none.
    None,
    Relayed,
    Dropped,
    /// A control message: what has come of it.
    Control(BytesMut),
}

/// What has been said of closing, on one side.
#[derive(Clone, Copy, Debug, Default)]
struct Closing {
    /// It sent CLOSE.
    sent: bool,
    /// It was sent CLOSE.
    received: bool,
}

/// Why the relaying is over, by what is still written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// Both sides get what waits for them.
    Both,
    /// The backend is lost: the client gets what came.
    Client,
    /// The client is lost: the backend gets what came.
    Backend,
    /// Nothing more.
    Now,
}

/// See the module.
pub struct Relay<C, B> {
    parties: Parties,
    client: End<C>,
    /// Absent when the connection is gone although the client's goes on.
    backend: Option<End<B>>,
    client_closing: Closing,
    backend_closing: Closing,
    /// What the backend says is discarded: it was parted from.
    severed: bool,
    message: Message,
    /// Something was relayed to the client since the hub was told.
    touched: bool,
    active: Tick,
    closing_since: Option<Tick>,
    timer: Option<(Tick, Pin<Box<dyn Future<Output = ()>>>)>,
}

impl<C, B> Relay<C, B>
where
    C: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    /// A relay between two streams, each with what was read from it already.
    pub fn new(parties: Parties, client: (C, Bytes), backend: (B, Bytes)) -> Relay<C, B> {
        Relay {
            parties,
            client: End::new(client.0, Sender::Client, client.1),
            backend: Some(End::new(backend.0, Sender::Server, backend.1)),
            client_closing: Closing::default(),
            backend_closing: Closing::default(),
            severed: false,
            message: Message::None,
            touched: false,
            active: clock::now(),
            closing_since: None,
            timer: None,
        }
    }

    /// Relays until either side has ended.
    pub async fn run(mut self) {
        let ending = poll_fn(|cx| self.poll_relay(cx)).await;
        let write_client = matches!(ending, Ending::Both | Ending::Client);
        let write_backend = matches!(ending, Ending::Both | Ending::Backend);
        let finish = poll_fn(|cx| {
            let client = write_client && self.client.poll_finish(cx).is_pending();
            let backend = write_backend
                && self
                    .backend
                    .as_mut()
                    .is_some_and(|backend| backend.poll_finish(cx).is_pending());
            if client || backend { Poll::Pending } else { Poll::Ready(()) }
        });
        tokio::select! {
            () = finish => {}
            () = clock::sleep_ms(limits::WEBSOCKET_CLOSE_MS) => {}
        }
    }

    fn poll_relay(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        loop {
            let mut moved = false;
            if let Poll::Ready(Err(_)) = self.client.poll_write(cx, &mut moved) {
                return Poll::Ready(Ending::Backend);
            }
            if let Some(backend) = &mut self.backend
                && let Poll::Ready(Err(error)) = backend.poll_write(cx, &mut moved)
                && let Some(ending) = self.backend_lost(Err(error))
            {
                return Poll::Ready(ending);
            }
            let ending = match self.from_backend(cx, &mut moved) {
                None => self.from_client(cx, &mut moved),
                some => some,
            };
            if let Some(ending) = ending {
                return Poll::Ready(ending);
            }
            if self.client_closing.sent && self.client_closing.received {
                return Poll::Ready(Ending::Both);
            }
            if !moved {
                break;
            }
            self.active = clock::now();
        }
        if std::mem::take(&mut self.touched) {
            let id = self.parties.lease.id();
            self.parties.lease.hub().with(|registry| registry.touched(id, self.active));
        }
        self.poll_time(cx)
    }

    /// Ends what is silent for too long, or does not answer a CLOSE.
    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Ending> {
        loop {
            let idle = self.active.plus_ms(limits::BACKEND_PROGRESS_MS);
            let close = self.closing_since.map(|at| at.plus_ms(limits::WEBSOCKET_CLOSE_MS));
            let due = close.map_or(idle, |close| close.min(idle));
            // A timer that is too early is let run out: activity moves it all the time.
            let timer = match &mut self.timer {
                Some((at, timer)) if *at <= due => timer,
                _ => &mut self.timer.insert((due, Box::pin(clock::sleep_until(due)))).1,
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
            if clock::now() >= due {
                return Poll::Ready(Ending::Now);
            }
        }
    }

    /// Takes what the backend and the hub have for the client, as long as the client takes it.
    fn from_backend(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Option<Ending> {
        let beginning = rules::beginning_bytes(self.parties.prefix.as_deref());
        while self.client.backlog() < WINDOW_BYTES {
            if !matches!(self.message, Message::Relayed)
                && let Some(ending) = self.published(cx, moved)
            {
                return Some(ending);
            }
            let backend = self.backend.as_mut()?;
            match backend.reader.next(beginning) {
                Ok(Some(piece)) => {
                    *moved = true;
                    self.backend_said(piece);
                }
                Ok(None) => match backend.poll_read(cx) {
                    Poll::Pending => return None,
                    Poll::Ready(Ok(true)) => *moved = true,
                    Poll::Ready(result) => return self.backend_lost(result.map(drop)),
                },
                Err(violation) => {
                    tracing::warn!("{}: backend: {violation}", self.uri());
                    return self.backend_lost(Err(io::ErrorKind::InvalidData.into()));
                }
            }
        }
        None
    }

    /// Takes what the hub has for the client. Its CLOSE also parts from the backend.
    fn published(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Option<Ending> {
        let id = self.parties.lease.id();
        while !self.client_closing.received && self.client.backlog() < WINDOW_BYTES {
            match self.parties.lease.hub().poll_next(id, cx.waker()) {
                Poll::Pending => return None,
                // The session is gone: its queue was over its bound.
                Poll::Ready(None) => return Some(Ending::Now),
                Poll::Ready(Some(frame)) => {
                    *moved = true;
                    let is_close = frame.first() == Some(&(0x80 | Opcode::Close.bits()));
                    self.client.push(frame);
                    if is_close {
                        self.client_closing.received = true;
                        self.begin_closing();
                        self.sever();
                    }
                }
            }
        }
        None
    }

    fn backend_said(&mut self, piece: Piece) {
        if let Piece::Close(_) = piece {
            self.backend_closing.sent = true;
        }
        if self.severed || self.client_closing.received {
            return;
        }
        match piece {
            Piece::Ping(payload) => self.to_client(server_frame(Opcode::Ping, &payload)),
            Piece::Pong(payload) => self.to_client(server_frame(Opcode::Pong, &payload)),
            Piece::Close(close) => self.close_client(&relayed_close(&close)),
            Piece::Data { kind, first, last, bytes, .. } => {
                if first {
                    self.message_begins(kind, last, bytes);
                } else {
                    self.message_continues(last, bytes);
                }
                if last && let Message::Control(text) = self.end_message() {
                    self.control(&text);
                }
            }
        }
    }

    fn message_begins(&mut self, kind: DataKind, last: bool, bytes: Bytes) {
        let is_text = kind == DataKind::Text;
        self.message = match rules::judge(self.parties.prefix.as_deref(), is_text, &bytes) {
            Verdict::Relay(skip) => {
                self.fragment_to_client(opcode(kind), last, bytes.slice(skip.min(bytes.len())..));
                Message::Relayed
            }
            Verdict::Control(skip) => Message::Control(bytes.get(skip..).unwrap_or(b"").into()),
            Verdict::Drop => Message::Dropped,
        };
    }

    fn message_continues(&mut self, last: bool, bytes: Bytes) {
        match &mut self.message {
            Message::Relayed => self.fragment_to_client(Opcode::Continuation, last, bytes),
            Message::Control(text) if text.len() + bytes.len() <= CONTROL_MESSAGE_BYTES_MAX => {
                text.extend_from_slice(&bytes);
            }
            Message::Control(_) => {
                tracing::debug!("{}: control message too long", self.uri());
                self.message = Message::Dropped;
            }
            Message::Dropped | Message::None => {}
        }
    }

    fn end_message(&mut self) -> Message {
        std::mem::replace(&mut self.message, Message::None)
    }

    fn control(&mut self, text: &[u8]) {
        let Parties { lease, context, route, .. } = &self.parties;
        let subject = Subject { hub: lease.hub(), id: lease.id(), context, route };
        match rules::carry_out(subject, text, clock::now()) {
            Consequence::None => {}
            Consequence::Detach => self.sever(),
            Consequence::Close(reason) => {
                self.close_client(&close_payload(Some(1011), &reason));
                self.sever();
            }
        }
    }

    /// Takes what the client has for the backend, as long as the backend takes it.
    fn from_client(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Option<Ending> {
        while self.backend.as_ref().is_none_or(|backend| backend.backlog() < WINDOW_BYTES) {
            match self.client.reader.next(0) {
                Ok(Some(piece)) => {
                    *moved = true;
                    self.client_said(piece);
                }
                Ok(None) => match self.client.poll_read(cx) {
                    Poll::Pending => return None,
                    Poll::Ready(Ok(true)) => *moved = true,
                    Poll::Ready(Ok(false) | Err(_)) => return Some(Ending::Backend),
                },
                // What follows a CLOSE means nothing.
                Err(_) if self.client_closing.sent => return Some(Ending::Both),
                Err(violation) => return Some(self.client_broke(violation)),
            }
        }
        None
    }

    fn client_said(&mut self, piece: Piece) {
        if self.client_closing.sent {
            return;
        }
        if let Piece::Close(close) = &piece {
            self.client_closing.sent = true;
            if self.severed && !self.client_closing.received {
                self.close_client(&close_payload(None, ""));
            } else if !self.severed {
                self.close_backend(&relayed_close(close));
            }
            let id = self.parties.lease.id();
            self.parties.lease.hub().with(|registry| registry.mute(id));
            return;
        }
        if self.severed || self.backend_closing.received {
            return;
        }
        let (opcode, fin, bytes) = match piece {
            Piece::Ping(payload) => (Opcode::Ping, true, payload),
            Piece::Pong(payload) => (Opcode::Pong, true, payload),
            Piece::Data { kind, first: true, last, bytes, .. } => (opcode(kind), last, bytes),
            Piece::Data { last, bytes, .. } => (Opcode::Continuation, last, bytes),
            Piece::Close(_) => return,
        };
        if let Some(backend) = &mut self.backend {
            backend.push(client_fragment(opcode, fin, random::bytes(), &bytes));
        }
    }

    /// The client broke the protocol: it is told why; the backend's connection is dropped.
    fn client_broke(&mut self, violation: Violation) -> Ending {
        self.parties.stats.socket_protocol_errors.inc();
        tracing::info!("{}: client dropped: {violation}", self.uri());
        self.close_client(&close_payload(Some(violation.close_code()), ""));
        Ending::Client
    }

    /// The backend's connection ended. `None` when the client's goes on.
    fn backend_lost(&mut self, result: io::Result<()>) -> Option<Ending> {
        if self.severed || self.backend_closing.sent {
            self.backend = None;
            return None;
        }
        if let Err(error) = result {
            tracing::debug!("{}: backend lost: {error}", self.uri());
        }
        Some(Ending::Client)
    }

    /// Parts from the backend: CLOSE without a code (1000), and what it says is discarded.
    fn sever(&mut self) {
        self.severed = true;
        self.message = Message::None;
        self.close_backend(&close_payload(None, ""));
    }

    fn close_client(&mut self, payload: &[u8]) {
        if std::mem::replace(&mut self.client_closing.received, true) {
            return;
        }
        self.client.push(server_frame(Opcode::Close, payload));
        let id = self.parties.lease.id();
        self.parties.lease.hub().with(|registry| registry.mute(id));
        self.begin_closing();
    }

    fn close_backend(&mut self, payload: &[u8]) {
        if std::mem::replace(&mut self.backend_closing.received, true) {
            return;
        }
        if let Some(backend) = &mut self.backend {
            backend.push(client_fragment(Opcode::Close, true, random::bytes(), payload));
        }
        if !self.severed {
            self.begin_closing();
        }
    }

    fn begin_closing(&mut self) {
        self.closing_since = self.closing_since.or(Some(clock::now()));
    }

    fn fragment_to_client(&mut self, opcode: Opcode, fin: bool, bytes: Bytes) {
        if bytes.len() < SHARED_PAYLOAD_BYTES_MIN {
            return self.to_client(server_fragment(opcode, fin, &bytes));
        }
        let mut head = BytesMut::with_capacity(frame::HEAD_BYTES_MAX);
        let payload_bytes = bytes.len() as u64;
        frame::put_head(&Head { fin, reserved: 0, opcode, mask: None, payload_bytes }, &mut head);
        self.to_client(head.freeze());
        self.client.push(bytes);
    }

    fn to_client(&mut self, bytes: Bytes) {
        self.touched = true;
        self.client.push(bytes);
    }

    fn uri(&self) -> String {
        rules::uri(&self.parties.context)
    }
}

fn opcode(kind: DataKind) -> Opcode {
    match kind {
        DataKind::Text => Opcode::Text,
        DataKind::Binary => Opcode::Binary,
    }
}

/// A CLOSE as the other side gets it: without a code it is 1000.
fn relayed_close(close: &Close) -> Bytes {
    let Some((code, reason)) = close else { return close_payload(None, "") };
    // The reader has checked it.
    close_payload(Some(*code), std::str::from_utf8(reason).unwrap_or(""))
}

#[cfg(test)]
mod tests;
