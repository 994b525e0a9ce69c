//! Items that wait for an HTTP filter: what is asked, and what is done with the answer. The proxy
//! hears of it by `Effect::Filter` (specification, GRIP 6.4).

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::fanout::Outlet;
use super::registry::Registry;
use super::slab::SessionId;
use crate::clock::Tick;
use crate::grip::item::Item;

/// What an HTTP filter is to be asked.
#[derive(Clone, Debug)]
pub struct FilterRequest {
    /// `http-modify`; otherwise `http-check`.
    pub modify: bool,
    /// The variables of the subscription.
    pub sub_meta: Vec<(Box<str>, Box<str>)>,
    /// The item, for its meta.
    pub item: Arc<Item>,
    /// The content as it is after the filters before this one.
    pub content: Bytes,
    /// For `Grip-Last`.
    pub lasts: Vec<(Box<str>, Rc<str>)>,
}

/// What it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterAnswer {
    /// The item is not for this session.
    Drop,
    /// It is delivered as it is.
    Keep,
    /// It is delivered with this content.
    Content(Bytes),
    /// There was no answer: the item is discarded, and with a message (in debug) the session ends
    /// with it.
    Failed(Option<String>),
}

impl Registry {
    /// What the filter that this session waits for is to be asked.
    #[must_use]
    pub fn filter_request(&self, id: SessionId) -> Option<FilterRequest> {
        let _ = id;
        None
    }

    /// It has been asked.
    pub fn filter_answer(
        &mut self,
        id: SessionId,
        answer: FilterAnswer,
        now: Tick,
        outlet: &mut dyn Outlet,
    ) {
        let _ = (id, answer, now, outlet);
    }
}
