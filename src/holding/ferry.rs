//! Next links that are asked for once for all workers: one of them, the owner of a link and a
//! position, makes the request; its answer goes to all who have ordered it, piece by piece.
//!
//! Called by `follow`, which does not know who asks, and through [`Ferries::take`] by the shard
//! when another one orders. One order comes from a worker at a time, so riders are few; each has a
//! channel of a few pieces. With one worker there are none: the backend is asked directly.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use hashbrown::HashMap;
use http::{HeaderMap, Method, Response};
use http_body_util::BodyExt;
use tokio::sync::{Notify, mpsc};
use url::Url;

use crate::asking::answer::Answer;
use crate::asking::errand::{self, Errand, ErrandError, Home};
use crate::clock::{self, Tick};
use crate::forward::carried::{self, CarriedError, Head, Reply};
use crate::forward::order::{Key, Order};
use crate::forward::outgoing::Last;
use crate::forward::shared::Shared;
use crate::limits::{
    FERRY_LAG_MS, FERRY_LINGER_BYTES_MAX, FERRY_LINGER_MS, FERRY_PIECES_MAX, FLIGHT_KEPT_BYTES_MAX,
    FLIGHT_PIECE_BYTES_MAX,
};

/// While a rider does not take what it is sent, the others are looked after so often.
const LOOK_MS: u64 = 1_000;

/// A link gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum FerryError {
    /// To the worker that asked itself.
    #[error(transparent)]
    Errand(#[from] ErrandError),
    /// To whoever asked on behalf of all.
    #[error(transparent)]
    Carried(#[from] CarriedError),
}

/// A worker that gets the answer.
struct Rider {
    reply: mpsc::Sender<Reply>,
    /// So many of the parts that are kept it has been sent.
    at: usize,
    full_since: Option<Tick>,
}

/// One request under way.
struct Ferry {
    key: Key,
    url: String,
    begun: Tick,
    riders: RefCell<Vec<Rider>>,
    /// All workers that came aboard.
    boarded: RefCell<Vec<usize>>,
    kept: RefCell<Vec<Reply>>,
    kept_bytes: Cell<usize>,
    open: Cell<bool>,
    ended: Cell<bool>,
    /// Those who came too late, or want it fresher: the next ferry's.
    waiting: RefCell<Vec<Order>>,
    changed: Notify,
}

/// See the module.
pub struct Ferries {
    shared: Rc<Shared>,
    /// Bytes that are kept of what is over.
    lingering: Cell<usize>,
    under_way: RefCell<HashMap<Key, Rc<Ferry>, ahash::RandomState>>,
}

impl Ferries {
    /// None yet.
    #[must_use]
    pub fn new(shared: Rc<Shared>) -> Rc<Ferries> {
        Rc::new(Ferries { shared, lingering: Cell::new(0), under_way: RefCell::default() })
    }

    /// Asks for a link, whose `group` is its URL without the query: here, or where it is asked for
    /// on behalf of all workers. What was asked for at `fresh` or before does not do.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn ask(
        self: &Rc<Ferries>,
        home: &Home,
        (url, group): (&Url, &str),
        lasts: &[Last],
        fresh: Option<Tick>,
    ) -> Result<Response<Answer>, FerryError> {
        let Some(peers) = &self.shared.peers else {
            return Ok(errand(&self.shared, home, url, lasts).await?);
        };
        let lasts = lasts.iter().map(|(channel, id)| (channel.clone(), Box::from(&**id)));
        let key = Key {
            route: home.route.clone(),
            target: home.target,
            secure: home.secure,
            host: Box::from(&*home.host),
            group: group.into(),
            lasts: lasts.collect(),
        };
        let owner = peers.owner(key.hash());
        let (reply, replies) = mpsc::channel(FERRY_PIECES_MAX);
        let order = Box::new(Order { key, url: url.to_string(), fresh, from: peers.own(), reply });
        let refused = match owner {
            Some(owner) => peers.order(owner, order).err(),
            None => Some(order),
        };
        if let Some(order) = refused {
            self.take(*order);
        }
        Ok(carried::response(replies).await?.map(Answer::Carried))
    }

    /// Another worker's order.
    pub fn take_for_peer(self: &Rc<Ferries>, order: Order) {
        self.shared.stats.updates_for_peers.inc();
        self.take(order);
    }

    fn take(self: &Rc<Ferries>, order: Order) {
        let under_way = self.under_way.borrow().get(&order.key).cloned();
        match under_way {
            Some(ferry) if ferry.takes(&order) => {
                self.shared.stats.updates_shared.inc();
                ferry.board(order);
            }
            Some(ferry) => ferry.wait(order),
            None => self.start(vec![order]),
        }
    }

    /// Asks for all of these, which have one key.
    fn start(self: &Rc<Ferries>, orders: Vec<Order>) {
        let Some(Order { key, url, .. }) = orders.first() else { return };
        let ferry = Rc::new(Ferry::new(key.clone(), url.clone()));
        self.shared.stats.updates_shared.add(orders.len() as u64 - 1);
        for order in orders {
            ferry.board(order);
        }
        self.under_way.borrow_mut().insert(ferry.key.clone(), Rc::clone(&ferry));
        tokio::task::spawn_local(Rc::clone(self).run(ferry));
    }

    async fn run(self: Rc<Ferries>, ferry: Rc<Ferry>) {
        match ferry.ask(&self.shared).await {
            Ok(answer) => {
                ferry.carry(answer).await;
                self.linger(&ferry).await;
            }
            Err(error) => {
                // Whoever comes now has it tried again.
                ferry.open.set(false);
                ferry.send(Reply::Failed(error.to_string().into()), 0).await;
            }
        }
        ferry.open.set(false);
        self.under_way.borrow_mut().remove(&ferry.key);
        let waiting = ferry.waiting.take();
        if !waiting.is_empty() {
            self.start(waiting);
        }
    }

    /// Workers come to miss the same within moments, not at once: one that comes a little after the
    /// end still gets all of it.
    async fn linger(&self, ferry: &Ferry) {
        let kept = self.lingering.get().saturating_add(ferry.kept_bytes.get());
        let useful = self.shared.remembers && !ferry.key.lasts.is_empty();
        if !ferry.ended.get() || !useful || kept > FERRY_LINGER_BYTES_MAX {
            return;
        }
        self.lingering.set(kept);
        let end = clock::now().plus_ms(FERRY_LINGER_MS);
        while ferry.open.get() && ferry.waiting.borrow().is_empty() && clock::now() < end {
            tokio::select! {
                () = ferry.changed.notified() => {}
                () = clock::sleep_until(end) => {}
            }
            ferry.settle().await;
        }
        self.lingering.set(self.lingering.get().saturating_sub(ferry.kept_bytes.get()));
    }
}

/// Asks a backend.
async fn errand(
    shared: &Shared,
    home: &Home,
    url: &Url,
    lasts: &[Last],
) -> Result<Response<Answer>, ErrandError> {
    shared.stats.updates_made.inc();
    let headers = HeaderMap::new();
    let errand = Errand { method: Method::GET, url, lasts, headers, body: Bytes::new() };
    errand::run(shared, home, errand).await
}

impl Ferry {
    fn new(key: Key, url: String) -> Ferry {
        Ferry {
            key,
            url,
            begun: clock::now(),
            riders: RefCell::default(),
            boarded: RefCell::default(),
            kept: RefCell::default(),
            kept_bytes: Cell::new(0),
            open: Cell::new(true),
            ended: Cell::new(false),
            waiting: RefCell::default(),
            changed: Notify::new(),
        }
    }

    /// Whether this does for an order.
    fn takes(&self, order: &Order) -> bool {
        let fresh = order.fresh.is_none_or(|fresh| self.begun > fresh);
        self.open.get() && fresh && (!self.ended.get() || self.still_does(order))
    }

    /// Whether what is over does for an order: for one of just this link and of a worker that has
    /// not had it. With a position it does no harm that it may have become old: what it lacks
    /// is missed again from where it ends, and is in the ring.
    fn still_does(&self, order: &Order) -> bool {
        let known = !self.key.lasts.is_empty() && self.url == order.url;
        known && !self.boarded.borrow().contains(&order.from)
    }

    fn board(&self, order: Order) {
        self.boarded.borrow_mut().push(order.from);
        self.riders.borrow_mut().push(Rider { reply: order.reply, at: 0, full_since: None });
        self.changed.notify_one();
    }

    fn wait(&self, order: Order) {
        self.waiting.borrow_mut().push(order);
        self.changed.notify_one();
    }

    async fn ask(&self, shared: &Shared) -> Result<Response<Answer>, ErrandError> {
        let Key { route, target, secure, host, lasts, .. } = &self.key;
        let url = Url::parse(&self.url)
            .map_err(|_| ErrandError::Url(self.url.clone(), "it does not parse"))?;
        let (route, host) = (route.clone(), Rc::from(&**host));
        let home = Home { route, target: *target, secure: *secure, host };
        let lasts = lasts.iter().map(|(channel, id)| (channel.clone(), Rc::from(&**id)));
        errand(shared, &home, &url, &lasts.collect::<Vec<_>>()).await
    }

    /// Passes an answer on, to its end or as far as it comes.
    async fn carry(&self, answer: Response<Answer>) {
        let (parts, mut body) = answer.into_parts();
        if !parts.status.is_success() {
            self.open.set(false);
        }
        let head = Head { status: parts.status, headers: parts.headers, reason: None };
        let mut going = self.send(Reply::Head(Arc::new(head)), 0).await;
        while going {
            let frame = tokio::select! {
                frame = body.frame() => frame,
                () = self.changed.notified() => {
                    going = self.settle().await;
                    continue;
                }
            };
            match frame {
                Some(Ok(frame)) => {
                    let Ok(mut data) = frame.into_data() else { continue };
                    while going && !data.is_empty() {
                        let piece = data.split_to(data.len().min(FLIGHT_PIECE_BYTES_MAX));
                        let bytes = piece.len();
                        going = self.send(Reply::Data(piece), bytes).await;
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(url = %self.url, %error, "the answer was broken off");
                    self.open.set(false);
                    return;
                }
                None => {
                    self.ended.set(true);
                    self.send(Reply::End, 0).await;
                    return;
                }
            }
        }
        self.open.set(false);
    }

    /// Sends a part to all. Whether anybody is left.
    async fn send(&self, reply: Reply, bytes: usize) -> bool {
        self.kept.borrow_mut().push(reply);
        self.kept_bytes.set(self.kept_bytes.get().saturating_add(bytes));
        let mut left = self.settle().await;
        if self.kept_bytes.get() > FLIGHT_KEPT_BYTES_MAX {
            self.open.set(false);
            // Whoever came meanwhile has all of it before the first of it is forgotten.
            left = self.settle().await;
            self.kept.borrow_mut().clear();
            for rider in self.riders.borrow_mut().iter_mut() {
                rider.at = 0;
            }
        }
        left
    }

    /// Waits until all have what is kept. Whether anybody is left.
    async fn settle(&self) -> bool {
        while let Some(full) = self.pass(clock::now()) {
            tokio::select! {
                // Its place is given back: it is looked at again.
                _ = full.reserve() => {}
                () = self.changed.notified() => {}
                () = clock::sleep_ms(LOOK_MS) => {}
            }
        }
        !self.riders.borrow().is_empty()
    }

    /// Sends each what it has room for; the way to one that has no room for the rest. One that
    /// holds up others for too long is left behind. One that is alone is not: it has a bound of its
    /// own, and when it gives up its channel closes.
    fn pass(&self, now: Tick) -> Option<mpsc::Sender<Reply>> {
        let kept = self.kept.borrow();
        let mut riders = self.riders.borrow_mut();
        let alone = riders.len() == 1 && self.waiting.borrow().is_empty();
        let mut full = None;
        riders.retain_mut(|rider| {
            while let Some(reply) = kept.get(rider.at) {
                match rider.reply.try_send(reply.clone()) {
                    Ok(()) => (rider.at, rider.full_since) = (rider.at + 1, None),
                    Err(mpsc::error::TrySendError::Closed(_)) => return false,
                    Err(mpsc::error::TrySendError::Full(_)) => {
                        let since = *rider.full_since.get_or_insert(now);
                        if !alone && now.ms_since(since) >= FERRY_LAG_MS {
                            tracing::info!(url = %self.url, "a worker holds up others");
                            return false;
                        }
                        full = Some(rider.reply.clone());
                        return true;
                    }
                }
            }
            true
        });
        full
    }
}

#[cfg(test)]
mod tests;
