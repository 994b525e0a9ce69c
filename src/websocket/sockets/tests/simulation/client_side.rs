//! What the client, the publisher and the clock do in a history.

use super::client::What;
use super::*;

impl History {
    pub fn number(&mut self) -> usize {
        self.numbers += 1;
        self.numbers
    }

    /// Whether what the client says still goes into the conversation.
    pub fn is_open(&self) -> bool {
        let stands = &self.stands;
        stands.client_closed.is_none()
            && !stands.severed
            && !stands.backend_closed
            && !stands.gone
            && !stands.over
            && !stands.given_up
    }

    pub fn client_speaks(&mut self) {
        if self.stands.gone || self.person.closed {
            return;
        }
        let number = self.number();
        self.person.speaks(&mut self.rng, number);
    }

    pub fn client_closes(&mut self) {
        // Who got a CLOSE answers it more often than not.
        let now = self.person.got_close || self.rng.u8(0..3) == 0;
        if now && !self.stands.gone && !self.person.closed {
            self.person.closes(&mut self.rng);
        }
    }

    /// The shard reads some of what the client has sent, a few times at most.
    pub fn client_is_read(&mut self) {
        for _ in 0..self.rng.usize(1..6) {
            self.is_read_once();
        }
    }

    fn is_read_once(&mut self) {
        let paused = self.company.clients.borrow_mut().client(self.id).paused;
        let waits = self.person.on_the_way();
        if self.stands.gone || paused || waits == 0 {
            return;
        }
        let n = if self.rng.bool() { waits } else { self.rng.usize(1..=waits) }.min(64 * 1024);
        let (bytes, whole) = self.person.arrives(n);
        for what in whole {
            match what {
                What::Message(message) if self.is_open() => self.said.push(message),
                What::Message(_) => {}
                What::Close(close) => {
                    let stands = &mut self.stands;
                    if !stands.severed && !stands.over && !stands.given_up {
                        stands.client_closed = Some(close);
                    }
                }
            }
        }
        match self.sockets.received(self.id, &bytes) {
            Flow::Read => {}
            Flow::Pause => {
                self.reach("pauses");
                self.company.clients.borrow_mut().client(self.id).paused = true;
            }
            Flow::Close => self.ends(),
        }
    }

    pub fn client_leaves(&mut self) {
        if !self.stands.gone {
            self.ends();
        }
    }

    pub fn stall(&mut self) {
        self.company.clients.borrow_mut().client(self.id).stalled = true;
    }

    pub fn read_all(&mut self) {
        self.company.clients.borrow_mut().read_all(self.id);
        self.sockets.drained(self.id);
    }

    pub fn publish(&mut self) {
        let number = self.number();
        let format = match self.rng.u8(0..12) {
            0 => r#"{"action":"close","code":4000,"reason":"x"}"#.to_owned(),
            1 | 2 => r#"{"action":"refresh"}"#.to_owned(),
            _ => format!(r#"{{"content":"p{number}"}}"#),
        };
        let reaches = self.subscribers() == 1;
        if format.contains("content") && reaches {
            self.published.push(number);
        }
        if format.contains("close") && reaches {
            self.reach("published closes");
        }
        let item = format!(r#"{{"channel":"c","formats":{{"ws-message":{format}}}}}"#);
        self.company.publish(&format!(r#"{{"items":[{item}]}}"#));
    }

    pub fn time_passes(&mut self) {
        let ms = match self.rng.u8(0..4) {
            0 => self.rng.u64(0..40_000),
            _ => self.rng.u64(0..3000),
        };
        self.pass(ms);
    }

    pub fn pass(&mut self, ms: u64) {
        // Not so long that it is given up.
        if self.stands.down_since.is_some_and(|at| clock::now().plus_ms(ms).ms_since(at) > 12_000) {
            self.backend_is_back();
        }
        clock::by_hand::advance(ms);
        self.company.shared.hub.tick(clock::now());
        self.effects();
    }

    /// The process stops, as a shard does it.
    pub fn stop(&mut self) {
        if self.stands.gone {
            // The backend is still told of that.
            return;
        }
        self.reach("stops");
        (self.stands.stopped, self.stands.over, self.stands.blurred) = (true, true, true);
        self.company.shared.hub.with_outlet(|registry, outlet| registry.drain(outlet));
        self.sockets.drain();
    }
}
