//! The body of an instruction, collected up to its limit (specification, GRIP 1.1).
//!
//! Called by `exchange` and `repeat` with every answer that carries an instruction.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;

use super::answer::Answer;
use super::failure::Failure;
use crate::backend::error::{Error, Kind, Stage};
use crate::backend::journal::{Deed, Request};
use crate::forward::context::Context;
use crate::forward::shared::Shared;
use crate::limits::ACCEPT_RESPONSE_BODY_BYTES_MAX;
use crate::route::Route;

/// The body of a response, collected up to the limit for instructions.
pub enum Collected {
    /// All of it.
    Whole(Bytes),
    /// The beginning, and the rest of a body that is larger.
    Larger(Bytes, Answer),
}

/// Collects a response's body.
///
/// # Errors
/// When it breaks off; it is for the caller to tell of that ([`broken`]).
pub async fn collect(mut body: Answer) -> Result<Collected, Error> {
    let mut all = BytesMut::new();
    body.set_told_by_reader(true);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match error.downcast::<Error>() {
            Ok(error) => *error,
            Err(error) => Error::new(Stage::Body, Kind::Closed, error.to_string()),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        all.extend_from_slice(&data);
        if all.len() > ACCEPT_RESPONSE_BODY_BYTES_MAX {
            body.set_told_by_reader(false);
            return Ok(Collected::Larger(all.freeze(), body));
        }
    }
    Ok(Collected::Whole(all.freeze()))
}

/// The answer of a target broke off before a client has seen anything of it: told and counted.
pub fn broken(
    shared: &Shared,
    context: &Context,
    (route, target): (&Route, usize),
    error: &Error,
) -> Failure {
    shared.stats.backend_failures.inc();
    if let Some(target) = route.targets.get(target) {
        let (method, path, attempt) = (&context.method, &*context.path, 1);
        let request = Request { target, route, method, path, attempt };
        shared.backend.journal().tell(&request, error, Deed::Answered(502));
    }
    Failure::Backend
}

/// Whether an instruction with a body over the limit may stream it through: it is a stream, and no
/// filter wants the body (specification, GRIP 1.1).
#[must_use]
pub fn may_stream_through(headers: &HeaderMap) -> bool {
    let has = |name: &str, text: &str| {
        headers.get_all(name).iter().any(|v| v.to_str().is_ok_and(|v| v.contains(text)))
    };
    let hold = headers.get("grip-hold").map(HeaderValue::as_bytes);
    let stream = match hold {
        Some(hold) => hold == b"stream",
        None => has("grip-link", "rel=next"),
    };
    stream && !has("grip-channel", "build-id")
}
