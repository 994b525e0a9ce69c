//! A descriptor kept for the moment when there is no other: given up, it lets one client be
//! accepted and told so, instead of leaving it in the queue without a word.
//!
//! Used by whoever accepts, one for each listener. Without it, a process that is out of descriptors
//! could not even close the connections that wait for it.

use std::fs::File;

/// See the module.
#[derive(Debug)]
pub struct Reserve {
    kept: Option<File>,
}

impl Reserve {
    /// Sets a descriptor aside; if there is none now, [`Reserve::restore`] tries again.
    #[must_use]
    pub fn new() -> Reserve {
        let mut reserve = Reserve { kept: None };
        reserve.restore();
        reserve
    }

    /// Gives the descriptor up: the next one that the process asks for is this. Whether there was
    /// one.
    pub fn give_up(&mut self) -> bool {
        self.kept.take().is_some()
    }

    /// Sets a descriptor aside again, if there is one. Whether there is one now.
    pub fn restore(&mut self) -> bool {
        if self.kept.is_none() {
            self.kept = File::open("/dev/null").ok();
        }
        self.kept.is_some()
    }
}

impl Default for Reserve {
    fn default() -> Reserve {
        Reserve::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_up_once_and_comes_back() {
        let mut reserve = Reserve::new();
        assert!(reserve.give_up());
        assert!(!reserve.give_up());
        assert!(reserve.restore());
        assert!(reserve.restore());
        assert!(reserve.give_up());
    }
}
