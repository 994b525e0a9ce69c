//! The forms of WebSocket messages, taken apart as their clients do, for both simulations.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress};
use linchpin::session::socket::Form;

/// Messages of fewer bytes are not deflated; those with so many here always get shorter.
pub const DEFLATE_BYTES_MIN: usize = 50;

/// The forms of sessions.
pub const FORMS: [Form; 3] = [Form::Plain, Form::Deflated { window_bits: 15 }, Form::Quoted];

/// The first byte of a published text message in this form.
pub fn first_byte(form: Form, content: &str) -> u8 {
    match form {
        Form::Deflated { .. } if content.len() >= DEFLATE_BYTES_MIN => 0xc1,
        Form::Plain | Form::Deflated { .. } => 0x81,
        Form::Quoted => 0xa1,
    }
}

/// Whole frames of fewer than 126 bytes: the first byte of each, and what it says.
pub fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let (mut rest, mut frames) = (bytes, Vec::new());
    while let [first, length, tail @ ..] = rest {
        assert!(*length < 126, "a short frame");
        let (payload, tail) = tail.split_at(usize::from(*length));
        let content = match first {
            0xc1 => inflated(payload),
            0xa1 => serde_json::from_slice::<String>(payload).expect("a JSON string").into(),
            _ => payload.to_vec(),
        };
        frames.push((*first, content));
        rest = tail;
    }
    assert!(rest.is_empty(), "whole frames");
    frames
}

fn inflated(payload: &[u8]) -> Vec<u8> {
    thread_local! {
        static STATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
    }
    STATE.with_borrow_mut(|state| {
        // Nothing of the message before: whoever joins late has not had it.
        state.reset(false);
        let mut out = Vec::with_capacity(1000);
        let whole = [payload, &[0, 0, 0xff, 0xff]].concat();
        state.decompress_vec(&whole, &mut out, FlushDecompress::Sync).expect("deflated");
        assert_eq!(state.total_in(), whole.len() as u64);
        out
    })
}
