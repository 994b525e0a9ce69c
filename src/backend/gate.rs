//! How many requests may be under way at once; and how many are, at each target.
//!
//! Called by the roof for every connection that is taken into use, and by `resolver`. A shard's
//! own: nothing locks. Knows neither requests nor connections.

use std::cell::Cell;
use std::rc::Rc;

use tokio::sync::Notify;

use crate::clock;

/// Room for so many at once; others wait, in bounded number and time.
pub struct Gate {
    room: Cell<usize>,
    waiting: Cell<usize>,
    waiting_max: usize,
    opened: Notify,
}

/// Nobody else may wait, or it was waited for long enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// A place within. Dropping it makes room.
pub struct Permit(Rc<Gate>);

/// A place in the line.
struct InLine<'a>(&'a Gate);

impl Gate {
    /// Room for `room` at once, and for `waiting_max` who wait.
    #[must_use]
    pub fn new(room: usize, waiting_max: usize) -> Rc<Gate> {
        let (room, waiting) = (Cell::new(room), Cell::new(0));
        Rc::new(Gate { room, waiting, waiting_max, opened: Notify::new() })
    }

    /// A place, if there is one and nobody waits for it.
    #[must_use]
    pub fn enter(self: &Rc<Gate>) -> Option<Permit> {
        (self.waiting.get() == 0).then(|| self.take()).flatten()
    }

    fn take(self: &Rc<Gate>) -> Option<Permit> {
        self.room.set(self.room.get().checked_sub(1)?);
        Some(Permit(Rc::clone(self)))
    }

    /// A place, as soon as there is one, but not later than in `wait_ms`.
    ///
    /// # Errors
    /// When too many wait, or it takes too long.
    pub async fn wait(self: &Rc<Gate>, wait_ms: u64) -> Result<Permit, Full> {
        if let Some(permit) = self.enter() {
            return Ok(permit);
        }
        if self.waiting.get() >= self.waiting_max {
            return Err(Full);
        }
        self.waiting.set(self.waiting.get().saturating_add(1));
        let _in_line = InLine(self);
        let opened = async {
            loop {
                self.opened.notified().await;
                if let Some(permit) = self.take() {
                    return permit;
                }
            }
        };
        tokio::select! {
            biased;
            permit = opened => Ok(permit),
            () = clock::sleep_ms(wait_ms) => Err(Full),
        }
    }

    /// How many wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.get()
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.room.set(self.0.room.get().saturating_add(1));
        if self.0.waiting.get() > 0 {
            self.0.opened.notify_one();
        }
    }
}

/// How many requests are under way at one target.
pub type Gauge = Rc<Cell<u32>>;

/// One of them. Dropping it ends it.
pub struct Load(Gauge);

impl Load {
    /// One more.
    #[must_use]
    pub fn on(gauge: &Gauge) -> Load {
        gauge.set(gauge.get().saturating_add(1));
        Load(Rc::clone(gauge))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// What a connection in use takes up, until it is out of use.
pub struct Occupancy {
    /// Its place among all requests that are under way.
    pub permit: Permit,
    /// Its part of its target's load, where targets are chosen by that.
    pub load: Option<Load>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(test);
    }

    #[test]
    fn who_finds_no_room_waits_in_line() {
        run(async {
            let gate = Gate::new(1, 1);
            let first = gate.enter().unwrap();
            assert!(gate.enter().is_none());
            let (second, ()) = tokio::join!(gate.wait(10_000), async {
                assert_eq!(gate.waiting(), 1);
                assert_eq!(gate.wait(10_000).await.err(), Some(Full), "one waits already");
                drop(first);
                assert!(gate.enter().is_none(), "nobody pushes in");
            });
            let second = second.ok().unwrap();
            assert_eq!(gate.waiting(), 0);
            assert!(gate.enter().is_none());
            drop(second);
            assert!(gate.enter().is_some());
        });
    }

    #[test]
    fn who_stops_waiting_leaves_no_trace() {
        run(async {
            let gate = Gate::new(1, 8);
            let first = gate.enter().unwrap();
            assert_eq!(gate.wait(1).await.err(), Some(Full));
            assert_eq!(gate.waiting(), 0);
            // Told that there is room, and gone before hearing it: the next one hears.
            let mut gone = Box::pin(gate.wait(10_000));
            let mut stays = Box::pin(gate.wait(10_000));
            for waiting in [&mut gone, &mut stays] {
                std::future::poll_fn(|cx| {
                    assert!(waiting.as_mut().poll(cx).is_pending());
                    std::task::Poll::Ready(())
                })
                .await;
            }
            drop(first);
            drop(gone);
            assert!(stays.await.is_ok());
        });
    }

    #[test]
    fn loads_end() {
        let gauge = Gauge::default();
        let loads = [Load::on(&gauge), Load::on(&gauge)];
        assert_eq!(gauge.get(), 2);
        drop(loads);
        assert_eq!(gauge.get(), 0);
    }
}
