//! The requests of one connection, out of the bytes as they come: in one piece, in many, or many
//! requests in one.
//!
//! Pure: `connection` reads into [`Requests::room`] and asks for what is complete. Bounded by the
//! limits of a head and of a body: no more is ever kept than one request and one read.

use super::head::{Head, HeadLimits, RefusedHead, read_head};

/// Room for one read, at least a quarter of it.
const READ_BYTES: usize = 16 * 1024;
/// A buffer that has grown beyond this for a body is given back after it.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// What has come and is not answered yet.
#[derive(Debug)]
pub struct Requests {
    limits: HeadLimits,
    buffer: Vec<u8>,
    /// What is unread lies from here ...
    start: usize,
    /// ... to here.
    end: usize,
    /// The head of the request whose body is not complete.
    head: Option<Head>,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// Nothing is complete: read.
    More,
    /// The client waits for `100 Continue`. Told once, before its request.
    Continue,
    /// A request.
    Request(Request<'a>),
    /// A head that is refused. Nothing that follows it is to be read.
    Refused(RefusedHead),
}

/// One whole request.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Its head.
    pub head: Head,
    /// Its body.
    pub body: &'a [u8],
    /// It is the last one, has a length, and more bytes came with it than that.
    pub exceeded: bool,
}

impl Requests {
    /// Nothing yet.
    #[must_use]
    pub fn new(limits: HeadLimits) -> Requests {
        Requests { limits, buffer: Vec::new(), start: 0, end: 0, head: None }
    }

    /// Whether nothing is there, not even a part of a request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.head.is_none() && self.start == self.end
    }

    /// The next thing to do.
    pub fn take(&mut self) -> Next<'_> {
        let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
        if self.head.is_none() {
            match read_head(unread, self.limits) {
                Ok(None) => return Next::More,
                Err(refused) => return Next::Refused(refused),
                Ok(Some((head, taken))) => {
                    self.start += taken;
                    let waits = head.expects_continue;
                    self.head = Some(head);
                    if waits {
                        return Next::Continue;
                    }
                }
            }
        }
        let unread = self.buffer.get(self.start..self.end).unwrap_or_default();
        match self.head.take_if(|head| head.body_bytes <= unread.len()) {
            None => Next::More,
            Some(head) => {
                let (body, after) = unread.split_at_checked(head.body_bytes).unwrap_or_default();
                self.start += body.len();
                let exceeded = head.closes && head.has_length && !after.is_empty();
                Next::Request(Request { head, body, exceeded })
            }
        }
    }

    /// Where the next bytes are to be put; then [`Requests::filled`] says how many they are.
    pub fn room(&mut self) -> &mut [u8] {
        // What is left is a part of one request: little, or a body that is moved once.
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == 0 && self.buffer.len() > KEPT_BYTES_MAX {
            self.buffer = Vec::new();
        }
        if self.buffer.len() - self.end < READ_BYTES / 4 {
            // Grows with what comes, not with what is announced.
            self.buffer.resize(READ_BYTES.max(self.buffer.len() * 2), 0);
        }
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// So many bytes were put into the room.
    pub fn filled(&mut self, bytes: usize) {
        self.end = self.buffer.len().min(self.end.saturating_add(bytes));
    }
}

#[cfg(test)]
mod tests;
