//! The one way in for published items: from any input into the mailbox of every shard.
//!
//! What is published in one turn of the control thread is gathered, and goes to the shards together
//! when the turn ends: one waking of a shard for all of it, and the more a shard gets at once, the
//! fewer writes its subscribers cost. A place in every mailbox, and room, is taken for each item
//! before it counts as accepted.
//!
//! Called by the inputs (the HTTP control API) on the control thread. It knows no protocol: an
//! input turns [`Refused`] into its own words.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::grip::item::Item;
use crate::shard::mailbox::{Command, Growing, Mailbox, MailboxError, Slot};

/// How long a publisher waits for a shard whose mailbox is full, in milliseconds.
pub const PUBLISH_WAIT_MS: u64 = 5_000;

/// What is gathered goes on its way before the end of the turn when it is so large.
const GATHERED_BYTES_MAX: usize = 1024 * 1024;

/// Gives items to all shards. Clones are the same publisher; it stays on the control thread.
#[derive(Clone, Debug)]
pub struct Publisher {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    mailboxes: Vec<Mailbox>,
    wait_ms: u64,
    /// Whose turn it is to reserve. Fair: the order of calls is the order of turns, so that every
    /// shard gets the items of two calls in the same order.
    turn: tokio::sync::Mutex<()>,
    gathered: RefCell<Gathered>,
}

/// What has been accepted in this turn.
#[derive(Debug, Default)]
struct Gathered {
    items: Vec<Arc<Item>>,
    bytes: usize,
    /// A place for it in every mailbox; none while there is nothing.
    places: SmallVec<[Growing; 4]>,
}

/// No shard was given anything of this call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A shard does not keep up; the same call may succeed later.
    #[error("not accepted: a worker does not keep up (waited {waited_ms} ms)")]
    Busy {
        /// How long this call waited.
        waited_ms: u64,
    },
    /// A shard has ended: the server is stopping.
    #[error("not accepted: the server is stopping")]
    Stopping,
}

/// What came of an attempt that does not wait.
#[derive(Debug)]
pub enum Attempt {
    /// The items are on their way to every shard, and nothing can stop them.
    Given,
    /// They are not, and will not be.
    Refused(Refused),
    /// They are not yet: [`Publisher::wait`].
    Busy(Pending),
}

/// Items that wait for a shard. Nothing of them has reached any; dropped, nothing will.
#[derive(Debug)]
pub struct Pending {
    items: Vec<Item>,
    bytes: usize,
}

impl Pending {
    /// How many items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items.len()
    }
}

impl Publisher {
    /// A publisher for these shards, waiting at most [`PUBLISH_WAIT_MS`].
    #[must_use]
    pub fn new(mailboxes: Vec<Mailbox>) -> Publisher {
        Publisher::with_wait(mailboxes, PUBLISH_WAIT_MS)
    }

    /// A publisher that waits at most `wait_ms` for a full mailbox.
    #[must_use]
    pub fn with_wait(mailboxes: Vec<Mailbox>, wait_ms: u64) -> Publisher {
        let turn = tokio::sync::Mutex::new(());
        let gathered = RefCell::default();
        Publisher { inner: Rc::new(Inner { mailboxes, wait_ms, turn, gathered }) }
    }

    /// Gives `items` to every shard, or to none. Ready at once unless a shard does not keep up. To
    /// be called in a `LocalSet`.
    pub fn try_publish(&self, items: Vec<Item>) -> Attempt {
        if items.is_empty() {
            return Attempt::Given;
        }
        let bytes = items.iter().map(Item::memory_bytes).sum();
        // Whoever waits was here before.
        let Ok(_turn) = self.inner.turn.try_lock() else {
            return Attempt::Busy(Pending { items, bytes });
        };
        match self.try_gather(bytes) {
            Ok(true) => {
                let full = {
                    let mut gathered = self.inner.gathered.borrow_mut();
                    gathered.items.extend(items.into_iter().map(Arc::new));
                    gathered.bytes += bytes;
                    gathered.bytes >= GATHERED_BYTES_MAX
                };
                if full {
                    self.flush();
                }
                Attempt::Given
            }
            Ok(false) => Attempt::Busy(Pending { items, bytes }),
            Err(_) => Attempt::Refused(Refused::Stopping),
        }
    }

    /// Waits until what was accepted is in the mailboxes: nobody is told "published" before, or who
    /// subscribes afterwards might still get it.
    pub async fn given(&self) {
        while !self.inner.gathered.borrow().items.is_empty() {
            tokio::task::yield_now().await;
        }
    }

    /// Gives items that could not be given at once to every shard, or to none.
    pub async fn wait(&self, pending: Pending) -> Result<(), Refused> {
        let waited_ms = self.inner.wait_ms;
        tokio::select! {
            biased;
            given = self.give(pending) => given.map_err(|error| match error {
                MailboxError::Full { waited_ms } => Refused::Busy { waited_ms },
                MailboxError::Closed => Refused::Stopping,
            }),
            () = crate::clock::sleep_ms(waited_ms) => Err(Refused::Busy { waited_ms }),
        }
    }

    /// Takes room for what is to be gathered. Whether there was room in every mailbox.
    fn try_gather(&self, bytes: usize) -> Result<bool, MailboxError> {
        let mut gathered = self.inner.gathered.borrow_mut();
        if gathered.places.is_empty() {
            let mut places = SmallVec::new();
            for mailbox in &self.inner.mailboxes {
                match mailbox.try_begin()? {
                    Some(place) => places.push(place),
                    None => return Ok(false),
                }
            }
            gathered.places = places;
            let this = self.clone();
            // Behind everybody who is ready in this turn.
            tokio::task::spawn_local(async move { this.flush() });
        }
        for at in 0..gathered.places.len() {
            if !gathered.places[at].grow(bytes) {
                gathered.places[..at].iter_mut().for_each(|place| place.shrink(bytes));
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends on what was gathered.
    fn flush(&self) {
        let Gathered { items, places, .. } = self.inner.gathered.take();
        if !items.is_empty() {
            let items = announce(items);
            for place in places {
                place.fill(Command::Publish(Arc::clone(&items)));
            }
        }
    }

    /// Reserves a place in every mailbox, then fills them all; nothing waits in between.
    async fn give(&self, pending: Pending) -> Result<(), MailboxError> {
        let _turn = self.inner.turn.lock().await;
        // It was accepted before.
        self.flush();
        let mut slots: SmallVec<[Slot<'_>; 4]> = SmallVec::new();
        for mailbox in &self.inner.mailboxes {
            slots.push(mailbox.reserve(pending.bytes).await?);
        }
        let items = announce(pending.items.into_iter().map(Arc::new).collect());
        for slot in slots {
            slot.fill(Command::Publish(Arc::clone(&items)));
        }
        Ok(())
    }
}

/// Items on their way, logged.
fn announce(items: Vec<Arc<Item>>) -> Arc<[Arc<Item>]> {
    if tracing::enabled!(tracing::Level::INFO) {
        for item in &items {
            tracing::info!("publish channel={}", item.channel.as_str());
        }
    }
    Arc::from(items)
}

#[cfg(test)]
mod tests;
