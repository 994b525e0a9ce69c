//! The backend of a history: it takes requests off pipes in memory, and remembers what it has been
//! told and has accepted. Its bookkeeping is that of the specification (5.5), not ours.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::backend::memory;
use crate::grip::events::{self, Event};
use crate::grip::message::{Message, MessageKind};

/// A request that waits for its answer.
pub struct Ask {
    pub headers: HashMap<String, String>,
    pub body: Bytes,
    pub events: Vec<Event>,
    answer: oneshot::Sender<String>,
}

impl Ask {
    pub fn answer(self, answer: String) {
        let _ = self.answer.send(answer);
    }

    pub fn closes(&self) -> bool {
        matches!(self.events.last(), Some(Event::Close(_)))
    }

    pub fn disconnects(&self) -> bool {
        matches!(self.events.last(), Some(Event::Disconnect))
    }

    /// Bytes of the content of messages, and of the CLOSE.
    pub fn offered(&self) -> (usize, usize) {
        let mut offered = (0, 0);
        for event in &self.events {
            match event {
                Event::Close(Some((_, reason))) => offered.1 = 2 + reason.len(),
                Event::Close(None) | Event::Disconnect => {}
                other => offered.0 += message(other).content.len(),
            }
        }
        offered
    }
}

/// An event that is a message.
pub fn message(event: &Event) -> Message {
    let (kind, content) = match event {
        Event::Text(content) => (MessageKind::Text, content),
        Event::Binary(content) => (MessageKind::Binary, content),
        Event::Ping(content) => (MessageKind::Ping, content),
        Event::Pong(content) => (MessageKind::Pong, content),
        other => panic!("{other:?} is no message"),
    };
    Message { kind, content: content.clone() }
}

/// See the module.
pub struct Peer {
    asks: mpsc::UnboundedReceiver<Ask>,
    sender: mpsc::UnboundedSender<Ask>,
    tasks: Vec<JoinHandle<()>>,
    /// What it has accepted of the client's messages; the last one may not be whole.
    pub told: Vec<Message>,
    /// So many bytes of the last one it has, where the rest was left.
    partial: bool,
    /// So many messages were found to be what was said.
    compared: usize,
    /// It was offered so many bytes that it has not accepted.
    pub kept_bytes: usize,
    /// The CLOSE that it has accepted.
    pub close: Option<Option<(u16, Bytes)>>,
    pub disconnects: usize,
}

impl Peer {
    pub fn new() -> Peer {
        let (sender, asks) = mpsc::unbounded_channel();
        Peer {
            asks,
            sender,
            tasks: Vec::new(),
            told: Vec::new(),
            partial: false,
            compared: 0,
            kept_bytes: 0,
            close: None,
            disconnects: 0,
        }
    }

    /// It can be reached.
    pub fn up(&mut self) {
        let (mut listener, asks) = (memory::listen(), self.sender.clone());
        self.tasks.push(tokio::task::spawn_local(async move {
            let mut streams = tokio::task::JoinSet::new();
            while let Some(stream) = listener.recv().await {
                streams.spawn_local(serve(stream, asks.clone()));
            }
        }));
    }

    /// It cannot be reached, and its connections are lost.
    pub fn down(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    /// The request that has come, if one has.
    pub fn next(&mut self) -> Option<Ask> {
        self.asks.try_recv().ok()
    }

    /// Accepts so many bytes of a request. Whether that was all.
    pub fn accept(&mut self, ask: &Ask, bytes: usize) -> bool {
        let mut left = bytes;
        for event in &ask.events {
            if let Event::Disconnect = event {
                self.disconnects += 1;
                return true;
            }
            if let Event::Close(close) = event {
                if left < ask.offered().1 {
                    return false;
                }
                // It may be told again until it is answered.
                let known = self.close.replace(close.clone());
                assert!(known.is_none_or(|known| known == *close), "another CLOSE");
                return true;
            }
            let Message { kind, content } = message(event);
            let taken = content.slice(..left.min(content.len()));
            let whole = content.len() <= left;
            if whole || !taken.is_empty() {
                match self.told.last_mut().filter(|_| self.partial) {
                    Some(last) => {
                        assert_eq!(last.kind, kind, "the rest of another kind");
                        last.content = [&last.content[..], &taken].concat().into();
                    }
                    None => self.told.push(Message { kind, content: taken.clone() }),
                }
                self.partial = !whole;
            }
            left -= taken.len();
            if !whole {
                return false;
            }
        }
        true
    }

    /// What it was told is what was said, once and in order; of the last it may have a part.
    pub fn compare(&mut self, said: &[Message]) {
        assert!(self.told.len() <= said.len(), "more was told than was said");
        let both = self.told.iter().zip(said).enumerate();
        for (place, (told, said)) in both.skip(self.compared) {
            let whole = place + 1 < self.told.len() || !self.partial;
            assert_eq!(told.kind, said.kind, "message {place}");
            let expected = match whole {
                true => &said.content[..],
                false => &said.content[..told.content.len()],
            };
            assert!(told.content == expected, "message {place} is not what was said");
        }
        self.compared = self.whole();
    }

    /// So many messages it has whole.
    pub fn whole(&self) -> usize {
        self.told.len() - usize::from(self.partial)
    }
}

async fn serve(mut stream: DuplexStream, asks: mpsc::UnboundedSender<Ask>) {
    // Whatever comes is read at once.
    let mut read = Vec::with_capacity(256 * 1024);
    loop {
        let end = loop {
            match read.windows(4).position(|window| window == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None if stream.read_buf(&mut read).await.unwrap_or(0) == 0 => return,
                None => {}
            }
        };
        let head = String::from_utf8_lossy(&read[..end]).to_ascii_lowercase();
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        let headers: HashMap<String, String> =
            fields.map(|(name, value)| (name.into(), value.into())).collect();
        let length: usize = headers["content-length"].parse().expect("a length");
        while read.len() < end + length {
            if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let body: Bytes = read[end..end + length].to_vec().into();
        read.drain(..end + length);
        let events = events::decode(&body).expect("events");
        let (answer, answered) = oneshot::channel();
        if asks.send(Ask { headers, body, events, answer }).is_err() {
            return;
        }
        let Ok(answer) = answered.await else { return };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
