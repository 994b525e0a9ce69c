//! How much memory an item takes: for the bounds of what waits between a publisher and the shards.
//!
//! Called by whoever gives items to shards. An estimate: what the allocator adds is not in it.

use super::format::{Action, ResponseBody};
use super::item::Item;

/// A boxed text, without its bytes.
const TEXT_BYTES: usize = size_of::<Box<str>>();

impl Item {
    /// About how much memory the item takes, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let response = match &self.http_response {
            Some(Action::Send(content)) => {
                let body = match &content.body {
                    ResponseBody::Whole(bytes) => bytes.len(),
                    ResponseBody::Patch(operations) => operations.iter().map(tree).sum(),
                };
                body + pairs(&content.headers) + texts(content.content_filters.as_deref())
            }
            action => close(action.as_ref()),
        };
        let stream = match &self.http_stream {
            Some(Action::Send(content)) => {
                content.content.len() + texts(content.content_filters.as_deref())
            }
            action => close(action.as_ref()),
        };
        let message = match &self.ws_message {
            Some(Action::Send(content)) => {
                content.message.content.len() + texts(content.content_filters.as_deref())
            }
            action => close(action.as_ref()),
        };
        let ids = [&self.id, &self.prev_id].into_iter().flatten().map(|id| id.len());
        let names = self.channel.as_str().len() + ids.sum::<usize>() + pairs(&self.meta);
        size_of::<Item>() + names + response + stream + message
    }
}

fn close<T>(action: Option<&Action<T>>) -> usize {
    match action {
        Some(Action::Close(reason)) => reason.reason.len(),
        _ => 0,
    }
}

fn pairs(pairs: &[(Box<str>, Box<str>)]) -> usize {
    pairs.iter().map(|(a, b)| 2 * TEXT_BYTES + a.len() + b.len()).sum()
}

fn texts(texts: Option<&[Box<str>]>) -> usize {
    texts.unwrap_or_default().iter().map(|text| TEXT_BYTES + text.len()).sum()
}

/// A value of a patch, with all that is within it. It is not nested deeper than
/// [`super::json::TREE_DEPTH_MAX`].
fn tree(value: &serde_json::Value) -> usize {
    let within: usize = match value {
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Array(list) => list.iter().map(tree).sum(),
        serde_json::Value::Object(members) => {
            members.iter().map(|(name, value)| TEXT_BYTES + name.len() + tree(value)).sum()
        }
        _ => 0,
    };
    size_of::<serde_json::Value>() + within
}
