//! A backend connection in use by one exchange: back to the pool, or closed at once.

use std::rc::{Rc, Weak};

use super::link::{Link, Sender};
use super::pool::Pool;

/// Holds a connection for one exchange. Dropped before [`Lease::finish`], it closes the connection,
/// so that the backend sees that its client has left.
pub struct Lease {
    sender: Option<Sender>,
    link: Rc<Link>,
    pool: Weak<Pool>,
}

impl Lease {
    /// Takes a connection into use.
    #[must_use]
    pub fn new(sender: Sender, link: Rc<Link>, pool: Weak<Pool>) -> Lease {
        link.begin();
        Lease { sender: Some(sender), link, pool }
    }

    /// hyper's end of it.
    pub fn sender(&mut self) -> Option<&mut Sender> {
        self.sender.as_mut()
    }

    /// What all who deal with the connection share.
    #[must_use]
    pub fn link(&self) -> &Rc<Link> {
        &self.link
    }

    /// The response has been read to its end: the connection is kept if it may be.
    pub fn finish(mut self) {
        let Some(sender) = self.sender.take() else { return };
        let Some(pool) = self.pool.upgrade() else { return };
        if sender.is_ready() {
            pool.put(sender, Rc::clone(&self.link));
        } else if !sender.is_closed() {
            // hyper has not noticed the end yet: its task will be polled, and sees to it.
            self.link.returning.replace(Some(sender));
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.sender.is_some() {
            self.link.close();
        }
    }
}
