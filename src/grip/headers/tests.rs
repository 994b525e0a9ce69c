//! Instructions from headers: every rule, every error text, and that documents say the same.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{InstructError, instruction, is_instruction};
use crate::grip::instruction::{Hold, Instruction, KeepAliveMode, Link};

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_bytes(value.as_bytes()).unwrap(),
        );
    }
    map
}

fn try_read(fields: &[(&str, &str)]) -> Result<Instruction, InstructError> {
    instruction(200, Some(b"OK"), &headers(fields), Bytes::from_static(b"body"))
}

fn read(fields: &[(&str, &str)]) -> Instruction {
    try_read(fields).unwrap()
}

#[test]
fn what_is_an_instruction() {
    for (fields, yes) in [
        (&[("Grip-Hold", "x")][..], true),
        (&[("gRIP-Foo", "x")], true),
        (&[("Content-Type", "application/grip-instruct")], true),
        (&[("Content-Type", "application/grip-instruct; charset=utf-8")], true),
        (&[("Content-Type", "Application/Grip-Instruct")], false),
        (&[("Content-Type", "application/grip-instruct ; x")], false),
        (&[("Content-Type", "text/plain"), ("X-Grip-A", "x"), ("Grip", "x")], false),
        (&[], false),
    ] {
        assert_eq!(is_instruction(&headers(fields)), yes, "{fields:?}");
    }
}

#[test]
fn nothing_but_a_grip_header() {
    let read = read(&[("Grip-Foo", "x")]);
    assert_eq!(read.hold, None);
    assert_eq!(read.timeout_s, 55);
    assert_eq!((read.response.code, &read.response.reason[..]), (200, &b"OK"[..]));
    assert_eq!(read.response.headers, []);
    assert_eq!(read.response.body, "body");
}

#[test]
fn holds_and_timeouts() {
    assert_eq!(read(&[("Grip-Hold", "stream"), ("Grip-Hold", "x")]).hold, Some(Hold::Stream));
    assert_eq!(read(&[("grip-hold", "response")]).hold, Some(Hold::Response));
    for (value, seconds) in [("1", 5), ("0", 5), ("5", 5), ("+60", 60), ("2147483647", 2147483647)]
    {
        assert_eq!(read(&[("Grip-Timeout", value)]).timeout_s, seconds);
    }
}

/// Name, prev-id, filters.
type Told = (String, Option<String>, Vec<String>);

fn channels(fields: &[(&str, &str)]) -> Vec<Told> {
    let owned = |text: &str| text.to_owned();
    read(fields)
        .channels
        .iter()
        .map(|c| {
            let filters = c.filters.iter().map(|f| owned(f)).collect();
            (owned(&c.name), c.prev_id.as_deref().map(owned), filters)
        })
        .collect()
}

#[test]
fn channel_lists() {
    let plain = |name: &str| (name.to_owned(), None, vec![]);
    let with = |name: &str, id: &str| (name.to_owned(), Some(id.to_owned()), vec![]);
    for (value, expected) in [
        ("a", vec![plain("a")]),
        ("a, ,b", vec![plain("a"), plain(""), plain("b")]),
        ("a,", vec![plain("a")]),
        (";x", vec![plain("")]),
        ("", vec![]),
        (r#""a,b""#, vec![plain(r#""a,b""#)]),
        (r#"a;x="1,2",b"#, vec![plain("a"), plain("b")]),
        (r#"a, b;x="1"#, vec![plain("a")]),
        (r#"a;x="\"", b"#, vec![plain("a"), plain("b")]),
        ("a; PREV-ID = 5", vec![with("a", "5")]),
        ("a; prev-id=", vec![with("a", "")]),
        (r#"a; prev-id="""#, vec![plain("a")]),
        ("a; prev-id", vec![plain("a")]),
        (r#"a; prev-id="1;2""#, vec![with("a", "1;2")]),
        ("a; prev-id=1; prev-id=2", vec![with("a", "1")]),
        ("a; prev-id=1, b, a; prev-id=2", vec![with("a", "2"), plain("b")]),
        ("é", vec![plain("é")]),
    ] {
        assert_eq!(channels(&[("Grip-Channel", value)]), expected, "{value}");
    }
    let filters = channels(&[("Grip-Channel", "a; filter=x; Filter=y; filter=\"z\"; filter=")]);
    assert_eq!(filters[0].2, ["x", "z", ""]);
    let repeated = channels(&[("Grip-Channel", "a, b"), ("Grip-Channel", "c")]);
    assert_eq!(repeated, [plain("a"), plain("b"), plain("c")]);
}

#[test]
fn keep_alives() {
    for (value, data, mode, timeout_s) in [
        ("x", &b"x"[..], KeepAliveMode::Idle, 55),
        ("a, b", b"a, b", KeepAliveMode::Idle, 55),
        (r#""he;llo"; timeout=1"#, br#""he"#, KeepAliveMode::Idle, 1),
        ("x; timeout=0", b"x", KeepAliveMode::Idle, 1),
        (r#"x; mode="interval"; Timeout=20"#, b"x", KeepAliveMode::Interval, 20),
        ("x; mode=; format=", b"x", KeepAliveMode::Idle, 55),
        (r"\r\n\x41\q; format=cstring; mode=idle", b"\r\nA", KeepAliveMode::Idle, 55),
        ("a-_Gx sb!G8; format=base64", b"hlllo", KeepAliveMode::Idle, 55),
        ("!!!!; format=base64", b"", KeepAliveMode::Idle, 55),
        (r"\n; format=raw", br"\n", KeepAliveMode::Idle, 55),
    ] {
        let keep_alive = read(&[("Grip-Keep-Alive", value)]).keep_alive.unwrap();
        assert_eq!(keep_alive.data, data, "{value}");
        assert_eq!((keep_alive.mode, keep_alive.timeout_s), (mode, timeout_s), "{value}");
    }
    for value in ["", r#"x; timeout="3"#, r#"x; mode="x\"#] {
        assert_eq!(read(&[("Grip-Keep-Alive", value)]).keep_alive, None, "{value}");
    }
}

#[test]
fn meta() {
    let pair = |name: &str, value: &str| (Box::from(name), Some(Box::from(value)));
    let read = read(&[
        ("Grip-Set-Meta", r#"user=a, id_format="%(x)s;,"; more=1, bare"#),
        ("Grip-Set-Meta", "user = b, empty=, quoted=\"\""),
    ]);
    let expected = [
        pair("user", "b"),
        pair("id_format", "%(x)s;,"),
        ("bare".into(), None),
        pair("empty", ""),
        ("quoted".into(), None),
    ];
    assert_eq!(read.meta, expected);
}

#[test]
fn statuses() {
    for (value, code, reason) in [
        ("404", 404, "Not Found"),
        ("404 Gone fishing", 404, "Gone fishing"),
        ("404  X", 404, " X"),
        ("404 ", 404, "Not Found"),
        ("+5 Q", 5, "Q"),
        ("0", 0, "Undefined Reason"),
        ("999", 999, "Undefined Reason"),
        ("", 200, "OK"),
    ] {
        let response = read(&[("Grip-Status", value)]).response;
        assert_eq!((response.code, &response.reason[..]), (code, reason.as_bytes()), "{value}");
    }
    let no_reason = instruction(418, None, &headers(&[("Grip-Foo", "")]), Bytes::new()).unwrap();
    assert_eq!(no_reason.response.reason, "Undefined Reason");
    let empty = instruction(200, Some(b""), &headers(&[("Grip-Foo", "")]), Bytes::new()).unwrap();
    assert_eq!(empty.response.reason, "");
}

#[test]
fn links() {
    let link = |uri: &str, timeout_s| Some(Link { uri: uri.into(), timeout_s });
    for (value, next, gone) in [
        ("</a?b=1>; rel=next", link("/a?b=1", 120), None),
        ("<http://h/x>; rel=next; timeout=0", link("http://h/x", 0), None),
        (r#"</a>; REL="next"; timeout="7""#, link("/a", 7), None),
        ("</a>; rel=next, </b>; rel=next", link("/b", 120), None),
        ("</a>; rel=gone; timeout=bad", None, link("/a", 0)),
        ("</a>; rel=next, <b>; rel=gone", link("/a", 120), link("b", 0)),
        ("</a>", None, None),
        ("nonsense", None, None),
        ("nonsense; rel=other", None, None),
        ("</a>; rel=NEXT", None, None),
        ("</a>; timeout=bad", None, None),
    ] {
        let read = read(&[("Grip-Link", value)]);
        assert_eq!((read.next, read.gone), (next, gone), "{value}");
    }
}

#[test]
fn every_error() {
    let hold = "Grip-Hold must be set to either 'response' or 'stream'";
    let status = "Grip-Status contains invalid status code";
    for (name, value, message) in [
        ("Grip-Hold", "", hold),
        ("Grip-Hold", "Response", hold),
        (
            "Grip-Channel",
            "a; filter=1; filter=2; filter=3; filter=4; filter=5; filter=6",
            "too many filters for channel 'a'",
        ),
        ("Grip-Timeout", "", "failed to parse Grip-Timeout"),
        ("Grip-Timeout", "5.5", "failed to parse Grip-Timeout"),
        ("Grip-Timeout", "5; x", "failed to parse Grip-Timeout"),
        ("Grip-Timeout", "2147483648", "failed to parse Grip-Timeout"),
        ("Grip-Timeout", "-1", "Grip-Timeout has invalid value"),
        ("Grip-Keep-Alive", "; timeout=3", "Grip-Keep-Alive cannot be empty"),
        ("Grip-Keep-Alive", "x; mode=Idle", "no such Grip-Keep-Alive mode 'Idle'"),
        ("Grip-Keep-Alive", "x; format=json", "no such Grip-Keep-Alive format 'json'"),
        ("Grip-Keep-Alive", "x; timeout=", "failed to parse Grip-Keep-Alive timeout value"),
        ("Grip-Keep-Alive", "x; timeout=-1", "Grip-Keep-Alive timeout has invalid value"),
        (
            "Grip-Keep-Alive",
            r"x\; format=cstring",
            "failed to parse Grip-Keep-Alive cstring format",
        ),
        // The order of checks: mode, timeout, format.
        (
            "Grip-Keep-Alive",
            "x; format=bad; timeout=bad; mode=bad",
            "no such Grip-Keep-Alive mode 'bad'",
        ),
        (
            "Grip-Keep-Alive",
            "x; format=bad; timeout=bad",
            "failed to parse Grip-Keep-Alive timeout value",
        ),
        ("Grip-Status", "abc", status),
        ("Grip-Status", "404x", status),
        ("Grip-Status", "-1", status),
        ("Grip-Status", "1000", status),
        ("Grip-Link", "a; rel=next", "failed to parse Grip-Link value"),
        ("Grip-Link", "<>; rel=gone", "failed to parse Grip-Link value"),
        ("Grip-Link", "<http://[>; rel=next", "Grip-Link contains invalid link"),
        ("Grip-Link", "</a>; rel=next; timeout=x", "failed to parse Grip-Link timeout value"),
        ("Grip-Link", "</a>; rel=next; timeout=-1", "Grip-Link timeout has invalid value"),
    ] {
        let error = try_read(&[(name, value)]).unwrap_err();
        assert_eq!(error, InstructError { message: message.into(), field: name }, "{value}");
    }
}

fn relayed(fields: &[(&str, &str)]) -> Vec<String> {
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    let headers = read(fields).response.headers;
    headers.iter().map(|f| format!("{}: {}", text(&f.name), text(&f.value))).collect()
}

#[test]
fn what_the_client_sees() {
    let fields = [
        ("Content-Type", "text/plain"),
        ("Connection", "close"),
        ("Keep-Alive", "x"),
        ("Transfer-Encoding", "chunked"),
        ("Content-Length", "4"),
        ("Content-Encoding", "gzip"),
        ("etag", "\"1\""),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
        ("Grip-Foo", "x"),
    ];
    let kept = ["Content-Type: text/plain", "Etag: \"1\"", "Set-Cookie: a=1", "Set-Cookie: b=2"];
    let held: Vec<_> = fields.into_iter().chain([("Grip-Hold", "stream")]).collect();
    assert_eq!(relayed(&held), kept);
    // Relayed whole, an encoded body needs its header.
    assert_eq!(relayed(&fields)[1], "Content-Encoding: gzip");
    let exposed: Vec<_> =
        held.into_iter().chain([("Grip-Expose-Headers", "ETAG, X-None")]).collect();
    assert_eq!(relayed(&exposed), ["Etag: \"1\""]);
    assert_eq!(read(&exposed).expose_headers, ["etag".into(), "x-none".into()]);
    assert_eq!(relayed(&[("X-A", "1"), ("Grip-Expose-Headers", "")]), ["X-A: 1"]);
}

/// What both forms of an instruction can say.
fn both(
    mode: &str,
    names: &[(String, Option<String>, Vec<String>)],
    timeout: u32,
    keep_alive: &[u8],
    meta: &[(String, String)],
    code: u16,
) -> (Instruction, Instruction) {
    let data = crate::wire::text::base64_encode(keep_alive);
    let mut fields = vec![
        ("Grip-Hold", mode.to_owned()),
        ("Grip-Timeout", timeout.to_string()),
        ("Grip-Keep-Alive", format!("{data}; format=base64; mode=interval; timeout=7")),
        ("Grip-Status", code.to_string()),
    ];
    for (name, prev_id, filters) in names {
        let prev_id = prev_id.iter().map(|id| format!("; prev-id={id}"));
        let filters = filters.iter().map(|filter| format!("; filter=\"{filter}\""));
        let parameters: String = prev_id.chain(filters).collect();
        fields.push(("Grip-Channel", format!("{name}{parameters}")));
    }
    for (name, value) in meta {
        fields.push(("Grip-Set-Meta", format!("{name}=\"{value}\"")));
    }
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let channels: Vec<_> = names
        .iter()
        .map(|(name, prev_id, filters)| {
            let mut channel = serde_json::json!({ "name": name, "filters": filters });
            if let Some(id) = prev_id {
                channel["prev-id"] = id.as_str().into();
            }
            channel
        })
        .collect();
    let members = meta.iter().map(|(n, v)| (n.clone(), v.as_str().into()));
    let meta: serde_json::Map<String, serde_json::Value> = members.collect();
    let document = serde_json::json!({
        "hold": {
            "mode": mode, "channels": channels, "timeout": timeout, "meta": meta,
            "keep-alive": { "content-bin": data, "timeout": 7 },
        },
        "response": { "code": code, "body": "body" },
    });
    let document = Bytes::from(document.to_string());
    let fields_of_document = headers(&[("Content-Type", "application/grip-instruct")]);
    (read(&fields), instruction(200, None, &fields_of_document, document).unwrap())
}

proptest::proptest! {
    #[test]
    fn documents_say_the_same(
        mode in "response|stream",
        names in proptest::collection::vec(
            ("[a-zé]{1,3}", proptest::option::of("[a-z0-9]{1,3}"),
             proptest::collection::vec("[a-z-]{1,5}", 0..=5)), 0..5),
        timeout in 0..100_u32,
        keep_alive in proptest::collection::vec(proptest::num::u8::ANY, 1..9),
        meta in proptest::collection::btree_map("[a-z]{1,2}", "[a-z,; ]{1,3}", 0..4),
        code in 0..1000_u16,
    ) {
        let meta: Vec<_> = meta.into_iter().collect();
        let (from_headers, from_document) = both(&mode, &names, timeout, &keep_alive, &meta, code);
        proptest::prop_assert_eq!(from_headers, from_document);
    }

    #[test]
    fn nothing_panics(
        name in "grip-(hold|channel|timeout|keep-alive|set-meta|status|expose-headers|link)",
        value in "[a-z0-9<>;,=\"\\\\ é/:-]{0,30}",
        body: Vec<u8>,
    ) {
        let _ = try_read(&[(&name, &value)]);
        let fields = headers(&[("content-type", "application/grip-instruct"), (&name, &value)]);
        let _ = instruction(200, None, &fields, Bytes::from(body));
    }
}

#[test]
fn a_channel_may_leave_its_id_to_the_client() {
    let said = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("grip-channel", value.parse().unwrap());
        let read = instruction(200, None, &headers, Bytes::new()).unwrap();
        read.channels.iter().map(|channel| channel.last_event_id).collect::<Vec<_>>()
    };
    assert_eq!(said("a; last-event-id, b; Last-Event-Id=true; prev-id=1"), [true, true]);
    assert_eq!(said("a; last-event-id=\"true\", b; last-event-id=false, c"), [true, false, false]);
    let document = Bytes::from_static(
        br#"{"hold":{"channels":[{"name":"a","last-event-id":true},{"name":"b"}]}}"#,
    );
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/grip-instruct".parse().unwrap());
    let read = instruction(200, None, &headers, document).unwrap();
    assert!(read.channels[0].last_event_id && !read.channels[1].last_event_id);
}
