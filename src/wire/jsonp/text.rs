//! JSON strings of bytes that come in pieces: what must be escaped is, UTF-8 stays, and what is no
//! UTF-8 becomes U+FFFD. Used by the wrapping.

/// What stands for bytes that are no UTF-8.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// The longest beginning of a character that is not whole.
const CARRIED_MAX: usize = 3;

/// The inside of a JSON string that is being written.
#[derive(Clone, Debug, Default)]
pub struct Text {
    /// The beginning of a character whose rest is still to come.
    carried: [u8; CARRIED_MAX],
    length: usize,
}

impl Text {
    /// Appends a further piece, but for the beginning of a character at its end.
    pub fn piece(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut rest = piece;
        while self.length > 0 {
            let Some((next, after)) = rest.split_first() else { return };
            let mut begun = [0; CARRIED_MAX + 1];
            let carried = self.carried.get(..self.length).unwrap_or_default();
            let all = carried.iter().chain([next]);
            begun.iter_mut().zip(all).for_each(|(place, byte)| *place = *byte);
            let begun = begun.get(..=self.length).unwrap_or_default();
            match std::str::from_utf8(begun) {
                Ok(character) => {
                    out.extend_from_slice(character.as_bytes());
                    (self.length, rest) = (0, after);
                }
                Err(error) if error.error_len().is_none() && self.length < CARRIED_MAX => {
                    if let Some(place) = self.carried.get_mut(self.length) {
                        *place = *next;
                    }
                    self.length += 1;
                    rest = after;
                }
                // What was begun does not go on with this byte, which may begin something else.
                Err(_) => {
                    out.extend_from_slice(REPLACEMENT);
                    self.length = 0;
                }
            }
        }
        self.whole(rest, out);
    }

    /// Appends a piece that begins with a character.
    fn whole(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.reserve(piece.len());
        let mut chunks = piece.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            escape(chunk.valid().as_bytes(), out);
            let invalid = chunk.invalid();
            if invalid.is_empty() {
                continue;
            }
            let is_begun =
                || std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if chunks.peek().is_none() && is_begun() {
                self.carried.iter_mut().zip(invalid).for_each(|(place, byte)| *place = *byte);
                self.length = invalid.len().min(CARRIED_MAX);
            } else {
                out.extend_from_slice(REPLACEMENT);
            }
        }
    }

    /// Appends what stands for a character that was never whole.
    pub fn end(self, out: &mut Vec<u8>) {
        if self.length > 0 {
            out.extend_from_slice(REPLACEMENT);
        }
    }
}

/// Appends the inside of a JSON string of these bytes.
pub fn write(bytes: &[u8], out: &mut Vec<u8>) {
    let mut text = Text::default();
    text.piece(bytes, out);
    text.end(out);
}

/// How each byte is escaped: not at all (0), as `\u` and four digits (`u`), or by this letter.
const ESCAPES: [u8; 256] = {
    let mut escapes = [0; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escapes[byte] = b'u';
        byte += 1;
    }
    escapes[0x08] = b'b';
    escapes[0x09] = b't';
    escapes[0x0a] = b'n';
    escapes[0x0c] = b'f';
    escapes[0x0d] = b'r';
    escapes[b'"' as usize] = b'"';
    escapes[b'\\' as usize] = b'\\';
    escapes
};

fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| ESCAPES[usize::from(*byte)] != 0) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, after)) = from.split_first() else { return };
        match ESCAPES[usize::from(*byte)] {
            b'u' => {
                let digit = |number: u8| b"0123456789abcdef"[usize::from(number & 15)];
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[digit(byte >> 4), digit(*byte)]);
            }
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(pieces: &[&[u8]]) -> String {
        let (mut text, mut out) = (Text::default(), Vec::new());
        for piece in pieces {
            text.piece(piece, &mut out);
        }
        text.end(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_is_escaped() {
        let odd = b"a\"b\\c/\x08\x0c\n\r\t\x01\x1f\x7f\xc3\xa9\xe2\x80\xa8<>&'";
        let expected = "a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7fé\u{2028}<>&'";
        assert_eq!(written(&[odd]), expected);
        assert_eq!(written(&[]), "");
    }

    #[test]
    fn characters_in_pieces() {
        assert_eq!(written(&[b"ab\xc3", b"\xa9bc"]), "abébc");
        assert_eq!(written(&[b"\xf0", b"\x9f", b"", b"\x98", b"\x80!"]), "\u{1f600}!");
        assert_eq!(written(&[b"\xf0\x9f", b"\n"]), "\u{fffd}\\n");
        assert_eq!(written(&[b"\xe2\x80", b"\xe2\x80\xa8"]), "\u{fffd}\u{2028}");
        assert_eq!(written(&[b"\xf0\x9f\x98"]), "\u{fffd}");
        assert_eq!(written(&[b"\xff\xc3(", b"\xc3", b"("]), "\u{fffd}\u{fffd}(\u{fffd}(");
    }

    fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let byte = prop_oneof![
            any::<u8>(),
            prop::sample::select(&b"\xc3\xa9\xe2\x80\xf0\x9f\x98\xed\xa0\"\\\n\x00"[..]),
        ];
        prop::collection::vec(prop::collection::vec(byte, 0..6), 0..8)
    }

    proptest! {
        #[test]
        fn any_pieces_give_the_same(pieces in pieces()) {
            let cut: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let whole = pieces.concat();
            let lossy = String::from_utf8_lossy(&whole);
            let expected = serde_json::to_string(&lossy).unwrap();
            let inside = written(&cut);
            prop_assert_eq!(format!("\"{inside}\""), &*expected);
            let back: String = serde_json::from_str(&expected).unwrap();
            prop_assert_eq!(back, lossy);
        }
    }
}
