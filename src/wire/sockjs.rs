//! SockJS's own text: messages as JSON strings.
//!
//! Called by `session` for what is published and by `sockjs`. Pure.

use bytes::Bytes;

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
        assert_eq!(&quote(b"a\"\\\n\x00")[..], br#""a\"\\\u000a\u0000""#);
        let odd = "\u{200c}\u{200b}\u{2028}\u{206f}\u{fff0}\u{ffff}\u{1f600}";
        assert_eq!(
            quote(odd.as_bytes()),
            "\"\\u200c\u{200b}\\u2028\\u206f\\ufff0\\uffff\u{1f600}\""
        );
        assert_eq!(&quote(b"\xff")[..], br#""\ufffd""#);
    }

    proptest! {
        #[test]
        fn it_is_json(text: String) {
            let quoted = quote(text.as_bytes());
            prop_assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap(), text);
        }
    }
}
