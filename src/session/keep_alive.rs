//! Keep-alives: what is sent to a client that would otherwise hear nothing, and when
//! (specification, GRIP 3.6 and WebSockets 3.5).
//!
//! What is sent is encoded when it is set and shared between equal sessions. The time starts again
//! with a store into the session; whoever runs the timer looks here when it fires. Used by
//! `Session`.

use std::rc::Rc;

use bytes::Bytes;
use fastrand::Rng;

use super::frames::message_frame;
use super::http::{StreamFraming, stream_bytes};
use crate::clock::Tick;
use crate::grip::control::SocketKeepAlive;
use crate::grip::instruction::{KeepAlive, KeepAliveMode};
use crate::limits::KEEP_ALIVE_JITTER_MS;

/// A keep-alive as it goes on the wire.
#[derive(Debug, PartialEq, Eq)]
pub struct Pulse {
    /// The bytes: a chunk, bare bytes, or a frame. Never empty.
    pub bytes: Bytes,
    /// When its time starts again.
    pub mode: KeepAliveMode,
    /// Its period in seconds.
    pub timeout_s: u32,
}

impl Pulse {
    /// A stream's keep-alive; `None` when it would write nothing.
    #[must_use]
    pub fn for_stream(keep_alive: &KeepAlive, framing: StreamFraming) -> Option<Pulse> {
        // A copy: the data may be a part of a backend's much larger response head.
        let data = Bytes::copy_from_slice(&keep_alive.data);
        let bytes = stream_bytes(framing, &data);
        let pulse = Pulse { bytes, mode: keep_alive.mode, timeout_s: keep_alive.timeout_s };
        (!pulse.bytes.is_empty()).then_some(pulse)
    }

    /// A WebSocket's keep-alive; `None` when it is a control frame that would be too large.
    #[must_use]
    pub fn for_socket(keep_alive: &SocketKeepAlive) -> Option<Pulse> {
        let bytes = message_frame(&keep_alive.message)?;
        Some(Pulse { bytes, mode: keep_alive.mode, timeout_s: keep_alive.timeout_s })
    }

    /// One period, its random part drawn anew, in milliseconds.
    fn period_ms(&self, rng: &mut Rng) -> u64 {
        let whole = u64::from(self.timeout_s.max(1)) * 1000;
        whole.saturating_sub(rng.u64(0..=KEEP_ALIVE_JITTER_MS))
    }
}

/// The keep-alive of one session.
#[derive(Clone, Debug)]
pub struct Pacer {
    /// What it sends.
    pub pulse: Rc<Pulse>,
    /// When it sends next.
    pub due: Tick,
}

impl Pacer {
    /// Starts the time of a keep-alive.
    #[must_use]
    pub fn start(pulse: Rc<Pulse>, now: Tick, rng: &mut Rng) -> Pacer {
        let due = now.plus_ms(pulse.period_ms(rng));
        Pacer { pulse, due }
    }

    /// Something was written to the client.
    pub fn touched(&mut self, now: Tick, rng: &mut Rng) {
        if self.pulse.mode == KeepAliveMode::Idle {
            // Never earlier than before, so that a timer that runs already need not be moved.
            self.due = self.due.max(now.plus_ms(self.pulse.period_ms(rng)));
        }
    }

    /// If it is due: what to send. Its next period then starts.
    pub fn take_due(&mut self, now: Tick, rng: &mut Rng) -> Option<Rc<Pulse>> {
        if self.due > now {
            return None;
        }
        self.due = now.plus_ms(self.pulse.period_ms(rng));
        Some(Rc::clone(&self.pulse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pacer(mode: KeepAliveMode, timeout_s: u32, rng: &mut Rng) -> Pacer {
        let keep_alive = KeepAlive { data: Bytes::from_static(b"x\n"), mode, timeout_s };
        let pulse = Pulse::for_stream(&keep_alive, StreamFraming::Chunked).unwrap();
        assert_eq!(&pulse.bytes[..], b"2\r\nx\n\r\n");
        Pacer::start(Rc::new(pulse), Tick(10_000), rng)
    }

    #[test]
    fn periods_lose_up_to_999_ms() {
        let mut rng = Rng::with_seed(7);
        let (mut least, mut most) = (u64::MAX, 0);
        let mut pacer = pacer(KeepAliveMode::Interval, 1, &mut rng);
        for _ in 0..10_000 {
            let now = pacer.due;
            assert!(pacer.take_due(Tick(now.0 - 1), &mut rng).is_none());
            assert!(pacer.take_due(now, &mut rng).is_some());
            least = least.min(pacer.due.ms_since(now));
            most = most.max(pacer.due.ms_since(now));
        }
        assert_eq!((least, most), (1, 1000));
    }

    #[test]
    fn only_idle_keep_alives_start_again() {
        let mut rng = Rng::with_seed(7);
        for (mode, moves) in [(KeepAliveMode::Idle, true), (KeepAliveMode::Interval, false)] {
            let mut pacer = pacer(mode, 20, &mut rng);
            let before = pacer.due;
            pacer.touched(Tick(25_000), &mut rng);
            assert_eq!(pacer.due > before, moves);
            pacer.touched(Tick(25_000), &mut rng);
            assert!(pacer.due <= Tick(45_000));
        }
    }

    #[test]
    fn what_would_write_nothing_is_none() {
        let mode = KeepAliveMode::Idle;
        let empty = KeepAlive { data: Bytes::new(), mode, timeout_s: 5 };
        let full = KeepAlive { data: Bytes::from_static(b"x"), mode, timeout_s: 5 };
        assert_eq!(Pulse::for_stream(&empty, StreamFraming::Chunked), None);
        assert_eq!(Pulse::for_stream(&full, StreamFraming::Silent), None);
        assert!(Pulse::for_stream(&full, StreamFraming::Raw).is_some());
    }
}
