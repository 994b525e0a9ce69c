//! ZMTP frames: however the bytes are cut, they are read the same, and written again as read.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use linchpin::wire::zmtp::{put_frame, take_frame};

const BYTES_MAX: usize = 1000;

fuzz_target!(|input: (Vec<u8>, u8)| {
    let (bytes, size) = input;
    let mut whole = BytesMut::from(&bytes[..]);
    let mut frames = Vec::new();
    let end = loop {
        match take_frame(&mut whole, BYTES_MAX) {
            Ok(Some(frame)) => frames.push(frame),
            end => break end,
        }
    };
    let (mut cut, mut again) = (BytesMut::new(), Vec::new());
    for chunk in bytes.chunks(usize::from(size).max(1)) {
        cut.extend_from_slice(chunk);
        while let Ok(Some(frame)) = take_frame(&mut cut, BYTES_MAX) {
            again.push(frame);
        }
    }
    assert_eq!(again, frames);
    let mut out = BytesMut::new();
    frames.iter().for_each(|frame| put_frame(frame, &mut out));
    for frame in frames {
        assert_eq!(take_frame(&mut out, BYTES_MAX), Ok(Some(frame)));
    }
    drop(end);
});
