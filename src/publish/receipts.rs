//! What came of each item of a publish, over all shards: for publishers that ask for it
//! (`POST /publish?receipt=1`), and for the log.
//!
//! Filled by `publisher`, written by `answer`. Publishes that nobody asks about
//! and that are not logged never come here.

use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::grip::item::Item;
use crate::shard::mailbox::Receipt;

/// The receipts of one publish.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipts {
    items: Vec<Entry>,
    complete: bool,
}

/// One item, and what came of it.
#[derive(Clone, Debug, PartialEq)]
struct Entry {
    item: Arc<Item>,
    duplicate: bool,
    sum: Receipt,
}

/// What a publisher is told beside the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// Its deliveries are under way; there may be none.
    Delivered,
    /// It waits for the item that its `prev-id` names, in one shard at least.
    Waiting,
    /// It would have to wait, but may not, in one shard at least: too many do, or another one
    /// waits for the same item.
    Dropped,
    /// Its id was published to its channel shortly before: it was dropped.
    Duplicate,
}

impl Receipts {
    /// For items in their order, and whether each is new.
    #[must_use]
    pub fn of(items: impl Iterator<Item = (bool, Arc<Item>)>) -> Receipts {
        let entry =
            |(new, item): (bool, _)| Entry { item, duplicate: !new, sum: Receipt::default() };
        Receipts { items: items.map(entry).collect(), complete: true }
    }

    /// The items that shards are given.
    #[must_use]
    pub fn given(&self) -> Vec<Arc<Item>> {
        let given = self.items.iter().filter(|entry| !entry.duplicate);
        given.map(|entry| Arc::clone(&entry.item)).collect()
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds what a shard says of the items that it was given; `None` when it has not said anything.
    pub fn add(&mut self, answer: Option<&[Receipt]>) {
        let given = self.items.iter_mut().filter(|entry| !entry.duplicate);
        let answer = answer.unwrap_or_default();
        let mut said = answer.iter();
        for entry in given {
            let Some(receipt) = said.next() else {
                self.complete = false;
                return;
            };
            entry.sum.matched = entry.sum.matched.saturating_add(receipt.matched);
            entry.sum.queued = entry.sum.queued.saturating_add(receipt.queued);
            entry.sum.refused = entry.sum.refused.saturating_add(receipt.refused);
            entry.sum.waiting |= receipt.waiting;
            entry.sum.dropped |= receipt.dropped;
        }
    }

    /// A line in the log for each item that is no duplicate, as Pushpin has it (specification,
    /// routing 8.2).
    pub fn log(&self) {
        for entry in self.items.iter().filter(|entry| !entry.duplicate) {
            let (channel, receivers) = (entry.item.channel.as_str(), entry.sum.matched);
            match entry.state() {
                State::Delivered if self.complete => {
                    tracing::info!("publish channel={channel} receivers={receivers}");
                }
                State::Waiting => tracing::info!("publish channel={channel} waiting"),
                State::Dropped => tracing::info!("publish channel={channel} dropped"),
                // A worker was silent for too long.
                State::Delivered | State::Duplicate => tracing::info!("publish channel={channel}"),
            }
        }
    }

    /// The body of the reply.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A map of texts and numbers can always be written.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }
}

impl Serialize for Receipts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("message", "Published")?;
        map.serialize_entry("complete", &self.complete)?;
        map.serialize_entry("items", &self.items)?;
        map.end()
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("channel", self.item.channel.as_str())?;
        if let Some(id) = &self.item.id {
            map.serialize_entry("id", id)?;
        }
        map.serialize_entry("matched", &self.sum.matched)?;
        map.serialize_entry("queued", &self.sum.queued)?;
        map.serialize_entry("refused", &self.sum.refused)?;
        map.serialize_entry("state", &self.state())?;
        map.end()
    }
}

impl Entry {
    fn state(&self) -> State {
        match (self.duplicate, self.sum.dropped, self.sum.waiting) {
            (true, ..) => State::Duplicate,
            (false, true, _) => State::Dropped,
            (false, false, true) => State::Waiting,
            (false, false, false) => State::Delivered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grip::item::parse_items;

    fn receipts(items: &str, new: &[bool]) -> Receipts {
        let items = parse_items(items.as_bytes()).unwrap();
        Receipts::of(items.into_iter().zip(new).map(|(item, new)| (*new, Arc::new(item))))
    }

    fn receipt(matched: u64, queued: u64, refused: u64, waiting: bool) -> Receipt {
        Receipt { matched, queued, refused, waiting, dropped: false }
    }

    const THREE: &str = r#"{"items":[{"channel":"a\"","id":"","formats":{"x":1}},
        {"channel":"b","id":"2","formats":{"x":1}},{"channel":"c","formats":{"x":1}}]}"#;

    #[test]
    fn shards_are_summed_up_and_duplicates_are_none_of_theirs() {
        let mut receipts = receipts(THREE, &[true, false, true]);
        assert_eq!(receipts.given().len(), 2);
        receipts.add(Some(&[receipt(3, 2, 1, false), receipt(0, 0, 0, true)]));
        receipts.add(Some(&[receipt(1, 1, 0, false), receipt(0, 0, 0, false)]));
        let expected = concat!(
            r#"{"message":"Published","complete":true,"items":["#,
            r#"{"channel":"a\"","id":"","matched":4,"queued":3,"refused":1,"state":"delivered"},"#,
            r#"{"channel":"b","id":"2","matched":0,"queued":0,"refused":0,"state":"duplicate"},"#,
            r#"{"channel":"c","matched":0,"queued":0,"refused":0,"state":"waiting"}]}"#,
            "\n"
        );
        assert_eq!(receipts.to_json(), expected);
    }

    #[test]
    fn what_is_lost_in_one_shard_is_said() {
        let mut receipts = receipts(THREE, &[true, false, false]);
        receipts.add(Some(&[receipt(0, 0, 0, true)]));
        receipts.add(Some(&[Receipt { dropped: true, ..Receipt::default() }]));
        receipts.add(Some(&[receipt(1, 1, 0, false)]));
        assert!(
            receipts.to_json().contains(r#""matched":1,"queued":1,"refused":0,"state":"dropped""#)
        );
    }

    #[test]
    fn a_shard_that_says_nothing_leaves_them_incomplete() {
        let mut receipts = receipts(THREE, &[true, true, true]);
        receipts.add(Some(&[receipt(1, 1, 0, false); 3]));
        assert!(receipts.complete);
        receipts.add(None);
        assert!(!receipts.complete);
        assert!(receipts.to_json().contains(r#""matched":1"#));
    }

    #[test]
    fn nothing_is_complete_without_anybody() {
        let mut receipts = receipts(r#"{"items":[]}"#, &[]);
        receipts.add(None);
        assert_eq!(
            receipts.to_json(),
            "{\"message\":\"Published\",\"complete\":true,\"items\":[]}\n"
        );
    }
}
