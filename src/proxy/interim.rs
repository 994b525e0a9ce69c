//! Interim answers (1xx) of backends on their way to the client (RFC 9110, 15.2).
//!
//! Called by `exchange` while a target is asked. What becomes of the request, a hold included, is
//! not touched by them. The client has been answered `100 Continue` by hyper, if it wanted that.

use http::{HeaderMap, Response};

use crate::asking::onward::Onward;
use crate::forward::context::Context;
use crate::forward::fields::{self, Fields};
use crate::forward::shared::Shared;
use crate::http::park::Handoff;
use crate::session::cross_origin::CrossOrigin;
use crate::websocket::upgrade;
use crate::wire::http1::Version;

/// Whether the client can make use of any. One of HTTP/1.0 would take it for the answer; a script
/// gets one body, whatever comes before.
#[must_use]
pub fn is_fit_for(context: &Context, page: Option<&CrossOrigin>) -> bool {
    context.version == Version::Http11 && page.is_none_or(|page| page.jsonp.is_none())
}

/// Passes one on, without what is the backend's own hop's, or meant for us; if there is no room it
/// is left out.
pub fn relay(shared: &Shared, handoff: &Handoff<Onward>, interim: Response<()>) {
    let (mut parts, ()) = interim.into_parts();
    let headers = fields::response_headers(parts.status, parts.headers);
    let mut kept = Fields::default();
    kept.read_those(&headers, |name| !name.as_str().starts_with("grip-"));
    parts.headers = HeaderMap::with_capacity(headers.len());
    kept.append_to(&mut parts.headers);
    let head = upgrade::head(&Response::from_parts(parts, ()), Version::Http11);
    if handoff.interim(&head) {
        shared.stats.interim_answers.inc();
    } else {
        shared.stats.interim_answers_dropped.inc();
    }
}
