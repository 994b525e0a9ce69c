//! The door of a shard: commands in, bounded; a reply rides in its command.
//!
//! The control thread holds a [`Mailbox`] for each shard, the shard its [`Inbox`]. This is the only
//! place where two threads meet. It knows what may be asked of a shard, not how it is done.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use crate::grip::item::Item;

/// What may be asked of a shard.
#[derive(Debug)]
pub enum Command {
    /// Deliver these items, in this order.
    Publish(Arc<[Item]>),
    /// Use this table for every request from now on.
    Routes(Arc<crate::route::Table>),
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
    sender: mpsc::Sender<Command>,
}

/// A place in a mailbox that is reserved for one command; given back when dropped unused.
#[derive(Debug)]
pub struct Slot<'a> {
    permit: mpsc::Permit<'a, Command>,
}

/// The receiving side, in the shard.
#[derive(Debug)]
pub struct Inbox {
    receiver: mpsc::Receiver<Command>,
}

/// A mailbox for [`crate::limits::MAILBOX_COMMANDS_MAX`] commands, and its inbox.
#[must_use]
pub fn mailbox() -> (Mailbox, Inbox) {
    let (sender, receiver) = mpsc::channel(crate::limits::MAILBOX_COMMANDS_MAX);
    (Mailbox { sender }, Inbox { receiver })
}

impl Mailbox {
    /// Waits for a place, for as long as the caller keeps waiting. Places are given in the order in
    /// which they were asked for.
    pub async fn reserve(&self) -> Result<Slot<'_>, MailboxError> {
        match self.sender.reserve().await {
            Ok(permit) => Ok(Slot { permit }),
            Err(mpsc::error::SendError(())) => Err(MailboxError::Closed),
        }
    }

    /// Sends `command`, waiting at most `wait_ms` for a place.
    pub async fn send(&self, command: Command, wait_ms: u64) -> Result<(), MailboxError> {
        tokio::select! {
            biased;
            slot = self.reserve() => {
                slot?.fill(command);
                Ok(())
            }
            () = crate::clock::sleep_ms(wait_ms) => Err(MailboxError::Full { waited_ms: wait_ms }),
        }
    }
}

impl Slot<'_> {
    /// Puts `command` in the reserved place. Cannot fail.
    pub fn fill(self, command: Command) {
        self.permit.send(command);
    }
}

impl Inbox {
    /// The next command; `None` when every [`Mailbox`] is gone and all is read.
    pub async fn recv(&mut self) -> Option<Command> {
        self.receiver.recv().await
    }

    /// The next command if one is waiting.
    pub fn try_recv(&mut self) -> Option<Command> {
        self.receiver.try_recv().ok()
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
                    slots.push(mailbox.reserve().await.unwrap());
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
    fn a_shard_that_has_ended_takes_nothing() {
        run(async {
            let (mailbox, inbox) = mailbox();
            drop(inbox);
            assert_eq!(mailbox.send(Command::Drain, 1000).await, Err(MailboxError::Closed));
        });
    }
}
