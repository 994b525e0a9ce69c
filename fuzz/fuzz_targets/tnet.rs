//! TNetStrings: what is read and written again is read the same.
#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use linchpin::wire::tnet::{decode, encode};

fuzz_target!(|bytes: &[u8]| {
    if let Ok((value, length)) = decode(&Bytes::copy_from_slice(bytes)) {
        assert!(length <= bytes.len());
        let mut out = BytesMut::new();
        encode(&value, &mut out);
        let again = decode(&out.freeze()).map(|(value, _)| value);
        assert_eq!(again, Ok(value));
    }
});
