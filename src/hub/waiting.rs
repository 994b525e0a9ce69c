//! What waits for the subscribers of one channel in one mode: items, each encoded once, and how far
//! the present pass over the subscribers has come.
//!
//! Kept by `channels` beside the subscribers, driven by `broadcast`. The memory that waits is
//! counted in the shard's `Backlog`, which is how a shard knows when to take no more.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::answers::Answers;
use super::backlog::{Backlog, Charge};
use super::forms::Frame;
use super::sequence::Entry;
use crate::grip::format::{Action, MessageContent, ResponseBody, ResponseContent, StreamContent};
use crate::grip::item::Item;
use crate::session::Mode;
use crate::session::answer;
use crate::session::frames::close_frame;
use crate::session::http::{HeldResponse, Reply, StreamFraming, stream_bytes};

/// What an item does to one subscriber, in the form that is shared by all of them.
#[derive(Clone)]
pub enum Step {
    /// A stream's payload: bare, and as the chunk that HTTP/1.1 has it in.
    Payload {
        /// For HTTP/1.0.
        raw: Bytes,
        /// For HTTP/1.1; nothing for no payload.
        chunk: Bytes,
    },
    /// A stream's end.
    EndStream,
    /// A WebSocket message.
    Frame(Rc<Frame>),
    /// A WebSocket's CLOSE.
    CloseSocket(Bytes),
    /// A WebSocket's backend is to be asked.
    Refresh,
    /// A long-poll's answer, which depends on what the long-poll was held with.
    Answer(Rc<Answering>),
    /// The backend of a long-poll or stream is to be asked.
    Hint,
    /// Nothing: it only tells who follows ids how far the channel is.
    Nothing,
}

/// The item that answers long-polls, and the answers that were made of it lately.
pub struct Answering {
    item: Arc<Item>,
    answers: RefCell<Answers>,
}

impl Answering {
    /// What `item` answers with.
    #[must_use]
    pub fn new(item: Arc<Item>) -> Answering {
        Answering { item, answers: RefCell::default() }
    }

    fn content(&self) -> Option<&ResponseContent> {
        match self.item.http_response.as_ref()? {
            Action::Send(content) => Some(content),
            _ => None,
        }
    }

    /// The answer to a long-poll that was held with `held`; long-polls that were held alike share
    /// it.
    pub fn answer(&self, held: &Rc<HeldResponse>, reply: Reply) -> Option<Bytes> {
        let content = self.content()?;
        let is_same = |a: &HeldResponse, b: &HeldResponse| answer::is_same_base(a, b, content);
        let make = || answer::published(held, reply, content);
        Some(self.answers.borrow_mut().find(held, reply, is_same, make))
    }
}

/// Why an item does nothing to a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// It has nothing for this mode.
    ForThisMode,
    /// It has something that no client may be sent.
    Unsendable,
}

impl Step {
    /// What an item does in `mode`.
    ///
    /// # Errors
    /// When it does nothing.
    pub fn of(item: &Arc<Item>, mode: Mode) -> Result<Step, Nothing> {
        match mode {
            Mode::Response => Step::response(item),
            Mode::Stream => Step::stream(item.http_stream.as_ref()),
            Mode::Socket => Step::socket(item.ws_message.as_ref()),
        }
    }

    fn response(item: &Arc<Item>) -> Result<Step, Nothing> {
        match &item.http_response {
            Some(Action::Send(_)) => Ok(Step::Answer(Rc::new(Answering::new(Arc::clone(item))))),
            Some(Action::Hint) => Ok(Step::Hint),
            _ => Err(Nothing::ForThisMode),
        }
    }

    fn stream(action: Option<&Action<StreamContent>>) -> Result<Step, Nothing> {
        match action {
            Some(Action::Send(content)) => {
                let raw = content.content.clone();
                let chunk = match raw.is_empty() {
                    true => Bytes::new(),
                    false => stream_bytes(StreamFraming::Chunked, &raw),
                };
                Ok(Step::Payload { raw, chunk })
            }
            Some(Action::Close(_)) => Ok(Step::EndStream),
            Some(Action::Hint) => Ok(Step::Hint),
            _ => Err(Nothing::ForThisMode),
        }
    }

    fn socket(action: Option<&Action<MessageContent>>) -> Result<Step, Nothing> {
        match action {
            Some(Action::Send(content)) => {
                let Some(frame) = Frame::of(&content.message) else {
                    tracing::debug!("a ping or pong of more than 125 bytes is not sent");
                    return Err(Nothing::Unsendable);
                };
                Ok(Step::Frame(Rc::new(frame)))
            }
            Some(Action::Close(reason)) => Ok(Step::CloseSocket(close_frame(reason))),
            Some(Action::Refresh) => Ok(Step::Refresh),
            _ => Err(Nothing::ForThisMode),
        }
    }

    /// About how much memory it keeps.
    fn bytes(&self) -> usize {
        match self {
            Step::Payload { raw, .. } => 2 * raw.len(),
            Step::Frame(frame) => frame.plain().len(), // it counts its further forms itself
            Step::CloseSocket(bytes) => bytes.len(),
            Step::Answer(answering) => answering.content().map_or(0, response_bytes),
            Step::EndStream | Step::Refresh | Step::Hint | Step::Nothing => 0,
        }
    }
}

/// Bytes that a published response carries, roughly where it is a patch.
pub fn response_bytes(content: &ResponseContent) -> usize {
    /// An operation of a patch, roughly.
    const OPERATION_BYTES: usize = 100;
    match &content.body {
        ResponseBody::Whole(bytes) => bytes.len(),
        ResponseBody::Patch(operations) => operations.len() * OPERATION_BYTES,
    }
}

/// Whether an item is for subscriptions without content filters too (specification, GRIP 4.2).
#[must_use]
pub fn is_for_all(item: &Item, mode: Mode) -> bool {
    let content_filters = match mode {
        Mode::Response => match &item.http_response {
            Some(Action::Send(content)) => &content.content_filters,
            _ => &None,
        },
        Mode::Stream => match &item.http_stream {
            Some(Action::Send(content)) => &content.content_filters,
            _ => &None,
        },
        Mode::Socket => match &item.ws_message {
            Some(Action::Send(content)) => &content.content_filters,
            _ => &None,
        },
    };
    content_filters.as_ref().is_none_or(Vec::is_empty)
}

/// An item as a list of subscribers gets it.
#[derive(Clone)]
pub struct Load {
    /// What it does.
    pub step: Step,
    /// Its ids, and the item itself for whoever must look at it; only where somebody must.
    pub entry: Option<Rc<Entry>>,
    /// How many deliveries one of it counts as.
    pub cost: u32,
    /// Whether it is for subscriptions without content filters too.
    pub for_all: bool,
}

/// One item that waits.
pub struct Parcel {
    /// Its number among all that was published to this shard.
    pub order: u64,
    /// Its number in its list; wraps.
    pub nth: u32,
    /// What it does.
    pub load: Load,
    _charge: Charge,
}

impl Parcel {
    /// An item that begins to wait, as the `nth` of its list.
    #[must_use]
    pub fn new(load: Load, nth: u32, backlog: &Rc<Backlog>) -> Parcel {
        let (order, charge) = backlog.take_in(load.step.bytes());
        if let Step::Frame(frame) = &load.step {
            frame.begin_waiting(backlog);
        }
        Parcel { order, nth, load, _charge: charge }
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let Step::Frame(frame) = &self.load.step {
            frame.end_waiting();
        }
    }
}

/// The items that wait for one list of subscribers.
pub struct Waiting {
    parcels: VecDeque<Parcel>,
    /// Places below it have not had their turn in the present pass. It goes down, so that whoever
    /// takes over the place of a subscriber that leaves (always the last of the list) either keeps
    /// its turn or gets a second one, and never loses it.
    pub cursor: usize,
    /// With the end of the present pass all have got the parcels up to this one.
    pass: u32,
    /// There may be a hint among the parcels.
    pub hints: bool,
}

impl Waiting {
    /// A first item for `subscribers` subscribers.
    #[must_use]
    pub fn new(first: Parcel, subscribers: usize) -> Waiting {
        let hints = matches!(first.load.step, Step::Hint);
        Waiting { pass: first.nth, parcels: VecDeque::from([first]), cursor: subscribers, hints }
    }

    /// One more item.
    pub fn push(&mut self, parcel: Parcel) {
        self.hints |= matches!(parcel.load.step, Step::Hint);
        self.parcels.push_back(parcel);
    }

    /// The number of the newest parcel.
    #[must_use]
    pub fn newest(&self) -> u32 {
        self.parcels.back().map_or(self.pass, |parcel| parcel.nth)
    }

    /// All have had their turn: drops what all have, and begins another pass over `subscribers`
    /// for what has come meanwhile. Whether there is anything.
    pub fn next_pass(&mut self, subscribers: usize) -> bool {
        while self.parcels.front().is_some_and(|parcel| !is_after(parcel.nth, self.pass)) {
            self.parcels.pop_front();
        }
        self.pass = self.newest();
        self.cursor = subscribers;
        !self.parcels.is_empty() && subscribers > 0
    }

    /// The one thing that waits, if it is one.
    #[must_use]
    pub fn only(&self) -> Option<&Load> {
        let first = self.parcels.front()?;
        (self.parcels.len() == 1).then_some(&first.load)
    }

    /// What all the parcels cost, for one subscriber.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.parcels.iter().map(|parcel| u64::from(parcel.load.cost)).sum()
    }

    /// The parcels for a subscriber that has all up to `upto`.
    pub fn after(&self, upto: u32) -> impl Iterator<Item = &Parcel> {
        self.parcels.iter().filter(move |parcel| is_after(parcel.nth, upto))
    }

    /// Whether there is a hint for a long-poll that has all up to `upto`.
    #[must_use]
    pub fn hints_after(&self, upto: u32) -> bool {
        self.after(upto).any(|parcel| matches!(parcel.load.step, Step::Hint))
    }

    /// The first answer for a long-poll that has all up to `upto`, and its number in the shard.
    pub fn answer_after(&self, upto: u32) -> Option<(u64, &Rc<Answering>)> {
        self.parcels.iter().find_map(|parcel| match &parcel.load.step {
            Step::Answer(answering) if parcel.load.for_all && is_after(parcel.nth, upto) => {
                Some((parcel.order, answering))
            }
            _ => None,
        })
    }
}

/// Whether `a` was numbered after `b`. Numbers wrap; fewer than half of them are ever in use.
fn is_after(a: u32, b: u32) -> bool {
    (1..=u32::MAX / 2).contains(&a.wrapping_sub(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap() {
        assert!(is_after(1, 0) && is_after(0, u32::MAX) && is_after(5, u32::MAX - 5));
        assert!(!is_after(0, 0) && !is_after(0, 1) && !is_after(u32::MAX, 0));
    }

    #[test]
    fn a_pass_drops_what_all_have() {
        let backlog = Rc::new(Backlog::default());
        let parcel = |nth| {
            let step = Step::CloseSocket(Bytes::from_static(b"12345"));
            Parcel::new(Load { step, entry: None, cost: 1, for_all: true }, nth, &backlog)
        };
        let mut waiting = Waiting::new(parcel(u32::MAX), 3);
        waiting.push(parcel(0));
        assert_eq!(backlog.waiting(), (2, 10));
        assert_eq!(waiting.after(u32::MAX).count(), 1);
        waiting.cursor = 0;
        assert!(waiting.next_pass(2));
        assert_eq!((waiting.cursor, waiting.newest(), backlog.waiting()), (2, 0, (1, 5)));
        waiting.cursor = 0;
        assert!(!waiting.next_pass(2));
        assert_eq!((waiting.newest(), backlog.waiting()), (0, (0, 0)));
    }
}
