//! Closes parked WebSockets on which nothing has been heard or said for too long (specification,
//! WebSockets 2.8).
//!
//! One task a shard, started by its loop. It looks through the lot slowly, a part in each beat, so
//! that a million silent connections cost no timers and no pause; a connection is closed when its
//! time is over, or up to an eighth of it (at most a minute) later. Relayed WebSockets are not
//! here: they are tasks, and see to it themselves.

use std::rc::Rc;

use super::client::end;
use super::state::Shard;
use crate::clock;
use crate::limits;

/// How the time is divided.
#[derive(Debug, PartialEq, Eq)]
struct Pace {
    beat_ms: u64,
    /// So many beats look through all of the lot.
    parts: usize,
    /// A connection that was silent for so many is closed.
    beats: u32,
}

impl Pace {
    fn new(idle_ms: u64) -> Pace {
        let round_ms = (idle_ms / 8).clamp(1, limits::WEBSOCKET_SWEEP_MS);
        let beat_ms = round_ms.min(1000);
        // The beat in which bytes move has begun before them.
        let beats = idle_ms.div_ceil(beat_ms).saturating_add(1);
        Pace {
            beat_ms,
            parts: usize::try_from(round_ms / beat_ms).unwrap_or(1),
            beats: u32::try_from(beats).unwrap_or(u32::MAX),
        }
    }
}

/// Sees to it for ever, unless there is no such bound.
pub async fn run(shard: Rc<Shard>) {
    let idle_ms = shard.settings.proxy.bounds.idle_ms;
    if idle_ms == 0 {
        return;
    }
    let pace = Pace::new(idle_ms);
    let begin = clock::now();
    loop {
        clock::sleep_ms(pace.beat_ms).await;
        let beat = clock::now().ms_since(begin) / pace.beat_ms;
        let silent = {
            let mut lot = shard.lot.borrow_mut();
            lot.set_beat(u32::try_from(beat).unwrap_or(u32::MAX));
            lot.silent(pace.parts, pace.beats)
        };
        for id in silent {
            if shard.hub.with(|registry| registry.is_socket(id)) {
                shard.stats.sockets_idle.inc();
                tracing::info!(session = %id, "WebSocket closed: idle for too long");
                end(&shard, id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_times_are_looked_at_slowly_and_short_ones_exactly() {
        assert_eq!(Pace::new(1_800_000), Pace { beat_ms: 1000, parts: 60, beats: 1801 });
        assert_eq!(Pace::new(8_000), Pace { beat_ms: 1000, parts: 1, beats: 9 });
        assert_eq!(Pace::new(1_000), Pace { beat_ms: 125, parts: 1, beats: 9 });
        assert_eq!(Pace::new(1), Pace { beat_ms: 1, parts: 1, beats: 2 });
        assert_eq!(Pace::new(u64::MAX).beats, u32::MAX);
    }
}
