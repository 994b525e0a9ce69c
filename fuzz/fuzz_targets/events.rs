//! WebSocket-over-HTTP bodies: what is read and written again is read the same.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use linchpin::grip::events::{decode, encode};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(events) = decode(&Bytes::copy_from_slice(bytes)) {
        let mut out = BytesMut::new();
        events.iter().for_each(|event| encode(event, &mut out));
        assert_eq!(decode(&out.freeze()), Ok(events));
    }
});
