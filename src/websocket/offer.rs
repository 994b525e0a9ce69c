//! What a WebSocket-over-HTTP client has said, and what is asked for it, that its backend has not
//! taken yet (specification, WebSockets 5.3 and 5.5).
//!
//! A queue that offers its front: what is offered stays in it until the backend says how much of it
//! it took. Used by `conversation` only.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

use crate::grip::events::{self, Event};
use crate::grip::message::{Message, MessageKind};
use crate::limits;

/// See the module. Nothing but a pointer while it is empty.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: Option<Box<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Told>,
    bytes: usize,
    /// Messages at the front that the backend left with us.
    kept: usize,
}

/// What a backend is told.
#[derive(Debug)]
enum Told {
    /// The client said it.
    Message(Message),
    /// What the client has missed of a channel is asked for.
    Recover { channel: Box<str>, content: Bytes },
}

impl Told {
    fn content(&self) -> &Bytes {
        match self {
            Told::Message(Message { content, .. }) | Told::Recover { content, .. } => content,
        }
    }

    fn content_mut(&mut self) -> &mut Bytes {
        match self {
            Told::Message(Message { content, .. }) | Told::Recover { content, .. } => content,
        }
    }

    fn encode(&self, out: &mut BytesMut) {
        match self {
            Told::Message(message) => events::encode(&event(message), out),
            Told::Recover { content, .. } => events::encode_recover(content, out),
        }
    }
}

/// What one request offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// So many messages from the front.
    pub messages: usize,
    /// And so many bytes of content.
    pub bytes: usize,
    /// That is all that was queued.
    pub whole: bool,
    /// So many of these bytes were offered before.
    pub replayed_bytes: usize,
}

impl Queue {
    /// Queues a message.
    pub fn push(&mut self, message: Message) {
        self.push_told(Told::Message(message));
    }

    /// Asks for what the client has missed of a channel; once.
    pub fn push_recover(&mut self, channel: Box<str>, content: Bytes) {
        self.forget_recover(&channel);
        self.push_told(Told::Recover { channel, content });
    }

    fn push_told(&mut self, told: Told) {
        let waiting = self.waiting.get_or_insert_default();
        waiting.bytes += told.content().len();
        waiting.messages.push_back(told);
    }

    /// What was missed of a channel is asked for no more: its backend has spoken of the channel
    /// since.
    pub fn forget_recover(&mut self, channel: &str) {
        let Some(waiting) = &mut self.waiting else { return };
        let Waiting { messages, bytes, kept } = &mut **waiting;
        let (mut place, offered) = (0, *kept);
        messages.retain(|told| {
            let forget = matches!(told, Told::Recover { channel: of, .. } if **of == *channel);
            if forget {
                *bytes -= told.content().len();
                *kept -= usize::from(place < offered);
            }
            place += 1;
            !forget
        });
        if messages.is_empty() {
            self.clear();
        }
    }

    /// Whether more must not come in.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| {
            waiting.bytes >= limits::EVENTS_QUEUE_BYTES_MAX
                || waiting.messages.len() >= limits::EVENTS_QUEUE_MESSAGES_MAX
        })
    }

    /// Whether the backend waits for more, and there is no room for more.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.is_full() && !self.has_news()
    }

    /// Whether there is something that the backend has not been offered. What it left with us is by
    /// itself no reason for a request.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.messages.len() > waiting.kept)
    }

    /// Encodes at most `messages_max` messages, and no more content than the queue is meant to
    /// hold; but one message at least.
    pub fn offer(&self, messages_max: usize, out: &mut BytesMut) -> Offer {
        let mut offer = Offer { messages: 0, bytes: 0, whole: true, replayed_bytes: 0 };
        let Some(waiting) = &self.waiting else { return offer };
        let messages_max = messages_max.min(limits::EVENTS_QUEUE_MESSAGES_MAX);
        for message in waiting.messages.iter().take(messages_max) {
            let content_bytes = message.content().len();
            let is_first = offer.messages == 0;
            if !is_first && offer.bytes + content_bytes > limits::EVENTS_QUEUE_BYTES_MAX {
                break;
            }
            if offer.messages < waiting.kept {
                offer.replayed_bytes += content_bytes;
            }
            offer.bytes += content_bytes;
            offer.messages += 1;
            message.encode(out);
        }
        offer.whole = offer.messages == waiting.messages.len();
        offer
    }

    /// The backend took `bytes` of what it was offered: what is left of a message keeps its kind,
    /// and empty messages go with the bytes before them.
    pub fn took(&mut self, offer: Offer, bytes: usize) {
        let Some(waiting) = &mut self.waiting else { return };
        let mut left = bytes.min(offer.bytes);
        let mut messages = offer.messages;
        while messages > 0
            && let Some(front) = waiting.messages.front_mut()
        {
            if front.content().len() > left {
                front.content_mut().advance(left);
                waiting.bytes -= left;
                break;
            }
            left -= front.content().len();
            waiting.bytes -= front.content().len();
            waiting.messages.pop_front();
            messages -= 1;
        }
        waiting.kept = messages;
        if waiting.messages.is_empty() {
            self.clear();
        }
    }

    /// Forgets all, and keeps no memory for what was queued once.
    pub fn clear(&mut self) {
        *self = Queue::default();
    }
}

fn event(message: &Message) -> Event {
    let content = message.content.clone();
    match message.kind {
        MessageKind::Text => Event::Text(content),
        MessageKind::Binary => Event::Binary(content),
        MessageKind::Ping => Event::Ping(content),
        MessageKind::Pong => Event::Pong(content),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn body(queue: &Queue, messages_max: usize) -> (Offer, String) {
        let mut body = BytesMut::new();
        let offer = queue.offer(messages_max, &mut body);
        (offer, String::from_utf8(body.to_vec()).unwrap())
    }

    #[test]
    fn what_was_missed_is_asked_for_in_order_until_it_is_settled() {
        let mut queue = Queue::default();
        let say = |queue: &mut Queue, content| {
            let content = Bytes::from_static(content);
            queue.push(Message { kind: MessageKind::Text, content });
        };
        say(&mut queue, b"a");
        queue.push_recover("c".into(), Bytes::from_static(b"{0}"));
        queue.push_recover("c".into(), Bytes::from_static(b"{1}"));
        say(&mut queue, b"b");
        queue.push_recover("d".into(), Bytes::from_static(b"{2}"));
        let (offer, text) = body(&queue, 2);
        assert_eq!(text, "TEXT 1\r\na\r\nRECOVER 3\r\n{1}\r\n");
        assert_eq!((offer.messages, offer.bytes, offer.whole), (2, 4, false));
        queue.took(offer, 1);
        // It was offered once, and left with us.
        queue.forget_recover("c");
        let (offer, text) = body(&queue, 9);
        assert_eq!(text, "TEXT 1\r\nb\r\nRECOVER 3\r\n{2}\r\n");
        assert_eq!((offer.replayed_bytes, offer.bytes), (0, 4));
        assert!(queue.has_news());
        queue.took(offer, 1);
        assert!(!queue.has_news());
        queue.forget_recover("x");
        assert_eq!(body(&queue, 9).0.replayed_bytes, 3);
        queue.forget_recover("d");
        assert!(queue.waiting.is_none());
    }

    #[test]
    fn the_queue_is_bounded_in_bytes_and_in_messages() {
        let message = |bytes: usize| {
            let content = Bytes::from(vec![b'x'; bytes]);
            Message { kind: MessageKind::Binary, content }
        };
        let mut queue = Queue::default();
        for _ in 1..limits::EVENTS_QUEUE_MESSAGES_MAX {
            queue.push(message(0));
        }
        assert!(!queue.is_full());
        queue.push(message(0));
        assert!(queue.is_full() && !queue.is_stuck());
        queue.push(message(1));
        let (offer, _) = body(&queue, usize::MAX);
        assert_eq!((offer.messages, offer.whole), (limits::EVENTS_QUEUE_MESSAGES_MAX, false));
        queue.took(offer, 0);
        assert!(!queue.is_full() && queue.has_news());

        let mut queue = Queue::default();
        queue.push(message(limits::EVENTS_QUEUE_BYTES_MAX - 1));
        assert!(!queue.is_full());
        queue.push(message(limits::EVENTS_QUEUE_BYTES_MAX));
        assert!(queue.is_full());
        // A request holds about as much as the queue is meant to, not what one message came to.
        let (offer, _) = body(&queue, usize::MAX);
        assert_eq!((offer.messages, offer.whole), (1, false));
        queue.took(offer, 5);
        assert!(queue.is_full() && !queue.is_stuck(), "the second message is new");
        let (offer, _) = body(&queue, usize::MAX);
        queue.took(offer, offer.bytes);
        let (offer, _) = body(&queue, usize::MAX);
        assert_eq!((offer.bytes, offer.whole), (limits::EVENTS_QUEUE_BYTES_MAX, true));
        queue.took(offer, 0);
        assert!(queue.is_stuck());
        queue.took(offer, 1);
        assert!(!queue.is_stuck());
    }

    proptest! {
        /// However the backend takes it, it gets every byte once and in order, and nothing stays.
        #[test]
        fn nothing_is_lost_or_doubled(
            contents in prop::collection::vec("[a-z]{0,8}", 1..8),
            portions in prop::collection::vec(1..12_usize, 60),
            one in any::<bool>(),
        ) {
            let mut queue = Queue::default();
            for content in &contents {
                let content = Bytes::from(content.clone());
                queue.push(Message { kind: MessageKind::Text, content });
            }
            let mut heard = String::new();
            for portion in portions {
                let mut body = BytesMut::new();
                let offer = queue.offer(if one { 1 } else { usize::MAX }, &mut body);
                let said: String = events::decode(&body.freeze())
                    .unwrap()
                    .into_iter()
                    .map(|event| match event {
                        Event::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                        other => panic!("{other:?}"),
                    })
                    .collect();
                prop_assert_eq!(said.len(), offer.bytes);
                let taken = portion.min(offer.bytes);
                heard.push_str(&said[..taken]);
                queue.took(offer, taken);
            }
            prop_assert_eq!(heard, contents.concat());
            prop_assert!(queue.waiting.is_none());
        }
    }
}
