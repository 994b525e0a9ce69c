//! Items: what is accepted, and every error text in the order of the checks.

use bytes::Bytes;

use super::{Item, ItemsError, parse_items};
use crate::grip::format::{
    Action, CloseReason, MessageContent, ResponseBody, ResponseContent, StreamContent,
};
use crate::grip::message::{Message, MessageKind};

fn parse(body: &str) -> Result<Vec<Item>, ItemsError> {
    parse_items(body.as_bytes())
}

/// The one item with these members.
fn item(members: &str) -> Item {
    let mut items = parse(&format!(r#"{{"items":[{{{members}}}]}}"#)).unwrap();
    assert_eq!(items.len(), 1);
    items.remove(0)
}

fn formats(formats: &str) -> Item {
    item(&format!(r#""channel":"a","formats":{{{formats}}}"#))
}

fn error(members: &str) -> String {
    parse(&format!(r#"{{"items":[{{{members}}}]}}"#)).unwrap_err().to_string()
}

fn format_error(name: &str, value: &str) -> String {
    error(&format!(r#""channel":"a","formats":{{"{name}":{value}}}"#))
}

#[test]
fn a_whole_item() {
    let item = item(
        r#""channel":"a","id":"","prev-id":"p","meta":{"b":"1","a":"2","b":"3"},"size":"7",
           "no-seq":true,"expire":9,"formats":{"http-response":{"code":"201","reason":"Made",
           "headers":{"b":"1","A":"2"},"body":"x","body-bin":"aGk","content-filters":[]},
           "http-stream":{"content":"é"},"ws-message":{"content":"m","content-filters":["f"]},
           "other":1}"#,
    );
    assert_eq!(item.channel.as_str(), "a");
    assert_eq!((item.id.as_deref(), item.prev_id.as_deref()), (Some(""), Some("p")));
    assert_eq!(item.meta, [("a".into(), "2".into()), ("b".into(), "3".into())]);
    assert_eq!((item.size, item.no_seq), (Some(7), true));
    let response = ResponseContent {
        code: 201,
        reason: Some("Made".into()),
        headers: vec![("A".into(), "2".into()), ("b".into(), "1".into())],
        body: ResponseBody::Whole("hi".into()),
        content_filters: Some(vec![]),
    };
    assert_eq!(item.http_response, Some(Action::Send(response)));
    let stream = StreamContent { content: "é".into(), content_filters: None };
    assert_eq!(item.http_stream, Some(Action::Send(stream)));
    let message = MessageContent {
        message: Message { kind: MessageKind::Text, content: "m".into() },
        content_filters: Some(vec!["f".into()]),
    };
    assert_eq!(item.ws_message, Some(Action::Send(message)));
}

#[test]
fn lists_and_leniency() {
    assert_eq!(parse(r#"{"items":[]}"#), Ok(vec![]));
    assert_eq!(parse("\u{feff}{\"items\":[]}"), Ok(vec![]));
    assert_eq!(parse(r#"{"items":1,"items":[],"x":"\ud800"}"#), Ok(vec![]));
    let two = r#"{"items":[{"channel":"a","http-stream":{"content":"1"}},
                           {"channel":"","http-stream":{"action":"close","content":1}}]}"#;
    let items = parse(two).unwrap();
    assert_eq!(items[1].http_stream, Some(Action::Close(CloseReason::default())));
    // Any member makes the formats not empty, and then nothing is delivered.
    let item = formats(r#""unknown":1"#);
    assert_eq!((item.http_response, item.http_stream, item.ws_message), (None, None, None));
}

#[test]
fn responses() {
    let Some(Action::Send(response)) = formats(r#""http-response":{"body":""}"#).http_response
    else {
        panic!("a response");
    };
    assert_eq!((response.code, response.reason), (200, None));
    assert_eq!(response.body, ResponseBody::Whole(Bytes::new()));
    let headers = r#""http-response":{"body":"","reason":"a\nb",
        "headers":[["x-a","1"],["X-A","2\r\nSet-Cookie: z"],["bad name","3"]]}"#;
    let Some(Action::Send(response)) = formats(headers).http_response else { panic!() };
    assert_eq!(response.reason.as_deref(), Some("a b"));
    let expected = [("x-a", "1"), ("X-A", "2  Set-Cookie: z")];
    assert_eq!(response.headers, expected.map(|(n, v)| (n.into(), v.into())));
    let patch = r#""http-response":{"body-patch":[{"op":"add","path":"/a","value":[1,{}]}]}"#;
    let Some(Action::Send(response)) = formats(patch).http_response else { panic!() };
    let operation = serde_json::json!({"op":"add","path":"/a","value":[1,{}]});
    assert_eq!(response.body, ResponseBody::Patch(vec![operation]));
    for (number, code) in [("200.5", 201), ("-0.4", 0), (r#"" 404 ""#, 404), ("true", 1)] {
        let text = format!(r#""http-response":{{"code":{number},"body":""}}"#);
        let Some(Action::Send(response)) = formats(&text).http_response else { panic!() };
        assert_eq!(response.code, code, "{number}");
    }
}

#[test]
fn messages() {
    for (members, kind, content) in [
        (r#""content":"x""#, MessageKind::Text, "x"),
        (r#""content":"""#, MessageKind::Text, ""),
        (r#""content-bin":"aGk=","content":"x""#, MessageKind::Binary, "hi"),
        (r#""type":"text","content-bin":"aGk""#, MessageKind::Text, "hi"),
        (r#""type":"binary","content":"x""#, MessageKind::Binary, "x"),
        (r#""type":"ping""#, MessageKind::Ping, ""),
        (r#""type":"pong","content":"x""#, MessageKind::Pong, "x"),
        (r#""action":"send","content":"x""#, MessageKind::Text, "x"),
    ] {
        let item = formats(&format!(r#""ws-message":{{{members}}}"#));
        let Some(Action::Send(sent)) = item.ws_message else { panic!("{members}") };
        assert_eq!(sent.message, Message { kind, content: content.into() }, "{members}");
    }
}

#[test]
fn actions() {
    let close = |code, reason: &str| Action::Close(CloseReason { code, reason: reason.into() });
    for (members, action) in [
        (r#""action":"hint""#, Action::Hint),
        (r#""action":"refresh","content":1,"type":1"#, Action::Refresh),
        (r#""action":"close""#, close(None, "")),
        (r#""action":"close","code":4001,"reason":"bye""#, close(Some(4001), "bye")),
        (r#""action":"close","code":70000"#, close(Some(4464), "")),
        (r#""action":"close","code":"1000""#, close(Some(1000), "")),
        (r#""action":"close","code":0"#, close(Some(0), "")),
        // Without a code it is 1000, and then no reason is sent: see the framing of messages.
        (r#""action":"close","reason":"bye""#, close(None, "bye")),
    ] {
        let item = formats(&format!(r#""ws-message":{{{members}}}"#));
        assert_eq!(item.ws_message, Some(action), "{members}");
    }
    for name in ["http-response", "http-stream"] {
        for (action, hint) in [("hint", true), ("close", false), ("refresh", false)] {
            let item =
                formats(&format!(r#""{name}":{{"action":"{action}","code":null,"body":1}}"#));
            let is_hint =
                item.http_response == Some(Action::Hint) || item.http_stream == Some(Action::Hint);
            assert_eq!(is_hint, hint, "{name} {action}");
        }
    }
}

#[test]
fn errors_of_the_list() {
    for (body, message) in [
        ("", "Body is not valid JSON."),
        ("1", "Body is not valid JSON."),
        ("null", "Body is not valid JSON."),
        (r#"{"items":[]} x"#, "Body is not valid JSON."),
        (r#"{"items":[],}"#, "Body is not valid JSON."),
        ("[]", "Invalid format."),
        ("{}", "Invalid format: object does not contain 'items'"),
        (r#"{"items":1}"#, "Invalid format: object contains 'items' with wrong type"),
        (r#"{"items":[1]}"#, "Invalid format: publish item object is not an object"),
    ] {
        assert_eq!(parse(body).unwrap_err().to_string(), message, "{body}");
    }
    let second = r#"{"items":[{"channel":"a","formats":{"x":1}},{"channel":"a","id":1}]}"#;
    let error = ItemsError::Invalid {
        message: "publish item object contains 'id' with wrong type".into(),
        index: Some(1),
        field: "id",
    };
    assert_eq!(parse(second), Err(error));
}

#[test]
fn errors_of_an_item() {
    let wrong = |member: &str| {
        format!("Invalid format: publish item object contains '{member}' with wrong type")
    };
    let formats = r#""channel":"a","formats":{"x":1}"#;
    for (members, message) in [
        ("", "Invalid format: publish item object does not contain 'channel'".to_owned()),
        (r#""channel":1,"id":1"#, wrong("channel")),
        (r#""channel":null"#, wrong("channel")),
        (r#""channel":"a","id":1,"prev-id":1"#, wrong("id")),
        (r#""channel":"a","id":null"#, wrong("id")),
        (r#""channel":"a","prev-id":1"#, wrong("prev-id")),
        (r#""channel":"a","prev-id":null"#, wrong("prev-id")),
        (r#""channel":"a","formats":null"#, wrong("formats")),
        (r#""channel":"a","formats":[]"#, wrong("formats")),
        (r#""channel":"a""#, "Invalid format: no formats specified".to_owned()),
        (r#""channel":"a","meta":1"#, "Invalid format: no formats specified".to_owned()),
        (
            r#""channel":"a","formats":{},"http-stream":{"content":"x"}"#,
            "Invalid format: no formats specified".to_owned(),
        ),
        (&format!(r#"{formats},"meta":1,"size":-1"#), wrong("meta")),
        (
            &format!(r#"{formats},"meta":{{"b":1,"a":1}}"#),
            "Invalid format: 'meta' contains 'a' with wrong type".to_owned(),
        ),
        (&format!(r#"{formats},"size":null"#), wrong("size")),
        (
            &format!(r#"{formats},"size":-1,"no-seq":1"#),
            "Invalid format: publish item object contains 'size' with invalid value".to_owned(),
        ),
        (&format!(r#"{formats},"no-seq":1"#), wrong("no-seq")),
        (&format!(r#"{formats},"no-seq":null"#), wrong("no-seq")),
    ] {
        assert_eq!(error(members), message, "{members}");
    }
}

#[test]
fn errors_of_every_format() {
    for name in ["http-response", "http-stream", "ws-message"] {
        for (value, message) in [
            ("null", format!("'{name}' is not an object")),
            ("1", format!("'{name}' is not an object")),
            (r#"{"action":null}"#, format!("'{name}' contains 'action' with wrong type")),
            (r#"{"action":""}"#, String::new()),
            (r#"{"action":"Send"}"#, String::new()),
            (
                r#"{"content-filters":1,"content":1,"body":1}"#,
                format!("'{name}' contains 'content-filters' with wrong type"),
            ),
            (
                r#"{"content-filters":["a",1]}"#,
                "content-filters contains element with wrong type".to_owned(),
            ),
        ] {
            let expected = format!("Invalid format: {message}");
            assert_eq!(format_error(name, value), expected, "{name} {value}");
        }
    }
    // The legacy place is read the same.
    let legacy = error(r#""channel":"a","http-response":1"#);
    assert_eq!(legacy, "Invalid format: 'http-response' is not an object");
}

#[test]
fn errors_of_responses() {
    for (value, message) in [
        (r#"{"code":null,"reason":1}"#, "'http-response' contains 'code' with wrong type"),
        (r#"{"code":-1,"body":"x"}"#, "'http-response' contains 'code' with invalid value"),
        (r#"{"code":1000,"body":"x"}"#, "'http-response' contains 'code' with invalid value"),
        (r#"{"reason":1,"headers":1}"#, "'http-response' contains 'reason' with wrong type"),
        (
            r#"{"headers":1,"content-filters":1}"#,
            "'http-response' contains 'headers' with wrong type",
        ),
        (r#"{"headers":{"b":1,"a":2}}"#, "headers contains 'a' with wrong type"),
        (r#"{"headers":[1]}"#, "headers contains element with wrong type"),
        (r#"{"headers":null}"#, "'http-response' contains 'headers' with wrong type"),
        (r#"{"headers":[["a"]]}"#, "headers contains list with wrong number of elements"),
        (r#"{"headers":[["a","b","c"]]}"#, "headers contains list with wrong number of elements"),
        (r#"{"headers":[[1,"a"]]}"#, "header contains name element with wrong type"),
        (r#"{"headers":[["a",1]]}"#, "header contains value element with wrong type"),
        (r#"{"body-bin":1,"body":"x"}"#, "'http-response' contains 'body-bin' with wrong type"),
        (r#"{"body-bin":null,"body":"x"}"#, "'http-response' contains 'body-bin' with wrong type"),
        (r#"{"code":[],"body":"x"}"#, "'http-response' contains 'code' with wrong type"),
        (r#"{"body":1}"#, "'http-response' contains 'body' with wrong type"),
        (r#"{"body-patch":{}}"#, "'http-response' contains 'body-patch' with wrong type"),
        ("{}", "'http-response' does not contain 'body', 'body-bin', or 'body-patch'"),
    ] {
        let expected = format!("Invalid format: {message}");
        assert_eq!(format_error("http-response", value), expected, "{value}");
    }
}

#[test]
fn errors_of_streams_and_messages() {
    for (name, value, message) in [
        (
            "http-stream",
            r#"{"content-bin":1}"#,
            "'http-stream' contains 'content-bin' with wrong type",
        ),
        ("http-stream", r#"{"content":1}"#, "'http-stream' contains 'content' with wrong type"),
        ("http-stream", "{}", "'http-stream' does not contain 'content' or 'content-bin'"),
        ("ws-message", r#"{"type":1}"#, "'ws-message' contains 'type' with wrong type"),
        ("ws-message", r#"{"type":""}"#, "'ws-message' contains 'type' with unknown value"),
        (
            "ws-message",
            r#"{"type":"Text","content":1,"content-filters":1}"#,
            "'ws-message' contains 'type' with unknown value",
        ),
        (
            "ws-message",
            r#"{"content-bin":1}"#,
            "'ws-message' contains 'content-bin' with wrong type",
        ),
        ("ws-message", r#"{"content":1}"#, "'ws-message' contains 'content' with wrong type"),
        ("ws-message", "{}", "'ws-message' does not contain 'content' or 'content-bin'"),
        (
            "ws-message",
            r#"{"type":"text"}"#,
            "'ws-message' does not contain 'content' or 'content-bin'",
        ),
        (
            "ws-message",
            r#"{"action":"close","code":null}"#,
            "'ws-message' contains 'code' with wrong type",
        ),
        (
            "ws-message",
            r#"{"action":"close","code":-1,"reason":1}"#,
            "'ws-message' contains 'code' with invalid value",
        ),
        (
            "ws-message",
            r#"{"action":"close","reason":1}"#,
            "'ws-message' contains 'reason' with wrong type",
        ),
    ] {
        assert_eq!(format_error(name, value), format!("Invalid format: {message}"), "{value}");
    }
}

#[test]
fn memory_is_counted_where_there_may_be_much() {
    let small = formats(r#""x":1"#).memory_bytes();
    assert_eq!(small, size_of::<Item>() + 1);
    let long = "x".repeat(1000);
    for members in [
        format!(r#""http-stream":{{"content":"{long}"}}"#),
        format!(r#""http-stream":{{"content":"","content-filters":["{long}"]}}"#),
        format!(r#""http-stream":{{"action":"close"}},"ws-message":{{"content":"{long}"}}"#),
        format!(r#""ws-message":{{"content":"","content-filters":["{long}"]}}"#),
        format!(r#""ws-message":{{"action":"close","reason":"{long}"}}"#),
        format!(r#""http-response":{{"body":"{long}"}}"#),
        format!(r#""http-response":{{"body":"","headers":{{"{long}":"a"}}}}"#),
        format!(r#""http-response":{{"body":"","content-filters":["{long}"]}}"#),
        format!(r#""http-response":{{"body-patch":[{{"a":["{long}",1]}}]}}"#),
    ] {
        let bytes = formats(&members).memory_bytes();
        assert!((small + 1000..small + 1300).contains(&bytes), "{bytes} {members:.40}");
    }
    let meta = item(&format!(
        r#""channel":"a","id":"{long}","formats":{{"x":1}},"meta":{{"b":"{long}"}}"#
    ));
    assert!(meta.memory_bytes() > small + 2000);
    // Little text, much memory.
    let zeros = formats(&format!(r#""http-response":{{"body-patch":[{}0]}}"#, "0,".repeat(999)));
    assert!(zeros.memory_bytes() >= 1000 * size_of::<serde_json::Value>());
}

#[test]
fn formats_are_checked_in_their_order() {
    let all = r#""channel":"a","formats":{"ws-message":1,"http-stream":1,"http-response":null}"#;
    assert_eq!(error(all), "Invalid format: 'http-response' is not an object");
}

proptest::proptest! {
    #[test]
    fn nothing_panics(bytes: Vec<u8>) {
        let _ = parse_items(&bytes);
    }

    #[test]
    fn nothing_panics_on_any_member(
        member in "channel|id|formats|meta|size|no-seq|http-response|http-stream|ws-message|action|code|headers|body-patch|content",
        value in r#"(null|-?[0-9]{1,25}|"[a-z\\]{0,3}"|\[[\[\]1,"]{0,6}\]|\{"a":[0-9]\})"#,
    ) {
        let _ = parse(&format!(r#"{{"items":[{{"channel":"a","{member}":{value}}}]}}"#));
        let _ = parse(&format!(r#"{{"items":[{{"channel":"a","http-response":{{"{member}":{value}}}}}]}}"#));
        let _ = parse(&format!(r#"{{"items":[{{"channel":"a","ws-message":{{"{member}":{value}}}}}]}}"#));
    }
}
