//! The times of certificates: what is no certificate has none, and what has them can be told of.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linchpin::tls::validity::{Standing, Validity};

fuzz_target!(|bytes: &[u8]| {
    let Some(validity) = Validity::of(bytes) else { return };
    for now_s in [i64::MIN, 0, validity.from_s, validity.until_s, i64::MAX] {
        let good = validity.standing(now_s) == Standing::Good;
        assert_eq!(validity.words(now_s).is_none(), good);
    }
});
