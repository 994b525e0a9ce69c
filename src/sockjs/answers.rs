//! Every answer of SockJS over HTTP, whole (specification, SockJS 6.2 to 6.6 and 6.9). Called by
//! `proxy`, which says what happened.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE, ALLOW, CACHE_CONTROL, CONNECTION,
    CONTENT_TYPE, ETAG, EXPIRES, IF_NONE_MATCH, UPGRADE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::client::Client;
use super::iframe::Page;
use super::transport::{Callback, CallbackFault, Receiver, Transport};
use crate::wire::params;
use crate::wire::sockjs::Malformed;

/// Of the pages and of errors.
const TEXT: &str = "text/plain; charset=UTF-8";
/// What never changes may be kept so long.
const KEPT_S: u64 = 31_536_000;

/// 200, the greeting.
#[must_use]
pub fn greeting(client: &Client) -> Response<Bytes> {
    text(client, StatusCode::OK, TEXT, Bytes::from_static(b"Welcome to SockJS!\n"))
}

/// 200, what the client is to know. `websocket` and `cookie` are the route's `sockjs_websocket` and
/// `sockjs_cookie`; `entropy` is new and random each time.
#[must_use]
pub fn info(client: &Client, websocket: bool, cookie: bool, entropy: u32) -> Response<Bytes> {
    let info = format!(
        "{{\"cookie_needed\":{cookie},\"entropy\":{entropy},\"origins\":[\"*:*\"],\
         \"websocket\":{websocket}}}\n"
    );
    text(client, StatusCode::OK, "application/json; charset=UTF-8", info.into())
}

/// 200 with the iframe page, or 304 if the client has it. `unix_s` is the present.
#[must_use]
pub fn iframe(client: &Client, page: &Page, asked: &HeaderMap, unix_s: u64) -> Response<Bytes> {
    let mut lists = asked.get_all(IF_NONE_MATCH).into_iter();
    let known = lists.any(|list| page.is_among(list.as_bytes()));
    let mut response = Response::new(if known { Bytes::new() } else { page.body.clone() });
    let headers = response.headers_mut();
    keep(client, headers, unix_s);
    headers.insert(ETAG, page.etag.clone());
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
    }
    response
}

/// 204, to `OPTIONS` (`Endpoint::Options`). `asked` are the headers of the request.
#[must_use]
pub fn options(
    client: &Client,
    asked: &HeaderMap,
    allowed: &'static str,
    unix_s: u64,
) -> Response<Bytes> {
    let client = client.clone().asks_for_options(asked);
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    keep(&client, headers, unix_s);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(allowed));
    headers.insert(ACCESS_CONTROL_MAX_AGE, KEPT_S.into());
    response
}

/// 404: no such endpoint, no such session to send to, or WebSockets are off.
#[must_use]
pub fn not_found(client: &Client) -> Response<Bytes> {
    text(client, StatusCode::NOT_FOUND, TEXT, Bytes::from_static(b"Not Found\n"))
}

/// 405 (`Endpoint::WrongMethod`).
#[must_use]
pub fn wrong_method(client: &Client, allowed: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    client.mark(response.headers_mut());
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// 400 to a request for a WebSocket endpoint that does not ask for a WebSocket; `None` if it does.
#[must_use]
pub fn not_a_websocket(client: &Client, asked: &HeaderMap) -> Option<Response<Bytes>> {
    let says = |name, word: &[u8]| {
        let mut lines = asked.get_all(name).into_iter();
        lines
            .any(|line| params::elements(line.as_bytes()).any(|one| one.eq_ignore_ascii_case(word)))
    };
    let wrong: &'static [u8] = if !says(UPGRADE, b"websocket") {
        b"Can \"Upgrade\" only to \"WebSocket\".\n"
    } else if !says(CONNECTION, b"upgrade") {
        b"\"Connection\" must be \"Upgrade\".\n"
    } else {
        return None;
    };
    Some(text(client, StatusCode::BAD_REQUEST, TEXT, Bytes::from_static(wrong)))
}

/// 500: the receiver's callback is missing or no name.
#[must_use]
pub fn no_callback(client: &Client, fault: CallbackFault) -> Response<Bytes> {
    text(client, StatusCode::INTERNAL_SERVER_ERROR, TEXT, format!("{fault}\n").into())
}

/// 500: a send's text gives no messages; 400 if it or one of them is too large. The session goes
/// on.
#[must_use]
pub fn malformed(client: &Client, fault: Malformed) -> Response<Bytes> {
    let status = match fault {
        Malformed::Broken | Malformed::NoPayload => StatusCode::INTERNAL_SERVER_ERROR,
        Malformed::MessageTooLarge | Malformed::TooLarge => StatusCode::BAD_REQUEST,
    };
    text(client, status, TEXT, format!("{fault}\n").into())
}

/// 400: another send of the session is under way.
#[must_use]
pub fn already_sending(client: &Client) -> Response<Bytes> {
    text(client, StatusCode::BAD_REQUEST, TEXT, Bytes::from_static(b"Already sending\n"))
}

/// 410: the session of a receiver is gone without a close, before a byte of the answer was sent.
#[must_use]
pub fn terminated(client: &Client) -> Response<Bytes> {
    text(client, StatusCode::GONE, TEXT, Bytes::from_static(b"Session terminated\n"))
}

/// 204: what `xhr_send` brought is on its way.
#[must_use]
pub fn xhr_sent(client: &Client) -> Response<Bytes> {
    let mut response = of_session(client, TEXT, Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// 200: what `jsonp_send` brought is on its way. A client that names a function has it called.
#[must_use]
pub fn jsonp_sent(client: &Client, query: Option<&str>) -> Response<Bytes> {
    match Callback::of(query) {
        Ok(callback) => of_session(client, Transport::Jsonp.content_type(), callback.call(b"ok")),
        Err(_) => of_session(client, TEXT, Bytes::from_static(b"ok")),
    }
}

/// 200, the head of a receiver's answer; the body is up to the caller: the receiver's prelude, then
/// frames as it writes them. A polling receiver's body is one frame (see [`polled`]).
#[must_use]
pub fn receiving(client: &Client, receiver: &Receiver) -> Response<()> {
    of_session(client, receiver.transport().content_type(), ())
}

/// 200: a polling receiver's answer with its frame.
#[must_use]
pub fn polled(client: &Client, receiver: &Receiver, frame: &[u8]) -> Response<Bytes> {
    receiving(client, receiver).map(|()| receiver.write(frame))
}

fn of_session<B>(client: &Client, kind: &'static str, body: B) -> Response<B> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    // A script whose beginning a client chose is never to be taken for anything else.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    client.mark(headers);
    client.set_cookie(headers);
    response
}

fn text(client: &Client, status: StatusCode, kind: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    client.mark(response.headers_mut());
    response
}

/// Makes an answer one that may be kept for long.
fn keep(client: &Client, headers: &mut HeaderMap, unix_s: u64) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000"));
    let until = UNIX_EPOCH.checked_add(Duration::from_secs(unix_s.saturating_add(KEPT_S)));
    // Years of five digits have no date in HTTP.
    let until = until.filter(|_| unix_s < 200_000_000_000);
    if let Some(until) = until.map(httpdate::fmt_http_date)
        && let Ok(until) = HeaderValue::from_str(&until)
    {
        headers.insert(EXPIRES, until);
    }
    client.share(headers);
    headers.insert(VARY, HeaderValue::from_static("Origin"));
}

#[cfg(test)]
mod tests;
