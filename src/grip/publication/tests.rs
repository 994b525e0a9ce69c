//! Publications: the bytes of both forms, and that `item` reads what is written.

use bytes::Bytes;

use super::{Payload, Publication};
use crate::grip::format::{Action, ResponseBody};
use crate::grip::item::parse_items;
use crate::grip::message::MessageKind;

fn publication(payload: Payload) -> Publication {
    Publication {
        channel: "t".into(),
        id: None,
        prev_id: None,
        meta: [].into(),
        no_seq: false,
        payload,
    }
}

fn content(http: &'static [u8], message: &'static [u8]) -> Payload {
    Payload::Content {
        code: 200,
        headers: vec![],
        http: Bytes::from_static(http),
        message: Bytes::from_static(message),
    }
}

fn json(publication: &Publication) -> String {
    String::from_utf8(publication.to_json_bytes()).unwrap()
}

#[test]
fn json_of_content() {
    assert_eq!(
        json(&publication(content(b"hello\n", b"hello"))),
        r#"{"items":[{"channel":"t","formats":{"http-response":{"body":"hello\n","code":200},"http-stream":{"content":"hello\n"},"ws-message":{"content":"hello"}}}]}"#
    );
    assert_eq!(
        json(&publication(content(b"\xff\0ab", b"\xff\0ab"))),
        r#"{"items":[{"channel":"t","formats":{"http-response":{"body-bin":"/wBhYg==","code":200},"http-stream":{"content-bin":"/wBhYg=="},"ws-message":{"content-bin":"/wBhYg=="}}}]}"#
    );
}

#[test]
fn json_of_everything() {
    let whole = Publication {
        id: Some("1".into()),
        prev_id: Some("0".into()),
        meta: [("k ", "v"), ("sender", "me"), ("z", "")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into(),
        no_seq: true,
        ..publication(Payload::Content {
            code: 201,
            headers: vec![("Zz".into(), "b".into()), ("A".into(), "x y".into())],
            http: Bytes::from_static("é/\"".as_bytes()),
            message: Bytes::from_static(b"hi"),
        })
    };
    assert_eq!(
        json(&whole),
        r#"{"items":[{"channel":"t","formats":{"http-response":{"body":"é/\"","code":201,"headers":[["Zz","b"],["A","x y"]]},"http-stream":{"content":"é/\""},"ws-message":{"content":"hi"}},"id":"1","meta":{"k ":"v","sender":"me","z":""},"no-seq":true,"prev-id":"0"}]}"#
    );
    let [item] = <[_; 1]>::try_from(parse_items(&mut whole.to_json_bytes()).unwrap()).unwrap();
    assert_eq!((item.id.as_deref(), item.prev_id.as_deref()), (Some("1"), Some("0")));
    assert!(item.no_seq);
    assert_eq!(item.meta.len(), 3);
    let Some(Action::Send(response)) = item.http_response else { panic!() };
    assert_eq!(response.code, 201);
    assert_eq!(response.headers[0], ("Zz".into(), "b".into()));
}

#[test]
fn json_of_actions_and_patches() {
    assert_eq!(
        json(&publication(Payload::Hint)),
        r#"{"items":[{"channel":"t","formats":{"http-response":{"action":"hint"},"http-stream":{"action":"hint"},"ws-message":{"action":"hint"}}}]}"#
    );
    let empty_ids = Publication {
        id: Some(String::new()),
        prev_id: Some(String::new()),
        ..publication(Payload::Close)
    };
    assert_eq!(
        json(&empty_ids),
        r#"{"items":[{"channel":"t","formats":{"http-stream":{"action":"close"},"ws-message":{"action":"close"}}}]}"#
    );
    let operations = r#"[{"value":1.50,"path":"/a","op":"add"},{"a":[null,true,-2,1e300]}]"#;
    let patch = publication(Payload::Patch {
        code: 202,
        headers: vec![("A".into(), "b".into())],
        operations: serde_json::from_str(operations).unwrap(),
    });
    assert_eq!(
        json(&patch),
        r#"{"items":[{"channel":"t","formats":{"http-response":{"body-patch":[{"op":"add","path":"/a","value":1.5},{"a":[null,true,-2,1e+300]}],"code":202,"headers":[["A","b"]]}}}]}"#
    );
    let items = parse_items(&mut patch.to_json_bytes()).unwrap();
    let Some(Action::Send(response)) = &items[0].http_response else { panic!() };
    assert!(matches!(&response.body, ResponseBody::Patch(list) if list.len() == 2));
}

#[test]
fn tnetstrings() {
    assert_eq!(
        publication(Payload::Close).to_tnet_bytes(),
        b"99:7:channel,1:t,7:formats,71:11:http-stream,17:6:action,5:close,}10:ws-message,17:6:action,5:close,}}}"
    );
    let bytes = publication(content(b"\xff", b"\xff")).to_tnet_bytes();
    let (item, _) = crate::wire::tnet::decode(&Bytes::from(bytes)).unwrap();
    let formats = item.member(b"formats").unwrap();
    let member = |format: &[u8], name: &[u8]| formats.member(format).unwrap().member(name).cloned();
    let raw = Some(crate::wire::tnet::Value::Bytes(Bytes::from_static(b"\xff")));
    assert_eq!(member(b"http-response", b"body"), raw);
    assert_eq!(member(b"http-response", b"code"), Some(crate::wire::tnet::Value::Int(200)));
    assert_eq!(member(b"http-stream", b"content"), raw);
    assert_eq!(member(b"ws-message", b"content-bin"), raw);
    assert_eq!(member(b"ws-message", b"content"), None);
}

proptest::proptest! {
    #[test]
    fn what_is_written_is_read(
        channel: String, id in "[a-z]{0,3}", http: Vec<u8>, message: Vec<u8>, code in 0..1000_u16,
    ) {
        let sent = Publication {
            id: Some(id.clone()),
            ..publication(Payload::Content {
                code,
                headers: vec![],
                http: http.clone().into(),
                message: message.clone().into(),
            })
        };
        let sent = Publication { channel: channel.clone(), ..sent };
        let items = parse_items(&mut sent.to_json_bytes()).unwrap();
        let [item] = items.as_slice() else { panic!() };
        proptest::prop_assert_eq!(item.channel.as_str(), channel);
        let written = Some(id.as_str()).filter(|id| !id.is_empty());
        proptest::prop_assert_eq!(item.id.as_deref(), written);
        let Some(Action::Send(response)) = &item.http_response else { panic!() };
        proptest::prop_assert_eq!(response.code, code);
        proptest::prop_assert_eq!(&response.body, &ResponseBody::Whole(http.clone().into()));
        let Some(Action::Send(stream)) = &item.http_stream else { panic!() };
        proptest::prop_assert_eq!(&stream.content[..], &http[..]);
        let Some(Action::Send(sent)) = &item.ws_message else { panic!() };
        let kind = match std::str::from_utf8(&message) {
            Ok(_) => MessageKind::Text,
            Err(_) => MessageKind::Binary,
        };
        proptest::prop_assert_eq!(&sent.message.content[..], &message[..]);
        proptest::prop_assert_eq!(sent.message.kind, kind);
    }
}
