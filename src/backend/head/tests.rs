//! Responses' heads: what is kept, where bodies end, what is refused; in whatever runs they come.

use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1000;

fn read_as(method: &Method, head: &str) -> Result<Option<ResponseHead>, HeadError> {
    response(&mut BytesMut::from(head), 0, (method, false), LIMIT)
}

fn read(head: &str) -> ResponseHead {
    read_as(&Method::GET, head).unwrap().unwrap()
}

fn framing(fields: &str) -> (Length, bool) {
    let head = read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"));
    (head.length, head.persistent)
}

fn names(head: &ResponseHead) -> Vec<&str> {
    head.response.headers().keys().map(HeaderName::as_str).collect()
}

#[test]
fn a_head_and_what_follows_it() {
    let mut bytes = BytesMut::from("HTTP/1.1 404 Gone Fishing\r\nA: b\r\nE:\r\nA:  c \r\n\r\nrest");
    let head = response(&mut bytes, 0, (&Method::GET, false), LIMIT).unwrap().unwrap();
    assert_eq!(&bytes[..], b"rest");
    assert_eq!(head.response.status(), 404);
    assert_eq!(crate::http::reason(&head.response).as_deref(), Some(&b"Gone Fishing"[..]));
    let values: Vec<_> = head.response.headers().get_all("a").iter().collect();
    assert_eq!(values, ["b", "c"]);
    assert_eq!(head.response.headers()["e"], "");
    assert_eq!((head.length, head.persistent), (Length::UntilClose, false));
    assert!(crate::http::reason(&read("HTTP/1.1 200 OK\r\n\r\n").response).is_none());
}

#[test]
fn reasons_of_any_alphabet() {
    let reason = |head: &[u8]| {
        let mut bytes = BytesMut::from(head);
        let head = response(&mut bytes, 0, (&Method::GET, false), LIMIT).unwrap().unwrap();
        crate::http::reason(&head.response).map(|reason| reason.to_vec())
    };
    for text in [&b"Sch\xc3\xb6n"[..], b"Sch\xf6n und gut", b"\xff"] {
        for (before, after) in [("", "\r\n"), ("", "\n"), ("\r\n", "\r\nA: b\r\n")] {
            let head = [before.as_bytes(), b"HTTP/1.1 200 ", text, after.as_bytes(), b"\r\n"];
            assert_eq!(reason(&head.concat()).as_deref(), Some(text));
        }
    }
    for none in ["HTTP/1.1 200 \r\n\r\n", "HTTP/1.1 200\r\n\r\n", "HTTP/1.0 299 \n\n"] {
        assert_eq!(reason(none.as_bytes()).unwrap_or_default(), b"", "{none:?}");
    }
}

#[test]
fn where_bodies_end() {
    assert_eq!(framing("Content-Length: 5\r\n"), (Length::Exact(5), true));
    assert_eq!(framing("Content-Length: 5\r\nContent-Length: 5, 5\r\n"), (Length::Exact(5), true));
    assert_eq!(framing("Transfer-Encoding: Chunked\r\n"), (Length::Chunked, true));
    let old = "Transfer-Encoding: identity\r\nContent-Length: 5\r\n";
    assert_eq!(framing(old), (Length::Exact(5), false));
    assert_eq!(framing("Transfer-Encoding: identity\r\n"), (Length::UntilClose, false));
    assert_eq!(framing(""), (Length::UntilClose, false));
    let both = read("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_eq!((both.length, both.persistent), (Length::Chunked, false));
    assert!(names(&both).is_empty());
    for line in ["HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified", "HTTP/1.1 103 Hints"] {
        let head = read(&format!("{line}\r\nContent-Length: 5\r\n\r\n"));
        assert_eq!((head.length, head.persistent), (Length::Exact(0), true), "{line}");
    }
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let head = read_as(&Method::HEAD, head).unwrap().unwrap();
    assert_eq!((head.length, head.persistent), (Length::Exact(0), true));
}

#[test]
fn how_names_were_written() {
    let told = |head: &str, named| {
        let head = response(&mut BytesMut::from(head), 0, (&Method::GET, named), LIMIT);
        let head = head.unwrap().unwrap();
        let spelling = head.response.extensions().get::<names::Spelling>();
        spelling.and_then(|spelling| spelling.names().take("x-a").map(<[u8]>::to_vec))
    };
    let (usual, odd) = ("HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n", "HTTP/1.1 200 OK\r\nx-a: 1\r\n\r\n");
    assert_eq!((told(usual, true), told(odd, false)), (None, None));
    assert_eq!(told(odd, true).as_deref(), Some(&b"x-a"[..]));
    // What carries an instruction is not written by hyper.
    let grip = "HTTP/1.1 200 OK\r\nx-a: 1\r\ngrip-hold: stream\r\n\r\n";
    assert_eq!(told(grip, false).as_deref(), Some(&b"x-a"[..]));
}

#[test]
fn one_length_is_said_once_and_the_version_is_ours() {
    for fields in ["Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5, 5"] {
        let head = read(&format!("HTTP/1.0 200 OK\r\n{fields}\r\n\r\n"));
        let lengths: Vec<_> = head.response.headers().get_all(CONTENT_LENGTH).iter().collect();
        assert_eq!(lengths, ["5"], "{fields}");
        assert_eq!(head.response.version(), http::Version::HTTP_11);
    }
}

#[test]
fn what_the_connection_says_is_obeyed_and_left_out() {
    let length = "Content-Length: 1\r\n";
    assert!(!framing(&format!("{length}Connection: Close\r\n")).1);
    assert!(!framing(&format!("{length}Connection: close\r\nConnection: keep-alive\r\n")).1);
    let old = |fields: &str| read(&format!("HTTP/1.0 200 OK\r\n{length}{fields}\r\n")).persistent;
    assert!(!old(""));
    assert!(old("Connection: keep-alive\r\n"));
    let head = "HTTP/1.1 200 OK\r\nA: b\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nC: d\r\n\r\n";
    assert_eq!(names(&read(head)), ["a", "c"]);
    let named = read("HTTP/1.1 200 OK\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\n\r\n");
    assert_eq!(names(&named), ["connection", "x-hop"]);
}

#[test]
fn what_is_in_doubt_is_refused() {
    for fields in [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1, 2\r\n",
        "Content-Length: +1\r\n",
        "Content-Length:\r\n",
        "Content-Length: 0x1\r\n",
        "Content-Length: 99999999999999999999\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding:\r\n",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        assert_eq!(read_as(&Method::GET, &head).err(), Some(HeadError::Framing), "{fields}");
    }
    let old = "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(read_as(&Method::GET, old).err(), Some(HeadError::Framing));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101));
    for head in ["SSH-2.0-x\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", &many, "HTTP/1.1 099 X\r\n\r\n"] {
        let error = read_as(&Method::GET, head).err();
        assert!(matches!(error, Some(HeadError::Syntax(_))), "{head} {error:?}");
    }
    for length in [LIMIT, 2 * LIMIT] {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(length));
        assert_eq!(read_as(&Method::GET, &long).err(), Some(HeadError::TooLarge));
        let whole = format!("{long}\r\n\r\n");
        assert_eq!(read_as(&Method::GET, &whole).err(), Some(HeadError::TooLarge));
    }
}

proptest! {
    #[test]
    fn runs_do_not_matter(run in 1_usize..70) {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nETag: \"x\"\r\n\r\nabc";
        let mut bytes = BytesMut::new();
        let mut head = None;
        let mut seen = 0;
        for part in whole.chunks(run) {
            bytes.extend_from_slice(part);
            if head.is_none() {
                head = response(&mut bytes, seen, (&Method::GET, false), LIMIT).unwrap();
                seen = bytes.len();
            }
        }
        let head = head.unwrap();
        prop_assert_eq!(head.length, Length::Exact(3));
        prop_assert_eq!(&head.response.headers()["etag"], "\"x\"");
        prop_assert!(!head.response.extensions().is_empty());
        prop_assert_eq!(&bytes[..], b"abc");
    }

    #[test]
    fn never_panics(
        text in "(HTTP/1\\.[01] [0-9]{3} ?[A-Za-z ]{0,9}\r\n)?([A-Za-z-]{0,19}:[ -~]{0,20}\r?\n){0,5}\r?\n?.{0,9}",
        seen in 0_usize..100,
    ) {
        let _ = response(&mut BytesMut::from(text.as_str()), seen, (&Method::GET, false), LIMIT);
    }
}
