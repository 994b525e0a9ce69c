//! What was published and who has it: the judge of "each message exactly once and in order".
//! Filled by the phases, asked by every subscriber for every message. Knows no socket.

use std::collections::VecDeque;
use std::time::Instant;

use crate::failure::{Fault, excerpt};
use crate::histogram::Histogram;
use crate::inflating::Inflating;

/// The shortest message: number, time, line end.
pub const SHORTEST: usize = 32;

struct Sent {
    payload: Vec<u8>,
    at: Instant,
    missing: usize,
}

/// Numbers the messages of a run and ticks them off.
pub struct Ledger {
    subscribers: usize,
    size: usize,
    epoch: Instant,
    outstanding: VecDeque<Sent>,
    oldest: u64,
    /// Deliveries since the last [`Ledger::restart`].
    pub delivered: u64,
    /// From the moment of publishing to the moment of reading, since the last restart.
    pub latency: Histogram,
    /// When the last delivery was read.
    pub last: Instant,
    /// Messages are of JSON instead of padding.
    pub json: bool,
    inflating: Inflating,
}

impl Ledger {
    /// For messages of `size` bytes; nobody is there yet.
    pub fn new(size: usize) -> Ledger {
        let now = Instant::now();
        Ledger {
            subscribers: 0,
            size: size.max(SHORTEST),
            epoch: now,
            outstanding: VecDeque::new(),
            oldest: 0,
            delivered: 0,
            latency: Histogram::new(),
            last: now,
            json: false,
            inflating: Inflating::default(),
        }
    }

    /// From now on there are so many subscribers that each get every message.
    pub fn serve(&mut self, subscribers: usize) {
        self.subscribers = subscribers;
    }

    /// Counts what is still missing as if it came at `now`, and returns how much that is: what
    /// a server owes when it is given up. Nothing can be received after that.
    pub fn write_off(&mut self, now: Instant) -> u64 {
        let mut owed = 0;
        for sent in self.outstanding.drain(..) {
            let age = now.saturating_duration_since(sent.at);
            self.latency.record_many(age, sent.missing as u64);
            owed += sent.missing as u64;
        }
        owed
    }

    /// Counts a message that could not even be published, due at `at`, as [`Ledger::write_off`]
    /// does.
    pub fn write_off_unsent(&mut self, at: Instant, now: Instant) -> u64 {
        self.latency.record_many(now.saturating_duration_since(at), self.subscribers as u64);
        self.subscribers as u64
    }

    /// Begins to count anew; the numbering goes on.
    pub fn restart(&mut self) {
        self.delivered = 0;
        self.latency = Histogram::new();
    }

    /// Enters the next message, published at `at`, and returns its bytes: the number, the time
    /// in microseconds since the start, padding.
    pub fn publish(&mut self, at: Instant) -> &[u8] {
        let number = self.oldest + self.outstanding.len() as u64;
        let micros = at.saturating_duration_since(self.epoch).as_micros();
        let mut payload = format!("{number:010} {micros:014} ").into_bytes();
        if self.json {
            payload.extend(updates(number).take((self.size - 1).saturating_sub(payload.len())));
        }
        payload.resize(self.size - 1, b'x');
        payload.push(b'\n');
        self.outstanding.push_back(Sent { payload, at, missing: self.subscribers });
        self.outstanding.back().map(|sent| sent.payload.as_slice()).unwrap_or_default()
    }

    /// Messages that some subscriber does not have yet.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Who lacks what, for an error message.
    pub fn missing(&self) -> String {
        match self.outstanding.front() {
            Some(sent) => {
                format!("{} subscribers still lack message {}", sent.missing, self.oldest)
            }
            None => "every subscriber has every message".to_owned(),
        }
    }

    /// The bytes of one message.
    pub fn size(&self) -> usize {
        self.size
    }

    /// As `receive`, of what came deflated.
    pub fn receive_deflated(
        &mut self,
        next: &mut u64,
        deflated: &[u8],
        now: Instant,
    ) -> Result<(), Fault> {
        let mut inflating = std::mem::take(&mut self.inflating);
        let received = match inflating.message(deflated) {
            Some(message) => self.receive(next, message, now),
            None => Err(Fault::Protocol { what: "not deflated", got: excerpt(deflated) }),
        };
        self.inflating = inflating;
        received
    }

    /// A subscriber whose next message is number `next` got `payload`, read at `now`.
    pub fn receive(&mut self, next: &mut u64, payload: &[u8], now: Instant) -> Result<(), Fault> {
        let due = next.checked_sub(self.oldest).and_then(|index| usize::try_from(index).ok());
        let sent = due.and_then(|index| self.outstanding.get_mut(index));
        let Some(sent) = sent.filter(|sent| sent.payload == payload) else {
            return Err(fault(*next, payload));
        };
        sent.missing = sent.missing.saturating_sub(1);
        self.latency.record(now.saturating_duration_since(sent.at));
        self.last = now;
        self.delivered += 1;
        *next += 1;
        while self.outstanding.front().is_some_and(|sent| sent.missing == 0) {
            self.outstanding.pop_front();
            self.oldest += 1;
        }
        Ok(())
    }
}

/// Records as applications send them, other ones in each message.
fn updates(message: u64) -> impl Iterator<Item = u8> {
    (1..).flat_map(move |record: u64| {
        let number = (message * 1000 + record).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let (id, price, seller) = (number >> 40, number >> 20 & 0xffff, number % 977);
        format!(
            "{{\"id\":{id},\"price\":{price},\"seller\":\"user-{seller}\",\"open\":{}}},",
            id.is_multiple_of(3)
        )
        .into_bytes()
    })
}

fn fault(expected: u64, payload: &[u8]) -> Fault {
    let number = payload
        .get(..10)
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u64>().ok());
    match number {
        None => Fault::Alien { expected, got: excerpt(payload) },
        Some(got) if got > expected => Fault::Gap { expected, got },
        Some(got) if got < expected => Fault::Repeated { expected, got },
        Some(_) => Fault::Altered { expected, got: excerpt(payload) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_gaps_repeats_and_damage() {
        let now = Instant::now();
        let mut ledger = Ledger::new(100);
        ledger.serve(2);
        let first = ledger.publish(now).to_vec();
        let second = ledger.publish(now).to_vec();
        let (mut a, mut b) = (0, 0);
        assert_eq!(ledger.receive(&mut a, &first, now), Ok(()));
        assert_eq!(
            ledger.receive(&mut a, &first, now),
            Err(Fault::Repeated { expected: 1, got: 0 })
        );
        assert_eq!(ledger.receive(&mut b, &second, now), Err(Fault::Gap { expected: 0, got: 1 }));
        let mut damaged = first.clone();
        damaged[50] = b'y';
        assert!(matches!(ledger.receive(&mut b, &damaged, now), Err(Fault::Altered { .. })));
        assert!(matches!(ledger.receive(&mut b, b"hello", now), Err(Fault::Alien { .. })));
        assert_eq!(ledger.receive(&mut b, &first, now), Ok(()));
        assert_eq!((ledger.outstanding(), ledger.delivered), (1, 2));
        assert_eq!(ledger.receive(&mut a, &second, now), Ok(()));
        assert_eq!(ledger.receive(&mut b, &second, now), Ok(()));
        assert_eq!(ledger.outstanding(), 0);
        assert!(ledger.receive(&mut b, &second, now).is_err());
    }

    #[test]
    fn what_is_given_up_counts_with_its_age() {
        let at = Instant::now();
        let mut ledger = Ledger::new(100);
        ledger.serve(3);
        let first = ledger.publish(at).to_vec();
        ledger.publish(at);
        assert_eq!(ledger.receive(&mut 0, &first, at), Ok(()));
        let later = at + std::time::Duration::from_secs(2);
        assert_eq!(ledger.write_off(later), 5);
        assert_eq!(ledger.write_off_unsent(at, later), 3);
        assert_eq!((ledger.latency.quantile(0.1), ledger.latency.quantile(0.5)), (0, 2_000_000));
    }
}
