//! How often the log is told of clients that do not read: when a whole channel's clients are too
//! slow, a line for each of them would be what costs most.
//!
//! Used by `delivery`. Knows neither clients nor the log.

use crate::clock::Tick;
use crate::limits::{COMPLAINTS_MAX, COMPLAINTS_PERIOD_MS};

/// What was said lately.
#[derive(Debug, Default)]
pub struct Complaints {
    since: Tick,
    told: u32,
    left_out: u64,
}

impl Complaints {
    /// Whether one more may be told now; if so, how many were left out since the last that was.
    pub fn admit(&mut self, now: Tick) -> Option<u64> {
        if now.ms_since(self.since) >= COMPLAINTS_PERIOD_MS {
            self.since = now;
            self.told = 0;
        }
        if self.told == COMPLAINTS_MAX {
            self.left_out += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_told_in_a_second_and_the_others_counted() {
        let mut complaints = Complaints::default();
        let told = |complaints: &mut Complaints, now| {
            (0..COMPLAINTS_MAX + 5).filter_map(|_| complaints.admit(now)).collect::<Vec<_>>()
        };
        assert_eq!(told(&mut complaints, Tick(3)), vec![0; COMPLAINTS_MAX as usize]);
        assert_eq!(complaints.admit(Tick(3 + COMPLAINTS_PERIOD_MS - 4)), None);
        let later = told(&mut complaints, Tick(3 + COMPLAINTS_PERIOD_MS));
        assert_eq!((later[0], later[1], later.len()), (6, 0, COMPLAINTS_MAX as usize));
    }
}
