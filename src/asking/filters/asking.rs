//! One request of an HTTP filter and its answer (specification, GRIP 6.4).
//!
//! Called by `filters` for one item of one connection. What is wrong with a request says its
//! [`NetworkFilterError`], as the specification words it.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body_util::BodyExt;
use url::Url;

use super::errand::{self, Errand, ErrandError, Home};
use super::{Answer, Shared};
use crate::clock;
use crate::hub::asking::{FilterAnswer, FilterRequest};
use crate::limits;

const SUB_META: HeaderName = HeaderName::from_static("sub-meta");
const PUB_META: HeaderName = HeaderName::from_static("pub-meta");
const ACTION: HeaderName = HeaderName::from_static("action");

/// Why there is no answer of an HTTP filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkFilterError {
    /// The subscription has no variable `url`.
    #[error("missing url value")]
    MissingUrl,
    /// It leads nowhere.
    #[error("invalid url value")]
    InvalidUrl,
    /// An answer that says nothing here; 502 also when nobody answered.
    #[error("unexpected network request status: code={0}")]
    Status(u16),
    /// The new content is too long.
    #[error("network response exceeded {} bytes", limits::HTTP_FILTER_REPLY_BYTES_MAX)]
    TooLarge,
    /// The answer broke off.
    #[error("network request failed: disconnected")]
    Disconnected,
    /// The answer took too long.
    #[error("network request failed: request timed out")]
    TimedOut,
    /// Too many wait for theirs.
    #[error("network request failed: general error")]
    Overloaded,
}

/// Where the filter of a connection is asked: its variable `url`, seen from `base`.
///
/// # Errors
/// When it has none, or none that can be asked.
pub fn url(base: Option<&Url>, request: &FilterRequest) -> Result<Url, NetworkFilterError> {
    let variable = request.sub_meta.iter().find(|(name, _)| **name == *"url");
    let value = variable.map(|(_, value)| &**value).filter(|value| !value.is_empty());
    let reference = value.ok_or(NetworkFilterError::MissingUrl)?;
    let base = base.ok_or(NetworkFilterError::InvalidUrl)?;
    errand::resolve(base, reference).map_err(|_| NetworkFilterError::InvalidUrl)
}

/// Asks a filter about one item; it has `patience_ms` to answer.
///
/// # Errors
/// When it gives no answer that can be understood, in time.
pub async fn ask(
    shared: &Shared,
    home: &Home,
    url: &Url,
    request: &FilterRequest,
    patience_ms: u64,
) -> Result<FilterAnswer, NetworkFilterError> {
    let mut headers = HeaderMap::new();
    headers.insert(SUB_META, object(&request.sub_meta));
    headers.insert(PUB_META, object(&request.item.meta));
    let body = if request.modify { request.content.clone() } else { Bytes::new() };
    let errand = Errand { method: Method::POST, url, lasts: &request.lasts, headers, body };
    let asked = async {
        let answered = errand::run(shared, home, errand).await;
        let answer = answered.map_err(|error| {
            tracing::debug!(%url, %error, "an HTTP filter did not answer");
            unanswered(&error)
        })?;
        read(request.modify, answer).await
    };
    tokio::select! {
        answer = asked => answer,
        () = clock::sleep_ms(patience_ms) => Err(NetworkFilterError::TimedOut),
    }
}

/// Who cannot be reached looks, to those who wait, as any proxy shows it.
fn unanswered(error: &ErrandError) -> NetworkFilterError {
    match error {
        ErrandError::Url(..) => NetworkFilterError::InvalidUrl,
        ErrandError::Route(_) | ErrandError::Backend(_) => NetworkFilterError::Status(502),
    }
}

/// Variables as a compact JSON object, names sorted. ASCII control characters are escaped, all
/// others stand in a header as they are.
fn object(meta: &[(Box<str>, Box<str>)]) -> HeaderValue {
    let sorted: BTreeMap<&str, &str> =
        meta.iter().map(|(name, value)| (&**name, &**value)).collect();
    let text = serde_json::to_string(&sorted).unwrap_or_else(|_| "{}".to_owned());
    let text = text.replace('\u{7f}', "\\u007f");
    HeaderValue::from_bytes(text.as_bytes()).unwrap_or_else(|_| HeaderValue::from_static("{}"))
}

/// What an answer says.
async fn read(modify: bool, answer: Response<Answer>) -> Result<FilterAnswer, NetworkFilterError> {
    let (head, body) = answer.into_parts();
    if !matches!(head.status, StatusCode::OK | StatusCode::NO_CONTENT) {
        return Err(NetworkFilterError::Status(head.status.as_u16()));
    }
    let drops = head.headers.get(ACTION).is_some_and(|action| action.as_bytes() == b"drop");
    let replaces = modify && !drops && head.status == StatusCode::OK;
    let content = collect(body).await;
    match (drops, replaces) {
        (true, _) => Ok(FilterAnswer::Drop),
        (false, true) => content.map(FilterAnswer::Content),
        // What else it says is read only so that its connection can be used again.
        (false, false) => Ok(FilterAnswer::Keep),
    }
}

async fn collect(mut body: Answer) -> Result<Bytes, NetworkFilterError> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| NetworkFilterError::Disconnected)?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > limits::HTTP_FILTER_REPLY_BYTES_MAX.saturating_sub(all.len()) {
            return Err(NetworkFilterError::TooLarge);
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}
