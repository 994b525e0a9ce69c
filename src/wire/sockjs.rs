//! SockJS's own text: messages as JSON strings, frames for clients, and what clients send
//! (specification, SockJS 6.5, 6.6 and 6.8).
//!
//! Called by `session` for what is published, by `sockjs` and by `proxy`. Pure.

use bytes::{BufMut, Bytes, BytesMut};

pub use self::messages::{Bounds, Malformed, from_socket, parse};

mod messages;

/// The session is open.
pub const OPEN: Bytes = Bytes::from_static(b"o");
/// Nothing happened, and the connection is alive.
pub const HEARTBEAT: Bytes = Bytes::from_static(b"h");

/// The frame of messages that are JSON strings already (see [`quote`]): `a["one","two"]`.
#[must_use]
pub fn messages<Q: AsRef<[u8]>>(quoted: &[Q]) -> Bytes {
    let bytes: usize = quoted.iter().map(|one| one.as_ref().len() + 1).sum();
    let mut frame = BytesMut::with_capacity(bytes + 3);
    frame.put_slice(b"a[");
    for (place, one) in quoted.iter().enumerate() {
        if place > 0 {
            frame.put_u8(b',');
        }
        frame.put_slice(one.as_ref());
    }
    frame.put_u8(b']');
    frame.freeze()
}

/// The frame that ends a session: `c[3000,"Go away!"]`.
#[must_use]
pub fn close(code: u16, reason: &[u8]) -> Bytes {
    let reason = quote(reason);
    let mut frame = BytesMut::with_capacity(reason.len() + 9);
    frame.put_slice(b"c[");
    frame.put_slice(itoa::Buffer::new().format(code).as_bytes());
    frame.put_u8(b',');
    frame.put_slice(&reason);
    frame.put_u8(b']');
    frame.freeze()
}

/// A message as a JSON string, quotes included. What is not UTF-8 becomes U+FFFD; what browsers
/// once mangled is escaped (the SockJS protocol's list).
#[must_use]
pub fn quote(message: &[u8]) -> Bytes {
    let mut out = String::with_capacity(message.len() + 2);
    out.push('"');
    for chunk in message.utf8_chunks() {
        chunk.valid().chars().for_each(|one| put(one, &mut out));
        if !chunk.invalid().is_empty() {
            put(char::REPLACEMENT_CHARACTER, &mut out);
        }
    }
    out.push('"');
    out.into()
}

fn put(one: char, out: &mut String) {
    match one {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        '\0'..='\u{1f}'
        | '\u{200c}'..='\u{200f}'
        | '\u{2028}'..='\u{202f}'
        | '\u{2060}'..='\u{206f}'
        | '\u{fff0}'..='\u{ffff}' => {
            out.push_str("\\u");
            for shift in [12, 8, 4, 0] {
                let digit = u32::from(one) >> shift & 15;
                out.push(char::from_digit(digit, 16).unwrap_or('0'));
            }
        }
        plain => out.push(plain),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_protocols_list_is_escaped() {
        assert_eq!(&quote(b"a\"\\\n\x00")[..], br#""a\"\\\n\u0000""#);
        assert_eq!(&quote(b"\x08\t\x0b\x0c\r\x1f/")[..], br#""\b\t\u000b\f\r\u001f/""#);
        let odd = "\u{200c}\u{200b}\u{2028}\u{206f}\u{fff0}\u{ffff}\u{1f600}";
        assert_eq!(
            quote(odd.as_bytes()),
            "\"\\u200c\u{200b}\\u2028\\u206f\\ufff0\\uffff\u{1f600}\""
        );
        assert_eq!(&quote(b"\xff")[..], br#""\ufffd""#);
    }

    #[test]
    fn frames() {
        assert_eq!(messages::<Bytes>(&[]), "a[]");
        assert_eq!(messages(&[quote(b"x")]), r#"a["x"]"#);
        assert_eq!(messages(&[quote(b"a"), quote(b""), quote(b"\"")]), r#"a["a","","\""]"#);
        assert_eq!(close(3000, b"Go away!"), r#"c[3000,"Go away!"]"#);
        assert_eq!(close(0, b"\"\xff"), r#"c[0,"\"\ufffd"]"#);
    }

    proptest! {
        #[test]
        fn it_is_json(text: String) {
            let quoted = quote(text.as_bytes());
            prop_assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), text);
        }

        #[test]
        fn what_is_framed_is_read_again(texts: Vec<String>) {
            let quoted: Vec<Bytes> = texts.iter().map(|text| quote(text.as_bytes())).collect();
            let frame = messages(&quoted);
            let read = parse(&frame.slice(1..), Bounds::NONE).unwrap();
            prop_assert_eq!(read, texts.iter().map(|text| text.as_bytes()).collect::<Vec<_>>());
        }
    }
}
