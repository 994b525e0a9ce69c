//! Time that a test moves by hand, for the thread that it runs on.
//!
//! While it is on, `clock::now` gives it and sleepers wait for it; nothing of the system's time is
//! seen on this thread.

use std::cell::RefCell;
use std::future::poll_fn;
use std::task::{Poll, Waker};

#[derive(Default)]
struct Hand {
    /// In milliseconds.
    now: u64,
    sleepers: Vec<(u64, Waker)>,
}

thread_local! {
    static HAND: RefCell<Option<Hand>> = const { RefCell::new(None) };
}

/// Time is moved by hand on this thread from now on; it begins anew.
pub fn take() {
    HAND.set(Some(Hand::default()));
}

/// The present moment in milliseconds, if it is.
pub fn now() -> Option<u64> {
    HAND.with_borrow(|hand| Some(hand.as_ref()?.now))
}

/// Moves time on, and wakes those who have slept enough.
pub fn advance(ms: u64) {
    let woken: Vec<Waker> = HAND.with_borrow_mut(|hand| {
        let hand = hand.as_mut().expect("time was taken into hand");
        hand.now += ms;
        let now = hand.now;
        hand.sleepers.extract_if(.., |(at, _)| *at <= now).map(|(_, waker)| waker).collect()
    });
    woken.into_iter().for_each(Waker::wake);
}

/// Waits until `at`.
pub async fn sleep_until(at: u64) {
    poll_fn(|cx| {
        HAND.with_borrow_mut(|hand| match hand {
            Some(hand) if hand.now < at => {
                hand.sleepers.push((at, cx.waker().clone()));
                Poll::Pending
            }
            _ => Poll::Ready(()),
        })
    })
    .await;
}
