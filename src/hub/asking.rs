//! Items that wait for an HTTP filter: what is asked, and what is done with the answer. The proxy
//! hears of it by `Effect::Filter` (specification, GRIP 6.4).

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::catching;
use super::failing;
use super::fanout::Outlet;
use super::filtering::{self, Verdict};
use super::offers::{Flow, Offers};
use super::registry::Registry;
use super::slab::SessionId;
use crate::clock::Tick;
use crate::grip::filter::Filter;
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
        let filtering = self.seats.upkeep(id)?.filtering.as_deref()?;
        let (filters, _) = filtering::filters_of(&self.seats, id, filtering.channel)?;
        let modify = filters.iter().nth(filtering.at)? == Filter::HttpModify;
        let content = if modify { filtering.content.clone() } else { Bytes::new() };
        Some(FilterRequest {
            modify,
            sub_meta: self.seats.session(id)?.metas().cloned().collect(),
            item: Arc::clone(&filtering.load.entry.as_ref()?.item),
            content,
            lasts: self.lasts(id),
        })
    }

    /// It has been asked.
    pub fn filter_answer(
        &mut self,
        id: SessionId,
        answer: FilterAnswer,
        now: Tick,
        outlet: &mut dyn Outlet,
    ) {
        let (mut fanout, replays) = self.fanout_and_replays(outlet);
        let upkeep = fanout.seats.upkeep_mut(id);
        let Some(mut filtering) = upkeep.and_then(|upkeep| upkeep.filtering.take()) else { return };
        let (load, channel) = (filtering.load.clone(), filtering.channel);
        let verdict = match answer {
            FilterAnswer::Failed(Some(message)) => return failing::fail(&mut fanout, id, &message),
            // The client has not got it, and its next item says so.
            FilterAnswer::Failed(None) => Verdict::Mismatch,
            FilterAnswer::Drop => Verdict::Drop,
            FilterAnswer::Keep => {
                filtering.at += 1;
                filtering::go_on(fanout.seats, id, *filtering)
            }
            FilterAnswer::Content(content) => {
                filtering.at += 1;
                filtering.changed = true;
                filtering.content = content;
                filtering::go_on(fanout.seats, id, *filtering)
            }
        };
        let nth = fanout.seats.subscriptions(id).iter().position(|s| s.channel == channel);
        if let Some(nth) = nth {
            let mut offers = Offers::new(&mut fanout, id, now);
            if offers.act(nth, &load, verdict) == Flow::Stop || !offers.flush() {
                return;
            }
        }
        catching::go_on(&mut fanout, replays, id, now);
    }
}
