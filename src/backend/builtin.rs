//! The `test` target: a backend inside the program (specification, routing 4).
//!
//! Pure: `proxy` gives it the rewritten path and relays or carries out what it answers, as from any
//! backend. [`resource`] and [`channels`] serve its WebSocket side too.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use percent_encoding::percent_decode_str;

/// The path of the WebSocket resource.
pub const SOCKET: &str = "/ws";

/// What is answered to a path that names nothing, with status 404; also to WebSocket handshakes.
pub const NO_RESOURCE: &[u8] = b"no such test resource\n";

/// The path as the test backend sees it: the route's `path_beg` removed except for its trailing
/// slash, then one trailing slash ignored.
#[must_use]
pub fn resource<'a>(path: &'a str, path_beg: Option<&str>) -> &'a str {
    let mut rest = path;
    if let Some(prefix) = path_beg {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        rest = path.strip_prefix(prefix).unwrap_or(path);
    }
    if rest.is_empty() {
        return "/"; // `/x` under `path_beg=/x`
    }
    match rest.strip_suffix('/') {
        Some("") | None => rest,
        Some(shorter) => shorter,
    }
}

/// The channels that the query's `channel` parameters name, each once; `test` if there are none.
/// A name that no header could carry is left out.
#[must_use]
pub fn channels(query: Option<&str>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for pair in query.unwrap_or_default().split('&') {
        let Some(("channel", value)) = pair.split_once('=') else { continue };
        let name = percent_decode_str(value).decode_utf8_lossy().into_owned();
        if !name.is_empty() && HeaderValue::from_str(&name).is_ok() && !found.contains(&name) {
            found.push(name);
        }
    }
    if found.is_empty() {
        found.push("test".to_owned());
    }
    found
}

/// Answers an HTTP request. `path` is the path after rewriting; `body_too_large` says that the
/// request's body is over 100,000 bytes.
#[must_use]
pub fn respond(
    path: &str,
    query: Option<&str>,
    path_beg: Option<&str>,
    body_too_large: bool,
) -> Response<Bytes> {
    if body_too_large {
        return text(StatusCode::BAD_REQUEST, b"request too large\n");
    }
    match resource(path, path_beg) {
        "/" => text(StatusCode::OK, b"Hello from the linchpin test handler!\n"),
        "/response" => hold("response", query, b"nothing for now\n"),
        "/stream" => hold("stream", query, b"[stream opened]\n"),
        _ => text(StatusCode::NOT_FOUND, NO_RESOURCE),
    }
}

fn text(status: StatusCode, body: &'static [u8]) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

fn hold(mode: &'static str, query: Option<&str>, body: &'static [u8]) -> Response<Bytes> {
    let mut response = text(StatusCode::OK, body);
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("grip-hold"), HeaderValue::from_static(mode));
    // Every name by itself can be a header's value, so their list can.
    if let Ok(value) = HeaderValue::from_str(&channels(query).join(", ")) {
        headers.insert(HeaderName::from_static("grip-channel"), value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(path: &str, path_beg: Option<&str>) -> (u16, String) {
        let response = respond(path, None, path_beg, false);
        let body = String::from_utf8(response.body().to_vec()).unwrap();
        (response.status().as_u16(), body)
    }

    #[test]
    fn each_path_and_its_trailing_slash() {
        let hello = (200, "Hello from the linchpin test handler!\n".to_owned());
        assert_eq!(body("/", None), hello);
        assert_eq!(body("/response", None).1, "nothing for now\n");
        assert_eq!(body("/response/", None).1, "nothing for now\n");
        assert_eq!(body("/stream/", None).1, "[stream opened]\n");
        let missing = (404, "no such test resource\n".to_owned());
        for path in ["/ws", "/nope", "/Response", "/response//", "//", ""] {
            let expected = if path.is_empty() || path == "//" { &hello } else { &missing };
            assert_eq!(&body(path, None), expected, "{path}");
        }
    }

    #[test]
    fn the_routes_prefix_is_removed() {
        assert_eq!(body("/x/response", Some("/x/")).1, "nothing for now\n");
        assert_eq!(body("/x/response", Some("/x")).1, "nothing for now\n");
        assert_eq!(body("/x", Some("/x")).0, 200);
        assert_eq!(body("/x/", Some("/x/")).0, 200);
        assert_eq!(body("/xresponse", Some("/x")).0, 404);
        // Rewritten paths need not start with the prefix any more.
        assert_eq!(body("/stream", Some("/x/")).1, "[stream opened]\n");
        assert_eq!(resource("/x/ws/", Some("/x")), SOCKET);
    }

    #[test]
    fn holds_name_their_channels() {
        let response =
            respond("/stream", Some("channel=a&x=1&channel=b%20c&channel=a"), None, false);
        let headers: Vec<_> =
            response.headers().iter().map(|(n, v)| (n.as_str(), v.to_str().unwrap())).collect();
        assert_eq!(
            headers,
            [("content-type", "text/plain"), ("grip-hold", "stream"), ("grip-channel", "a, b c")]
        );
        assert_eq!(channels(None), ["test"]);
        assert_eq!(channels(Some("channel=&channel=%0d%0aX: y")), ["test"]);
    }

    #[test]
    fn a_large_body_is_refused_everywhere() {
        let response = respond("/stream", None, None, true);
        assert_eq!(response.status(), 400);
        assert_eq!(&response.body()[..], b"request too large\n");
    }
}
