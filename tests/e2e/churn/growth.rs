//! What the process has, over the whole run: the last quarter against the second one. The first
//! does not count, since caches and pools fill then.

use std::time::Duration;

use crate::harness::Server;

/// What an allocator may keep more of at one time than at another, in bytes.
const MEMORY: usize = 6 << 20;

/// Connections that happen to be open at one time and not at another.
const DESCRIPTORS: usize = 24;
/// A quarter of a shorter run is over before they have evened out.
const LONG: Duration = Duration::from_secs(50);

/// How much time there is between two looks, in a run of this length.
pub fn often(run: Duration) -> Duration {
    (run / 100).clamp(Duration::from_millis(20), Duration::from_secs(5))
}

#[derive(Clone, Copy)]
struct Look {
    memory: usize,
    descriptors: usize,
}

#[derive(Default)]
pub struct Growth {
    looks: Vec<Look>,
}

/// The one in the middle of its quarter, counted from 0.
fn typical(looks: &[Look], quarter: usize, of: impl Fn(&Look) -> usize) -> usize {
    let quarter = &looks[looks.len() * quarter / 4..looks.len() * (quarter + 1) / 4];
    let mut values: Vec<_> = quarter.iter().map(of).collect();
    values.sort_unstable();
    values[values.len() / 2]
}

impl Growth {
    pub fn look(&mut self, server: &Server) {
        let look = Look { memory: server.resident_bytes(), descriptors: server.descriptors() };
        self.looks.push(look);
    }

    /// Says what each quarter of this `run` had, and insists that the last had no more than the
    /// second.
    pub fn judge(&self, run: Duration) {
        assert!(self.looks.len() >= 16, "looked at {} times only", self.looks.len());
        let memory = [0, 1, 2, 3].map(|n| typical(&self.looks, n, |look| look.memory));
        let descriptors = [0, 1, 2, 3].map(|n| typical(&self.looks, n, |look| look.descriptors));
        println!("by quarters: memory {memory:?}, descriptors {descriptors:?}");
        assert!(memory[3] <= memory[1] + MEMORY, "memory grew: {memory:?}");
        // Those that are never closed are seen in a short run too: when all clients have gone.
        let more = if run < LONG { descriptors[1] / 2 } else { DESCRIPTORS };
        assert!(descriptors[3] <= descriptors[1] + more, "descriptors grew: {descriptors:?}");
    }
}
