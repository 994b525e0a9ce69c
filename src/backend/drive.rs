//! The task of one backend connection: runs hyper's side of it, ends it when it is silent or idle
//! for too long, and puts it into the pool when it becomes ready after an exchange.
//!
//! One task and one timer a connection, none a request.

use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use hyper::client::conn::http1::Connection;
use hyper_util::rt::TokioIo;

use super::link::{Link, Watched};
use super::pool::Pool;
use super::upload::RequestBody;
use crate::clock::{self, Tick};

/// hyper's state of a connection.
pub type Wire = Connection<TokioIo<Watched>, RequestBody>;

/// Drives one connection to its end.
pub struct Drive {
    wire: Wire,
    link: Rc<Link>,
    pool: Weak<Pool>,
    idle_ms: u64,
    progress_ms: u64,
    alarm: Pin<Box<dyn Future<Output = ()>>>,
}

impl Drive {
    /// Starts the task. Must be called on a shard.
    pub fn start(wire: Wire, link: &Rc<Link>, pool: &Rc<Pool>, progress_ms: u64) {
        let first = link.progress.get().plus_ms(pool.idle_ms.min(progress_ms));
        let drive = Drive {
            wire,
            link: Rc::clone(link),
            pool: Rc::downgrade(pool),
            idle_ms: pool.idle_ms,
            progress_ms,
            alarm: Box::pin(clock::sleep_until(first)),
        };
        link.driven_by(tokio::task::spawn_local(drive).abort_handle());
    }

    /// When the connection is to be given up as things stand.
    fn deadline(&self) -> Tick {
        match self.link.idle_since.get() {
            Some(since) => since.plus_ms(self.idle_ms),
            None => self.link.progress.get().plus_ms(self.progress_ms),
        }
    }

    /// Whether time is up. The alarm rings at least once in every idle period, and is then set to
    /// the deadline itself: so using a connection never has to touch it.
    fn is_overdue(&mut self, cx: &mut Context<'_>) -> bool {
        while self.alarm.as_mut().poll(cx).is_ready() {
            let now = clock::now();
            let deadline = self.deadline();
            if now >= deadline {
                self.link.timed_out.set(self.link.idle_since.get().is_none());
                return true;
            }
            let next = deadline.min(now.plus_ms(self.idle_ms.max(1)));
            self.alarm = Box::pin(clock::sleep_until(next));
        }
        false
    }
}

impl Future for Drive {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.is_overdue(cx) {
            return Poll::Ready(());
        }
        // Its error goes to whoever waits for the response or reads the body.
        if Pin::new(&mut this.wire).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let returning = this.link.returning.take();
        if let Some(sender) = returning {
            if sender.is_ready() {
                if let Some(pool) = this.pool.upgrade() {
                    pool.put(sender, Rc::clone(&this.link));
                }
            } else if !sender.is_closed() {
                this.link.returning.replace(Some(sender));
            }
        }
        Poll::Pending
    }
}

impl Drop for Drive {
    fn drop(&mut self) {
        // Breaks the circle link -> sender, and takes an idle connection that has ended out of the
        // pool.
        self.link.returning.take();
        if let Some(pool) = self.pool.upgrade() {
            pool.forget(&self.link);
        }
    }
}
