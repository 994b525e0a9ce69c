//! Items of the reliable simulation as bytes, and back.

use std::sync::Arc;

use bytes::Bytes;
use linchpin::grip::channel::ChannelName;
use linchpin::grip::format::{
    Action, MessageContent, ResponseBody, ResponseContent, StreamContent,
};
use linchpin::grip::item::Item;
use linchpin::grip::message::{Message, MessageKind};

use crate::forms::frames;

/// An item's channel and its number there.
pub type Mark = (u8, u32);

/// Route prefix of all channels: backends do not see it.
pub const PREFIX: &str = "p-";

/// How a client is written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Response,
    Chunked,
    Raw,
    Frames,
}

pub fn name(channel: u8) -> ChannelName {
    ChannelName::prefixed(PREFIX, &channel.to_string())
}

pub fn id((channel, number): Mark) -> String {
    format!("{channel}.{number}")
}

/// The number in an id of this channel.
pub fn number(channel: u8, id: &str) -> u32 {
    let (known, number) = id.split_once('.').expect("an id of the simulation");
    assert_eq!(known, channel.to_string());
    number.parse().expect("an id of the simulation")
}

fn content((channel, number): Mark) -> String {
    let padding = if number.is_multiple_of(7) { 60 } else { 0 };
    format!("[{channel}.{number}:{}]", "x".repeat(padding))
}

/// An item for all transports.
pub fn item(mark: Mark, ids: [Option<String>; 2], no_seq: bool) -> Arc<Item> {
    let content = Bytes::from(content(mark));
    let message = Message { kind: MessageKind::Text, content: content.clone() };
    let body = ResponseBody::Whole(content.clone());
    let response =
        ResponseContent { code: 200, reason: None, headers: vec![], body, content_filters: None };
    let [id, prev_id] = ids.map(|id| id.map(String::into_boxed_str));
    Arc::new(Item {
        channel: name(mark.0),
        id,
        prev_id,
        http_response: Some(Action::Send(response)),
        http_stream: Some(Action::Send(StreamContent { content, content_filters: None })),
        ws_message: Some(Action::Send(MessageContent { message, content_filters: None })),
        meta: Vec::new(),
        size: None,
        no_seq,
    })
}

/// An item of a true history.
pub fn next_item((channel, number): Mark) -> Arc<Item> {
    let ids = [number, number - 1].map(|number| Some(id((channel, number))));
    item((channel, number), ids, false)
}

/// Items as a backend sends them itself.
pub fn encoded(form: Form, marks: &[Mark]) -> Bytes {
    let contents = marks.iter().map(|&mark| content(mark));
    let bytes: Vec<u8> = match form {
        Form::Response => {
            let body: String = contents.collect();
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into()
        }
        Form::Chunked => contents
            .flat_map(|text| format!("{:x}\r\n{text}\r\n", text.len()).into_bytes())
            .collect(),
        Form::Raw => contents.collect::<String>().into(),
        Form::Frames => contents
            .flat_map(|text| [&[0x81, text.len() as u8], text.as_bytes()].concat())
            .collect(),
    };
    bytes.into()
}

/// The items in what is sent to a client in one piece.
pub fn decoded(form: Form, bytes: &[u8]) -> Vec<Mark> {
    let text = match form {
        Form::Frames => {
            let texts = frames(bytes).into_iter().filter(|(first, _)| first & 15 == 1);
            texts.flat_map(|(_, content)| content).collect()
        }
        _ => bytes.to_vec(),
    };
    let text = String::from_utf8(text).expect("items are text");
    let items = text.split('[').skip(1).map(|item| {
        let (item, _) = item.split_once(']').expect("items are sent whole");
        let (item, _) = item.split_once(':').expect("an item has its padding");
        let (channel, number) = item.split_once('.').expect("an item has its number");
        (channel.parse().expect("a channel"), number.parse().expect("a number"))
    });
    items.collect()
}
