//! Tells when something has lasted for too long.
//!
//! For who is polled anyway, and waits only now and then (`http`, uploads): there is a timer only
//! while something lasts, and not one for each time that it does.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Tick;

/// See the module.
pub struct Alarm {
    bound_ms: u64,
    /// It may have been set for what is over.
    timer: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Alarm {
    /// For what may last so long, in milliseconds; 0 is no bound.
    #[must_use]
    pub fn new(bound_ms: u64) -> Alarm {
        Alarm { bound_ms, timer: None }
    }

    /// Whether what has lasted since then does so for too long. If not, `cx` is woken to ask again.
    pub fn rings(&mut self, since: Tick, cx: &mut Context<'_>) -> bool {
        if self.bound_ms == 0 {
            return false;
        }
        let until = since.plus_ms(self.bound_ms);
        while super::now() < until {
            let timer = self.timer.get_or_insert_with(|| Box::pin(super::sleep_until(until)));
            match timer.as_mut().poll(cx) {
                Poll::Pending => return false,
                Poll::Ready(()) => self.timer = None,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    #[tokio::test]
    async fn it_rings_when_something_has_lasted_and_not_for_what_is_over() {
        let mut alarm = Alarm::new(30);
        let began = crate::clock::now();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        assert!(!alarm.rings(began, &mut cx));
        // That is over; what lasts began later.
        let later = began.plus_ms(20);
        let ring =
            poll_fn(|cx| if alarm.rings(later, cx) { Poll::Ready(()) } else { Poll::Pending });
        ring.await;
        assert!(crate::clock::now() >= began.plus_ms(50));
        assert!(!Alarm::new(0).rings(Tick(0), &mut cx));
    }
}
