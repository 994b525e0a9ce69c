//! What goes on in an open SockJS session: receivers come and are told, messages go to the backend,
//! its frames come back, time passes.
//!
//! Driven by `session`. It is over when nobody has come for too long, a receiver left before
//! it was told, the backend was lost, or too much waits.

use std::future::poll_fn;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use http::Response;
use tokio::sync::mpsc;

use super::listener::{self as listener, Listener};
use super::roster::Roster;
use crate::clock::{self, Tick};
use crate::forward::carried::Reply;
use crate::forward::shared::Shared;
use crate::forward::visit::{self, Purpose, Visit};
use crate::limits;
use crate::listen::pipe::Pipe;
use crate::sockjs::answers;
use crate::sockjs::client::Client;
use crate::sockjs::hearing::{Hearing, Said};
use crate::sockjs::session::{Goes, Session, Settings};
use crate::wire::frame::{Opcode, client_fragment};
use crate::ws::random;

/// Messages on their way to the backend.
struct Sending {
    messages: std::vec::IntoIter<Bytes>,
    sent: Box<Response<Bytes>>,
    client: Client,
    reply: mpsc::Sender<Reply>,
}

/// See the module.
pub struct Talk {
    shared: Rc<Shared>,
    roster: Rc<Roster>,
    session: Session,
    listener: Option<Listener>,
    sending: Option<Sending>,
    /// A second receiver, and when it is told that it is one too many.
    second: Option<(Box<Visit>, Tick)>,
    visits: mpsc::Receiver<Box<Visit>>,
    /// Absent before the backend has accepted, and when it has closed.
    pipe: Option<Pipe>,
    hearing: Hearing,
}

enum Event {
    Visit(Box<Visit>),
    /// The backend's side says something, or has nothing more to say.
    Heard(Option<Bytes>),
    /// A message may be sent to the backend's side.
    Room,
    /// The receiver has gone.
    Left,
    /// Time has passed, or the receiver takes more.
    Look,
}

/// How it goes on; what it is over with may leave a visit for the next session of the name.
type Flow = ControlFlow<Option<Box<Visit>>>;

impl Talk {
    /// A session that `listener` opens.
    #[must_use]
    pub fn new(
        (shared, roster): (Rc<Shared>, Rc<Roster>),
        settings: Settings,
        listener: Listener,
        visits: mpsc::Receiver<Box<Visit>>,
    ) -> Talk {
        let hearing = Hearing::new(settings.queue_bytes_max);
        let session = Session::new(settings, listener.is_streaming(), clock::now());
        let (listener, sending, second, pipe) = (Some(listener), None, None, None);
        Talk { shared, roster, session, listener, sending, second, visits, pipe, hearing }
    }

    /// Waits while the backend has not decided. Whether the client has left.
    pub async fn wait_undecided(&mut self) -> bool {
        tokio::select! {
            visit = self.visits.recv() => visit.into_iter().for_each(|visit| refuse(*visit)),
            () = listener::left(self.listener.as_ref()) => return true,
        }
        false
    }

    /// It is over: what is left of it.
    pub fn into_parts(self) -> (mpsc::Receiver<Box<Visit>>, Option<Listener>) {
        (self.visits, self.listener)
    }

    /// Goes on until the session is over. What came too late is for the next one of its name.
    pub async fn run(&mut self, pipe: Pipe) -> Option<Box<Visit>> {
        self.pipe = Some(pipe);
        self.session.accepted(clock::now());
        loop {
            let now = clock::now();
            if let ControlFlow::Break(further) = self.hear() {
                return further;
            }
            self.tell();
            if let ControlFlow::Break(further) = self.look_at_second() {
                return further;
            }
            if self.session.is_over(now) {
                self.shared.stats.sockjs_sessions_expired.inc();
                return None;
            }
            let flow = match self.next().await {
                Event::Visit(visit) => self.visit(visit),
                Event::Heard(Some(piece)) => {
                    self.hearing.feed(piece);
                    Flow::Continue(())
                }
                Event::Heard(None) => self.lose(),
                Event::Room => {
                    self.send();
                    Flow::Continue(())
                }
                Event::Left => Flow::Break(self.second.take().map(|(visit, _)| visit)),
                Event::Look => Flow::Continue(()),
            };
            if let ControlFlow::Break(further) = flow {
                return further;
            }
        }
    }

    async fn next(&mut self) -> Event {
        let second_due = self.second.as_ref().map(|&(_, at)| at);
        let deadline = self.session.deadline().into_iter().chain(second_due).min();
        let speaks = self.session.has_something_to_say(clock::now());
        let Talk { session, listener: waiting, sending, visits, pipe, .. } = self;
        let (hears, sends) = (session.wants_messages(), sending.is_some());
        let talk = poll_fn(|cx| {
            let Some(pipe) = pipe else { return Poll::Pending };
            if hears && let Poll::Ready(piece) = pipe.poll_recv(cx) {
                return Poll::Ready(Event::Heard(piece));
            }
            match sends && pipe.poll_room(cx).is_ready() {
                true => Poll::Ready(Event::Room),
                false => Poll::Pending,
            }
        });
        tokio::select! {
            event = talk => event,
            visit = visits.recv() => visit.map_or(Event::Look, Event::Visit),
            () = listener::left(waiting.as_ref()) => Event::Left,
            () = listener::room(waiting.as_ref()), if speaks => Event::Look,
            () = clock::sleep_until(deadline.unwrap_or_default()), if deadline.is_some() => {
                Event::Look
            }
        }
    }

    /// Tells the receiver what there is to say, as long as it takes it.
    fn tell(&mut self) {
        while let Some(mut listener) = self.listener.take() {
            listener.begin_stream();
            let frame = listener.has_room().then(|| self.session.say(clock::now())).flatten();
            let Some(frame) = frame else {
                self.listener = Some(listener);
                return;
            };
            let written = listener.write(&frame);
            match self.session.said(written, clock::now()) {
                Goes::On => self.listener = Some(listener),
                Goes::Ends => listener.end(),
            }
        }
    }

    fn visit(&mut self, visit: Box<Visit>) -> Flow {
        if self.listener.as_ref().is_some_and(|listener| listener.is_gone()) {
            return Flow::Break(Some(visit));
        }
        if self.listener.is_some() && matches!(visit.purpose, Purpose::Receive(..)) {
            match self.second {
                None => {
                    let patience = clock::now().plus_ms(limits::SOCKJS_ABORT_MS);
                    self.second = Some((visit, patience));
                }
                Some(_) => refuse(*visit),
            }
            return Flow::Continue(());
        }
        let Visit { purpose, client, reply, .. } = *visit;
        match purpose {
            Purpose::Receive(receiver, _) => {
                let streaming = receiver.transport().is_streaming();
                match self.session.attach(streaming, clock::now()) {
                    Ok(()) => {
                        let listener = Listener::new(&self.roster, receiver, client, reply);
                        self.listener = Some(listener);
                    }
                    Err(_) => listener::refuse(&client, &receiver, &reply),
                }
            }
            Purpose::Send(..) if self.sending.is_some() => {
                visit::answer(&reply, answers::already_sending(&client));
            }
            // What is sent to a closed session means nothing; its client is about to hear of it.
            Purpose::Send(_, sent) if self.pipe.is_none() => visit::answer(&reply, *sent),
            Purpose::Send(messages, sent) => {
                let messages = messages.into_iter();
                self.sending = Some(Sending { messages, sent, client, reply });
                self.send();
            }
        }
        Flow::Continue(())
    }

    /// A second receiver takes the place of one that has ended, or is refused in time.
    fn look_at_second(&mut self) -> Flow {
        let due = self.second.as_ref().is_some_and(|&(_, at)| at <= clock::now());
        if self.listener.is_some() && !due {
            return Flow::Continue(());
        }
        match self.second.take() {
            Some((visit, _)) if visit.reply.is_closed() => {}
            Some((visit, _)) if self.listener.is_none() => {
                let flow = self.visit(visit);
                self.tell();
                return flow;
            }
            Some((visit, _)) => refuse(*visit),
            None => {}
        }
        Flow::Continue(())
    }

    /// Sends messages to the backend's side, as long as it takes them; with the last one whoever
    /// brought them is answered.
    fn send(&mut self) {
        let Some(sending) = &mut self.sending else { return };
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        while let Some(pipe) = &mut self.pipe {
            if sending.messages.len() > 0 && pipe.poll_room(&mut cx).is_pending() {
                return;
            }
            let Some(message) = sending.messages.next() else { break };
            pipe.send(client_fragment(Opcode::Text, true, random::bytes(), &message));
        }
        if let Some(Sending { sent, reply, .. }) = self.sending.take() {
            visit::answer(&reply, *sent);
        }
    }

    /// Takes in what the backend's side has said, as long as it may be heard.
    fn hear(&mut self) -> Flow {
        while self.session.wants_messages() {
            match self.hearing.hear() {
                Ok(None) => break,
                Ok(Some(Said::Message(quoted))) => {
                    if self.session.message(quoted).is_err() {
                        return self.overflow("its client does not fetch its messages");
                    }
                }
                Ok(Some(Said::Ping(payload))) => self.reply(Opcode::Pong, &payload),
                Ok(Some(Said::Close(code, reason))) => {
                    self.session.close(code.unwrap_or(0), &reason, clock::now());
                    let payload =
                        code.map_or(Bytes::new(), |code| code.to_be_bytes().to_vec().into());
                    self.reply(Opcode::Close, &payload);
                    self.pipe = None;
                    self.send();
                }
                Err(misheard) => return self.overflow(&misheard.to_string()),
            }
        }
        Flow::Continue(())
    }

    fn reply(&mut self, opcode: Opcode, payload: &[u8]) {
        if let Some(pipe) = &mut self.pipe {
            pipe.send(client_fragment(opcode, true, random::bytes(), payload));
        }
    }

    fn overflow(&mut self, why: &str) -> Flow {
        self.shared.stats.sockjs_sessions_overfull.inc();
        tracing::info!("a SockJS session ends: {why}");
        self.lose()
    }

    /// The session is over without a close: whoever waits for it is told, unless its answer has
    /// begun; then it is broken off.
    fn lose(&mut self) -> Flow {
        if let Some(listener) = self.listener.take() {
            listener.lose();
        }
        if let Some(Sending { client, reply, .. }) = self.sending.take() {
            visit::answer(&reply, answers::terminated(&client));
        }
        Flow::Break(None)
    }
}

/// Answers a receiver that is one too many, or what is sent to a session that is not open yet.
fn refuse(visit: Visit) {
    let Visit { purpose, client, reply, .. } = visit;
    match purpose {
        Purpose::Receive(receiver, _) => listener::refuse(&client, &receiver, &reply),
        Purpose::Send(..) => visit::answer(&reply, answers::not_found(&client)),
    }
}
