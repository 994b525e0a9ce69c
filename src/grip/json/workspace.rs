//! What parsing a text needs: the copy of it that simd-json unescapes in place, its indexes, and
//! the list of nodes. One of each thread is kept from text to text, so that a small one costs no
//! allocation.
//!
//! Called by `json` alone.

use std::cell::Cell;

use simd_json::{Buffers, INPUT_PADDING, Node, Tape};

/// A workspace that has seen a longer text than this is not kept: its list of nodes may be twelve
/// times as large as the text.
const KEPT_TEXT_BYTES_MAX: usize = 64 * 1024;

thread_local! {
    static KEPT: Cell<Option<Box<Workspace>>> = const { Cell::new(None) };
}

/// See the top of this file.
pub struct Workspace {
    /// The text, then padding: the parser reads ahead of itself.
    copy: Vec<u8>,
    buffers: Buffers,
    /// Empty between two texts.
    tape: Tape<'static>,
    longest: usize,
}

/// Lends this thread's workspace, or a new one when that is lent already.
pub fn lent<R>(user: impl FnOnce(&mut Workspace) -> R) -> R {
    let mut workspace = KEPT.take().unwrap_or_else(|| Box::new(Workspace::new()));
    let result = user(&mut workspace);
    if workspace.longest <= KEPT_TEXT_BYTES_MAX {
        KEPT.set(Some(workspace));
    }
    result
}

impl Workspace {
    fn new() -> Workspace {
        let (copy, buffers) = (Vec::new(), Buffers::default());
        Workspace { copy, buffers, tape: Tape::null().reset(), longest: 0 }
    }

    /// Parses `text` and shows its nodes; `None` when it is not strict JSON. The text itself stays
    /// as it is, for parsing destroys what it parses, also when it fails.
    pub fn parse<R>(&mut self, text: &[u8], show: impl FnOnce(&[Node<'_>]) -> R) -> Option<R> {
        self.longest = self.longest.max(text.len());
        self.copy.clear();
        self.copy.extend_from_slice(text);
        self.copy.extend_from_slice(&[b' '; INPUT_PADDING]);
        let mut tape = std::mem::replace(&mut self.tape, Tape(Vec::new())).reset();
        let filled =
            simd_json::fill_tape_padded(&mut self.copy, text.len(), &mut self.buffers, &mut tape);
        let shown = filled.is_ok().then(|| show(&tape.0));
        self.tape = tape.reset();
        shown
    }
}
