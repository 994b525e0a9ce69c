//! The one way in for published items: from any input into the mailbox of every shard.
//!
//! Called by the inputs (the HTTP control API) on the control thread. It knows no protocol: an
//! input turns [`Refused`] into its own words.

use std::rc::Rc;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::grip::item::Item;
use crate::shard::mailbox::{Command, Mailbox, MailboxError, Slot};

/// How long a publisher waits for a shard whose mailbox is full, in milliseconds.
pub const PUBLISH_WAIT_MS: u64 = 5_000;

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
    /// The items are on their way to every shard.
    Given,
    /// They are not, and will not be.
    Refused(Refused),
    /// They are not yet: [`Publisher::wait`].
    Busy(Pending),
}

/// Items that wait for a shard. Nothing of them has reached any; dropped, nothing will.
#[derive(Debug)]
pub struct Pending {
    items: Arc<[Item]>,
    bytes: usize,
}

impl Pending {
    /// How many items.
    #[must_use]
    pub fn items(&self) -> usize {
        self.items.len()
    }
}

/// A place in the mailbox of each shard.
type Slots<'a> = SmallVec<[Slot<'a>; 4]>;

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
        Publisher { inner: Rc::new(Inner { mailboxes, wait_ms, turn }) }
    }

    /// Gives `items` to every shard, or to none. Ready at once unless a shard does not keep up.
    pub fn try_publish(&self, items: Vec<Item>) -> Attempt {
        if items.is_empty() {
            return Attempt::Given;
        }
        let bytes = items.iter().map(Item::memory_bytes).sum();
        let items: Arc<[Item]> = Arc::from(items);
        // Whoever waits was here before.
        let given = match self.inner.turn.try_lock() {
            Ok(_turn) => self.try_give(&items, bytes),
            Err(_) => Ok(false),
        };
        match given {
            Ok(true) => Attempt::Given,
            Ok(false) => Attempt::Busy(Pending { items, bytes }),
            Err(_) => Attempt::Refused(Refused::Stopping),
        }
    }

    /// Gives items that could not be given at once to every shard, or to none.
    pub async fn wait(&self, pending: Pending) -> Result<(), Refused> {
        let waited_ms = self.inner.wait_ms;
        tokio::select! {
            biased;
            given = self.give(&pending) => given.map_err(|error| match error {
                MailboxError::Full { waited_ms } => Refused::Busy { waited_ms },
                MailboxError::Closed => Refused::Stopping,
            }),
            () = crate::clock::sleep_ms(waited_ms) => Err(Refused::Busy { waited_ms }),
        }
    }

    /// Whether there was a place in every mailbox, and they are filled.
    fn try_give(&self, items: &Arc<[Item]>, bytes: usize) -> Result<bool, MailboxError> {
        let mut slots = Slots::new();
        for mailbox in &self.inner.mailboxes {
            match mailbox.try_reserve(bytes)? {
                Some(slot) => slots.push(slot),
                None => return Ok(false),
            }
        }
        fill(slots, items);
        Ok(true)
    }

    /// Reserves a place in every mailbox, then fills them all; nothing waits in between.
    async fn give(&self, pending: &Pending) -> Result<(), MailboxError> {
        let _turn = self.inner.turn.lock().await;
        let mut slots = Slots::new();
        for mailbox in &self.inner.mailboxes {
            slots.push(mailbox.reserve(pending.bytes).await?);
        }
        fill(slots, &pending.items);
        Ok(())
    }
}

fn fill(slots: Slots<'_>, items: &Arc<[Item]>) {
    for slot in slots {
        slot.fill(Command::Publish(Arc::clone(items)));
    }
    if tracing::enabled!(tracing::Level::INFO) {
        for item in items.iter() {
            tracing::info!("publish channel={}", item.channel.as_str());
        }
    }
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
            Attempt::Given => Ok(()),
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
            let (Some(Command::Publish(a)), Some(Command::Publish(b))) =
                (inbox_a.try_recv(), inbox_b.try_recv())
            else {
                panic!("not published");
            };
            assert!(Arc::ptr_eq(&a, &b));
            assert_eq!(a.len(), 2);
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
