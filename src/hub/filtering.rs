//! The filters of a subscription, run over an item for one session (specification, GRIP 6).
//!
//! Called by `offers`. What a filter does is `grip::filter`'s affair; what the network has to say
//! is asked for by `asking`.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::channels::ChannelIndex;
use super::forms::Frame;
use super::seats::Seats;
use super::sequence::Entry;
use super::slab::SessionId;
use super::upkeep::Filtering;
use super::waiting::{Answering, Load, Step};
use crate::grip::filter::{self, FilterError, Filters, Outcome, Subject};
use crate::grip::format::{Action, ResponseBody};
use crate::grip::message::Message;
use crate::session::http::{StreamFraming, stream_bytes};
use crate::session::{Hold, Mode, answer};

/// What comes of an item.
pub enum Verdict {
    /// It is delivered as it is.
    Whole,
    /// It is delivered in this form.
    Changed(Load),
    /// It is not for this session.
    Drop,
    /// It was written for other filters: the session does not even have it.
    Mismatch,
    /// The session ends with this error.
    Fail(String),
    /// A filter has to be asked over HTTP.
    Ask(Filtering),
}

/// What filters see of a session.
struct Viewed<'a> {
    seats: &'a Seats,
    id: SessionId,
    prefix_bytes: usize,
    /// The channel of the item, and its id, for a stream.
    arriving: Option<(ChannelIndex, Rc<str>)>,
}

impl Viewed<'_> {
    fn nth(&self, channel: &str) -> Option<usize> {
        let subscriptions = self.seats.subscriptions(self.id).iter();
        let mut names = subscriptions.map(|subscription| {
            let name = self.seats.name_of(subscription.channel)?.as_str();
            name.get(self.prefix_bytes..)
        });
        names.position(|name| name == Some(channel))
    }
}

impl Subject for Viewed<'_> {
    fn meta(&self, name: &str) -> Option<&str> {
        self.seats.meta(self.id, name)
    }

    fn is_subscribed(&self, channel: &str) -> bool {
        self.nth(channel).is_some()
    }

    fn prev_id(&self, channel: &str) -> Option<&str> {
        let subscription = self.seats.subscriptions(self.id).get(self.nth(channel)?)?;
        let prev_id = subscription.following.as_deref()?.prev_id.as_deref()?;
        // A stream has had the item when its client reads the id: django-eventstream's ids, seen
        // on Pushpin 1.36.
        match &self.arriving {
            Some((arriving, id)) if *arriving == subscription.channel => Some(id),
            _ => Some(prev_id),
        }
    }
}

/// Runs the filters of the session's `nth` subscription over an item.
pub fn run(seats: &Seats, id: SessionId, nth: usize, load: &Load) -> Verdict {
    let Some(subscription) = seats.subscriptions(id).get(nth) else { return Verdict::Drop };
    let (Some(entry), Some(hold)) = (&load.entry, seats.session(id).map(|s| &s.hold)) else {
        return Verdict::Whole;
    };
    let following = subscription.following.as_deref();
    let filters = following.map(|following| following.filters).unwrap_or_default();
    let written_for = content_filters(entry, hold);
    if !filters.takes(written_for) {
        return match following.is_some_and(|following| following.debug) {
            true => Verdict::Fail(filters.mismatch(written_for.unwrap_or_default())),
            false => Verdict::Mismatch,
        };
    }
    if filters.is_empty() {
        return Verdict::Whole;
    }
    let content = content(entry, hold);
    let load = load.clone();
    let channel = subscription.channel;
    go_on(seats, id, Filtering { channel, load, at: 0, content, changed: false })
}

/// Goes on with the filter at `filtering.at`.
pub fn go_on(seats: &Seats, id: SessionId, mut filtering: Filtering) -> Verdict {
    let Some((filters, prefix_bytes)) = filters_of(seats, id, filtering.channel) else {
        return Verdict::Drop;
    };
    let Some(entry) = filtering.load.entry.clone() else { return Verdict::Whole };
    let mode = seats.session(id).map(|session| session.mode());
    // What is no message (a published CLOSE, for example) has no content that could matter.
    let is_message = matches!(entry.item.ws_message, Some(Action::Send(_)));
    let spares = mode == Some(Mode::Socket) && is_message;
    let arriving =
        entry.id.clone().filter(|_| mode == Some(Mode::Stream)).map(|id| (filtering.channel, id));
    let viewed = Viewed { seats, id, prefix_bytes, arriving };
    for filter in filters.iter().skip(filtering.at) {
        let outcome = match filter::try_apply(filter, &viewed, &entry.item.meta, &filtering.content)
        {
            Ok(outcome) => outcome,
            Err(error) if spares => return failed(seats, id, filtering.channel, &error),
            Err(error) => {
                tracing::debug!(session = %id, %error, "content becomes empty");
                Outcome::Content(Bytes::new())
            }
        };
        match outcome {
            Outcome::Keep => {}
            Outcome::Drop => return Verdict::Drop,
            Outcome::Content(content) => {
                (filtering.content, filtering.changed) = (content, true);
            }
            Outcome::Ask => return Verdict::Ask(filtering),
        }
        filtering.at += 1;
    }
    if !filtering.changed {
        return Verdict::Whole;
    }
    match changed(&entry, &filtering) {
        Some(step) => Verdict::Changed(Load { step, ..filtering.load }),
        None => Verdict::Drop,
    }
}

/// A WebSocket is spared what a filter cannot rewrite; in debug it ends (WebSockets 4.4).
fn failed(seats: &Seats, id: SessionId, channel: ChannelIndex, error: &FilterError) -> Verdict {
    let subscription = seats.subscriptions(id).iter().find(|s| s.channel == channel);
    let following = subscription.and_then(|subscription| subscription.following.as_deref());
    if following.is_some_and(|following| following.debug) {
        return Verdict::Fail(error.to_string());
    }
    tracing::debug!(session = %id, %error, "an item is not delivered");
    Verdict::Drop
}

/// The filters of a session's subscription, and how much of its channel's name is prefix.
#[must_use]
pub fn filters_of(seats: &Seats, id: SessionId, channel: ChannelIndex) -> Option<(Filters, usize)> {
    let mut subscriptions = seats.subscriptions(id).iter();
    let subscription = subscriptions.find(|subscription| subscription.channel == channel)?;
    let following = subscription.following.as_deref()?;
    Some((following.filters, following.prefix_bytes))
}

fn mode(hold: &Hold) -> Mode {
    match hold {
        Hold::Stream { .. } => Mode::Stream,
        Hold::Socket { .. } => Mode::Socket,
        Hold::Response { .. } | Hold::Asking { .. } => Mode::Response,
        Hold::Muted { mode, .. } => *mode,
    }
}

fn content_filters<'e>(entry: &'e Entry, hold: &Hold) -> Option<&'e [Box<str>]> {
    let item = &entry.item;
    match mode(hold) {
        Mode::Response => match item.http_response.as_ref()? {
            Action::Send(content) => content.content_filters.as_deref(),
            _ => None,
        },
        Mode::Stream => match item.http_stream.as_ref()? {
            Action::Send(content) => content.content_filters.as_deref(),
            _ => None,
        },
        Mode::Socket => match item.ws_message.as_ref()? {
            Action::Send(content) => content.content_filters.as_deref(),
            _ => None,
        },
    }
}

/// What an item carries for a session; what is no message carries nothing.
fn content(entry: &Entry, hold: &Hold) -> Bytes {
    let item = &entry.item;
    match hold {
        Hold::Response { held, .. } => match &item.http_response {
            Some(Action::Send(content)) => answer::published_body(held, content),
            _ => Bytes::new(),
        },
        Hold::Stream { .. } => match &item.http_stream {
            Some(Action::Send(content)) => content.content.clone(),
            _ => Bytes::new(),
        },
        Hold::Socket { .. } => match &item.ws_message {
            Some(Action::Send(content)) => content.message.content.clone(),
            _ => Bytes::new(),
        },
        Hold::Asking { .. } | Hold::Muted { .. } => Bytes::new(),
    }
}

/// What an item does with another content; `None` when no client may be sent that.
fn changed(entry: &Entry, filtering: &Filtering) -> Option<Step> {
    let content = filtering.content.clone();
    Some(match &filtering.load.step {
        Step::Payload { .. } if content.is_empty() => Step::Nothing,
        Step::Payload { .. } => {
            let chunk = stream_bytes(StreamFraming::Chunked, &content);
            Step::Payload { raw: content, chunk }
        }
        Step::Frame(_) => {
            let Some(Action::Send(sent)) = &entry.item.ws_message else { return None };
            Step::Frame(Rc::new(Frame::of(&Message { kind: sent.message.kind, content })?))
        }
        Step::Answer(_) => {
            let mut item = (*entry.item).clone();
            if let Some(Action::Send(response)) = &mut item.http_response {
                response.body = ResponseBody::Whole(content);
            }
            Step::Answer(Rc::new(Answering::new(Arc::new(item))))
        }
        other => other.clone(),
    })
}
