//! What the control API answers: one table of statuses and texts (specification, GRIP 7).
//!
//! Used by `http` for what hyper writes, and by `guard` for what is refused before hyper sees it.
//! Knows nothing of connections.

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::head::{Refusal, RefusedHead};
use super::publisher::Refused;
use crate::grip::item::ItemsError;

/// In which form a success is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain`
    Text,
    /// `application/json`
    Json,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This is the API.
    Api,
    /// All items were accepted.
    Published(Format),
    /// No such path.
    NotFound,
    /// The path exists, but only for POST.
    MethodNotAllowed(String),
    /// Nothing that the client accepts.
    NotAcceptable,
    /// The body is not a list of items.
    Invalid(ItemsError),
    /// The items were not accepted by the shards.
    NotAccepted(Refused),
    /// Recovery is not built yet, so `/recover` has no effect that it could report.
    RecoverNotBuilt,
    /// The request was refused for its framing.
    Refused(Refusal),
}

impl Format {
    /// The last recognised element of `Accept` wins, whatever its weight; without the field it is
    /// text; `None` when nothing is recognised (specification, GRIP 7.1).
    #[must_use]
    pub fn negotiate(accept: Option<&[u8]>) -> Option<Format> {
        let Some(accept) = accept else { return Some(Format::Text) };
        accept.split(|&b| b == b',').rev().find_map(|element| {
            let media_type = element.split(|&b| b == b';').next().unwrap_or_default();
            match media_type.trim_ascii() {
                b"text/plain" | b"text/*" | b"*/*" | b"*" => Some(Format::Text),
                b"application/json" | b"application/*" => Some(Format::Json),
                _ => None,
            }
        })
    }
}

impl Answer {
    fn status(&self) -> StatusCode {
        match self {
            Answer::Api | Answer::Published(_) => StatusCode::OK,
            Answer::NotFound => StatusCode::NOT_FOUND,
            Answer::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Answer::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Answer::Refused(Refusal::LengthRequired) => StatusCode::LENGTH_REQUIRED,
            Answer::Invalid(_) | Answer::Refused(_) => StatusCode::BAD_REQUEST,
            Answer::NotAccepted(_) => StatusCode::SERVICE_UNAVAILABLE,
            Answer::RecoverNotBuilt => StatusCode::NOT_IMPLEMENTED,
        }
    }

    fn content_type(&self) -> &'static str {
        match self {
            Answer::Published(Format::Json) => "application/json",
            _ => "text/plain",
        }
    }

    fn body(&self) -> String {
        match self {
            Answer::Api => "linchpin API\n".into(),
            Answer::Published(Format::Text) => "Published\n".into(),
            Answer::Published(Format::Json) => "{\"message\":\"Published\"}\n".into(),
            Answer::NotFound => "Not Found\n".into(),
            Answer::MethodNotAllowed(method) => format!("Method not allowed: {method}.\n"),
            Answer::NotAcceptable => {
                "Not Acceptable. Supported formats are text/plain and application/json.\n".into()
            }
            Answer::Invalid(error) => format!("{error}\n"),
            Answer::NotAccepted(refused) => format!("{refused}\n"),
            Answer::RecoverNotBuilt => "Not Implemented: recovery is not built yet.\n".into(),
            Answer::Refused(refusal) => format!("{refusal}\n"),
        }
    }

    /// For hyper; it adds `Content-Length`. `close` says that the connection ends here.
    #[must_use]
    pub fn into_response(self, close: bool) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        if matches!(self, Answer::MethodNotAllowed(_)) {
            headers.insert(ALLOW, HeaderValue::from_static("POST"));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type()));
        if close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// The whole answer to a refused head. The connection ends with it: where the next request would
/// begin is in doubt.
#[must_use]
pub fn refusal_bytes(refused: RefusedHead) -> Vec<u8> {
    let answer = Answer::Refused(refused.refusal);
    let (status, body) = (answer.status(), answer.body());
    let version = if refused.http_1_0 { "1.0" } else { "1.1" };
    let reason = status.canonical_reason().unwrap_or_default();
    let (code, kind, length) = (status.as_str(), answer.content_type(), body.len());
    format!(
        "HTTP/{version} {code} {reason}\r\nContent-Type: {kind}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_recognised_element_wins() {
        let of = |accept: &str| Format::negotiate(Some(accept.as_bytes()));
        assert_eq!(Format::negotiate(None), Some(Format::Text));
        for text in ["text/plain", "text/*", "*/*", "*", "application/json, text/plain", "*;q=0"] {
            assert_eq!(of(text), Some(Format::Text), "{text}");
        }
        for json in [
            "application/json",
            "application/*",
            "text/plain, application/json",
            "application/json;q=0.5",
            "application/json, foo/bar",
            "application/json,",
        ] {
            assert_eq!(of(json), Some(Format::Json), "{json}");
        }
        for none in ["", "foo", "TEXT/plain", "application/json text/plain"] {
            assert_eq!(of(none), None, "{none}");
        }
    }

    #[test]
    fn a_refusal_is_written_whole() {
        let refused = RefusedHead { refusal: Refusal::LengthRequired, http_1_0: true };
        let expected: &[u8] = b"HTTP/1.0 411 Length Required\r\nContent-Type: text/plain\r\n\
            Connection: close\r\nContent-Length: 33\r\n\r\nRequest requires Content-Length.\n";
        assert_eq!(refusal_bytes(refused), expected);
    }

    #[test]
    fn what_shards_refuse_is_told_as_503() {
        let answer = Answer::NotAccepted(Refused::Busy { waited_ms: 5000 });
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.body(), "not accepted: a worker does not keep up (waited 5000 ms)\n");
    }
}
