//! Bytes of a client, cut into runs at will: the guard never panics, and where they are cut does
//! not change what it says. The first byte of the input is the length of the runs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linchpin::wire::framing::HeadGuard;

fuzz_target!(|input: &[u8]| {
    let Some((length, bytes)) = input.split_first() else { return };
    let whole = HeadGuard::new(1024).feed(bytes).err();
    let mut guard = HeadGuard::new(1024);
    let cut = bytes.chunks(usize::from(*length).max(1)).find_map(|run| {
        guard.feed(run).err().inspect(|violation| assert!(violation.offset <= run.len()))
    });
    assert_eq!(whole.map(|violation| violation.kind), cut.map(|violation| violation.kind));
    if let Some(violation) = whole {
        assert!(violation.offset <= bytes.len());
        let _ = (violation.to_string(), violation.body(), violation.status());
    }
});
