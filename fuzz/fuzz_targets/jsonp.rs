//! JSON-P: what a query asks for, and wrapping: any pieces of a body give the same script, which in
//! extended mode is JSON.
#![no_main]

use libfuzzer_sys::fuzz_target;
use linchpin::wire::jsonp::query::{self, Names};
use linchpin::wire::jsonp::{Head, Wrapping};

fuzz_target!(|input: (&str, &[u8], &[u8], u8, bool)| {
    let (query, value, body, cut, extended) = input;
    let usual = Names { callback: "callback", body: None, default_callback: None };
    let json = Names { callback: "cb", body: Some("data"), default_callback: Some("f") };
    for names in [usual, json] {
        if let Some(Ok(asked)) = query::read(query, names) {
            assert!(!asked.callback.is_empty());
            assert!(query::read(asked.rest.as_deref().unwrap_or_default(), names).is_none());
        }
    }
    let fields: [(&[u8], &[u8]); 3] = [(b"X-A", value), (b"x-a", b"2"), (b"X-B", value)];
    let head = Head { code: 200, reason: value, fields: &fields };
    let wrapping = Wrapping { callback: (*b"f").into(), extended };
    let whole = wrapping.relayed(head, body);
    let mut out = Vec::new();
    let mut pieces = wrapping.begin(head, &mut out);
    for piece in body.chunks(usize::from(cut).max(1)) {
        pieces.piece(piece, &mut out);
    }
    pieces.end(&mut out);
    assert_eq!(out, whole);
    if extended {
        for script in [whole, wrapping.held(head, body)] {
            let inside = &script[b"/**/f(".len()..script.len() - b");\n".len()];
            let object: serde_json::Value = serde_json::from_slice(inside).expect("JSON");
            assert_eq!(object["body"], *String::from_utf8_lossy(body));
        }
    }
});
