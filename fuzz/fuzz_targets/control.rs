//! Control messages of WebSocket backends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linchpin::grip::control::parse;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse(bytes);
});
