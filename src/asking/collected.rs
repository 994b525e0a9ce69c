//! The body of an instruction, collected up to its limit (specification, GRIP 1.1).
//!
//! Called by `exchange` and `repeat` with every answer that carries an instruction.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;

use super::answer::Answer;
use super::failure::Failure;
use crate::limits::ACCEPT_RESPONSE_BODY_BYTES_MAX;

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
/// When the backend breaks off.
pub async fn collect(mut body: Answer) -> Result<Collected, Failure> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(Failure::Backend) };
        let Ok(data) = frame.into_data() else { continue };
        all.extend_from_slice(&data);
        if all.len() > ACCEPT_RESPONSE_BODY_BYTES_MAX {
            return Ok(Collected::Larger(all.freeze(), body));
        }
    }
    Ok(Collected::Whole(all.freeze()))
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
