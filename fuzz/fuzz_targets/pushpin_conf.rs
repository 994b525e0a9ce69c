//! `pushpin.conf`: nothing panics, and every value that was read is read again from what is
//! printed of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use linchpin::config::ini::{parse, print};

fuzz_target!(|text: &[u8]| {
    for entry in parse(text).entries {
        let again = parse(format!("[s]\nk={}\n", print(&entry.values)).as_bytes());
        assert!(again.mistakes.is_empty(), "{again:?}");
        assert_eq!(again.entries[0].values, entry.values);
    }
});
