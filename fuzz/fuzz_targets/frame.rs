//! Frames from outside: whatever comes, and however it is cut, nothing panics, and a stream of
//! frames reads the same in one piece as byte by byte.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use linchpin::ws::messages::{Incoming, Messages};
use linchpin::ws::meter::Limits;
use linchpin::ws::reader::{Reader, Sender, Violation};

const LIMITS: Limits = Limits { message_bytes: 1000, frame_bytes: 600, fragments: 20 };

fn all(
    sender: Sender,
    chunks: &mut dyn Iterator<Item = &[u8]>,
) -> (Vec<Incoming>, Option<Violation>) {
    let mut messages = Messages::new(sender);
    let mut out = Vec::new();
    for chunk in chunks {
        messages.feed(chunk);
        loop {
            match messages.next(LIMITS) {
                Ok(Some(one)) => out.push(one),
                Ok(None) => break,
                Err(violation) => return (out, Some(violation)),
            }
        }
    }
    (out, None)
}

fuzz_target!(|data: &[u8]| {
    for sender in [Sender::Client, Sender::Server] {
        let whole = all(sender, &mut std::iter::once(data));
        assert_eq!(whole, all(sender, &mut data.chunks(1)));
        let mut reader = Reader::new(sender);
        reader.feed(BytesMut::from(data));
        while let Ok(Some(_)) = reader.next(data.len() & 3) {}
    }
});
