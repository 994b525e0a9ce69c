//! What the control API does with a whole request (specification, GRIP 7.1): the answer, and the
//! items on their way into the shards.
//!
//! Called by `connection`. Knows neither bytes nor sockets.

use std::cell::Cell;
use std::rc::Rc;

use super::accept::Format;
use super::answer::Answer;
use super::head::{Endpoint, Head, Method};
use super::publisher::{Attempt, Pending, Publisher, Refused};
use crate::grip::item::{Item, ItemsError, parse_items};

/// What all connections share.
#[derive(Debug)]
pub struct Api {
    publisher: Publisher,
    /// The counters of the control thread.
    pub stats: Rc<crate::stats::Stats>,
    connections: Cell<usize>,
    connections_max: usize,
}

/// What comes of a request.
#[derive(Debug)]
pub enum Outcome {
    /// This is the answer.
    Answer(Answer),
    /// A shard does not keep up: [`Api::wait`] gives the answer.
    Wait(Wait),
}

/// What has to wait for a shard.
#[derive(Debug)]
pub enum Wait {
    /// Items for which there is no room yet.
    Publish(Pending, Format),
    /// Items whose publisher wants to know what comes of them.
    Receipts(Vec<Item>),
    /// `/recover`
    Recover(Format),
}

impl Api {
    /// An API that gives items to `publisher` and serves `connections_max` connections at once.
    #[must_use]
    pub fn new(
        publisher: Publisher,
        stats: Rc<crate::stats::Stats>,
        connections_max: usize,
    ) -> Api {
        Api { publisher, stats, connections: Cell::new(0), connections_max }
    }

    /// So many connections are being served.
    pub fn set_connections(&self, connections: usize) {
        self.connections.set(connections);
    }

    /// Whether all places are taken. Then whoever is answered gives its own up, or idle publishers
    /// could keep others out forever.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.connections.get() >= self.connections_max
    }

    /// Accept, path, method, body: in this order.
    pub fn answer(&self, head: &Head, body: &[u8]) -> Outcome {
        let Some(format) = head.format else { return Outcome::Answer(Answer::NotAcceptable) };
        Outcome::Answer(match head.endpoint {
            Endpoint::Root => Answer::Api,
            Endpoint::Unknown => Answer::NotFound,
            _ if head.method != Method::Post => {
                Answer::MethodNotAllowed(head.method.as_str().into())
            }
            Endpoint::Recover => return Outcome::Wait(Wait::Recover(format)),
            Endpoint::PublishWithReceipts if format == Format::Text => Answer::ReceiptsAreJson,
            Endpoint::PublishWithReceipts => match self.items(body) {
                Ok(items) => return Outcome::Wait(Wait::Receipts(items)),
                Err(error) => Answer::Invalid(error),
            },
            Endpoint::Publish => return self.publish(body, format),
        })
    }

    fn items(&self, body: &[u8]) -> Result<Vec<Item>, ItemsError> {
        parse_items(body).inspect_err(|error| {
            self.stats.publishes_invalid.inc();
            log_invalid(error);
        })
    }

    fn publish(&self, body: &[u8], format: Format) -> Outcome {
        let items = match self.items(body) {
            Ok(items) => items,
            Err(error) => return Outcome::Answer(Answer::Invalid(error)),
        };
        let count = items.len();
        match self.publisher.try_publish(items) {
            Attempt::Given => Outcome::Answer(self.received(count, Answer::Published(format))),
            Attempt::Refused(refused) => Outcome::Answer(self.refused(refused)),
            Attempt::Busy(pending) => Outcome::Wait(Wait::Publish(pending, format)),
        }
    }

    /// Waits until what was accepted is on its way, which is before it is told; see
    /// [`Publisher::given`].
    pub async fn given(&self) {
        self.publisher.given().await;
    }

    /// Waits for the shards, within the publisher's bounds.
    pub async fn wait(&self, wait: Wait) -> Answer {
        let answer = match wait {
            Wait::Publish(pending, format) => {
                let count = pending.items();
                let given = self.publisher.wait(pending).await;
                given.map(|()| self.received(count, Answer::Published(format)))
            }
            Wait::Receipts(items) => {
                let count = items.len();
                let receipts = self.publisher.publish_with_receipts(items).await;
                receipts.map(|receipts| self.received(count, Answer::Receipts(receipts)))
            }
            Wait::Recover(format) => {
                self.publisher.recover().await.map(|()| Answer::Updated(format))
            }
        };
        answer.unwrap_or_else(|refused| self.refused(refused))
    }

    fn received(&self, items: usize, answer: Answer) -> Answer {
        self.stats.items_received.add(items as u64);
        answer
    }

    fn refused(&self, refused: Refused) -> Answer {
        self.stats.publishes_refused.inc();
        tracing::warn!("publish {refused}");
        Answer::NotAccepted(refused)
    }
}

fn log_invalid(error: &ItemsError) {
    match error {
        ItemsError::Invalid { index: Some(index), field, .. } => {
            tracing::warn!(item = index, field, "publish refused: {error}");
        }
        ItemsError::Invalid { index: None, field, .. } => {
            tracing::warn!(field, "publish refused: {error}");
        }
        ItemsError::NotJson | ItemsError::NotAnObject => {
            tracing::warn!("publish refused: {error}");
        }
    }
}
