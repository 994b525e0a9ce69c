//! The head of the PROXY protocol: what is whole is so with fewer bytes never and with more always.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linchpin::wire::proxy_protocol::{Progress, read};

const BYTES_MAX: usize = 4096;

fuzz_target!(|bytes: &[u8]| {
    let outcome = read(bytes, BYTES_MAX);
    let Ok(Progress::Whole(head)) = outcome else { return };
    assert!(head.bytes <= bytes.len());
    for end in 0..head.bytes {
        match read(&bytes[..end], BYTES_MAX) {
            Ok(Progress::Needs(count)) => assert!(count > end && count <= head.bytes),
            other => panic!("{other:?} after {end} of {} bytes", head.bytes),
        }
    }
    assert_eq!(read(&bytes[..head.bytes], BYTES_MAX), outcome);
});
