//! The one way in for published items: from any input into the mailbox of every shard.
//!
//! What is published in one turn of the control thread is gathered, and goes to the shards together
//! when the turn ends: one waking of a shard for all of it, and the more a shard gets at once, the
//! fewer writes its subscribers cost. A place in every mailbox, and room, is taken for each item
//! before it counts as accepted.
//!
//! Only then it is looked up whether an item's id was published shortly before, and remembered:
//! what is refused is not remembered, so its publisher may try again.
//!
//! Called by the inputs (the HTTP control API) on the control thread. It knows no protocol: an
//! input turns [`Refused`] into its own words.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;
use tokio::sync::{MutexGuard, oneshot};

use super::receipts::Receipts;
use super::seen::{self, Seen, Sight};
use crate::clock;
use crate::grip::item::Item;
use crate::limits;
use crate::shard::mailbox::{Command, Growing, Mailbox, MailboxError, Receipt, Slot};
use crate::stats::Stats;

/// What is gathered goes on its way before the end of the turn when it is so large.
const GATHERED_BYTES_MAX: usize = 1024 * 1024;

/// Gives items to all shards. Clones are the same publisher; it stays on the control thread.
#[derive(Clone, Debug)]
pub struct Publisher {
    inner: Rc<Inner>,
}

/// What a publisher is told at start.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a call waits for a shard whose mailbox is full, in milliseconds.
    pub wait_ms: u64,
    /// How long a call that wants receipts waits for those of all shards, in milliseconds.
    pub receipt_ms: u64,
    /// Which ids are remembered.
    pub seen: seen::Settings,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            wait_ms: limits::PUBLISH_WAIT_MS,
            receipt_ms: limits::RECEIPT_WAIT_MS,
            seen: seen::Settings::default(),
        }
    }
}

#[derive(Debug)]
struct Inner {
    mailboxes: Vec<Mailbox>,
    wait_ms: u64,
    receipt_ms: u64,
    stats: Rc<Stats>,
    seen: RefCell<Seen>,
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
    /// A publisher for these shards, which counts in `stats`.
    #[must_use]
    pub fn new(mailboxes: Vec<Mailbox>, settings: Settings, stats: Rc<Stats>) -> Publisher {
        let Settings { wait_ms, receipt_ms, seen } = settings;
        let inner = Inner {
            mailboxes,
            wait_ms,
            receipt_ms,
            stats,
            seen: RefCell::new(Seen::new(seen)),
            turn: tokio::sync::Mutex::new(()),
            gathered: RefCell::default(),
        };
        Publisher { inner: Rc::new(inner) }
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
                    gathered.items.extend(self.unseen(items));
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
        let mut places = self.places(pending.bytes).await?;
        let items: Vec<_> = self.unseen(pending.items).collect();
        if !items.is_empty() {
            let mut given = Given::of(items);
            places.fill(|| given.command());
            self.log(given);
        }
        Ok(())
    }

    /// Gives items to every shard, or to none, and asks each what came of them. Answers of shards
    /// that do not come in time are left out, and it is said that they are.
    pub async fn publish_with_receipts(&self, items: Vec<Item>) -> Result<Receipts, Refused> {
        let mut places = self.places(items.iter().map(Item::memory_bytes).sum()).await?;
        let shown = items.into_iter().map(|item| (self.is_new(&item), Arc::new(item)));
        let receipts = Receipts::of(shown);
        let mut given = Given { items: receipts.given().into(), answers: Some(Vec::new()) };
        if !given.items.is_empty() {
            places.fill(|| given.command());
        }
        drop(places);
        let receipts = given.receipts(receipts, self.inner.receipt_ms).await;
        receipts.log();
        Ok(receipts)
    }

    /// Says in the log how many each item is for, once all shards have said it.
    fn log(&self, given: Given) {
        if given.answers.is_none() {
            return;
        }
        let wait_ms = self.inner.receipt_ms;
        tokio::task::spawn_local(async move {
            let items = given.items.iter().map(|item| (true, Arc::clone(item)));
            let receipts = Receipts::of(items);
            given.receipts(receipts, wait_ms).await.log();
        });
    }

    /// Has every shard forget what it knows of ids, and ask the backends of what it holds; or none.
    pub async fn recover(&self) -> Result<(), Refused> {
        self.places(0).await?.fill(|| Command::Recover);
        Ok(())
    }

    /// The items that were not published shortly before. From now on they are remembered: to be
    /// called when nothing can refuse them any more.
    fn unseen(&self, items: Vec<Item>) -> impl Iterator<Item = Arc<Item>> {
        items.into_iter().filter(|item| self.is_new(item)).map(Arc::new)
    }

    fn is_new(&self, item: &Item) -> bool {
        let Some(id) = &item.id else { return true };
        let mut seen = self.inner.seen.borrow_mut();
        if !seen.is_on() {
            return true;
        }
        match seen.show(&item.channel, id, clock::now()) {
            Sight::First { forgotten } => {
                self.inner.stats.ids_forgotten_early.add(forgotten as u64);
                true
            }
            Sight::Again => {
                self.inner.stats.items_duplicate.inc();
                tracing::debug!("duplicate channel={} id={id}", item.channel.as_str());
                false
            }
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
            let mut given = Given::of(items);
            for place in places {
                place.fill(given.command());
            }
            self.log(given);
        }
    }

    /// Waits for its turn, and for a place in every mailbox. Whoever is refused has nothing.
    async fn places(&self, bytes: usize) -> Result<Places<'_>, Refused> {
        let waited_ms = self.inner.wait_ms;
        let reserved = async {
            let turn = self.inner.turn.lock().await;
            // It was accepted before.
            self.flush();
            let mut slots = SmallVec::new();
            for mailbox in &self.inner.mailboxes {
                slots.push(mailbox.reserve(bytes).await?);
            }
            Ok(Places { slots, _turn: turn })
        };
        tokio::select! {
            biased;
            places = reserved => places.map_err(|error| match error {
                MailboxError::Full { waited_ms } => Refused::Busy { waited_ms },
                MailboxError::Closed => Refused::Stopping,
            }),
            () = clock::sleep_ms(waited_ms) => Err(Refused::Busy { waited_ms }),
        }
    }
}

/// A place in every mailbox. While it lives nobody else gives anything to the shards.
struct Places<'a> {
    slots: SmallVec<[Slot<'a>; 4]>,
    _turn: MutexGuard<'a, ()>,
}

impl Places<'_> {
    /// Fills them all; nothing waits in between.
    fn fill(&mut self, mut command: impl FnMut() -> Command) {
        for slot in self.slots.drain(..) {
            slot.fill(command());
        }
    }
}

/// Items on their way to every shard.
struct Given {
    items: Arc<[Arc<Item>]>,
    /// What the shards will say of them, if anybody wants to know.
    answers: Option<Vec<oneshot::Receiver<Vec<Receipt>>>>,
}

impl Given {
    /// Of items that nobody has asked about; the log does if it tells lines of this level.
    fn of(items: Vec<Arc<Item>>) -> Given {
        let answers = tracing::enabled!(tracing::Level::INFO).then(Vec::new);
        Given { items: items.into(), answers }
    }

    /// What the next shard is told.
    fn command(&mut self) -> Command {
        let items = Arc::clone(&self.items);
        let Some(answers) = &mut self.answers else { return Command::Publish(items) };
        let (reply, answer) = oneshot::channel();
        answers.push(answer);
        Command::PublishCounted(items, reply)
    }

    /// Adds what the shards say within this time.
    async fn receipts(self, mut receipts: Receipts, wait_ms: u64) -> Receipts {
        let late = clock::now().plus_ms(wait_ms);
        for answer in self.answers.into_iter().flatten() {
            tokio::select! {
                biased;
                answer = answer => receipts.add(answer.ok().as_deref()),
                () = clock::sleep_until(late) => receipts.add(None),
            }
        }
        receipts
    }
}

#[cfg(test)]
mod tests;
