//! Published bodies.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linchpin::grip::item::parse_items;

fuzz_target!(|bytes: &[u8]| {
    let _ = parse_items(bytes);
});
