//! Filtered content: whatever it says, nothing panics, growth has its bound, and where the body of
//! a response is cut does not change what becomes of it. Up to the first line end the input is the
//! template of ids.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use linchpin::grip::filter::{Filter, Outcome, ResponseRewriter, Subject, apply};
use linchpin::limits::FILTER_GROWTH_BYTES_MAX;

struct Connection<'a> {
    template: &'a str,
}

impl Subject for Connection<'_> {
    fn meta(&self, name: &str) -> Option<&str> {
        match name {
            "id_encoding" => None,
            _ => Some(self.template),
        }
    }

    fn is_subscribed(&self, channel: &str) -> bool {
        channel == "a"
    }

    fn prev_id(&self, channel: &str) -> Option<&str> {
        (channel == "a").then_some("5")
    }
}

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    let (template, body) = bytes.split_at(end);
    let Ok(template) = std::str::from_utf8(template) else { return };
    let connection = Connection { template };
    let content = Bytes::copy_from_slice(body);
    let item = ["sender", "skip_users", "require_sub"].map(|name| (name.into(), template.into()));
    for filter in Filter::ALL {
        if let Outcome::Content(made) = apply(filter, &connection, &item, &content) {
            assert!(made.len() <= content.len() + FILTER_GROWTH_BYTES_MAX);
        }
    }
    let new = || ResponseRewriter::new([Filter::BuildId], |_| Some("hex"));
    let (Some(whole), Some(mut rewriter)) = (new(), new()) else { return };
    let in_pieces = || {
        let mut all = Vec::new();
        for byte in body.chunks(1) {
            all.extend_from_slice(&rewriter.push(byte)?);
        }
        rewriter.end().map(|()| Bytes::from(all))
    };
    assert_eq!(in_pieces(), whole.whole(body));
});
