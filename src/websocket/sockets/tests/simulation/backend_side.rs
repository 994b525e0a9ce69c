//! What the backend does in a history, and what has to come of it.

use super::*;
use crate::grip::events::Event;

/// How an answer's events end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    None,
    Close,
    Broken,
}

impl History {
    /// A request comes.
    pub fn receives(&mut self, ask: Ask) {
        let stands = &mut self.stands;
        stands.was_down = false;
        assert!(self.asked.is_none(), "two requests at once");
        let what = String::from_utf8_lossy(&ask.body[..ask.body.len().min(60)]);
        // One that was under way when the process stopped may be sent over another connection.
        let again = stands.stopped && stands.lost.is_some();
        assert!(!stands.over || again, "a request after the end: {what:?} {stands:?}");
        if let Some(Lost(lost)) = stands.lost.take() {
            let moot = ask.disconnects() && stands.gone;
            assert!(ask.body == lost || moot, "another request instead of the one that was lost");
        }
        let replayed = ask.headers.get("content-bytes-replayed");
        let replayed: usize = replayed.map_or(0, |digits| digits.parse().expect("a number"));
        let kept = if ask.disconnects() { 0 } else { self.peer.kept_bytes };
        if ask.body.is_empty() || !self.one_event {
            assert_eq!(replayed, kept);
        }
        assert!(!self.one_event || ask.events.len() <= 1, "{:?}", ask.events);
        let (bytes, _) = ask.offered();
        assert!(bytes <= limits::EVENTS_QUEUE_BYTES_MAX);
        let last = ask.events.len().saturating_sub(1);
        let ends = |event: &Event| matches!(event, Event::Close(_) | Event::Disconnect);
        assert!(!ask.events.iter().take(last).any(ends), "an end is not the end");
        assert!(!ask.disconnects() || last == 0, "DISCONNECT is not alone");
        assert_eq!(ask.headers["accept"], "application/websocket-events");
        self.asked = Some(ask);
    }

    /// The backend can be reached again.
    pub fn backend_is_back(&mut self) {
        if self.stands.down_since.take().is_some() {
            self.peer.up();
        }
    }

    /// The backend answers what it was asked, in one way or another.
    pub fn backend_answers(&mut self) {
        let Some(ask) = self.asked.take() else { return };
        match self.rng.u8(0..40) {
            0 => self.fails(ask),
            1 | 2 => {
                // The end of the connection, before an answer.
                self.reach("requests lost");
                self.loses(ask);
            }
            3 | 4 => self.answer_plainly(ask),
            _ => self.answers(ask),
        }
    }

    /// The backend's connections are lost, and it cannot be reached for a while.
    pub fn backend_is_lost(&mut self) {
        if self.stands.down_since.is_some() || self.stands.was_down {
            return;
        }
        self.reach("unreachable");
        (self.stands.down_since, self.stands.was_down) = (Some(clock::now()), true);
        self.peer.down();
        if let Some(ask) = self.asked.take() {
            self.loses(ask);
        }
    }

    /// The request was not carried out. It may come again if it went over a connection that had
    /// been used before, and could not be told from an idle one that was closed.
    fn loses(&mut self, ask: Ask) {
        self.stands.lost = Some(Lost(ask.body.clone()));
        drop(ask);
    }

    fn fails(&mut self, ask: Ask) {
        self.reach("backend errors");
        self.over_for(&ask);
        let answer = match self.rng.u8(0..4) {
            0 => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
            1 => "HTTP/1.1 302 Elsewhere\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".to_owned(),
            2 => "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n".into(),
            _ => events("", "TEXT"),
        };
        ask.answer(answer);
    }

    fn over_for(&mut self, ask: &Ask) {
        self.stands.over = true;
        if ask.disconnects() {
            self.peer.accept(ask, 0);
        }
    }

    /// All is accepted, and nothing is said.
    pub fn answer_plainly(&mut self, ask: Ask) {
        self.answered(&ask, None, End::None, None);
        ask.answer(events("", ""));
    }

    pub fn answers(&mut self, ask: Ask) {
        let accepted = self.accepts(&ask);
        let senseless = is_senseless(&ask, accepted);
        let listens = self.listens(&ask) && !senseless;
        let mut body = String::new();
        for _ in 0..if senseless { 0 } else { self.rng.usize(0..4) } {
            self.says(&mut body, listens);
        }
        let closing = ask.closes() && self.rng.u8(0..3) > 0;
        let end = match self.rng.u8(0..60) {
            0 => {
                body += if self.rng.bool() { "DISCONNECT\r\n" } else { "OPEN\r\n" };
                End::Broken
            }
            n if closing || n < 4 => {
                self.reach("backend closes");
                body += "CLOSE 5\r\n\x0f\x0fyes\r\n";
                End::Close
            }
            _ => End::None,
        };
        if end != End::None {
            body += "TEXT 7\r\nm:never\r\n";
        }
        let mut headers = String::new();
        if let Some(bytes) = accepted {
            headers += &format!("Content-Bytes-Accepted: {bytes}\r\n");
        }
        let mut interval = None;
        if self.rng.u8(0..8) == 0 {
            interval = Some(self.rng.bool());
            let seconds = if interval == Some(true) { 25 } else { 0 };
            headers += &format!("Keep-Alive-Interval: {seconds}\r\n");
        }
        self.answered(&ask, accepted, end, interval);
        ask.answer(events(&headers, &body));
    }

    /// Whether what is said in answer to this reaches the client.
    fn listens(&self, ask: &Ask) -> bool {
        let stands = &self.stands;
        !stands.gone && !stands.severed && !stands.backend_closed && !ask.disconnects()
    }

    fn says(&mut self, body: &mut String, listens: bool) {
        let number = self.number();
        let ready = listens && !self.stalled();
        match self.rng.u8(0..14) {
            0 => *body += &text_event("unheard"),
            1 => *body += &text_event("c:{\"type\":\"nonsense\"}"),
            2 | 3 if ready => {
                *body += &text_event(r#"c:{"type":"subscribe","channel":"c"}"#);
                self.stands.subscribed |= self.stands.client_closed.is_none();
            }
            4 if ready => {
                *body += &text_event(r#"c:{"type":"unsubscribe","channel":"c"}"#);
                self.stands.subscribed = false;
            }
            5 => {
                let delayed = format!(r#"c:{{"type":"send-delayed","content":"d{number}"}}"#);
                *body += &text_event(&delayed);
            }
            6 if ready && self.rng.bool() => {
                self.reach("detaches");
                *body += &text_event(r#"c:{"type":"detach"}"#);
                self.stands.detached = true;
            }
            n => {
                let content = format!("b{number};");
                let bytes = content.len();
                *body += &match n {
                    7 => format!("PING {bytes:x}\r\n{content}\r\n"),
                    8 => format!("BINARY {:x}\r\nm:{content}\r\n", bytes + 2),
                    _ => text_event(&format!("m:{content}")),
                };
                // A client that has closed gets its answer when it is detached.
                let closed = self.stands.client_closed.is_some();
                if listens && !(self.stands.detached && closed) {
                    self.from_backend.push(number);
                }
            }
        }
    }

    /// How much of it the backend accepts; `None` is all.
    fn accepts(&mut self, ask: &Ask) -> Option<usize> {
        let (messages, close) = ask.offered();
        let told: usize = self.peer.told.iter().map(|message| message.content.len()).sum();
        let said: usize = self.said.iter().map(|message| message.content.len()).sum();
        if ask.disconnects() || said - told > 150_000 || !self.reluctant && self.rng.bool() {
            return None;
        }
        if self.reluctant && !self.one_event && self.rng.u8(0..4) > 0 {
            return Some(0);
        }
        match self.rng.u8(0..30) {
            0 => Some(messages + close + 1),
            // One event will never be more.
            1..=9 if !self.one_event || messages == 0 => Some(0),
            10..=27 => Some(self.rng.usize(messages.min(1)..=messages)),
            _ => Some(messages + close),
        }
    }

    /// What has to come of a valid answer.
    fn answered(&mut self, ask: &Ask, accepted: Option<usize>, end: End, interval: Option<bool>) {
        let (messages, close) = ask.offered();
        let bytes = accepted.unwrap_or(messages + close);
        self.stands.interval = interval.unwrap_or(self.stands.interval);
        if is_senseless(ask, accepted) {
            // Of a client that is gone the backend is told all the same.
            let stands = &mut self.stands;
            stands.over |= !stands.gone || stands.client_closed.is_some() || stands.severed;
            return;
        }
        self.peer.accept(ask, bytes);
        self.peer.kept_bytes = messages - bytes.min(messages);
        let all = bytes == messages + close;
        let nothing = !all && bytes == 0;
        if !all {
            self.reach(if nothing { "accepted nothing" } else { "accepted in part" });
        }
        let stands = &mut self.stands;
        let detached = stands.detached && !stands.severed;
        if ask.disconnects() || end == End::Broken {
            stands.severed |= detached;
            stands.over = true;
            return;
        }
        let closes = stands.client_closed.is_some() || stands.severed;
        if stands.gone && !closes {
            return;
        }
        let close_told = ask.closes() && all;
        let waits_for_answer = !stands.severed && !stands.backend_closed && !stands.gone;
        if close_told {
            stands.over = !waits_for_answer || end == End::Close || !stands.interval;
        } else if waits_for_answer && end == End::Close {
            stands.backend_closed = true;
            // What it has not taken it does not want.
            self.peer.kept_bytes = 0;
        } else if ask.closes() && nothing {
            let own = stands.interval && waits_for_answer && stands.client_closed.is_some();
            stands.put_off += usize::from(!own);
            stands.given_up = stands.put_off > usize::from(limits::EVENTS_CLOSES_AGAIN_MAX);
        }
        if !nothing {
            stands.put_off = 0;
        }
        if detached {
            stands.severed = true;
            stands.over |= close_told;
        }
        if self.stands.given_up {
            self.reach("put-off closes given up");
        }
    }
}

/// All but the CLOSE, or more than was offered.
fn is_senseless(ask: &Ask, accepted: Option<usize>) -> bool {
    let (messages, close) = ask.offered();
    accepted.is_some_and(|n| n != messages + close && n >= messages)
}
