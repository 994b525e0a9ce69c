//! What is published, put down beside the subscribers that it is for; nothing is sent yet.
//!
//! Called by `registry` with items in the order of their channels; `broadcast` delivers.

use std::rc::Rc;

use super::broadcast::Broadcasts;
use super::fanout::Receipt;
use super::seats::Seats;
use super::sequence::Entry;
use super::waiting::{Load, Nothing, Step, is_for_all, response_bytes};
use crate::grip::format::Action;
use crate::grip::item::Item;
use crate::session::Mode;

/// What puts items down beside their subscribers.
pub struct Intake<'a> {
    /// The subscribers.
    pub seats: &'a mut Seats,
    /// What waits for them.
    pub broadcasts: &'a mut Broadcasts,
    /// Bytes of a message that count as one delivery; 0 counts each message as one.
    pub block_bytes: usize,
}

impl Intake<'_> {
    /// Puts an item down for the subscribers that its channel has now.
    pub fn put(&mut self, entry: Entry) -> Receipt {
        let mut receipt = Receipt::default();
        let item = &entry.item;
        let name = item.channel.as_str();
        if let Some(channel) = self.seats.channel(&item.channel) {
            let mut shared: Option<Rc<Entry>> = None;
            for (mode, has) in [
                (Mode::Response, item.http_response.is_some()),
                (Mode::Stream, item.http_stream.is_some()),
                (Mode::Socket, item.ws_message.is_some()),
            ] {
                let count = self.seats.subscribers(channel, mode).len() as u64;
                let specials = self.seats.channels().specials(channel, mode);
                if count == 0 || (!has && specials == 0) {
                    continue;
                }
                let step = Step::of(item, mode);
                if has {
                    receipt.matched += count;
                    match step {
                        Ok(_) => receipt.queued += count,
                        Err(Nothing::ForThisMode) => {}
                        Err(Nothing::Unsendable) => receipt.refused += count,
                    }
                }
                // Who follows ids is told even of what does nothing.
                let entry = (specials > 0)
                    .then(|| Rc::clone(shared.get_or_insert_with(|| Rc::new(entry.clone()))));
                let for_all = is_for_all(item, mode);
                let step = match step {
                    Ok(_) if !for_all && entry.is_none() => continue,
                    Ok(step) => step,
                    Err(_) if entry.is_some() => Step::Nothing,
                    Err(_) => continue,
                };
                let cost = cost(item, mode, self.block_bytes);
                let load = Load { step, entry, cost, for_all };
                self.broadcasts.put(self.seats, channel, mode, load);
            }
        }
        let matched = receipt.matched;
        tracing::debug!("publish channel={name} receivers={matched}");
        receipt
    }
}

/// How many deliveries one delivery of an item counts as (specification, GRIP 5.8).
fn cost(item: &Item, mode: Mode, block_bytes: usize) -> u32 {
    if block_bytes == 0 {
        return 1;
    }
    let bytes = item.size.map_or_else(|| content_bytes(item, mode), |size| size as usize);
    u32::try_from(bytes.div_ceil(block_bytes)).unwrap_or(u32::MAX).max(1)
}

/// Bytes that an item carries for one mode.
fn content_bytes(item: &Item, mode: Mode) -> usize {
    match mode {
        Mode::Response => match &item.http_response {
            Some(Action::Send(content)) => response_bytes(content),
            _ => 0,
        },
        Mode::Stream => match &item.http_stream {
            Some(Action::Send(content)) => content.content.len(),
            _ => 0,
        },
        Mode::Socket => match &item.ws_message {
            Some(Action::Send(content)) => content.message.content.len(),
            _ => 0,
        },
    }
}
