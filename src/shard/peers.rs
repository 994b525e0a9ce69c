//! The other shards of the process, as the proxy sees them: whom to order from, by mailbox.
//!
//! Made by the control thread for each shard. Shards agree on the owner of a thing without asking.

use super::mailbox::{Mailbox, PeerMailbox};
use super::newcomer::Newcomer;
use crate::forward::order;
use crate::forward::order::Order;
use crate::forward::visit::Visit;

/// See the module.
#[derive(Clone, Debug)]
pub struct Peers {
    mailboxes: Vec<PeerMailbox>,
    own: usize,
}

impl Peers {
    /// All shards' mailboxes in an order that is the same for all, and which of them is the shard's
    /// own. One shard has no peers.
    #[must_use]
    pub fn new(mailboxes: &[Mailbox], own: usize) -> Option<Peers> {
        let mailboxes: Vec<_> = mailboxes.iter().map(Mailbox::for_peer).collect();
        (mailboxes.len() > 1).then_some(Peers { mailboxes, own })
    }

    /// How many shards there are.
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // there are at least two
    pub fn len(&self) -> usize {
        self.mailboxes.len()
    }

    /// Which of them is the shard's own.
    #[must_use]
    pub fn own(&self) -> usize {
        self.own
    }

    /// Has a shard serve a client.
    ///
    /// # Errors
    /// Gives it back when that shard has no room.
    pub fn welcome(&self, to: usize, newcomer: Box<Newcomer>) -> Result<(), Box<Newcomer>> {
        match self.mailboxes.get(to) {
            Some(mailbox) => mailbox.welcome(newcomer),
            None => Err(newcomer),
        }
    }
}

impl order::Peers for Peers {
    fn own(&self) -> usize {
        self.own
    }

    fn owner(&self, hash: u64) -> Option<usize> {
        let owner = hash.checked_rem(self.mailboxes.len() as u64)? as usize;
        (owner != self.own).then_some(owner)
    }

    fn order(&self, owner: usize, order: Box<Order>) -> Result<(), Box<Order>> {
        match self.mailboxes.get(owner) {
            Some(mailbox) => mailbox.order(order),
            None => Err(order),
        }
    }

    fn visit(&self, home: usize, visit: Box<Visit>) -> Result<(), Box<Visit>> {
        match self.mailboxes.get(home) {
            Some(mailbox) => mailbox.visit(visit),
            None => Err(visit),
        }
    }
}
