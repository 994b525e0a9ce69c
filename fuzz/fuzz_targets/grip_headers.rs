//! Instructions from headers: lines of `name: value`.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use linchpin::grip::headers::{instruction, is_instruction};

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value[1..].trim_ascii()))
        {
            headers.append(name, value);
        }
    }
    let _ = is_instruction(&headers);
    let _ = instruction(200, None, &headers, Bytes::new());
});
