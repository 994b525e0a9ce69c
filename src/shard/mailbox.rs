//! The door of a shard: commands in, bounded in number and in bytes; a reply rides in its command.
//!
//! The control thread holds a [`Mailbox`] for each shard, the shard its [`Inbox`]. This is the only
//! place where two threads meet. It knows what may be asked of a shard, not how it is done.

use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError, mpsc, oneshot};

use super::newcomer::Newcomer;
use crate::forward::order::Order;
use crate::forward::visit::Visit;
use crate::grip::item::Item;
pub use crate::hub::registry::Receipt;
use crate::limits::{MAILBOX_BYTES_MAX, MAILBOX_COMMANDS_MAX};
pub use crate::proxy::question::Question;

/// What may be asked of a shard.
#[derive(Debug)]
pub enum Command {
    /// Deliver these items, in this order.
    Publish(Arc<[Arc<Item>]>),
    /// Deliver these items, in this order, and send back what came of each.
    PublishCounted(Arc<[Arc<Item>]>, oneshot::Sender<Vec<Receipt>>),
    /// Forget what is known of ids, and have the backends of what is held asked.
    Recover,
    /// Ask for this on behalf of another shard.
    Fly(Box<Order>),
    /// A client of another shard has something to do with a SockJS session of this one.
    Visit(Box<Visit>),
    /// Serve this client, which another shard has accepted.
    Welcome(Box<Newcomer>),
    /// Use this table for every request from now on.
    Routes(Arc<crate::route::Table>),
    /// Do TLS handshakes like this from now on.
    Edge(Arc<crate::tls::Edge>),
    /// Send back what there is to say to this question about connections.
    Ask(Question, oneshot::Sender<Vec<bool>>),
    /// Send back the counters as they stand.
    Snapshot(oneshot::Sender<crate::stats::Snapshot>),
    /// Take no new connections and let go of those held.
    Drain,
}

/// Why a command did not get into a mailbox. The shard has seen nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailboxError {
    /// It stayed full for as long as the sender was ready to wait.
    #[error("the shard's mailbox stayed full for {waited_ms} ms")]
    Full {
        /// How long the sender waited.
        waited_ms: u64,
    },
    /// The shard has ended.
    #[error("the shard has ended")]
    Closed,
}

/// The sending side; clones lead to the same shard.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: mpsc::Sender<Envelope>,
    room: Arc<Semaphore>,
}

/// A mailbox that another shard holds: the mailbox ends without regard to it.
#[derive(Clone, Debug)]
pub struct PeerMailbox {
    sender: mpsc::WeakSender<Envelope>,
    room: Arc<Semaphore>,
}

/// A place in a mailbox that is reserved for one command; given back when dropped unused.
#[derive(Debug)]
pub struct Slot<'a> {
    permit: mpsc::Permit<'a, Envelope>,
    room: SemaphorePermit<'a>,
    bytes: u32,
}

/// A place in a mailbox that is held while its command grows. It holds no reference, so that it may
/// be kept; given back when dropped unused.
#[derive(Debug)]
pub struct Growing {
    permit: Option<mpsc::OwnedPermit<Envelope>>,
    room: Arc<Semaphore>,
    bytes: u32,
}

/// The receiving side, in the shard.
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::Receiver<Envelope>,
    room: Arc<Semaphore>,
}

/// A command on its way, and how many bytes of room it takes until it is read.
#[derive(Debug)]
struct Envelope {
    command: Command,
    bytes: u32,
}

/// A mailbox for [`MAILBOX_COMMANDS_MAX`] commands and [`MAILBOX_BYTES_MAX`] bytes, and its inbox.
#[must_use]
pub fn mailbox() -> (Mailbox, Inbox) {
    let (sender, receiver) = mpsc::channel(MAILBOX_COMMANDS_MAX);
    let room = Arc::new(Semaphore::new(MAILBOX_BYTES_MAX as usize));
    (Mailbox { sender, room: Arc::clone(&room) }, Inbox { receiver, room })
}

/// What a command takes. One that is larger than the whole mailbox waits until it is empty.
fn taken(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX).min(MAILBOX_BYTES_MAX)
}

impl Mailbox {
    /// A place for a command of so many bytes if there is one and nobody waits for it; `None` when
    /// the mailbox is full.
    ///
    /// # Errors
    /// [`MailboxError::Closed`]
    pub fn try_reserve(&self, bytes: usize) -> Result<Option<Slot<'_>>, MailboxError> {
        let permit = match self.sender.try_reserve() {
            Ok(permit) => permit,
            Err(mpsc::error::TrySendError::Full(())) => return Ok(None),
            Err(mpsc::error::TrySendError::Closed(())) => return Err(MailboxError::Closed),
        };
        let bytes = taken(bytes);
        match self.room.try_acquire_many(bytes) {
            Ok(room) => Ok(Some(Slot { permit, room, bytes })),
            Err(TryAcquireError::NoPermits) => Ok(None),
            Err(TryAcquireError::Closed) => Err(MailboxError::Closed),
        }
    }

    /// A place for a command that takes no room yet, if there is one; `None` when the mailbox is
    /// full.
    ///
    /// # Errors
    /// [`MailboxError::Closed`]
    pub fn try_begin(&self) -> Result<Option<Growing>, MailboxError> {
        match self.sender.clone().try_reserve_owned() {
            Ok(permit) => {
                let room = Arc::clone(&self.room);
                Ok(Some(Growing { permit: Some(permit), room, bytes: 0 }))
            }
            Err(mpsc::error::TrySendError::Full(_)) => Ok(None),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(MailboxError::Closed),
        }
    }

    /// Waits for a place, for as long as the caller keeps waiting. Places are given in the order in
    /// which they were asked for.
    pub async fn reserve(&self, bytes: usize) -> Result<Slot<'_>, MailboxError> {
        let permit = self.sender.reserve().await.map_err(|_| MailboxError::Closed)?;
        let bytes = taken(bytes);
        let room = self.room.acquire_many(bytes).await.map_err(|_| MailboxError::Closed)?;
        Ok(Slot { permit, room, bytes })
    }

    /// For another shard.
    #[must_use]
    pub fn for_peer(&self) -> PeerMailbox {
        PeerMailbox { sender: self.sender.downgrade(), room: Arc::clone(&self.room) }
    }

    /// Sends a `command` that takes next to no room, waiting at most `wait_ms` for a place.
    pub async fn send(&self, command: Command, wait_ms: u64) -> Result<(), MailboxError> {
        let permit = tokio::select! {
            biased;
            permit = self.sender.reserve() => permit.map_err(|_| MailboxError::Closed)?,
            () = crate::clock::sleep_ms(wait_ms) => {
                return Err(MailboxError::Full { waited_ms: wait_ms });
            }
        };
        permit.send(Envelope { command, bytes: 0 });
        Ok(())
    }
}

impl PeerMailbox {
    /// Puts in an order that takes next to no room, if there is a place for it.
    ///
    /// # Errors
    /// Gives it back when there is none, or the shard has ended.
    pub fn order(&self, order: Box<Order>) -> Result<(), Box<Order>> {
        let Some(sender) = self.sender.upgrade() else { return Err(order) };
        match sender.try_reserve() {
            Ok(permit) => permit.send(Envelope { command: Command::Fly(order), bytes: 0 }),
            Err(_) => return Err(order),
        }
        Ok(())
    }

    /// Puts in a client, if there is a place for it.
    ///
    /// # Errors
    /// As [`PeerMailbox::order`].
    pub fn welcome(&self, newcomer: Box<Newcomer>) -> Result<(), Box<Newcomer>> {
        let Some(sender) = self.sender.upgrade() else { return Err(newcomer) };
        match sender.try_reserve() {
            Ok(permit) => permit.send(Envelope { command: Command::Welcome(newcomer), bytes: 0 }),
            Err(_) => return Err(newcomer),
        }
        Ok(())
    }

    /// Puts in a visit, if there is a place and room for what it brings.
    ///
    /// # Errors
    /// As [`PeerMailbox::order`].
    pub fn visit(&self, visit: Box<Visit>) -> Result<(), Box<Visit>> {
        let bytes = taken(visit.bytes());
        let Some(sender) = self.sender.upgrade() else { return Err(visit) };
        let (Ok(permit), Ok(room)) = (sender.try_reserve(), self.room.try_acquire_many(bytes))
        else {
            return Err(visit);
        };
        // Given back by the inbox.
        room.forget();
        permit.send(Envelope { command: Command::Visit(visit), bytes });
        Ok(())
    }
}

impl Growing {
    /// Takes room for so many bytes more, if there is room and nobody waits for it. A command that
    /// is larger than the whole mailbox never gets it here; see [`Mailbox::reserve`].
    pub fn grow(&mut self, bytes: usize) -> bool {
        let Ok(more) = u32::try_from(bytes) else { return false };
        let Ok(room) = self.room.try_acquire_many(more) else { return false };
        room.forget();
        self.bytes += more; // no more than there is in all
        true
    }

    /// Gives back what the last `grow` took.
    pub fn shrink(&mut self, bytes: usize) {
        self.room.add_permits(bytes);
        self.bytes -= bytes as u32; // it was taken
    }

    /// Puts `command` in the place. Cannot fail.
    pub fn fill(mut self, command: Command) {
        if let Some(permit) = self.permit.take() {
            permit.send(Envelope { command, bytes: self.bytes });
            // Its room is given back by the inbox.
            self.bytes = 0;
        }
    }
}

impl Drop for Growing {
    fn drop(&mut self) {
        self.room.add_permits(self.bytes as usize);
    }
}

impl Slot<'_> {
    /// Puts `command` in the reserved place. Cannot fail.
    pub fn fill(self, command: Command) {
        // Its room is given back by the inbox.
        self.room.forget();
        self.permit.send(Envelope { command, bytes: self.bytes });
    }
}

impl Inbox {
    /// The next command; `None` when every [`Mailbox`] is gone and all is read.
    pub async fn recv(&mut self) -> Option<Command> {
        let envelope = self.receiver.recv().await?;
        Some(self.open(envelope))
    }

    /// The next command if one is waiting.
    pub fn try_recv(&mut self) -> Option<Command> {
        let envelope = self.receiver.try_recv().ok()?;
        Some(self.open(envelope))
    }

    fn open(&self, envelope: Envelope) -> Command {
        if envelope.bytes > 0 {
            self.room.add_permits(envelope.bytes as usize);
        }
        envelope.command
    }
}

impl Drop for Inbox {
    /// Nobody will make room any more: whoever waits for it is told.
    fn drop(&mut self) {
        self.room.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn commands_arrive_in_order() {
        run(async {
            let (mailbox, mut inbox) = mailbox();
            mailbox.send(Command::Publish(Arc::from(Vec::new())), 0).await.unwrap();
            mailbox.clone().send(Command::Drain, 0).await.unwrap();
            assert!(matches!(inbox.recv().await, Some(Command::Publish(_))));
            assert!(matches!(inbox.try_recv(), Some(Command::Drain)));
            assert!(inbox.try_recv().is_none());
            drop(mailbox);
            assert!(inbox.recv().await.is_none());
        });
    }

    #[test]
    fn a_full_mailbox_refuses_after_the_wait() {
        run(async {
            let (mailbox, mut inbox) = mailbox();
            for _ in 0..crate::limits::MAILBOX_COMMANDS_MAX {
                mailbox.send(Command::Drain, 0).await.unwrap();
            }
            let refused = mailbox.send(Command::Drain, 5).await;
            assert_eq!(refused, Err(MailboxError::Full { waited_ms: 5 }));
            assert!(inbox.recv().await.is_some());
            assert_eq!(mailbox.send(Command::Drain, 5).await, Ok(()));
        });
    }

    #[test]
    fn a_slot_that_is_not_used_is_given_back() {
        run(async {
            let (mailbox, mut inbox) = mailbox();
            let slots: Vec<_> = {
                let mut slots = Vec::new();
                for _ in 0..crate::limits::MAILBOX_COMMANDS_MAX {
                    slots.push(mailbox.reserve(0).await.unwrap());
                }
                slots
            };
            assert!(mailbox.send(Command::Drain, 1).await.is_err());
            drop(slots);
            mailbox.send(Command::Drain, 1).await.unwrap();
            assert!(inbox.try_recv().is_some());
            assert!(inbox.try_recv().is_none());
        });
    }

    #[test]
    fn bytes_that_wait_are_bounded() {
        run(async {
            let (mailbox, mut inbox) = mailbox();
            let half = MAILBOX_BYTES_MAX as usize / 2;
            mailbox.reserve(half).await.unwrap().fill(Command::Drain);
            mailbox.try_reserve(half).unwrap().unwrap().fill(Command::Drain);
            assert!(mailbox.try_reserve(1).unwrap().is_none());
            // What takes no room still comes through.
            mailbox.send(Command::Drain, 0).await.unwrap();
            let mut waiting = std::pin::pin!(mailbox.reserve(half + 1));
            assert!(poll(waiting.as_mut()).is_none());
            // Nobody overtakes who waits.
            assert!(inbox.try_recv().is_some());
            assert!(poll(waiting.as_mut()).is_none());
            assert!(mailbox.try_reserve(1).unwrap().is_none());
            assert!(inbox.try_recv().is_some());
            poll(waiting.as_mut()).unwrap().unwrap().fill(Command::Drain);
            assert!(mailbox.try_reserve(half).unwrap().is_none());
            drop(mailbox.try_reserve(half - 1).unwrap().unwrap());
            drop(mailbox.try_reserve(half - 1).unwrap().unwrap());
        });
    }

    #[test]
    fn what_is_larger_than_the_mailbox_has_it_alone() {
        run(async {
            let (mailbox, mut inbox) = mailbox();
            mailbox.try_reserve(usize::MAX).unwrap().unwrap().fill(Command::Drain);
            assert!(mailbox.try_reserve(1).unwrap().is_none());
            assert!(inbox.recv().await.is_some());
            assert!(mailbox.try_reserve(MAILBOX_BYTES_MAX as usize).unwrap().is_some());
        });
    }

    #[test]
    fn whoever_waits_for_room_is_told_of_the_end() {
        run(async {
            let (mailbox, inbox) = mailbox();
            mailbox.try_reserve(usize::MAX).unwrap().unwrap().fill(Command::Drain);
            let mut waiting = std::pin::pin!(mailbox.reserve(1));
            assert!(poll(waiting.as_mut()).is_none());
            drop(inbox);
            assert_eq!(poll(waiting.as_mut()).unwrap().unwrap_err(), MailboxError::Closed);
            assert_eq!(mailbox.try_reserve(1).unwrap_err(), MailboxError::Closed);
        });
    }

    /// One look at a future.
    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Option<F::Output> {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn a_shard_that_has_ended_takes_nothing() {
        run(async {
            let (mailbox, inbox) = mailbox();
            drop(inbox);
            assert_eq!(mailbox.send(Command::Drain, 1000).await, Err(MailboxError::Closed));
        });
    }
}
