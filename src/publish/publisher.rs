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
    items: Vec<Item>,
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
                    gathered.items.extend(items);
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
        let items = announce(pending.items);
        for slot in slots {
            slot.fill(Command::Publish(Arc::clone(&items)));
        }
        Ok(())
    }
}

/// Items on their way, logged.
fn announce(items: Vec<Item>) -> Arc<[Item]> {
    if tracing::enabled!(tracing::Level::INFO) {
        for item in &items {
            tracing::info!("publish channel={}", item.channel.as_str());
        }
    }
    Arc::from(items)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grip::channel::ChannelName;
    use crate::shard::mailbox::{Inbox, mailbox};

    fn item(channel: &str) -> Item {
        Item {
            channel: ChannelName::new(channel),
            id: None,
            prev_id: None,
            http_response: None,
            http_stream: None,
            ws_message: None,
            meta: Vec::new(),
            size: None,
            no_seq: false,
        }
    }

    /// What an input does.
    async fn publish(publisher: &Publisher, items: Vec<Item>) -> Result<(), Refused> {
        match publisher.try_publish(items) {
            Attempt::Given => {
                tokio::task::yield_now().await;
                Ok(())
            }
            Attempt::Refused(refused) => Err(refused),
            Attempt::Busy(pending) => publisher.wait(pending).await,
        }
    }

    fn run<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, future)
    }

    fn channels(inbox: &mut Inbox) -> Vec<String> {
        let mut channels = Vec::new();
        while let Some(command) = inbox.try_recv() {
            if let Command::Publish(items) = command {
                channels.extend(items.iter().map(|item| item.channel.as_str().to_owned()));
            }
        }
        channels
    }

    #[test]
    fn every_shard_gets_the_same_items() {
        run(async {
            let (a, mut inbox_a) = mailbox();
            let (b, mut inbox_b) = mailbox();
            let publisher = Publisher::new(vec![a, b]);
            let attempt = publisher.try_publish(vec![item("1"), item("2")]);
            assert!(matches!(attempt, Attempt::Given));
            assert!(inbox_a.try_recv().is_none(), "the turn is not over");
            assert!(matches!(publisher.try_publish(vec![item("3")]), Attempt::Given));
            tokio::task::yield_now().await;
            let (Some(Command::Publish(a)), Some(Command::Publish(b))) =
                (inbox_a.try_recv(), inbox_b.try_recv())
            else {
                panic!("not published");
            };
            assert!(Arc::ptr_eq(&a, &b));
            assert_eq!(a.len(), 3, "what was published in one turn goes together");
            assert!(inbox_a.try_recv().is_none());
        });
    }

    #[test]
    fn no_items_are_no_command() {
        run(async {
            let (a, mut inbox) = mailbox();
            let publisher = Publisher::new(vec![a]);
            assert!(matches!(publisher.try_publish(Vec::new()), Attempt::Given));
            assert!(inbox.try_recv().is_none());
        });
    }

    #[test]
    fn one_full_mailbox_and_no_shard_gets_anything() {
        run(async {
            let (a, mut inbox_a) = mailbox();
            let (b, mut inbox_b) = mailbox();
            for _ in 0..crate::limits::MAILBOX_COMMANDS_MAX {
                b.send(Command::Drain, 0).await.unwrap();
            }
            let publisher = Publisher::with_wait(vec![a, b], 5);
            let refused = publish(&publisher, vec![item("1")]).await;
            assert_eq!(refused, Err(Refused::Busy { waited_ms: 5 }));
            assert!(channels(&mut inbox_a).is_empty());
            assert!(channels(&mut inbox_b).is_empty());
            publish(&publisher, vec![item("2")]).await.unwrap();
            assert_eq!(channels(&mut inbox_a), ["2"]);
            assert_eq!(channels(&mut inbox_b), ["2"]);
        });
    }

    #[test]
    fn calls_that_wait_keep_their_order_in_every_shard() {
        run(async {
            let (a, mut inbox_a) = mailbox();
            let (b, mut inbox_b) = mailbox();
            for _ in 0..crate::limits::MAILBOX_COMMANDS_MAX {
                b.send(Command::Drain, 0).await.unwrap();
            }
            let publisher = Publisher::new(vec![a, b]);
            let mut calls = Vec::new();
            for n in 0..20 {
                let publisher = publisher.clone();
                calls.push(tokio::task::spawn_local(async move {
                    publish(&publisher, vec![item(&n.to_string())]).await
                }));
            }
            tokio::task::yield_now().await;
            assert!(inbox_a.try_recv().is_none());
            let mut seen_b = channels(&mut inbox_b);
            for call in calls {
                call.await.unwrap().unwrap();
            }
            seen_b.extend(channels(&mut inbox_b));
            let expected: Vec<String> = (0..20).map(|n| n.to_string()).collect();
            assert_eq!(channels(&mut inbox_a), expected);
            assert_eq!(seen_b, expected);
        });
    }

    #[test]
    fn what_was_given_is_in_the_mailbox() {
        run(async {
            let (a, mut inbox) = mailbox();
            let publisher = Publisher::new(vec![a]);
            publisher.given().await;
            assert!(matches!(publisher.try_publish(vec![item("1")]), Attempt::Given));
            publisher.given().await;
            assert_eq!(channels(&mut inbox), ["1"]);
        });
    }

    #[test]
    fn what_is_gathered_does_not_grow_without_end() {
        run(async {
            let (a, mut inbox) = mailbox();
            let publisher = Publisher::new(vec![a]);
            let large = || Item { id: Some("x".repeat(300_000).into()), ..item("c") };
            for _ in 0..3 {
                assert!(matches!(publisher.try_publish(vec![large()]), Attempt::Given));
                assert!(channels(&mut inbox).is_empty());
            }
            assert!(matches!(publisher.try_publish(vec![large()]), Attempt::Given));
            assert_eq!(channels(&mut inbox).len(), 4);
        });
    }

    #[test]
    fn what_was_gathered_goes_before_what_waits() {
        run(async {
            let (a, mut inbox) = mailbox();
            for _ in 0..crate::limits::MAILBOX_COMMANDS_MAX - 1 {
                a.send(Command::Drain, 0).await.unwrap();
            }
            let publisher = Publisher::new(vec![a.clone()]);
            assert!(matches!(publisher.try_publish(vec![item("1")]), Attempt::Given));
            let large = Item { id: Some("x".repeat(100).into()), ..item("2") };
            let room = crate::limits::MAILBOX_BYTES_MAX as usize;
            let filled = Item { id: Some("x".repeat(room - 500).into()), ..item("3") };
            assert!(matches!(publisher.try_publish(vec![large]), Attempt::Given));
            let Attempt::Busy(pending) = publisher.try_publish(vec![filled]) else {
                panic!("there is no room for it");
            };
            let waiting = publisher.clone();
            let waiting = tokio::task::spawn_local(async move { waiting.wait(pending).await });
            tokio::task::yield_now().await;
            let mut seen = channels(&mut inbox);
            waiting.await.unwrap().unwrap();
            seen.extend(channels(&mut inbox));
            assert_eq!(seen, ["1", "2", "3"]);
        });
    }

    #[test]
    fn a_shard_that_has_ended_refuses_for_all() {
        run(async {
            let (a, mut inbox_a) = mailbox();
            let (b, inbox_b) = mailbox();
            drop(inbox_b);
            let publisher = Publisher::new(vec![a, b]);
            assert_eq!(publish(&publisher, vec![item("1")]).await, Err(Refused::Stopping));
            assert!(channels(&mut inbox_a).is_empty());
        });
    }
}
