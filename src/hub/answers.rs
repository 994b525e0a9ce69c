//! Answers that have just been encoded: long-polls that were held alike are answered with the same
//! bytes. Used by `fanout` and `due`, for the length of one item or one tick.

use std::rc::Rc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::session::http::{HeldResponse, Reply};

const KEPT: usize = 4;

/// The last few answers.
#[derive(Default)]
pub struct Answers {
    known: SmallVec<[(Rc<HeldResponse>, Reply, Bytes); KEPT]>,
    next: usize,
}

impl Answers {
    /// The answer to a long-poll: one that was made for another hold of which `is_same` holds, else
    /// `make`'s.
    pub fn find(
        &mut self,
        held: &Rc<HeldResponse>,
        reply: Reply,
        is_same: impl Fn(&HeldResponse, &HeldResponse) -> bool,
        make: impl FnOnce() -> Bytes,
    ) -> Bytes {
        let equal = |(known, known_reply, _): &&(Rc<HeldResponse>, Reply, Bytes)| {
            *known_reply == reply && (Rc::ptr_eq(known, held) || is_same(known, held))
        };
        if let Some((.., bytes)) = self.known.iter().find(equal) {
            return bytes.clone();
        }
        let bytes = make();
        let answer = (Rc::clone(held), reply, bytes.clone());
        match self.known.get_mut(self.next) {
            Some(place) => *place = answer,
            None => self.known.push(answer),
        }
        self.next = (self.next + 1) % KEPT;
        bytes
    }
}
