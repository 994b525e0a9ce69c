//! A SockJS session over a WebSocket: a task between the client's frames of SockJS and the plain
//! WebSocket that the backend's side has, over a stream within the process (specification, SockJS
//! 6.8 and 6.9).
//!
//! Made by the roof when the backend has accepted. Both sides wait for each other; when idle it
//! holds no buffer. The backend's side sees an ordinary client.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::AsyncWrite;

use crate::asking::onward::Onward;
use crate::clock::{self, Tick};
use crate::forward::shared::Shared;
use crate::grip::message::{Message, MessageKind};
use crate::limits;
use crate::listen::pipe::{self, Pipe};
use crate::listen::stream::Stream;
use crate::sockjs::hearing::{Hearing, Said};
use crate::websocket::echo::count;
use crate::websocket::porter::Accepted;
use crate::websocket::sockets::Sockets;
use crate::wire::frame::{Opcode, client_fragment, close_payload, server_frame};
use crate::wire::sockjs::{self, Bounds, from_socket};
use crate::ws::messages::{Incoming, Messages};
use crate::ws::random;
use crate::ws::reader::{Close, Sender};

const READ_BYTES: usize = 16 * 1024;
/// For the client so many bytes may wait; then the backend's side is not heard.
const WINDOW_BYTES: usize = 64 * 1024;
/// Rounds before everybody else of the shard has a turn.
const ROUNDS_AT_ONCE: usize = 64;

const BOUNDS: Bounds = Bounds {
    message_bytes_max: limits::SOCKJS_MESSAGE_BYTES_MAX,
    text_bytes_max: limits::SOCKJS_TEXT_BYTES_MAX,
};

thread_local! {
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

type Sleep = Pin<Box<dyn Future<Output = ()>>>;

/// Puts SockJS between a client and whoever was to take its connection over.
#[must_use]
pub fn between(sockets: &Rc<Sockets>, onward: Onward) -> Onward {
    let shared = Rc::clone(sockets.shared());
    let accepted = Accepted::new(Rc::clone(sockets), onward);
    Onward::Task(Box::new(move |stream, early| {
        let (ours, theirs) = pipe::pair(limits::SOCKJS_PIPE_BYTES);
        tokio::task::spawn_local(accepted.attend(Stream::Inside(theirs), Bytes::new()));
        Box::pin(Framed::new(shared, stream, early, ours).run())
    }))
}

/// How it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The client gets what waits for it.
    Finished,
    /// Nothing more.
    Now,
}

/// See the module.
struct Framed {
    shared: Rc<Shared>,
    stream: Stream,
    incoming: Messages,
    out: VecDeque<Bytes>,
    out_bytes: usize,
    /// Absent when the backend's side has closed.
    pipe: Option<Pipe>,
    hearing: Hearing,
    /// The client has sent CLOSE.
    client_closed: bool,
    /// The client was sent CLOSE; its answer is awaited until then.
    closing: Option<Tick>,
    heartbeat: Tick,
    timer: Option<(Tick, Sleep)>,
}

impl Framed {
    fn new(shared: Rc<Shared>, stream: Stream, early: Bytes, pipe: Pipe) -> Framed {
        let mut incoming = Messages::new(Sender::Client);
        incoming.feed(&early);
        let heartbeat = clock::now().plus_ms(shared.settings.sockjs.heartbeat_ms);
        let mut framed = Framed {
            shared,
            stream,
            incoming,
            out: VecDeque::new(),
            out_bytes: 0,
            pipe: Some(pipe),
            hearing: Hearing::new(limits::SOCKJS_SOCKET_MESSAGE_BYTES_MAX),
            client_closed: false,
            closing: None,
            heartbeat,
            timer: None,
        };
        framed.tell(Opcode::Text, &sockjs::OPEN);
        framed
    }

    async fn run(mut self) {
        let over = poll_fn(|cx| self.poll_talk(cx)).await;
        self.pipe = None;
        if over == Over::Finished {
            let finish = poll_fn(|cx| {
                std::task::ready!(self.write(cx, &mut false))?;
                Pin::new(&mut self.stream).poll_shutdown(cx)
            });
            tokio::select! {
                // Who has gone meanwhile needs no end.
                _ = finish => {}
                () = clock::sleep_ms(limits::WEBSOCKET_CLOSE_MS) => {}
            }
        }
    }

    fn poll_talk(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        for _ in 0..ROUNDS_AT_ONCE {
            let mut moved = false;
            if let Poll::Ready(Err(_)) = self.write(cx, &mut moved) {
                return Poll::Ready(Over::Now);
            }
            if let Some(over) = self.hear_backend(cx, &mut moved) {
                return Poll::Ready(over);
            }
            if let Some(over) = self.hear_client(cx, &mut moved) {
                return Poll::Ready(over);
            }
            if !moved {
                return self.poll_time(cx);
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn tell(&mut self, opcode: Opcode, payload: &[u8]) {
        let frame = server_frame(opcode, payload);
        self.out_bytes += frame.len();
        self.out.push_back(frame);
    }

    fn write(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Poll<io::Result<()>> {
        while let Some(front) = self.out.front_mut() {
            let before = front.len();
            let written = self.stream.poll_give(cx, front);
            self.out_bytes = self.out_bytes.saturating_sub(before - front.len());
            std::task::ready!(written)?;
            self.out.pop_front();
            *moved = true;
        }
        self.out.shrink_to_fit();
        Poll::Ready(Ok(()))
    }

    /// Takes what the backend's side says, as long as the client takes it.
    fn hear_backend(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Option<Over> {
        while self.out_bytes < WINDOW_BYTES && self.pipe.is_some() {
            match self.hearing.hear() {
                Ok(Some(Said::Message(quoted))) => {
                    self.tell(Opcode::Text, &sockjs::messages(&[quoted]));
                    *moved = true;
                }
                Ok(Some(Said::Ping(payload))) => self.say(Opcode::Pong, &payload),
                Ok(Some(Said::Close(code, reason))) => {
                    *moved = true;
                    return self.backend_closed(code, &reason);
                }
                Ok(None) => match self.pipe.as_mut()?.poll_recv(cx) {
                    Poll::Pending => return None,
                    Poll::Ready(Some(piece)) => self.hearing.feed(piece),
                    Poll::Ready(None) => return Some(Over::Finished),
                },
                Err(misheard) => {
                    self.shared.stats.sockjs_sessions_overfull.inc();
                    tracing::info!("a SockJS client is dropped: {misheard}");
                    return Some(Over::Now);
                }
            }
        }
        None
    }

    fn backend_closed(&mut self, code: Option<u16>, reason: &Bytes) -> Option<Over> {
        let payload = close_payload(code, std::str::from_utf8(reason).unwrap_or_default());
        if !self.client_closed {
            self.say(Opcode::Close, &code.map_or([0; 2], u16::to_be_bytes));
            let shown = if reason.is_empty() { b"Connection closed" } else { &reason[..] };
            let frame = sockjs::close(code.unwrap_or_default(), shown);
            self.tell(Opcode::Text, &frame);
        }
        self.pipe = None;
        self.tell(Opcode::Close, &payload);
        if self.client_closed {
            return Some(Over::Finished);
        }
        self.closing = Some(clock::now().plus_ms(limits::WEBSOCKET_CLOSE_MS));
        None
    }

    fn say(&mut self, opcode: Opcode, payload: &[u8]) {
        if let Some(pipe) = &mut self.pipe {
            pipe.send(client_fragment(opcode, true, random::bytes(), payload));
        }
    }

    /// Takes what the client says, as long as the backend's side takes it.
    fn hear_client(&mut self, cx: &mut Context<'_>, moved: &mut bool) -> Option<Over> {
        loop {
            if let Some(pipe) = &mut self.pipe
                && pipe.poll_room(cx).is_pending()
            {
                return None;
            }
            match self.incoming.next(limits::SOCKJS_TEXT_BYTES_MAX) {
                Ok(Some(Incoming::Message(message))) => {
                    *moved = true;
                    if let Some(over) = self.client_said(message) {
                        return Some(over);
                    }
                }
                Ok(Some(Incoming::Close(close))) => {
                    *moved = true;
                    if let Some(over) = self.client_closes(&close) {
                        return Some(over);
                    }
                }
                Ok(None) => {
                    let stream = &mut self.stream;
                    let read =
                        SCRATCH.with_borrow_mut(|scratch| stream.poll_take(cx, &mut scratch[..]));
                    match read {
                        Poll::Pending => return None,
                        Poll::Ready(Ok(bytes)) if !bytes.is_empty() => self.incoming.feed(&bytes),
                        Poll::Ready(Ok(_) | Err(_)) => return Some(Over::Now),
                    }
                }
                Err(_) if self.client_closed => return None,
                Err(violation) => {
                    count(&self.shared.stats, violation);
                    tracing::info!("a SockJS client is dropped: {violation}");
                    self.tell(Opcode::Close, &close_payload(Some(violation.close_code()), ""));
                    return Some(Over::Finished);
                }
            }
        }
    }

    fn client_said(&mut self, message: Message) -> Option<Over> {
        if self.client_closed || self.closing.is_some() {
            return None;
        }
        match message.kind {
            MessageKind::Ping => self.tell(Opcode::Pong, &message.content),
            MessageKind::Pong => {}
            MessageKind::Text | MessageKind::Binary => {
                match from_socket(&message.content, BOUNDS) {
                    Ok(messages) => {
                        for message in messages {
                            self.say(Opcode::Text, &message);
                        }
                    }
                    Err(fault) => {
                        self.shared.stats.socket_protocol_errors.inc();
                        tracing::info!("a SockJS client is dropped: {fault}");
                        return Some(Over::Now);
                    }
                }
            }
        }
        None
    }

    fn client_closes(&mut self, close: &Close) -> Option<Over> {
        if self.closing.is_some() {
            return Some(Over::Finished);
        }
        self.client_closed = true;
        let payload = match close {
            Some((code, reason)) => [&code.to_be_bytes()[..], reason].concat(),
            None => Vec::new(),
        };
        // The backend's answer ends it.
        self.say(Opcode::Close, &payload);
        None
    }

    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        loop {
            let now = clock::now();
            if self.closing.is_some_and(|at| at <= now) {
                return Poll::Ready(Over::Now);
            }
            if self.heartbeat <= now {
                self.heartbeat = now.plus_ms(self.shared.settings.sockjs.heartbeat_ms);
                // One that does not read what waits for it needs no sign of life.
                if self.closing.is_none() && !self.client_closed && self.out.is_empty() {
                    self.tell(Opcode::Text, &sockjs::HEARTBEAT);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            let due = self.closing.map_or(self.heartbeat, |at| at.min(self.heartbeat));
            let timer = match &mut self.timer {
                Some((at, timer)) if *at == due => timer,
                timer => &mut timer.insert((due, Box::pin(clock::sleep_until(due)))).1,
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }
}

#[cfg(test)]
mod tests;
