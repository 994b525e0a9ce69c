//! The handshake of browsers older than the RFC of WebSocket ("hixie 76"; specification, SockJS
//! 6.9). Called by `proxy`, which speaks `wire::hixie` afterwards.

use http::header::{
    CONNECTION, HOST, HeaderName, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue};

use crate::wire::hixie;

const KEYS: [HeaderName; 2] =
    [HeaderName::from_static("sec-websocket-key1"), HeaderName::from_static("sec-websocket-key2")];
const LOCATION: HeaderName = HeaderName::from_static("sec-websocket-location");
const SOCKET_ORIGIN: HeaderName = HeaderName::from_static("sec-websocket-origin");

/// The two numbers that a client asks to be proved, if it asks for a WebSocket of this kind.
#[must_use]
pub fn keys(asked: &HeaderMap) -> Option<(u32, u32)> {
    if asked.contains_key(SEC_WEBSOCKET_KEY) {
        return None;
    }
    let key = |name| asked.get(name).and_then(|value| hixie::key(value.as_bytes()));
    let [one, two] = KEYS;
    Some((key(one)?, key(two)?))
}

/// Makes the head of a 101 (a backend's, with the RFC's headers) one for such a client; the proof
/// follows on it. `path` is the path as the client sent it, with the query.
pub fn answer(headers: &mut HeaderMap, asked: &HeaderMap, secure: bool, path: &str) {
    for name in handshake_names(headers) {
        headers.remove(name);
    }
    headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    if let Some(origin) = asked.get(ORIGIN) {
        headers.insert(SOCKET_ORIGIN, origin.clone());
    }
    let host = asked.get(HOST).map_or(&b""[..], HeaderValue::as_bytes);
    let scheme: &[u8] = if secure { b"wss://" } else { b"ws://" };
    // What came in a request's head makes a header again.
    if let Ok(location) = HeaderValue::from_bytes(&[scheme, host, path.as_bytes()].concat()) {
        headers.insert(LOCATION, location);
    }
}

fn handshake_names(headers: &HeaderMap) -> Vec<HeaderName> {
    let of_handshake = |name: &&HeaderName| {
        name.as_str().starts_with("sec-websocket-") && **name != SEC_WEBSOCKET_PROTOCOL
    };
    headers.keys().filter(of_handshake).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn who_asks() {
        let (one, two) = (
            ("sec-websocket-key1", "4 @1  46546xW%0l 1 5"),
            ("sec-websocket-key2", "12998 5 Y3 1  .P00"),
        );
        let asked = headers(&[one, two]);
        let (one_number, two_number) = keys(&asked).unwrap();
        let proof = hixie::proof(one_number, two_number, *b"aaaaaaaa");
        assert_eq!(&proof, b"\xca4\x00\xd8\xa5\x08G\x97,\xd5qZ\xba\xbfC{");
        assert_eq!(keys(&headers(&[one])), None);
        assert_eq!(keys(&headers(&[one, ("sec-websocket-key2", "x")])), None);
        assert_eq!(keys(&headers(&[one, two, ("sec-websocket-key", "x")])), None);
    }

    #[test]
    fn what_is_answered() {
        let asked = headers(&[("host", "a:1"), ("origin", "http://b")]);
        let mut answered = headers(&[
            ("sec-websocket-accept", "x"),
            ("sec-websocket-protocol", "chat"),
            ("sec-websocket-extensions", "x"),
            ("set-cookie", "a=b"),
        ]);
        answer(&mut answered, &asked, false, "/e/0/s/websocket?x=y");
        let expected = [
            ("sec-websocket-protocol", "chat"),
            ("set-cookie", "a=b"),
            ("upgrade", "WebSocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-origin", "http://b"),
            ("sec-websocket-location", "ws://a:1/e/0/s/websocket?x=y"),
        ];
        assert_eq!(answered, headers(&expected));
        answer(&mut answered, &asked, true, "/");
        assert_eq!(answered["sec-websocket-location"], "wss://a:1/");
    }
}
