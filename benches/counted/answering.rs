//! A backend's answer from the bytes of its head to what its client gets. Used by `cases`.

use std::hint::black_box;

use bytes::BytesMut;
use http::Method;
use linchpin::backend::head;
use linchpin::forward::fields::response_headers;

/// How many heads are read.
pub const HEADS: u64 = 100;

/// As many backends write it.
const USUAL: &str = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\n\
    Date: Sat, 01 Jan 2000 00:00:00 GMT\r\nContent-Type: application/json\r\n\
    Content-Length: 100\r\nConnection: keep-alive\r\nVary: Accept-Encoding, Cookie\r\n\
    Cache-Control: private, max-age=0\r\nSet-Cookie: session=0123456789abcdef; Path=/\r\n\r\n";

/// What is measured: names, and the head.
pub fn kinds() -> [(&'static str, String); 2] {
    // The one common name that is not written as usual.
    let etag = USUAL.replace("Vary: ", "ETag: \"0123456789abcdef\"\r\nVary: ");
    [("response head", USUAL.to_owned()), ("response head, ETag", etag)]
}

/// Heads of responses, each read out of a buffer of its own.
pub fn reading(text: &str) -> Box<dyn FnMut()> {
    let all = BytesMut::from(text);
    // They are read in place: two copies for each time, one before it is counted.
    let mut heads: Vec<BytesMut> = vec![all; HEADS as usize * 2];
    Box::new(move || {
        for mut bytes in heads.drain(heads.len() - HEADS as usize..) {
            let head = head::response(&mut bytes, 0, (&Method::GET, false), 64 * 1024);
            let response = head.expect("it is good").expect("it is whole").response;
            let (parts, ()) = response.into_parts();
            black_box(response_headers(parts.status, parts.headers));
            black_box(parts.extensions);
        }
    })
}
