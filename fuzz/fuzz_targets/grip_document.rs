//! `application/grip-instruct` documents.
#![no_main]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use linchpin::grip::headers::instruction;

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    let kind = HeaderValue::from_static("application/grip-instruct");
    headers.insert(header::CONTENT_TYPE, kind);
    if let Ok(read) = instruction(200, None, &headers, Bytes::copy_from_slice(bytes)) {
        for field in read.response.headers {
            assert!(!field.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        }
    }
});
