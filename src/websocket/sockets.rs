//! A shard's parked WebSockets: what their clients send comes in here, and what the hub wants of
//! them.
//!
//! The shard calls [`Sockets`] with bytes and events of clients that are parked; `exchange` opens
//! them through `accept`. No connection has a task while nothing has to be said to its backend.
//! Connections to WebSocket backends are not here: they are tasks (`relay`).

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use bytes::Bytes;
use hashbrown::HashMap;
use tokio::sync::Notify;

use super::compression::Hop;
use super::conversation::{Conversation, Reply, opening_reply};
use super::courier::{self, Client, Heard, Link, dismiss};
use super::echo::{Echo, Progress, count};
use super::opening::Accepted;
use super::over_http::Origin;
use crate::asking::rules;
use crate::clock;
use crate::forward::absent::Absent;
use crate::forward::kept::Alike;
use crate::forward::recovery::{CANNOT_RECOVER, Missed};
use crate::forward::shared::Shared;
use crate::hub::fanout::Then;
use crate::hub::registry::Effect;
use crate::hub::slab::SessionId;
use crate::limits;
use crate::ws::messages::Messages;
use crate::ws::reader::{Sender, Violation};

/// What the shard does with a client that it has read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It goes on reading.
    Read,
    /// It stops reading until `hub.set_reading(id, true)`.
    Pause,
    /// It closes the connection now. Whether it then calls `gone` makes no difference.
    Close,
}

/// The parked WebSockets of one shard.
pub struct Sockets {
    shared: Rc<Shared>,
    entries: RefCell<HashMap<SessionId, Entry, ahash::RandomState>>,
    /// What their handshakes have alike.
    alike: Alike,
    /// Clients that are gone, whose backends are still to be told.
    pub absent: Absent,
    this: Weak<Sockets>,
}

#[derive(Clone)]
enum Entry {
    OverHttp(Rc<Link>),
    Echo(Rc<Echo>),
}

impl Sockets {
    /// A shard that has none yet.
    #[must_use]
    pub fn new(shared: Rc<Shared>) -> Rc<Sockets> {
        Rc::new_cyclic(|this| Sockets {
            shared,
            entries: RefCell::default(),
            alike: Alike::default(),
            absent: Absent::default(),
            this: this.clone(),
        })
    }

    /// The shard's company.
    #[must_use]
    pub fn shared(&self) -> &Rc<Shared> {
        &self.shared
    }

    /// The client of a parked WebSocket sent `bytes`. What comes for one that has ended (its last
    /// bytes may still be on their way out) is discarded.
    pub fn received(&self, id: SessionId, bytes: &[u8]) -> Flow {
        match self.entry(id) {
            None => Flow::Read,
            Some(Entry::Echo(echo)) => self.progress(id, echo.received(&self.shared, bytes)),
            Some(Entry::OverHttp(link)) => {
                let flow = self.received_for(&link, bytes);
                self.kick(&link);
                flow
            }
        }
    }

    /// The client's connection ended or broke, or never came to be parked.
    pub fn gone(&self, id: SessionId) {
        if let Some(Entry::OverHttp(link)) = self.remove(id) {
            self.leave(&link);
        }
    }

    /// The hub wants something.
    pub fn effect(&self, effect: &Effect) {
        let id = match effect {
            Effect::Refresh(id) | Effect::SocketClosed(id) | Effect::BackendTimer(id) => *id,
            Effect::Missed { id, .. } => *id,
            Effect::Update { .. } | Effect::Ended(_) | Effect::Filter(_) => return,
        };
        let entry = self.entry(id);
        match effect {
            Effect::Missed { channel, prev_id, .. } => {
                let missed = Missed { channel: channel.clone(), prev_id: Rc::clone(prev_id) };
                self.missed(id, entry.as_ref(), missed);
            }
            Effect::Refresh(_) => refresh(entry.as_ref()),
            Effect::SocketClosed(id) => self.closed_by_hub(*id, &entry),
            Effect::BackendTimer(id) => self.timer(*id, &entry),
            _ => {}
        }
        if let Some(Entry::OverHttp(link)) = &entry {
            self.kick(link);
        }
    }

    /// What was queued for the client has been written.
    pub fn drained(&self, id: SessionId) {
        match self.entry(id) {
            None => {}
            Some(Entry::OverHttp(link)) => link.changed.notify_one(),
            Some(Entry::Echo(echo)) => {
                let flow = self.progress(id, echo.drained(&self.shared));
                if flow == Flow::Close {
                    self.shared.hub.close(id);
                }
            }
        }
    }

    /// Stopping: the registry sends each client CLOSE 1001; the backends are told nothing.
    pub fn drain(&self) {
        for entry in self.entries.borrow().values() {
            match entry {
                Entry::Echo(echo) => echo.closing.set(true),
                Entry::OverHttp(link) => {
                    link.conversation.borrow_mut().end();
                    if link.client.get() != Client::Ended {
                        link.client.set(Client::Awaited);
                    }
                    link.changed.notify_one();
                }
            }
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.borrow().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes up a client of the test target.
    pub fn add_echo(&self, id: SessionId, echo: Echo) {
        self.entries.borrow_mut().insert(id, Entry::Echo(Rc::new(echo)));
    }

    /// Takes up a client that its backend has accepted, and gives it what came with the acceptance.
    pub fn add_over_http(&self, id: SessionId, origin: &Origin, accepted: Accepted) {
        let one_event = origin.target().is_some_and(|target| target.one_event);
        let mut conversation = Conversation::new(one_event, accepted.interval_s);
        let first = opening_reply(&mut conversation, accepted.events);
        origin.each_variable(|name, value| {
            self.shared.hub.with(|registry| registry.set_meta(id, name, Some(value)));
        });
        let hop = Hop::of_client(origin.form(), &self.shared.settings.compression);
        let link = Rc::new(Link {
            id,
            origin: origin.keep(&self.alike),
            prefix: accepted.negotiated.prefix,
            conversation: RefCell::new(conversation),
            incoming: RefCell::new(Messages::new(Sender::Client).inflating(hop.inflation)),
            client: Cell::new(Client::Open),
            paused: Cell::new(false),
            running: Cell::new(false),
            farewell: Cell::new(None),
            broken: Cell::new(None),
            changed: Notify::new(),
        });
        self.entries.borrow_mut().insert(id, Entry::OverHttp(Rc::clone(&link)));
        self.run(&link, Some(first));
    }

    fn entry(&self, id: SessionId) -> Option<Entry> {
        self.entries.borrow().get(&id).cloned()
    }

    fn remove(&self, id: SessionId) -> Option<Entry> {
        self.entries.borrow_mut().remove(&id)
    }

    fn progress(&self, id: SessionId, progress: Progress) -> Flow {
        match progress {
            Progress::Read => Flow::Read,
            Progress::Pause => Flow::Pause,
            Progress::Finished => {
                self.remove(id);
                Flow::Read
            }
            Progress::Closed => {
                self.remove(id);
                Flow::Close
            }
        }
    }

    fn received_for(&self, link: &Link, bytes: &[u8]) -> Flow {
        if matches!(link.client.get(), Client::Closed | Client::Ended) {
            return Flow::Read;
        }
        link.incoming.borrow_mut().feed(bytes);
        self.hear(link)
    }

    fn hear(&self, link: &Link) -> Flow {
        match courier::hear(&self.shared, link) {
            Heard::All => Flow::Read,
            Heard::Enough => Flow::Pause,
            Heard::Close(close) => {
                link.conversation.borrow_mut().client_closed(close);
                self.client_closed(link)
            }
            Heard::Broken(violation) => self.broke(link, violation),
        }
    }

    /// The queue has room for what the client has said meanwhile.
    fn resume(&self, link: &Link) {
        if self.hear(link) == Flow::Read {
            self.shared.hub.set_reading(link.id, true);
        }
    }

    fn client_closed(&self, link: &Link) -> Flow {
        match link.client.get() {
            Client::Open => {
                link.client.set(Client::Closed);
                // Nothing that is published reaches it any more.
                self.shared.hub.with(|registry| registry.mute(link.id));
            }
            Client::Detached => {
                dismiss(&self.shared, link.id, None, Then::Close);
                self.end(link);
            }
            Client::Awaited => {
                self.end(link);
                self.shared.hub.close(link.id);
                return Flow::Close;
            }
            Client::Closed | Client::Ended => {}
        }
        Flow::Read
    }

    /// The client broke the protocol: it is told why. Its backend first answers what came before,
    /// unless that is a part of what was too much; then it is told that the client is gone.
    fn broke(&self, link: &Link, violation: Violation) -> Flow {
        count(&self.shared.stats, violation);
        tracing::info!("{}: client dropped: {violation}", rules::uri(&link.origin.context()));
        let code = violation.close_code();
        if link.client.get() == Client::Open && !violation.is_excess() {
            link.broken.set(Some(code));
            link.conversation.borrow_mut().client_closed(Some((code, Bytes::new())));
            return self.client_closed(link);
        }
        link.conversation.borrow_mut().client_gone();
        let awaited = link.client.get() == Client::Awaited;
        self.end(link);
        if awaited {
            self.shared.hub.close(link.id);
            return Flow::Close;
        }
        dismiss(&self.shared, link.id, Some(code), Then::Close);
        Flow::Read
    }

    /// The client is out; its conversation may have a last word to say.
    fn end(&self, link: &Link) {
        link.client.set(Client::Ended);
        link.changed.notify_one();
        self.remove(link.id);
        let mut conversation = link.conversation.borrow_mut();
        if !conversation.is_done() {
            match self.absent.admit(&self.shared) {
                None => conversation.end(),
                farewell => link.farewell.set(farewell),
            }
        }
    }

    fn leave(&self, link: &Rc<Link>) {
        link.conversation.borrow_mut().client_gone();
        self.end(link);
        self.kick(link);
    }

    /// A published CLOSE has been sent to the client.
    fn closed_by_hub(&self, id: SessionId, entry: &Option<Entry>) {
        match entry {
            Some(Entry::Echo(echo)) => echo.closing.set(true),
            Some(Entry::OverHttp(link)) => {
                if link.client.get() != Client::Ended {
                    link.client.set(Client::Awaited);
                }
                link.conversation.borrow_mut().sever();
                link.changed.notify_one();
            }
            None => return,
        }
        let bound = clock::now().plus_ms(limits::WEBSOCKET_CLOSE_MS);
        self.shared.hub.with(|registry| registry.set_backend_timer(id, Some(bound)));
    }

    /// A client has missed what only its backend can bring: that is asked for.
    fn missed(&self, id: SessionId, entry: Option<&Entry>, missed: Missed) {
        let is_last = |(channel, last): &(Box<str>, Rc<str>)| {
            *channel == missed.channel && *last == missed.prev_id
        };
        if !self.shared.hub.with(|registry| registry.lasts(id)).iter().any(is_last) {
            // The backend has spoken of the channel since.
            return;
        }
        self.shared.stats.socket_recoveries.inc();
        tracing::debug!(session = %id, channel = &*missed.channel, "the backend is to recover");
        let link = match entry {
            Some(Entry::OverHttp(link)) => link,
            // The test target subscribes without `prev-id`.
            Some(Entry::Echo(_)) => return,
            // A relay: it is not parked.
            None => return self.shared.ears.tell(id, missed),
        };
        let content = missed.event();
        let told = link.conversation.borrow_mut().missed(missed.channel, content);
        if !told && link.client.get() == Client::Detached {
            // Nobody can bring it any more: the client is to notice.
            link.client.set(Client::Awaited);
            dismiss(&self.shared, id, Some(CANNOT_RECOVER), Then::AwaitClose);
        }
    }

    /// The keep-alive interval is over, or the time that a client has to end.
    fn timer(&self, id: SessionId, entry: &Option<Entry>) {
        match entry {
            Some(Entry::OverHttp(link)) if link.client.get() == Client::Awaited => {
                self.leave(link);
                self.shared.hub.close(id);
            }
            Some(Entry::OverHttp(link)) => link.conversation.borrow_mut().timer_due(),
            Some(Entry::Echo(_)) | None => {
                self.remove(id);
                self.shared.hub.close(id);
            }
        }
    }

    /// Starts the task that says what is to be said, unless it runs.
    fn kick(&self, link: &Rc<Link>) {
        if !link.running.get() && link.conversation.borrow().wants_request() {
            self.run(link, None);
        }
    }

    fn run(&self, link: &Rc<Link>, first: Option<Reply>) {
        let Some(sockets) = self.this.upgrade() else { return };
        let link = Rc::clone(link);
        link.running.set(true);
        tokio::task::spawn_local(async move {
            courier::run(&sockets.shared, &link, first, || sockets.resume(&link)).await;
            link.running.set(false);
            if link.client.get() == Client::Ended {
                sockets.remove(link.id);
            } else if !sockets.shared.hub.with(|registry| registry.is_live(link.id)) {
                // Its lease ended before it was parked, and nobody said so.
                sockets.leave(&link);
            }
        });
    }
}

/// Only a backend over HTTP can be asked anew.
fn refresh(entry: Option<&Entry>) {
    if let Some(Entry::OverHttp(link)) = entry {
        link.conversation.borrow_mut().refresh();
    }
}

#[cfg(test)]
mod tests;
