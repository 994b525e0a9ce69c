//! What a client and its WebSocket backend say to each other, and what each gets of it: messages
//! through the rules of GRIP, CLOSE in every order (specification, WebSockets 2.4, 2.6 and 3).
//!
//! Pieces of messages go in, frames for the two sides come out; `relay` does the reading and
//! writing. The hub's frames come in here too, so that what follows a CLOSE reaches nobody.

use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::{Bytes, BytesMut};

use super::compression::Hop;
use crate::asking::rules::{self, Consequence, Subject, Verdict};
use crate::clock::{self, Tick};
use crate::forward::askers::Askers;
use crate::forward::context::{Context, RouteRef};
use crate::forward::recovery::{CANNOT_RECOVER, Ear, Ears};
use crate::hub::Lease;
use crate::session::outbox::Outbox;
use crate::wire::frame::{Opcode, client_fragment, close_payload, server_frame};
use crate::ws::random;
use crate::ws::reader::{Close, DataKind, Piece, Sender};
use crate::ws::writer::Writer;

/// A longer control message is ignored.
const CONTROL_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Who talks.
pub struct Parties {
    /// The client's session.
    pub lease: Lease,
    /// The client's handshake.
    pub context: Context,
    /// Its route.
    pub route: RouteRef,
    /// How the client's connection is compressed.
    pub client_hop: Hop,
    /// How the backend's connection is compressed.
    pub backend_hop: Hop,
    /// The prefix of ordinary messages, when GRIP is spoken.
    pub prefix: Option<Box<[u8]>>,
    /// Which of the route's targets.
    pub target: usize,
    /// Where an ear is had from.
    pub ears: Rc<Ears>,
    /// Who asks HTTP filters.
    pub askers: Rc<Askers>,
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
pub struct Closing {
    /// It sent CLOSE.
    pub sent: bool,
    /// It was sent CLOSE.
    pub received: bool,
}

/// See the module.
pub struct Dialogue {
    /// Who talks.
    pub parties: Parties,
    /// Frames for the client.
    pub for_client: Outbox,
    /// Frames for the backend.
    pub for_backend: Outbox,
    /// How far the client's side is closed.
    pub client: Closing,
    /// How far the backend's side is closed.
    pub backend: Closing,
    /// The backend was parted from: what it says is discarded.
    pub severed: bool,
    /// Since when an answer to a CLOSE is awaited.
    pub closing_since: Option<Tick>,
    /// Something was relayed to the client; the hub is to be told.
    pub touched: bool,
    message: Message,
    to_client: Writer,
    to_backend: Writer,
    /// The backend waits for the rest of a message of the client.
    within_client_message: bool,
    /// The client broke the protocol: the code that it is closed with, whatever the backend says.
    verdict: Option<u16>,
    /// Since the backend has subscribed the client with a `prev-id`.
    ear: Option<Box<Ear>>,
}

impl Dialogue {
    /// A dialogue in which nothing has been said.
    #[must_use]
    pub fn new(parties: Parties) -> Dialogue {
        let to_client = Writer::new(Sender::Server, parties.client_hop.deflation);
        let to_backend = Writer::new(Sender::Client, parties.backend_hop.deflation);
        Dialogue {
            parties,
            for_client: Outbox::default(),
            for_backend: Outbox::default(),
            client: Closing::default(),
            backend: Closing::default(),
            severed: false,
            closing_since: None,
            touched: false,
            message: Message::None,
            to_client,
            to_backend,
            within_client_message: false,
            verdict: None,
            ear: None,
        }
    }

    /// Whether the client waits for the rest of a message: nothing may be put into it.
    #[must_use]
    pub fn is_within_message(&self) -> bool {
        matches!(self.message, Message::Relayed)
    }

    /// The hub sends a frame to the client. Its CLOSE also parts from the backend.
    pub fn hub_said(&mut self, frame: Bytes) {
        if self.client.received {
            return;
        }
        let is_close = frame.first() == Some(&(0x80 | Opcode::Close.bits()));
        push(&mut self.for_client, frame);
        if is_close {
            self.client.received = true;
            self.begin_closing();
            self.sever();
        }
    }

    /// The backend sends a piece.
    pub fn backend_said(&mut self, piece: Piece) {
        if let Piece::Close(_) = piece {
            self.backend.sent = true;
        }
        if self.severed || self.client.received {
            return;
        }
        match piece {
            Piece::Ping(payload) => self.relay(server_frame(Opcode::Ping, &payload)),
            Piece::Pong(payload) => self.relay(server_frame(Opcode::Pong, &payload)),
            Piece::Close(close) => self.close_client(&relayed_close(&close)),
            Piece::Data { kind, first, last, bytes, .. } => {
                if first {
                    self.message_begins(kind, last, bytes);
                } else {
                    self.message_continues(kind, last, bytes);
                }
                if last
                    && let Message::Control(text) =
                        std::mem::replace(&mut self.message, Message::None)
                {
                    self.control(&text);
                }
            }
        }
    }

    fn message_begins(&mut self, kind: DataKind, last: bool, bytes: Bytes) {
        let is_text = kind == DataKind::Text;
        self.message = match rules::judge(self.parties.prefix.as_deref(), is_text, &bytes) {
            Verdict::Relay(skip) => {
                let bytes = bytes.slice(skip.min(bytes.len())..);
                self.relay_part(kind, (true, last), bytes);
                Message::Relayed
            }
            Verdict::Control(skip) => Message::Control(bytes.get(skip..).unwrap_or(b"").into()),
            Verdict::Drop => Message::Dropped,
        };
    }

    fn message_continues(&mut self, kind: DataKind, last: bool, bytes: Bytes) {
        match &mut self.message {
            Message::Relayed => self.relay_part(kind, (false, last), bytes),
            Message::Control(text) if text.len() + bytes.len() <= CONTROL_MESSAGE_BYTES_MAX => {
                text.extend_from_slice(&bytes);
            }
            Message::Control(_) => {
                tracing::debug!("{}: control message too long", rules::uri(&self.parties.context));
                self.message = Message::Dropped;
            }
            Message::Dropped | Message::None => {}
        }
    }

    fn control(&mut self, text: &[u8]) {
        let Parties { lease, context, route, target, askers, .. } = &self.parties;
        let (hub, id, target) = (lease.hub(), lease.id(), *target);
        let subject = Subject { hub, id, context, route, target, askers };
        match rules::carry_out(subject, text, clock::now()) {
            Consequence::None => {}
            Consequence::Settled { channel, reliable } => self.settled(&channel, reliable),
            Consequence::Detach => self.sever(),
            Consequence::Close(reason) => {
                self.close_client(&close_payload(Some(1011), &reason));
                self.sever();
            }
        }
    }

    fn settled(&mut self, channel: &str, reliable: bool) {
        match &self.ear {
            Some(ear) => ear.forget(channel),
            None if reliable => {
                let Parties { lease, ears, .. } = &self.parties;
                self.ear = Some(Box::new(ears.open(lease.id())));
            }
            None => {}
        }
    }

    /// Asks the backend for what the client has missed, as far as that may be put in now. Whether
    /// anything was done.
    pub fn ask_for_missed(&mut self, waker: &Waker) -> bool {
        let mut asked = false;
        while !self.within_client_message
            && let Some(Poll::Ready(missed)) = self.ear.as_ref().map(|ear| ear.poll(waker))
        {
            if self.client.received || self.client.sent {
                continue;
            }
            asked = true;
            if self.severed {
                // Nobody can bring it any more: the client is to notice.
                self.close_client(&close_payload(Some(CANNOT_RECOVER), ""));
                continue;
            }
            let control = missed.control();
            let frame = client_fragment(Opcode::Text, true, random::bytes(), &control);
            push(&mut self.for_backend, frame);
        }
        asked
    }

    /// The client sends a piece.
    pub fn client_said(&mut self, piece: Piece) {
        if self.client.sent {
            return;
        }
        if let Piece::Close(close) = &piece {
            self.client.sent = true;
            if self.severed {
                self.close_client(&close_payload(None, ""));
            } else {
                self.close_backend(&relayed_close(close));
            }
            return self.mute();
        }
        if self.severed || self.client.received {
            return;
        }
        let (opcode, payload) = match piece {
            Piece::Ping(payload) => (Opcode::Ping, payload),
            Piece::Pong(payload) => (Opcode::Pong, payload),
            Piece::Data { kind, first, last, bytes, .. } => {
                self.within_client_message = !last;
                let Dialogue { to_backend, for_backend, .. } = self;
                let put = |frame| push(for_backend, frame);
                return to_backend.part(kind, (first, last), bytes, put);
            }
            Piece::Close(_) => return,
        };
        push(&mut self.for_backend, client_fragment(opcode, true, random::bytes(), &payload));
    }

    /// The client broke the protocol. What it said before is still answered: the backend gets a
    /// CLOSE behind it, and what it sends before its own goes to the client.
    pub fn client_broke(&mut self, code: u16) {
        self.client.sent = true;
        self.verdict = Some(code);
        let payload = close_payload(Some(code), "");
        if self.severed {
            self.close_client(&payload);
        } else {
            self.close_backend(&payload);
        }
        self.mute();
    }

    /// Whether the client broke the protocol: what it still sends cannot be read.
    #[must_use]
    pub fn has_client_broken(&self) -> bool {
        self.verdict.is_some()
    }

    /// The backend is gone: a client that broke the protocol is told so now.
    pub fn tell_verdict(&mut self) {
        if self.verdict.is_some() {
            self.close_client(b"");
        }
    }

    /// Parts from the backend: CLOSE without a code (1000), and what it says is discarded.
    fn sever(&mut self) {
        self.severed = true;
        self.message = Message::None;
        self.close_backend(&close_payload(None, ""));
    }

    /// Sends the client CLOSE, unless it was sent one.
    pub fn close_client(&mut self, payload: &[u8]) {
        if std::mem::replace(&mut self.client.received, true) {
            return;
        }
        let frame = match self.verdict {
            Some(code) => server_frame(Opcode::Close, &close_payload(Some(code), "")),
            None => server_frame(Opcode::Close, payload),
        };
        push(&mut self.for_client, frame);
        self.begin_closing();
        self.mute();
    }

    /// Sends the backend CLOSE, unless it was sent one.
    pub fn close_backend(&mut self, payload: &[u8]) {
        if std::mem::replace(&mut self.backend.received, true) {
            return;
        }
        let frame = client_fragment(Opcode::Close, true, random::bytes(), payload);
        push(&mut self.for_backend, frame);
        if !self.severed {
            self.begin_closing();
        }
    }

    fn begin_closing(&mut self) {
        self.closing_since = self.closing_since.or(Some(clock::now()));
    }

    /// Nothing that is published reaches the client any more.
    fn mute(&self) {
        let id = self.parties.lease.id();
        self.parties.lease.hub().with(|registry| registry.mute(id));
    }

    fn relay_part(&mut self, kind: DataKind, ends: (bool, bool), bytes: Bytes) {
        self.touched = true;
        let Dialogue { to_client, for_client, .. } = self;
        to_client.part(kind, ends, bytes, |frame| push(for_client, frame));
    }

    fn relay(&mut self, bytes: Bytes) {
        self.touched = true;
        push(&mut self.for_client, bytes);
    }
}

/// Unbounded here: `relay` stops reading at a bound.
fn push(outbox: &mut Outbox, bytes: Bytes) {
    let _ = outbox.push(bytes, usize::MAX);
}

/// A CLOSE as the other side gets it: without a code it is 1000.
fn relayed_close(close: &Close) -> Bytes {
    let Some((code, reason)) = close else { return close_payload(None, "") };
    // The reader has checked it.
    close_payload(Some(*code), std::str::from_utf8(reason).unwrap_or(""))
}
