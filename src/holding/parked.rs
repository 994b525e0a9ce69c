//! Answers to long-polls that are parked, so that hyper writes none of it: what a backend said when
//! it was asked once more.
//!
//! Called by `repeat`. Bytes leave through the hub, as the client takes them.

use bytes::Bytes;
use http::{HeaderMap, Response, header};
use http_body_util::BodyExt;

use super::flight::Flight;
use super::follow::take_turns;
use super::held::Held;
use crate::asking::answer::Answer;
use crate::asking::failure::Failure;
use crate::clock;
use crate::forward::fields;
use crate::grip::fields::written;
use crate::grip::instruction::{Field, Response as Shown};
use crate::hub::fanout::Then;
use crate::hub::slab::SessionId;
use crate::session::answer;
use crate::session::cross_origin::CrossOrigin;
use crate::session::http::Reply;
use crate::wire::http1::{LAST_CHUNK, Length, Version, reason};
use crate::wire::names::Spelling;

/// What a failure shows a client that waits, for a page of another origin as it needs it.
#[must_use]
pub fn shown(failure: &Failure, debug: bool, page: Option<&CrossOrigin>) -> Shown {
    let (mut parts, body) = failure.response(debug, false).into_parts();
    let code = parts.status.as_u16();
    // A page that has it wrapped sees it; whoever writes it on a connection computes it.
    parts.headers.append(header::CONTENT_LENGTH, body.len().into());
    let shown = described(code, reason_of(code), (&parts.headers, None), body);
    page.map_or_else(|| shown.clone(), |page| page.relayed(&shown))
}

fn described(
    code: u16,
    reason: Bytes,
    (headers, spelling): (&HeaderMap, Option<&Spelling>),
    body: Bytes,
) -> Shown {
    let headers = written(headers, spelling, |_| true)
        .map(|(name, value)| Field { name, value: Bytes::copy_from_slice(value.as_bytes()) });
    Shown { code, reason, headers: headers.collect(), body }
}

/// Answers all with an error of our own.
pub async fn refuse(held: &Held, flight: &Flight, shown: &Shown) {
    held.shared.stats.update_failures.inc();
    whole(held, flight, shown).await;
}

/// Answers all with a response that is here.
pub async fn whole(held: &Held, flight: &Flight, response: &Shown) {
    flight.close();
    let mut made: Option<(Reply, Bytes)> = None;
    for (number, id) in flight.ids().into_iter().enumerate() {
        let Some(reply) = reply(held, id) else { continue };
        let bytes = match &made {
            Some((known, bytes)) if *known == reply => bytes.clone(),
            _ => answer::whole(response, reply, None),
        };
        held.shared.hub.send(id, &bytes, clock::now());
        finish(held, id, reply.persistent);
        made = Some((reply, bytes));
        take_turns(number).await;
    }
}

/// How a long-poll that waits is answered; `None` when it does not wait any more.
#[must_use]
pub fn reply(held: &Held, id: SessionId) -> Option<Reply> {
    held.shared.hub.with(|registry| registry.reply(id))
}

fn finish(held: &Held, id: SessionId, persistent: bool) {
    held.shared.hub.finish(id, Then::after(persistent));
}

/// Sends all the head of a response whose body comes by itself: of `exact` bytes, or in whatever
/// way the client understands. Those who get no body are answered.
pub async fn open(held: &Held, flight: &Flight, response: &Shown, exact: Option<u64>) {
    flight.close();
    for (number, id) in flight.ids().into_iter().enumerate() {
        let Some(reply) = reply(held, id) else { continue };
        let (reply, length) = framed(reply, exact);
        let (head, has_body) = answer::opening(response, reply, length);
        held.shared.hub.send(id, &head, clock::now());
        if !has_body {
            finish(held, id, reply.persistent);
        }
        take_turns(number).await;
    }
    flight.keep(|id| reply(held, id).is_some());
    let chunked = |id| reply(held, id).is_some_and(|reply| reply.version == Version::Http11);
    flight.frame(|id| exact.is_none() && chunked(id));
}

fn framed(reply: Reply, exact: Option<u64>) -> (Reply, Length) {
    match (exact, reply.version) {
        (Some(bytes), _) => (reply, Length::Exact(bytes)),
        (None, Version::Http11) => (reply, Length::Chunked),
        (None, Version::Http10) => (Reply { persistent: false, ..reply }, Length::UntilClose),
    }
}

/// Ends bodies that were begun with [`open`].
pub async fn end(held: &Held, flight: &Flight, exact: Option<u64>) {
    for (number, id) in flight.ids().into_iter().enumerate() {
        let Some(reply) = reply(held, id) else { continue };
        let (reply, length) = framed(reply, exact);
        if length == Length::Chunked {
            held.shared.hub.send(id, &Bytes::from_static(LAST_CHUNK), clock::now());
        }
        finish(held, id, reply.persistent);
        take_turns(number).await;
    }
}

/// Sends all what a body has. Whether it came whole and somebody is left; those whose body breaks
/// off see it: their connections are closed.
pub async fn stream(held: &Held, flight: &Flight, mut body: Answer) -> bool {
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            held.shared.stats.update_failures.inc();
            flight.ids().into_iter().for_each(|id| held.shared.hub.close(id));
            return false;
        };
        let Ok(data) = frame.into_data() else { continue };
        if !flight.send(held, data).await {
            return false;
        }
    }
    true
}

/// Answers all with a plain response, as it comes.
pub async fn relay(held: &Held, flight: &Flight, response: Response<Answer>) {
    let reason = crate::http::reason(&response);
    let (parts, body) = response.into_parts();
    let headers = fields::response_headers(parts.status, parts.headers);
    let code = parts.status.as_u16();
    let reason = reason.unwrap_or_else(|| reason_of(code));
    let given = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    // A HEAD's answer has a length and no body.
    let exact = given.and_then(|text| text.parse().ok());
    let exact = exact.or_else(|| http_body::Body::size_hint(&body).exact());
    let response = described(code, reason, (&headers, parts.extensions.get()), Bytes::new());
    open(held, flight, &response, exact).await;
    if flight.is_empty() || stream(held, flight, body).await {
        end(held, flight, exact).await;
    }
}

fn reason_of(code: u16) -> Bytes {
    Bytes::from_static(reason(code).as_bytes())
}
