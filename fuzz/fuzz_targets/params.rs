//! Header values: lists, parameters, integers, escapes, base64.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linchpin::wire::{params, text};

fuzz_target!(|bytes: &[u8]| {
    for element in params::elements(bytes) {
        let _ = params::parameters(element);
        let _ = params::named(element);
    }
    let _ = params::parameters(bytes);
    let _ = params::integer(bytes);
    let _ = text::unescape(bytes);
    let decoded = text::base64_decode(bytes);
    assert_eq!(text::base64_decode(text::base64_encode(&decoded).as_bytes()), decoded);
});
