//! Control messages: what each means, and everything that is ignored.

use bytes::Bytes;

use super::{Control, SocketKeepAlive, parse};
use crate::grip::channel::Channel;
use crate::grip::instruction::KeepAliveMode;
use crate::grip::message::{Message, MessageKind};

fn read(text: &str) -> Control {
    parse(text.as_bytes()).unwrap()
}

fn message(kind: MessageKind, content: &'static str) -> Message {
    Message { kind, content: Bytes::from_static(content.as_bytes()) }
}

fn keep_alive(kind: MessageKind, content: &'static str, timeout_s: u32) -> Control {
    let message = message(kind, content);
    Control::KeepAlive(Some(SocketKeepAlive { message, mode: KeepAliveMode::Idle, timeout_s }))
}

#[test]
fn subscriptions() {
    let channel = |name: &str, filters: &[&str]| Channel {
        name: name.into(),
        prev_id: None,
        last_event_id: false,
        filters: filters.iter().map(|f| Box::from(*f)).collect(),
    };
    let reliable = |name: &str, prev_id: &str| {
        Control::Subscribe(Channel { prev_id: Some(prev_id.into()), ..channel(name, &[]) })
    };
    for (text, control) in [
        (r#"{"type":"subscribe","channel":"t","prev-id":"5"}"#, reliable("t", "5")),
        (r#"{"type":"subscribe","channel":"t","prev-id":""}"#, reliable("t", "")),
        (r#"{"type":"subscribe","channel":"t"}"#, Control::Subscribe(channel("t", &[]))),
        (
            r#"{"type":"subscribe","channel":"t","filters":["a","b"],"more":{}}"#,
            Control::Subscribe(channel("t", &["a", "b"])),
        ),
        (
            r#"{"type":"subscribe","channel":"t","filters":["1","2","3","4","5","6"]}"#,
            Control::Subscribe(channel("t", &["1", "2", "3", "4", "5", "6"])),
        ),
        (r#"{"type":"unsubscribe","channel":"t"}"#, Control::Unsubscribe("t".into())),
        (r#"{"type":"detach"}"#, Control::Detach),
        (r#"{"type":"flush-delayed"}"#, Control::FlushDelayed),
        (r#"{"type":"session","id":"s"}"#, Control::Session(Some("s".into()))),
        (r#"{"type":"session","id":""}"#, Control::Session(None)),
        (r#"{"type":"session"}"#, Control::Session(None)),
        (
            r#"{"type":"set-meta","name":"n","value":"v"}"#,
            Control::SetMeta("n".into(), Some("v".into())),
        ),
        (
            r#"{"type":"set-meta","name":"n","value":""}"#,
            Control::SetMeta("n".into(), Some("".into())),
        ),
        (r#"{"type":"set-meta","name":"n"}"#, Control::SetMeta("n".into(), None)),
    ] {
        assert_eq!(read(text), control, "{text}");
    }
}

#[test]
fn keep_alives() {
    for (members, control) in [
        (r#""content":"x""#, keep_alive(MessageKind::Text, "x", 55)),
        (r#""content":"""#, keep_alive(MessageKind::Text, "", 55)),
        (r#""content-bin":"aGk=","content":"x""#, keep_alive(MessageKind::Text, "hi", 55)),
        (r#""content":"x","message-type":"ping""#, keep_alive(MessageKind::Ping, "x", 55)),
        (r#""content":"x","message-type":"binary""#, keep_alive(MessageKind::Binary, "x", 55)),
        (r#""content":"x","timeout":20"#, keep_alive(MessageKind::Text, "x", 20)),
        (r#""content":"x","timeout":" 20""#, keep_alive(MessageKind::Text, "x", 20)),
        (r#""content":"x","timeout":1.6"#, keep_alive(MessageKind::Text, "x", 2)),
        (r#""content":"x","timeout":0"#, keep_alive(MessageKind::Text, "x", 55)),
        (r#""content":"x","mode":"other""#, keep_alive(MessageKind::Text, "x", 55)),
        (r#""timeout":-1"#, Control::KeepAlive(None)),
    ] {
        assert_eq!(read(&format!(r#"{{"type":"keep-alive",{members}}}"#)), control, "{members}");
    }
    assert_eq!(read(r#"{"type":"keep-alive"}"#), Control::KeepAlive(None));
    let Control::KeepAlive(Some(interval)) =
        read(r#"{"type":"keep-alive","content":"x","mode":"interval"}"#)
    else {
        panic!("a keep-alive");
    };
    assert_eq!(interval.mode, KeepAliveMode::Interval);
}

#[test]
fn delayed_messages() {
    let delayed = |kind, content, seconds| Control::SendDelayed(message(kind, content), seconds);
    for (members, control) in [
        (r#","content":"x""#, delayed(MessageKind::Text, "x", 1)),
        (r#","content":"x","timeout":0"#, delayed(MessageKind::Text, "x", 1)),
        (r#","content":"x","timeout":"7""#, delayed(MessageKind::Text, "x", 7)),
        (r#","content-bin":"aGk","message-type":"binary""#, delayed(MessageKind::Binary, "hi", 1)),
        ("", delayed(MessageKind::Text, "", 1)),
    ] {
        assert_eq!(read(&format!(r#"{{"type":"send-delayed"{members}}}"#)), control, "{members}");
    }
}

#[test]
fn everything_else_is_ignored() {
    for text in [
        "",
        "x",
        "[]",
        "1",
        r#"{"type":"subscribe","channel":"t"} x"#,
        "{}",
        r#"{"type":1}"#,
        r#"{"type":null}"#,
        r#"{"type":"Subscribe","channel":"t"}"#,
        r#"{"type":"ack"}"#,
        r#"{"type":"subscribe"}"#,
        r#"{"type":"subscribe","channel":""}"#,
        r#"{"type":"subscribe","channel":1}"#,
        r#"{"type":"subscribe","channel":"t","filters":"a"}"#,
        r#"{"type":"subscribe","channel":"t","filters":["a",1]}"#,
        r#"{"type":"subscribe","channel":"t","filters":null}"#,
        r#"{"type":"subscribe","channel":"t","prev-id":5}"#,
        r#"{"type":"subscribe","channel":"t","prev-id":null}"#,
        r#"{"type":"subscribe","channel":"t","prev-id":["5"]}"#,
        r#"{"type":"unsubscribe"}"#,
        r#"{"type":"unsubscribe","channel":""}"#,
        r#"{"type":"keep-alive","content":1}"#,
        r#"{"type":"keep-alive","content-bin":1}"#,
        r#"{"type":"keep-alive","content":"x","timeout":-1}"#,
        r#"{"type":"keep-alive","content":"x","timeout":null}"#,
        r#"{"type":"keep-alive","content":"x","message-type":"close"}"#,
        r#"{"type":"keep-alive","content":"x","message-type":1}"#,
        r#"{"type":"send-delayed","content":"x","timeout":-1}"#,
        r#"{"type":"send-delayed","content":[]}"#,
        r#"{"type":"session","id":1}"#,
        r#"{"type":"set-meta","value":"v"}"#,
        r#"{"type":"set-meta","name":"","value":"v"}"#,
        r#"{"type":"set-meta","name":"n","value":1}"#,
        r#"{"type":"set-meta","name":"n","value":null}"#,
    ] {
        assert!(parse(text.as_bytes()).is_err(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_panics(bytes: Vec<u8>) {
        let _ = parse(&bytes);
    }
}
