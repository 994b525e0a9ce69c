//! The table of failures: what each shows the client (specification, routing 3.13).
//!
//! Whoever finds that a request cannot go on says why with a [`Failure`]; only this file decides
//! what the client sees of it.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};

use crate::wire::jsonp::query::QueryError;

/// Why a request is answered by us and not by its backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The head cannot be served; the text says why.
    BadHead(String),
    /// CONNECT.
    NotImplemented(String),
    /// `Upgrade: websocket` without the rest of a handshake.
    BadHandshake,
    /// No route matches.
    NoRoute,
    /// No target could be reached; these were tried.
    NoTarget(Vec<String>),
    /// The target's address is not allowed (`untrusted`).
    AddressPolicy,
    /// The backend broke off, or answered what is not HTTP.
    Backend,
    /// As many requests are under way as may be, and it was waited for long enough.
    NoRoom,
    /// The backend's instruction cannot be carried out.
    Instruction(String),
    /// The instruction's body is over the limit; from this target.
    InstructionTooLarge(String),
    /// The request's body is over the limit for what the backend asked.
    RequestTooLarge,
    /// A plain request that says it carries WebSocket events, to an `over_http` target.
    EventsForbidden,
    /// The request's body is over the operator's limit, in bytes.
    BodyTooLarge(u64),
    /// The client does not send the body that it has announced, though it is there.
    ClientBody,
    /// The client broke off in the middle of its body: it has left, or says no more.
    ClientLeft,
    /// A script's URL does not say what the script means.
    JsonP(QueryError),
}

const GENERIC: &str = "Error while proxying to origin.\n";

impl Failure {
    /// Status and text; `debug` tells more.
    fn shown(&self, debug: bool) -> (StatusCode, String) {
        let bad_gateway = |detail: String| {
            (StatusCode::BAD_GATEWAY, if debug { detail } else { GENERIC.to_owned() })
        };
        match self {
            Failure::BadHead(why) => (StatusCode::BAD_REQUEST, format!("{why}\n")),
            Failure::NotImplemented(why) => (StatusCode::NOT_IMPLEMENTED, format!("{why}\n")),
            Failure::BadHandshake => (
                StatusCode::BAD_REQUEST,
                "Request contained an Upgrade header with value \"websocket\" but the request \
                 was not a valid WebSocket request.\n"
                    .to_owned(),
            ),
            Failure::NoRoute => (StatusCode::BAD_GATEWAY, "Route not found\n".to_owned()),
            Failure::NoTarget(tried) => {
                let mut text = String::from("Unable to connect to any targets. Tried: ");
                for (n, target) in tried.iter().enumerate() {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "{}{target}", if n > 0 { ", " } else { "" });
                }
                bad_gateway(text + "\n")
            }
            Failure::AddressPolicy => bad_gateway("Error: Origin host/IP blocked.\n".to_owned()),
            Failure::Backend => bad_gateway(GENERIC.to_owned()),
            Failure::NoRoom => {
                let text = "Too many requests are being proxied.\n".to_owned();
                (StatusCode::SERVICE_UNAVAILABLE, text)
            }
            Failure::Instruction(why) => {
                bad_gateway(format!("Failed to parse accept instructions: {why}\n"))
            }
            Failure::InstructionTooLarge(target) => {
                bad_gateway(format!("GRIP instruct response too large from {target}\n"))
            }
            Failure::RequestTooLarge => {
                (StatusCode::BAD_REQUEST, "Request too large to accept GRIP instruct.\n".to_owned())
            }
            Failure::EventsForbidden => (
                StatusCode::FORBIDDEN,
                "Client not allowed to send WebSocket events directly.\n".to_owned(),
            ),
            Failure::BodyTooLarge(limit) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("Request body exceeded limit of {limit} bytes.\n"),
            ),
            Failure::JsonP(error) => (StatusCode::BAD_REQUEST, format!("{error}\n")),
            Failure::ClientBody | Failure::ClientLeft => {
                (StatusCode::BAD_REQUEST, "Failed to read the request body.\n".to_owned())
            }
        }
    }

    /// The response. A WebSocket gets its errors without a content type and its connection closed
    /// (specification, WebSocket 1.4).
    #[must_use]
    pub fn response(&self, debug: bool, websocket: bool) -> Response<Bytes> {
        let (status, text) = self.shown(debug);
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if !websocket || matches!(self, Failure::BadHead(_) | Failure::BadHandshake) {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        }
        // What follows a CONNECT may not be HTTP.
        let unread = matches!(
            self,
            Failure::BadHead(_)
                | Failure::NotImplemented(_)
                | Failure::ClientBody
                | Failure::ClientLeft
                | Failure::BodyTooLarge(_)
        );
        if websocket || unread {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(failure: &Failure, debug: bool) -> (u16, String) {
        let response = failure.response(debug, false);
        let status = response.status().as_u16();
        (status, String::from_utf8(response.into_body().to_vec()).unwrap())
    }

    #[test]
    fn details_only_in_debug() {
        let failure = Failure::NoTarget(vec!["a:1".into(), "[::1]:2".into()]);
        assert_eq!(text(&failure, false), (502, GENERIC.into()));
        let tried = "Unable to connect to any targets. Tried: a:1, [::1]:2\n";
        assert_eq!(text(&failure, true), (502, tried.into()));
        assert_eq!(text(&Failure::NoRoute, false), (502, "Route not found\n".into()));
        assert_eq!(text(&Failure::NoRoute, true), (502, "Route not found\n".into()));
    }

    #[test]
    fn websockets_are_closed_and_get_no_content_type() {
        let response = Failure::NoRoute.response(false, true);
        assert!(response.headers().get(header::CONTENT_TYPE).is_none());
        assert_eq!(response.headers()[header::CONNECTION], "close");
        let response = Failure::BadHandshake.response(false, true);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/plain");
        assert_eq!(response.body().len(), 110);
    }
}
