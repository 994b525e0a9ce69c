//! The backends of the churn: what they answer, when they were down, what they were asked twice.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{now, pause};
use crate::harness::{Act, Answer, Mortal, Request};

/// For so long, and once more, it is remembered which POSTs the backends have seen.
const LATELY: Duration = Duration::from_secs(20);

fn handle(request: &Request) -> Act {
    let path = request.target.split('?').next().unwrap_or_default();
    let channel = path.rsplit('/').next().unwrap_or_default();
    if request.header("content-type") == Some("application/websocket-events") {
        if request.body.starts_with(b"OPEN") {
            let control = format!("c:{{\"type\":\"subscribe\",\"channel\":\"{channel}\"}}");
            let size = control.len();
            return Act::Answer(Answer::open(format!("TEXT {size:x}\r\n{control}\r\n")));
        }
        let closes = request.body.starts_with(b"CLOSE");
        return Act::Answer(Answer::events(if closes { &*request.body } else { b"" }));
    }
    match path {
        _ if path.starts_with("/poll/") => Act::Answer(Answer::hold("response", channel, "")),
        _ if path.starts_with("/stream/") => Act::Answer(Answer::hold("stream", channel, "open\n")),
        // Without a word of it.
        "/close" => Act::AnswerAndClose(Answer::ok("ok")),
        _ => Act::Answer(Answer::ok("ok")),
    }
}

/// A backend and when it was not up.
pub struct Backend {
    pub mortal: Mortal,
    /// From before it died until after it was up again, one after another.
    downs: RefCell<Vec<(Instant, Option<Instant>)>>,
}

impl Backend {
    pub fn new() -> Backend {
        Backend { mortal: Mortal::new(Duration::from_secs(60), handle), downs: RefCell::default() }
    }

    pub async fn dies_and_comes_back(&self, down: Duration) {
        self.downs.borrow_mut().push((now(), None));
        self.mortal.die().await;
        pause(down).await;
        self.mortal.live().await;
        if let Some((_, end)) = self.downs.borrow_mut().last_mut() {
            *end = Some(now());
        }
    }

    /// Whether it was down at some moment of this time.
    pub fn was_down(&self, from: Instant, to: Instant) -> bool {
        let downs = self.downs.borrow();
        let mut lately =
            downs.iter().rev().take_while(|(_, end)| end.is_none_or(|end| end >= from));
        lately.any(|(begin, _)| *begin <= to)
    }
}

/// The POSTs that the backends have seen lately.
pub struct Posts {
    since: Instant,
    new: HashMap<String, u32>,
    old: HashMap<String, u32>,
}

impl Posts {
    pub fn new() -> Posts {
        Posts { since: now(), new: HashMap::new(), old: HashMap::new() }
    }

    /// Takes what the backends have seen since the last look; none of it twice, whoever saw it.
    pub fn look(&mut self, backends: &[Backend]) {
        if now() > self.since + LATELY {
            self.since = now();
            self.old = std::mem::take(&mut self.new);
        }
        for backend in backends {
            for (id, times) in backend.mortal.take_seen() {
                if !id.starts_with("POST") {
                    continue;
                }
                let before = self.old.get(&id).copied().unwrap_or_default();
                let seen = self.new.entry(id.clone()).or_default();
                *seen += times;
                assert!(before + *seen == 1, "{id} was seen {} times", before + *seen);
            }
        }
    }
}
