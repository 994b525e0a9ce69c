//! What one worker has another ask a backend: a next link, for streams of both; and how workers
//! reach each other.
//!
//! Made by `ferry`, carried between threads by whoever implements [`Peers`] (the shard, over its
//! mailboxes). Everything here may be sent to another thread.

use std::fmt;

use tokio::sync::mpsc;

use super::carried::Reply;
use super::context::RouteRef;
use super::visit::Visit;
use crate::clock::Tick;

/// What is asked: orders with equal keys are for the same request.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The route of the streams' requests.
    pub route: RouteRef,
    /// Who answered them: an index into the route's targets.
    pub target: usize,
    /// Their scheme is https.
    pub secure: bool,
    /// Their host and port.
    pub host: Box<str>,
    /// The link without its query.
    pub group: Box<str>,
    /// For `Grip-Last`: channels and ids, sorted.
    pub lasts: Box<[(Box<str>, Box<str>)]>,
}

impl Key {
    /// The same in all workers: by it they agree on who asks.
    #[must_use]
    pub fn hash(&self) -> u64 {
        ahash::RandomState::with_seeds(1, 2, 3, 4).hash_one((&self.group, &self.lasts))
    }
}

/// See the module.
pub struct Order {
    /// What is asked.
    pub key: Key,
    /// Where, absolute.
    pub url: String,
    /// What was asked for before this moment, or at it, may be older than what is wanted.
    pub fresh: Option<Tick>,
    /// Which worker orders.
    pub from: usize,
    /// Where the answer goes.
    pub reply: mpsc::Sender<Reply>,
}

impl fmt::Debug for Order {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Order").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The workers of the process, seen from one of them.
pub trait Peers {
    /// The number of the worker that wants to know.
    fn own(&self) -> usize;

    /// Who asks for what has this hash; `None` is the one that wants to know.
    fn owner(&self, hash: u64) -> Option<usize>;

    /// Gives an order to another worker. Does not wait.
    ///
    /// # Errors
    /// Gives it back when the worker has ended, or has no room for it.
    fn order(&self, owner: usize, order: Box<Order>) -> Result<(), Box<Order>>;

    /// Passes a request to a SockJS session on to its home. Does not wait.
    ///
    /// # Errors
    /// As [`Peers::order`].
    fn visit(&self, home: usize, visit: Box<Visit>) -> Result<(), Box<Visit>> {
        let _ = home;
        Err(visit)
    }
}
