//! The opening handshake, both roles (RFC 6455, section 4; specification, WebSockets 1.1 and 2.1).
//!
//! Called by whoever meets a client's request (to recognise and to check it) and by `proxy` (to ask
//! a backend and to check its answer). Only headers: nothing is sent or read here.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method};
use sha1::{Digest, Sha1};

use super::random;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Key and GUID together may not be longer.
const KEY_AND_GUID_BYTES_MAX: usize = 256;

/// The body (`text/plain`, status 400) for a client whose handshake is not valid.
pub const INVALID_REQUEST: &str = concat!(
    "Request contained an Upgrade header with value \"websocket\" ",
    "but the request was not a valid WebSocket request.\n"
);

/// Why a request with `Upgrade: websocket` is no handshake. The client sees [`INVALID_REQUEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Only GET opens a WebSocket.
    #[error("the method is not GET")]
    Method,
    /// A handshake has no body.
    #[error("the request has a body")]
    Body,
    /// Only version 13 is spoken.
    #[error("Sec-WebSocket-Version is not 13")]
    Version,
    /// The key is missing or too long.
    #[error("Sec-WebSocket-Key is missing or too long")]
    Key,
}

/// Whether a request asks for a WebSocket: it has an `Upgrade` header whose whole value is
/// `websocket`, in any case.
#[must_use]
pub fn is_requested(headers: &HeaderMap) -> bool {
    headers.get_all(UPGRADE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Checks a request that asks for a WebSocket, and gives the client's key.
pub fn check_request<'a>(
    method: &Method,
    headers: &'a HeaderMap,
) -> Result<&'a HeaderValue, Invalid> {
    if method != Method::GET {
        return Err(Invalid::Method);
    }
    let body = headers.get_all(CONTENT_LENGTH).iter().any(|value| value.as_bytes() != b"0");
    if body || headers.contains_key(TRANSFER_ENCODING) {
        return Err(Invalid::Body);
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|value| value.as_bytes() != b"13") {
        return Err(Invalid::Version);
    }
    headers
        .get(SEC_WEBSOCKET_KEY)
        .filter(|key| key.len() + GUID.len() <= KEY_AND_GUID_BYTES_MAX)
        .ok_or(Invalid::Key)
}

/// The `Sec-WebSocket-Accept` value that answers a key.
#[must_use]
pub fn accept_value(key: &[u8]) -> HeaderValue {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    base64_value(&hash.finalize())
}

/// A fresh `Sec-WebSocket-Key`.
#[must_use]
pub fn new_key() -> HeaderValue {
    base64_value(&random::bytes::<16>())
}

fn base64_value(bytes: &[u8]) -> HeaderValue {
    // Base64's alphabet is within what a header value may hold.
    HeaderValue::from_str(&STANDARD.encode(bytes)).unwrap_or(HeaderValue::from_static(""))
}

/// Adds to a request what asks a backend for a WebSocket with `key`, in place of the client's own.
pub fn ask(headers: &mut HeaderMap, key: &HeaderValue) {
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    headers.insert(SEC_WEBSOCKET_KEY, key.clone());
}

/// Whether a 101 answers `key`.
#[must_use]
pub fn is_accepted(headers: &HeaderMap, key: &HeaderValue) -> bool {
    headers.get(SEC_WEBSOCKET_ACCEPT) == Some(&accept_value(key.as_bytes()))
}

/// Removes what belongs to one hop's handshake from a response's headers.
pub fn remove_hop(headers: &mut HeaderMap) {
    for name in [UPGRADE, CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS] {
        headers.remove(name);
    }
}

/// Adds to a 101's headers what answers the client's `key`.
pub fn answer(headers: &mut HeaderMap, key: &[u8]) {
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept_value(key));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> HeaderMap {
        let mut headers = HeaderMap::new();
        ask(&mut headers, &HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
        headers
    }

    fn check(change: impl FnOnce(&mut HeaderMap)) -> Result<HeaderValue, Invalid> {
        let mut headers = client();
        change(&mut headers);
        check_request(&Method::GET, &headers).cloned()
    }

    #[test]
    fn the_accept_value_of_the_rfc() {
        assert_eq!(accept_value(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        let mut headers = HeaderMap::new();
        let key = new_key();
        assert_eq!(key.len(), 24);
        assert!(!is_accepted(&headers, &key));
        answer(&mut headers, key.as_bytes());
        assert!(is_accepted(&headers, &key));
        assert!(!is_accepted(&headers, &new_key()));
    }

    #[test]
    fn upgrade_is_a_whole_value_in_any_case() {
        let mut headers = HeaderMap::new();
        assert!(!is_requested(&headers));
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        assert!(is_requested(&headers));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket, foo"));
        assert!(!is_requested(&headers));
    }

    #[test]
    fn what_a_handshake_must_be() {
        assert!(check(|_| {}).is_ok());
        assert!(check(|h| drop(h.remove(CONNECTION))).is_ok());
        assert!(check(|h| drop(h.insert(CONTENT_LENGTH, HeaderValue::from(0)))).is_ok());
        assert_eq!(
            check(|h| drop(h.insert(CONTENT_LENGTH, HeaderValue::from(1)))),
            Err(Invalid::Body)
        );
        let chunked = HeaderValue::from_static("chunked");
        assert_eq!(check(|h| drop(h.insert(TRANSFER_ENCODING, chunked))), Err(Invalid::Body));
        let version = HeaderValue::from_static("8");
        assert_eq!(
            check(|h| drop(h.insert(SEC_WEBSOCKET_VERSION, version))),
            Err(Invalid::Version)
        );
        assert_eq!(check(|h| drop(h.remove(SEC_WEBSOCKET_KEY))), Err(Invalid::Key));
        for (length, ok) in [(220, true), (221, false)] {
            let key = HeaderValue::from_str(&"k".repeat(length)).unwrap();
            assert_eq!(check(|h| drop(h.insert(SEC_WEBSOCKET_KEY, key))).is_ok(), ok);
        }
        assert_eq!(check_request(&Method::POST, &client()), Err(Invalid::Method));
        assert_eq!(INVALID_REQUEST.len(), 110);
    }
}
