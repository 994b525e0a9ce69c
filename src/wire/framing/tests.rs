//! Tests of the guard: each refusal, what is let through, and that it does not matter how the bytes
//! are cut into runs.

use proptest::prelude::*;

use super::*;

/// The first violation in `runs`, its offset counted from the first byte of all, and its run's
/// begin.
fn feed<'a>(runs: impl IntoIterator<Item = &'a [u8]>) -> (HeadGuard, Option<(Violation, usize)>) {
    let mut guard = HeadGuard::new(8192);
    let mut begin = 0;
    for run in runs {
        if let Err(violation) = guard.feed(run) {
            assert!(violation.offset <= run.len());
            return (guard, Some((violation, begin)));
        }
        begin += run.len();
    }
    (guard, None)
}

fn refused(bytes: &[u8]) -> Option<Violation> {
    feed([bytes]).1.map(|(violation, _)| violation)
}

fn kind(request: &str) -> Option<Kind> {
    refused(request.as_bytes()).map(|violation| violation.kind)
}

/// A request with these header lines, then two bytes.
fn headers(lines: &str) -> Option<Kind> {
    kind(&format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\nab"))
}

fn chunks(body: &str) -> Option<Kind> {
    kind(&format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}"))
}

const GOOD: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.0\n\n",
    "\r\n\n\r\nGET /a?b=%20'c|d HTTP/1.1\nHost: a\n\n",
    "POST / HTTP/1.1\r\nContent-Length: 22\r\n\r\nGET / HTTP/9\r\nA b\0\r\n \r\n",
    "POST / HTTP/1.1\r\nContent-Length:\t5 \r\ncontent-length: 05\r\n\r\nabcde",
    "PUT / HTTP/1.1\r\nTRANSFER-encoding: \tChunked\t\r\nX:\r\nY: \x09é\r\n\r\n5\r\nGET /\r\nA  ; x=\"y\r\n0123456\r\n9\r\n0\r\nTrailer: x\r\nContent-Length: x\r\n\r\n",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n000;a\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
    "GET /a?b=`c`#`d HTTP/1.1\r\n\r\nGET /#` HTTP/1.1\r\n\r\nGET http://a:80?` HTTP/1.1\r\n\r\n",
    "CONNECT a:80 HTTP/1.1\r\n\r\n",
    "!#$%&'*+-.^_`|~09azAZ http://a/ HTTP/1.1\r\n!#$%&'*+-.^_`|~09azAZ: b\r\n\r\n",
];

const BAD: &[(&str, Kind)] = &[
    ("(: x", Kind::HeaderName),
    ("Content-Length: 5\r\nTransfer-Encoding: chunked", Kind::LengthAndEncoding),
    ("Transfer-Encoding: chunked\r\nContent-Length: 5", Kind::LengthAndEncoding),
    ("Content-Length: 2\r\nContent-Length: 3", Kind::LengthsDiffer),
    ("Content-Length: 5, 6", Kind::Length),
    ("Content-Length: x\0", Kind::Length),
    ("Content-Length: \0x", Kind::Control),
    ("Content-Length: 2,2", Kind::Length),
    ("Content-Length: +2", Kind::Length),
    ("Content-Length: -2", Kind::Length),
    ("Content-Length: 2 2", Kind::Length),
    ("Content-Length: 0x2", Kind::Length),
    ("Content-Length:", Kind::Length),
    ("Content-Length: \t", Kind::Length),
    ("Content-Length: 9223372036854775808", Kind::Length),
    ("Content-Length: 99999999999999999999999", Kind::Length),
    ("Transfer-Encoding: gzip, chunked", Kind::Encoding),
    ("Transfer-Encoding: chunked, chunked", Kind::Encoding),
    ("Transfer-Encoding: chunkedx", Kind::Encoding),
    ("Transfer-Encoding: chunk ed", Kind::Encoding),
    ("Transfer-Encoding: chunke", Kind::Encoding),
    ("Transfer-Encoding:", Kind::Encoding),
    ("Transfer-Encoding: identity", Kind::Encoding),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Kind::EncodingTwice),
    ("X: a\r\n b", Kind::Folding),
    ("X: a\r\n\tb", Kind::Folding),
    ("X: a\rb", Kind::BareCr),
    ("X: a\r\r", Kind::BareCr),
    ("X: a\0b", Kind::Control),
    ("X: a\x0bb", Kind::Control),
    ("X: a\x7f", Kind::Control),
    ("X : a", Kind::SpaceBeforeColon),
    ("Content-Length : 5", Kind::SpaceBeforeColon),
    ("Transfer-Encoding\t: chunked", Kind::SpaceBeforeColon),
    (": a", Kind::HeaderNameEmpty),
    ("X", Kind::HeaderName),
    ("X\0: a", Kind::HeaderName),
    ("Xé: a", Kind::HeaderName),
    ("X\ra: a", Kind::HeaderName),
    ("\0: a", Kind::HeaderName),
];

const BAD_LINES: &[(&str, Kind)] = &[
    ("\x16\x03\x01", Kind::Method),
    (" GET / HTTP/1.1\r\n", Kind::Method),
    ("G@T / HTTP/1.1\r\n", Kind::Method),
    ("GET\r\n", Kind::Method),
    ("GET\t/ HTTP/1.1\r\n", Kind::Method),
    ("\rGET / HTTP/1.1\r\n", Kind::BareCr),
    ("GET  / HTTP/1.1\r\n", Kind::Target),
    ("GET /a\tb HTTP/1.1\r\n", Kind::Target),
    ("GET /\0 HTTP/1.1\r\n", Kind::Target),
    ("GET /é HTTP/1.1\r\n", Kind::Target),
    ("GET /\" HTTP/1.1\r\n", Kind::Target),
    ("GET /a`b?` HTTP/1.1\r\n", Kind::Target),
    ("GET x/y HTTP/1.1\r\n", Kind::TargetForm),
    ("GET ?x HTTP/1.1\r\n", Kind::TargetForm),
    ("GET http:///x HTTP/1.1\r\n", Kind::TargetForm),
    ("GET http://a`/x HTTP/1.1\r\n", Kind::TargetForm),
    ("OPTIONS *?x HTTP/1.1\r\n", Kind::TargetForm),
    ("GET /\r\n", Kind::Version),
    ("GET /  HTTP/1.1\r\n", Kind::Version),
    ("GET / b HTTP/1.1\r\n", Kind::Version),
    ("GET / http/1.1\r\n", Kind::Version),
    ("GET / HTTP/1.2\r\n", Kind::Version),
    ("GET / HTTP/1.1 \r\n", Kind::Version),
    ("GET / HTTP/1.10\r\n", Kind::Version),
    ("GET / HTTP/0.9\r\n", Kind::Version),
    ("GET / HTTP/1.1\rX", Kind::BareCr),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Kind::Http2),
    ("GET / HTTP/1.1\r\n X: a\r\n", Kind::Folding),
    ("GET / HTTP/1.1\r\n\rX: a\r\n", Kind::BareCr),
    ("GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", Kind::EncodingInHttp10),
];

const BAD_CHUNKS: &[(&str, Kind)] = &[
    ("\r\n", Kind::ChunkSize),
    ("x\r\n", Kind::ChunkSize),
    ("-1\r\n", Kind::ChunkSize),
    ("0x5\r\n", Kind::ChunkSize),
    (";a\r\n", Kind::ChunkSize),
    (" 5\r\n", Kind::ChunkSize),
    ("5 5\r\n", Kind::ChunkSize),
    ("5\n", Kind::ChunkSize),
    ("5;a\n", Kind::ChunkSize),
    ("5;a\rb", Kind::ChunkSize),
    ("5\rX", Kind::ChunkSize),
    ("5;\0", Kind::ChunkSize),
    ("100000000\r\n", Kind::ChunkTooLarge),
    ("fffffffffffffffff\r\n", Kind::ChunkTooLarge),
    ("2\r\nabc", Kind::ChunkSuffix),
    ("2\r\nab\n", Kind::ChunkSuffix),
    ("2\r\nab\rX", Kind::ChunkSuffix),
    ("0\r\n\n", Kind::BareLf),
    ("0\r\nA: b\n", Kind::BareLf),
    ("0\r\n A: b\r\n", Kind::Folding),
    ("0\r\nA : b\r\n", Kind::SpaceBeforeColon),
];

#[test]
fn what_is_let_through() {
    for request in GOOD {
        let (guard, violation) = feed([request.as_bytes()]);
        assert_eq!(violation, None, "{request:?}");
        assert!(guard.is_between_requests(), "{request:?}");
    }
    let (guard, violation) = feed([GOOD.concat().as_bytes()]);
    assert!(violation.is_none() && guard.is_between_requests());
    assert_eq!(chunks("ffffffff\r\n"), None);
    assert_eq!(headers("Content-Length: 9223372036854775807"), None);
}

#[test]
fn what_is_refused() {
    for (lines, expected) in BAD {
        assert_eq!(headers(lines), Some(*expected), "{lines:?}");
    }
    for (request, expected) in BAD_LINES {
        assert_eq!(kind(request), Some(*expected), "{request:?}");
    }
    for (body, expected) in BAD_CHUNKS {
        assert_eq!(chunks(body), Some(*expected), "{body:?}");
    }
}

#[test]
fn limits() {
    let request = |length: usize| {
        let rest = "GET / HTTP/1.1\r\nA: \r\n\r\n".len();
        format!("\r\nGET / HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(length - rest))
    };
    assert_eq!(kind(&request(8192).repeat(3)), None);
    assert_eq!(kind(&request(8193)), Some(Kind::HeadTooLarge(8192)));
    let many = |n: usize| kind(&format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(n)));
    assert_eq!((many(100), many(101)), (None, Some(Kind::TooManyHeaders(100))));
    let trailers = |n: usize| chunks(&format!("1\r\na\r\n0\r\nA: {}\r\n\r\n", "a".repeat(n)));
    let rest = "A: \r\n\r\n".len();
    assert_eq!(trailers(8192 - rest), None);
    assert_eq!(trailers(8193 - rest), Some(Kind::HeadTooLarge(8192)));
    assert_eq!(chunks(&format!("1;{}", "a".repeat(5000))), Some(Kind::ChunkSize));
    assert_eq!(chunks(&"0".repeat(5000)), Some(Kind::ChunkSize));
    assert_eq!(chunks(&"1\r\na\r\n".repeat(5000)), None);
    assert_eq!(kind(&"\r\n".repeat(4096)), None);
    assert_eq!(kind(&"\r\n".repeat(4097)), Some(Kind::HeadTooLarge(8192)));
}

#[test]
fn what_came_before_may_be_passed_on() {
    let good = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc\r\n";
    let offset = |rest: &str| refused(format!("{good}{rest}").as_bytes()).unwrap().offset;
    assert_eq!(offset("GET / HTTP/1.1\r\nX: a\0"), good.len());
    assert_eq!(offset("GET / HTTP/1.1\r\n\r\n\0"), good.len() + 18);
    assert_eq!(offset("\0"), good.len());
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n";
    assert_eq!(offset(&format!("{chunked}5x")), good.len() + chunked.len() + 1);
    // The head began in an earlier run: nothing of this one is of use.
    let (_, violation) = feed([&b"GET / HTTP/1.1\r\nX: "[..], b"a\0"]);
    assert_eq!(violation.unwrap().0.offset, 0);
}

#[test]
fn texts() {
    let text = |lines: &str| {
        let request = format!("GET / HTTP/1.1\r\n{lines}\r\n\r\n");
        let violation = refused(request.as_bytes()).unwrap();
        (violation.status(), violation.body(), violation.to_string())
    };
    let (status, body, shown) = text("Content-Length: 5\r\nTransfer-Encoding: chunked");
    assert_eq!((status, body.as_str()), (400, "Failed to parse request: invalid content length"));
    assert_eq!(
        shown,
        "Failed to parse request: invalid content length in `transfer-encoding`; expected \
         `Content-Length` or `Transfer-Encoding`, not both"
    );
    assert!(text("X-Abc: a\0").2.contains("invalid header value in `x-abc`; expected no control"));
    let long = format!("{}: \0", "a".repeat(100));
    assert!(text(&long).2.contains(&format!("in `{}`;", "a".repeat(32))));
    let (status, body, _) = text(&format!("X: {}", "a".repeat(9000)));
    let expected = "Request header size exceeded limit of 8192 bytes.";
    assert_eq!((status, body.as_str()), (431, expected));
    assert_eq!(refused(b"PRI * HTTP/2.0\r\n").unwrap().status(), 505);
}

#[test]
fn once_refused_always_refused_and_once_released_never() {
    let mut guard = HeadGuard::new(8192);
    assert!(guard.feed(b"\0").is_err());
    assert_eq!(guard.feed(b"GET / HTTP/1.1\r\n\r\n").unwrap_err().kind, Kind::Method);
    let mut guard = HeadGuard::new(8192);
    guard.feed(b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n").unwrap();
    guard.release();
    guard.feed(b"\x81\x85\0\0\0\0").unwrap();
}

#[test]
fn every_cut_gives_the_same() {
    let bad = BAD.iter().map(|(lines, _)| format!("PUT / HTTP/1.1\r\n{lines}\r\n\r\n"));
    let bad_lines = BAD_LINES.iter().map(|(line, _)| (*line).to_owned());
    let bad_chunks = BAD_CHUNKS
        .iter()
        .map(|(body, _)| format!("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}"));
    let good = GOOD.iter().map(|good| (*good).to_owned());
    for request in bad.chain(bad_lines).chain(bad_chunks).chain(good) {
        let bytes = format!("{}{request}", GOOD[0]).into_bytes();
        let whole = refused(&bytes);
        let outcome = |cut: Option<(Violation, usize)>| cut.map(|(v, _)| (v.kind, v.header));
        for cut in 0..=bytes.len() {
            let (one, two) = bytes.split_at(cut);
            assert_eq!(
                outcome(feed([one, two]).1),
                whole.map(|v| (v.kind, v.header)),
                "{request:?} cut at {cut}"
            );
        }
        assert_eq!(outcome(feed(bytes.chunks(1)).1), whole.map(|v| (v.kind, v.header)));
    }
}

/// Bytes that get deep into the grammar.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::sample::select(GOOD).prop_map(|good| good.as_bytes().to_vec()),
        2 => prop::sample::select(BAD).prop_map(|(lines, _)| lines.as_bytes().to_vec()),
        2 => "[\r\n\t :;0-9a-fx]{0,6}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..5),
        2 => Just(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec()),
        2 => Just(b"POST / HTTP/1.1\r\nContent-Length: 7\r\n\r\n".to_vec()),
    ]
}

proptest! {
    /// Or hyper would refuse it, without a word.
    #[test]
    fn a_target_that_passes_is_one(target in "([*/]|http://|a:|)[!-~]{0,12}") {
        let passes = kind(&format!("GET {target} HTTP/1.1\r\n")).is_none();
        prop_assert!(!passes || target.parse::<http::Uri>().is_ok(), "{}", target);
    }

    #[test]
    fn cuts_do_not_matter(
        pieces in prop::collection::vec(piece(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let bytes = pieces.concat();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let runs = cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]);
        let (mut whole, violation) = feed([&bytes[..]]);
        let (mut cut, found) = feed(runs);
        prop_assert_eq!(whole.state, cut.state);
        prop_assert_eq!(whole.spelled(), cut.spelled());
        match (violation, found) {
            (None, None) => prop_assert_eq!(whole.counted, cut.counted),
            (Some((a, _)), Some((b, begin))) => {
                prop_assert_eq!((a.kind, a.header), (b.kind, b.header));
                // What may be passed on is never more than it was in one run, or in runs before.
                prop_assert!(begin.max(a.offset) == begin + b.offset);
            }
            other => prop_assert!(false, "{:?}", other),
        }
    }

    /// What is read by lines is read as what comes byte by byte.
    #[test]
    fn whole_heads_are_no_others(
        names in prop::collection::vec(
            "[A-Za-z-]{1,12}|Content-Length|content-length|Transfer-Encoding", 0..5),
        value in "[0-9]|chunked|[ -~\t]{0,9}",
        place in any::<prop::sample::Index>(),
        odd in prop::option::weighted(0.5, any::<u8>()),
        limit in 50_usize..120,
    ) {
        let line = |name: &String| format!("{name}: {value}\r\n");
        let lines: String = names.iter().map(line).collect();
        let mut bytes = format!("GET /some/where HTTP/1.1\r\n{lines}\r\nGET").into_bytes();
        if let Some(odd) = odd {
            let place = place.index(bytes.len());
            bytes[place] = odd;
        }
        let (mut whole, mut cut) = (HeadGuard::new(limit), HeadGuard::new(limit));
        let fed = whole.feed(&bytes).map_err(|violation| (violation.kind, violation.header));
        let cut_fed = bytes.iter().try_for_each(|byte| cut.feed(&[*byte]));
        prop_assert_eq!(fed, cut_fed.map_err(|violation| (violation.kind, violation.header)));
        prop_assert_eq!(whole.state, cut.state);
        if fed.is_ok() {
            prop_assert_eq!((whole.counted, whole.framing), (cut.counted, cut.framing));
        }
        prop_assert_eq!(whole.spelled(), cut.spelled());
    }
}

#[test]
fn most_heads_are_read_by_lines() {
    let head = "GET /a?b HTTP/1.1\r\nHost: a\r\nx-y: \tz\r\nContent-Length: 3\r\n\r\n";
    let bytes = format!("{head}abc");
    let whole = whole::read(bytes.as_bytes(), head.len()).unwrap();
    assert_eq!((whole.length, whole.unusual), (head.len(), true));
    assert_eq!(whole.names[..], [&b"Host"[..], b"x-y", b"Content-Length"]);
    assert_eq!(whole.framing.length, Some(3));
    assert!(whole::read(bytes.as_bytes(), head.len() - 1).is_none());
}
