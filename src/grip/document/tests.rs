//! Documents: what they say, over what headers say, and every error text.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::grip::channel::Channel;
use crate::grip::headers::instruction;
use crate::grip::instruction::{Hold, Instruction, KeepAlive, KeepAliveMode};

fn try_read(code: u16, more: &[(&str, &str)], document: &str) -> Result<Instruction, String> {
    let mut headers = HeaderMap::new();
    let kind = ("Content-Type", "application/grip-instruct; charset=utf-8");
    for (name, value) in std::iter::once(&kind).chain(more) {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let body = Bytes::copy_from_slice(document.as_bytes());
    instruction(code, Some(b"Fine"), &headers, body).map_err(|error| error.message)
}

fn read(more: &[(&str, &str)], document: &str) -> Instruction {
    try_read(200, more, document).unwrap()
}

fn names(instruction: &Instruction) -> Vec<&str> {
    instruction.channels.iter().map(|channel| &*channel.name).collect()
}

#[test]
fn a_whole_document() {
    let read = read(
        &[("X-Backend", "1")],
        r#"{"hold":{"mode":"stream","timeout":"20","channels":[
             {"name":"a","prev-id":"","filters":["f","g"],"more":1},{"name":"b"}],
             "keep-alive":{"content":"x","content-bin":"aGk","timeout":0},
             "meta":{"user":"u"}},
            "response":{"code":"201","reason":"Made","body":"x","body-bin":"aGk=",
             "headers":{"b":"1","A":"x","Content-Length":"9","keep-alive":"x","Grip-A":"1"}}}"#,
    );
    assert_eq!(read.hold, Some(Hold::Stream));
    assert_eq!(read.timeout_s, 20);
    let channel = Channel {
        name: "a".into(),
        prev_id: Some("".into()),
        last_event_id: false,
        filters: vec!["f".into(), "g".into()],
    };
    assert_eq!(read.channels[0], channel);
    assert_eq!(names(&read), ["a", "b"]);
    let keep_alive = KeepAlive { data: "hi".into(), mode: KeepAliveMode::Interval, timeout_s: 1 };
    assert_eq!(read.keep_alive, Some(keep_alive));
    assert_eq!(read.meta, [("user".into(), Some("u".into()))]);
    assert_eq!((read.response.code, &read.response.reason[..]), (201, &b"Made"[..]));
    assert_eq!(read.response.body, "hi");
    let fields: Vec<_> =
        read.response.headers.iter().map(|f| (&f.name[..], &f.value[..])).collect();
    assert_eq!(fields, [(&b"A"[..], &b"x"[..]), (b"Grip-A", b"1"), (b"b", b"1")]);
}

#[test]
fn the_array_form_of_headers_keeps_order_and_repetition() {
    let document = r#"{"response":{"body":"","headers":[["b","1"],["A","2\r\nX: y"],["b","3"],
        ["a b","4"],["Connection","close"]]}}"#;
    let headers = read(&[], document).response.headers;
    let fields: Vec<_> = headers.iter().map(|f| (&f.name[..], &f.value[..])).collect();
    assert_eq!(fields, [(&b"b"[..], &b"1"[..]), (b"A", b"2  X: y"), (b"b", b"3")]);
}

#[test]
fn defaults() {
    let hold = read(&[], r#"{"hold":{"channels":[]}}"#);
    assert_eq!((hold.hold, hold.timeout_s), (Some(Hold::Response), 55));
    assert_eq!((names(&hold), &hold.keep_alive), (vec![], &None));
    assert_eq!((hold.response.code, &hold.response.reason[..]), (200, &b"Fine"[..]));
    assert_eq!(hold.response.body, "");
    let keep_alive = read(&[], r#"{"hold":{"channels":[],"keep-alive":{}}}"#).keep_alive;
    let expected = KeepAlive { data: "".into(), mode: KeepAliveMode::Interval, timeout_s: 55 };
    assert_eq!(keep_alive, Some(expected));
    let low = read(&[], r#"{"hold":{"channels":[],"timeout":1.4}}"#);
    assert_eq!(low.timeout_s, 5);
    // Neither hold, link nor body: an empty response.
    for document in ["{}", r#"{"response":{}}"#, "\u{feff}{}"] {
        let read = read(&[], document);
        assert_eq!((read.hold, &read.response.body[..]), (None, &b""[..]), "{document}");
        assert_eq!(read.response.headers, []);
    }
}

#[test]
fn over_what_headers_say() {
    let more = [
        ("Grip-Hold", "stream"),
        ("Grip-Channel", "h; prev-id=1, both; prev-id=1"),
        ("Grip-Timeout", "30"),
        ("Grip-Keep-Alive", "data; timeout=20; mode=idle"),
        ("Grip-Set-Meta", "a=1, b=1"),
        ("Grip-Status", "404 Lost"),
        ("Grip-Link", "</n>; rel=next"),
        ("Grip-Expose-Headers", "x"),
    ];
    let kept = read(&more, "{}");
    assert_eq!((kept.hold, kept.timeout_s), (Some(Hold::Stream), 30));
    assert_eq!((kept.response.code, &kept.response.reason[..]), (404, &b"Lost"[..]));
    assert!(kept.next.is_some());
    let merged = read(
        &more,
        r#"{"hold":{"channels":[{"name":"d"},{"name":"both","prev-id":"2"}],"keep-alive":{},
            "meta":{"b":"2","c":"2"}},"response":{"code":201,"headers":{"Y":"1"}}}"#,
    );
    assert_eq!((merged.hold, merged.timeout_s), (Some(Hold::Response), 30));
    assert_eq!(names(&merged), ["h", "both", "d"]);
    assert_eq!(merged.channels[1].prev_id.as_deref(), Some("2"));
    let keep_alive = KeepAlive { data: "data".into(), mode: KeepAliveMode::Idle, timeout_s: 55 };
    assert_eq!(merged.keep_alive, Some(keep_alive));
    let meta: Vec<_> = merged.meta.iter().map(|(n, v)| (&**n, v.as_deref().unwrap())).collect();
    assert_eq!(meta, [("a", "1"), ("b", "2"), ("c", "2")]);
    assert_eq!((merged.response.code, &merged.response.reason[..]), (201, &b"Created"[..]));
    // The list of exposed headers is about the backend's own.
    assert_eq!(merged.response.headers.len(), 1);
}

#[test]
fn errors_of_the_document() {
    let not_json = "failed to parse application/grip-instruct content as JSON";
    for (document, message) in [
        ("", not_json),
        ("x", not_json),
        ("1", not_json),
        ("null", not_json),
        ("\"{}\"", not_json),
        ("{} x", not_json),
        ("[]", "instruct must be an object"),
        (r#"{"hold":1}"#, "instruct contains 'hold' with wrong type"),
        (r#"{"hold":null}"#, "instruct contains 'hold' with wrong type"),
        (r#"{"response":1}"#, ""),
    ] {
        assert_eq!(try_read(200, &[], document).unwrap_err(), message, "{document}");
    }
    let error = try_read(201, &[("Grip-Status", "200")], "{}").unwrap_err();
    assert_eq!(error, "response code for application/grip-instruct content must be 200");
    // Headers are read first.
    let error = try_read(201, &[("Grip-Timeout", "x")], "").unwrap_err();
    assert_eq!(error, "failed to parse Grip-Timeout");
}

#[test]
fn errors_of_hold() {
    for (members, message) in [
        (r#""mode":1"#, "hold contains 'mode' with wrong type"),
        (r#""mode":"x""#, "hold 'mode' must be set to either 'response' or 'stream'"),
        (r#""mode":"stream""#, "hold does not contain 'channels'"),
        (r#""channels":{}"#, "hold contains 'channels' with wrong type"),
        (r#""channels":[1]"#, "channel is not an object"),
        (r#""channels":[{}]"#, "channel does not contain 'name'"),
        (r#""channels":[{"name":1}]"#, "channel contains 'name' with wrong type"),
        (
            r#""channels":[{"name":"a","prev-id":null}]"#,
            "channel contains 'prev-id' with wrong type",
        ),
        (
            r#""channels":[{"name":"a","last-event-id":"yes"}]"#,
            "channel contains 'last-event-id' with wrong type",
        ),
        (r#""channels":[{"name":"a","filters":1}]"#, "channel contains 'filters' with wrong type"),
        (
            r#""channels":[{"name":"a","filters":["a",1]}]"#,
            "filters contains value with wrong type",
        ),
        (
            r#""channels":[{"name":"a","filters":["1","2","3","4","5","6"]}]"#,
            "too many filters for channel 'a'",
        ),
        (r#""channels":[],"timeout":null"#, "hold contains 'timeout' with wrong type"),
        (r#""channels":[],"timeout":-1"#, "hold contains 'timeout' with invalid value"),
        (r#""channels":[],"keep-alive":1"#, "hold contains 'keep-alive' with wrong type"),
        (
            r#""channels":[],"keep-alive":{"content-bin":1}"#,
            "keep-alive contains 'content-bin' with wrong type",
        ),
        (
            r#""channels":[],"keep-alive":{"content":1}"#,
            "keep-alive contains 'content' with wrong type",
        ),
        (
            r#""channels":[],"keep-alive":{"timeout":[]}"#,
            "keep-alive contains 'timeout' with wrong type",
        ),
        (
            r#""channels":[],"keep-alive":{"timeout":-1}"#,
            "keep-alive contains 'timeout' with invalid value",
        ),
        (r#""channels":[],"meta":1"#, "hold contains 'meta' with wrong type"),
        (r#""channels":[],"meta":{"k":1}"#, "'meta' contains 'k' with wrong type"),
    ] {
        let document = format!(r#"{{"hold":{{{members}}}}}"#);
        assert_eq!(try_read(200, &[], &document).unwrap_err(), message, "{document}");
    }
}

#[test]
fn errors_of_response() {
    for (members, message) in [
        (r#""code":null"#, "response contains 'code' with wrong type"),
        (r#""code":1000"#, "response contains 'code' with invalid value"),
        (r#""code":-1"#, "response contains 'code' with invalid value"),
        (r#""reason":1"#, "response contains 'reason' with wrong type"),
        (r#""headers":1"#, "response contains 'headers' with wrong type"),
        (r#""headers":[1]"#, "headers contains element with wrong type"),
        (r#""headers":[["a"]]"#, "headers contains list with wrong number of elements"),
        (r#""headers":[["a","b","c"]]"#, "headers contains list with wrong number of elements"),
        (r#""headers":[[1,"b"]]"#, "header contains name element with wrong type"),
        (r#""headers":[["a",1]]"#, "header contains value element with wrong type"),
        (r#""headers":{"k":1}"#, "headers contains 'k' with wrong type"),
        (r#""body":1"#, "response contains 'body' with wrong type"),
        (r#""body-bin":1,"body":"x""#, "response contains 'body-bin' with wrong type"),
    ] {
        let document = format!(r#"{{"response":{{{members}}}}}"#);
        assert_eq!(try_read(200, &[], &document).unwrap_err(), message, "{document}");
    }
}
