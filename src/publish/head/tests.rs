//! Tests of `head`: each refusal, each leniency.

use proptest::prelude::*;

use super::*;

const LIMITS: HeadLimits = HeadLimits { head_bytes_max: 200, body_bytes_max: 100 };

fn head(bytes: &[u8]) -> Head {
    let (head, taken) = read_head(bytes, LIMITS).unwrap().expect("complete");
    assert_eq!(taken, bytes.len());
    head
}

fn refusal(bytes: &[u8]) -> Refusal {
    read_head(bytes, LIMITS).unwrap_err().refusal
}

#[test]
fn a_plain_request() {
    let head = head(b"POST /publish/ HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n");
    let expected = Head {
        method: Method::Post,
        endpoint: Endpoint::Publish,
        http_1_0: false,
        closes: false,
        expects_continue: false,
        format: Some(Format::Text),
        body_bytes: 12,
        has_length: true,
    };
    assert_eq!(head, expected);
}

#[test]
fn what_follows_the_head_is_left() {
    let (_, taken) = read_head(b"GET / HTTP/1.1\r\n\r\nGET", LIMITS).unwrap().unwrap();
    assert_eq!(taken, 18);
}

#[test]
fn lines_may_end_in_lf_and_lack_a_colon() {
    let head = head(b"GET / HTTP/1.1\nfoo\nAccept:application/*\n\n");
    assert_eq!(head.format, Some(Format::Json));
}

#[test]
fn empty_lines_before_a_request_are_skipped() {
    assert_eq!(head(b"\r\n\nGET / HTTP/1.1\r\n\r\n").endpoint, Endpoint::Root);
    assert_eq!(read_head(b"\r\n\r\n", LIMITS), Ok(None));
}

#[test]
fn incomplete_until_the_empty_line() {
    let whole = b"GET / HTTP/1.1\r\nA: b\r\n\r\n";
    for end in 0..whole.len() {
        assert_eq!(read_head(&whole[..end], LIMITS), Ok(None), "{end}");
    }
}

#[test]
fn malformed_heads() {
    for bytes in [
        b"GET /\r\n\r\n".as_slice(),
        b"GET\r\n\r\n",
        b" / HTTP/1.1\r\n\r\n",
        b"G@T / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA : b\r\n\r\n",
        b"GET / HTTP/1.1\r\n: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\0\r\n\r\n",
        b"GET /\r HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(refusal(bytes), Refusal::Malformed, "{}", bytes.escape_ascii());
    }
}

#[test]
fn the_limit_counts_the_empty_line() {
    let of = |n: usize| {
        let mut bytes = b"GET / HTTP/1.1\r\nA: ".to_vec();
        bytes.resize(n - 4, b'a');
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    };
    assert!(read_head(&of(200), LIMITS).unwrap().is_some());
    assert_eq!(refusal(&of(201)), Refusal::HeadTooLarge);
    assert_eq!(refusal(&of(300)[..200]), Refusal::HeadTooLarge);
    assert_eq!(read_head(&of(300)[..199], LIMITS), Ok(None));
}

#[test]
fn a_length_is_required_where_there_may_be_a_body() {
    for bytes in [
        b"POST / HTTP/1.1\r\n\r\n".as_slice(),
        b"PUT /x HTTP/1.1\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        assert_eq!(refusal(bytes), Refusal::LengthRequired, "{}", bytes.escape_ascii());
    }
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        assert_eq!(head(format!("{method} / HTTP/1.1\r\n\r\n").as_bytes()).body_bytes, 0);
    }
}

#[test]
fn lengths() {
    let length = |value: &str| {
        let bytes = format!("POST / HTTP/1.1\r\nContent-Length: {value}\r\n\r\n");
        read_head(bytes.as_bytes(), LIMITS)
            .map(|read| read.unwrap().0.body_bytes)
            .map_err(|refused| refused.refusal)
    };
    assert_eq!(length("100"), Ok(100));
    assert_eq!(length(" 007 "), Ok(7));
    for bad in ["", "x", "0x2", "1.0", "2, 2", "+2", "-", "--1", "2\r\nContent-Length: 3"] {
        assert_eq!(length(bad), Err(Refusal::BadLength), "{bad}");
    }
    assert_eq!(length("2\r\nContent-Length: 2"), Ok(2));
    assert_eq!(length("101"), Err(Refusal::BodyTooLarge));
    assert_eq!(length("2147483647"), Err(Refusal::BodyTooLarge));
    for overflow in ["2147483648", "-99999999999", "99999999999999999999999"] {
        assert_eq!(length(overflow), Err(Refusal::BadLength), "{overflow}");
    }
    assert_eq!(length("-5"), Err(Refusal::BodyExceeded));
    assert_eq!(length("-0"), Err(Refusal::BodyExceeded));
    assert_eq!(length("2\r\nTransfer-Encoding: chunked"), Err(Refusal::TwoFramings));
}

#[test]
fn versions_and_connection() {
    assert!(!head(b"GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n").closes);
    assert!(head(b"GET / HTTP/1.1\r\nConnection: foo, Close\r\n\r\n").closes);
    let old = head(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(old.http_1_0 && old.closes);
    let odd = head(b"GET / FOO\r\n\r\n");
    assert!(!odd.http_1_0 && odd.closes);
    let refused = read_head(b"POST / HTTP/1.0\r\n\r\n", LIMITS).unwrap_err();
    assert!(refused.http_1_0);
}

#[test]
fn paths() {
    let endpoint = |target: &str| Endpoint::of(target.as_bytes());
    assert_eq!(endpoint("/"), Endpoint::Root);
    assert_eq!(endpoint("//"), Endpoint::Root);
    assert_eq!(endpoint("/publish"), Endpoint::Publish);
    assert_eq!(endpoint("/publish/"), Endpoint::Publish);
    assert_eq!(endpoint("/recover/"), Endpoint::Recover);
    for target in ["/publish?receipt=1", "/publish/?receipt=1"] {
        assert_eq!(endpoint(target), Endpoint::PublishWithReceipts, "{target}");
    }
    for target in ["/publish//?receipt=1", "/publish?receipt=1/", "/publish?receipt=1&a=b"] {
        assert_eq!(endpoint(target), Endpoint::Unknown, "{target}");
    }
    for target in ["", "*", "/publish//", "/publish?x", "/publish#x", "publish", "http://h/publish"]
    {
        assert_eq!(endpoint(target), Endpoint::Unknown, "{target}");
    }
    assert_eq!(
        head(b"CONNECT / HTTP/1.1\r\nContent-Length: 0\r\n\r\n").endpoint,
        Endpoint::Unknown
    );
}

#[test]
fn methods() {
    for (name, method) in [("POST", Method::Post), ("HEAD", Method::Head)] {
        let bytes = format!("{name} / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(head(bytes.as_bytes()).method, method);
        assert_eq!(method.as_str(), name);
    }
    assert_eq!(head(b"GET / HTTP/1.1\r\n\r\n").method, Method::Other("GET".into()));
}

#[test]
fn accept_fields_are_one_list() {
    for (fields, format) in [
        ("", Some(Format::Text)),
        ("Accept: a\r\n", None),
        ("Accept:\r\n", None),
        ("Accept: a\r\naccept: application/json\r\n", Some(Format::Json)),
        ("Accept: application/json\r\nAccept: b\r\n", Some(Format::Json)),
        ("Accept: application/json\r\nAccept: *, b\r\n", Some(Format::Text)),
    ] {
        let head = head(format!("GET / HTTP/1.1\r\n{fields}\r\n").as_bytes());
        assert_eq!(head.format, format, "{fields}");
    }
}

#[test]
fn which_bytes_a_token_may_have() {
    for byte in 0..=255_u8 {
        let allowed = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert_eq!(is_token(&[byte]), allowed, "{byte}");
        assert_eq!(has_control(&[byte]), byte.is_ascii_control() && byte != b'\t', "{byte}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read_head(&bytes, LIMITS);
    }

    #[test]
    fn what_is_written_is_read(
        method in "[A-Z]{1,8}", path in "/|/publish|/recover|/x", old in any::<bool>(),
        close in any::<bool>(), expect in any::<bool>(), length in 0usize..100,
        json in proptest::option::of(any::<bool>()),
    ) {
        let version = if old { "1.0" } else { "1.1" };
        let mut bytes = format!("{method} {path} HTTP/{version}\r\nContent-Length: {length}\r\n");
        if close { bytes += "Connection: close\r\n"; }
        if expect { bytes += "Expect: 100-continue\r\n"; }
        if let Some(json) = json {
            bytes += if json { "Accept: application/json\r\n" } else { "Accept: text/*\r\n" };
        }
        bytes += "\r\n";
        let head = head(bytes.as_bytes());
        prop_assert_eq!(head.method.as_str(), method.as_str());
        prop_assert_eq!(head.http_1_0, old);
        prop_assert_eq!(head.closes, close || old);
        prop_assert_eq!(head.expects_continue, expect && !old);
        prop_assert_eq!(head.format == Some(Format::Json), json == Some(true));
        prop_assert_eq!(head.body_bytes, length);
        if method != "CONNECT" { prop_assert_eq!(head.endpoint, Endpoint::of(path.as_bytes())); }
    }
}
