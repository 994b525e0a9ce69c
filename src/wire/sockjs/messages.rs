//! What SockJS clients send: a JSON array of strings (specification, SockJS 6.6 and 6.8). Called by
//! the roof's callers. Pure; never panics.

use bytes::Bytes;
use serde::de::IgnoredAny;
use thiserror::Error;

/// How much a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of one message, decoded, in bytes.
    pub message_bytes_max: usize,
    /// Of the whole text, in bytes. What is decoded is never longer.
    pub text_bytes_max: usize,
}

impl Bounds {
    /// Whatever comes.
    pub const NONE: Bounds = Bounds { message_bytes_max: usize::MAX, text_bytes_max: usize::MAX };
}

/// Why a text gives no messages. The first two are what the SockJS protocol has its clients told.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// It is no JSON, or not in UTF-8.
    #[error("Broken JSON encoding.")]
    Broken,
    /// There is nothing, or JSON that is not an array of strings.
    #[error("Payload expected.")]
    NoPayload,
    /// One message is longer than it may be.
    #[error("Message too large.")]
    MessageTooLarge,
    /// The whole is longer than it may be.
    #[error("Request too large.")]
    TooLarge,
}

/// The messages of `["one","two"]`, in order. A lone surrogate becomes U+FFFD. A message without
/// escapes is a share of `text`.
///
/// # Errors
///
/// See [`Malformed`]; a text that is both broken and too large is too large.
pub fn parse(text: &Bytes, bounds: Bounds) -> Result<Vec<Bytes>, Malformed> {
    Reader::new(text, bounds)?.array()
}

/// The messages of one WebSocket message: as [`parse`], but a bare string is one message, and
/// nothing at all is none.
///
/// # Errors
///
/// See [`Malformed`].
pub fn from_socket(text: &Bytes, bounds: Bounds) -> Result<Vec<Bytes>, Malformed> {
    let mut reader = Reader::new(text, bounds)?;
    match reader.next_token() {
        None => Ok(Vec::new()),
        Some(b'"') => {
            let message = reader.string()?;
            reader.end()?;
            Ok(vec![message])
        }
        Some(_) => reader.array(),
    }
}

struct Reader<'a> {
    text: &'a Bytes,
    at: usize,
    bounds: Bounds,
}

impl<'a> Reader<'a> {
    fn new(text: &'a Bytes, bounds: Bounds) -> Result<Reader<'a>, Malformed> {
        if text.len() > bounds.text_bytes_max {
            return Err(Malformed::TooLarge);
        }
        // Checked once and for all, so that strings need not be.
        std::str::from_utf8(text).map_err(|_| Malformed::Broken)?;
        Ok(Reader { text, at: 0, bounds })
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    /// Goes to the next byte that is no space.
    fn next_token(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
        self.peek()
    }

    fn array(&mut self) -> Result<Vec<Bytes>, Malformed> {
        match self.next_token() {
            None => return Err(Malformed::NoPayload),
            Some(b'[') => self.at += 1,
            Some(_) => return Err(self.otherwise()),
        }
        let mut messages = Vec::new();
        if self.next_token() == Some(b']') {
            self.at += 1;
        } else {
            loop {
                match self.next_token() {
                    Some(b'"') => messages.push(self.string()?),
                    _ => return Err(self.otherwise()),
                }
                match self.next_token() {
                    Some(b',') => self.at += 1,
                    Some(b']') => break self.at += 1,
                    _ => return Err(Malformed::Broken),
                }
            }
        }
        self.end()?;
        Ok(messages)
    }

    fn end(&mut self) -> Result<(), Malformed> {
        if self.next_token().is_some() { Err(Malformed::Broken) } else { Ok(()) }
    }

    /// What is wrong with a text that has something other than a string where one belongs.
    fn otherwise(&self) -> Malformed {
        match serde_json::from_slice::<IgnoredAny>(self.text) {
            Ok(IgnoredAny) => Malformed::NoPayload,
            Err(_) => Malformed::Broken,
        }
    }

    /// A string, from its opening quote.
    fn string(&mut self) -> Result<Bytes, Malformed> {
        self.at += 1;
        let start = self.at;
        self.plain();
        if self.peek() == Some(b'"') {
            let message = self.text.slice(start..self.at);
            self.at += 1;
            return self.bounded(message);
        }
        let mut message = self.text.get(start..self.at).unwrap_or_default().to_vec();
        loop {
            match self.next() {
                Some(b'"') => return self.bounded(message.into()),
                Some(b'\\') => {
                    let one = self.escaped()?;
                    message.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
                }
                // A control character, or the end.
                _ => return Err(Malformed::Broken),
            }
            let start = self.at;
            self.plain();
            message.extend_from_slice(self.text.get(start..self.at).unwrap_or_default());
        }
    }

    fn bounded(&self, message: Bytes) -> Result<Bytes, Malformed> {
        let fits = message.len() <= self.bounds.message_bytes_max;
        fits.then_some(message).ok_or(Malformed::MessageTooLarge)
    }

    /// Goes over what stands for itself.
    fn plain(&mut self) {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
        self.at += rest.iter().position(special).unwrap_or(rest.len());
    }

    /// The character that an escape stands for, from behind its backslash.
    fn escaped(&mut self) -> Result<char, Malformed> {
        Ok(match self.next() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => self.unit().map(|unit| self.paired(unit))?,
            _ => return Err(Malformed::Broken),
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Malformed> {
        (0..4).try_fold(0, |unit, _| {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16));
            digit.map(|digit| unit << 4 | digit).ok_or(Malformed::Broken)
        })
    }

    /// The character of a UTF-16 unit, with the half that follows it if it needs one.
    fn paired(&mut self, high: u32) -> char {
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        let before = self.at;
        if self.next() == Some(b'\\')
            && self.next() == Some(b'u')
            && let Ok(low @ 0xdc00..0xe000) = self.unit()
        {
            let both = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            return char::from_u32(both).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        self.at = before;
        char::REPLACEMENT_CHARACTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Vec<String>, Malformed> {
        both(text, parse)
    }

    fn both(
        text: &str,
        with: fn(&Bytes, Bounds) -> Result<Vec<Bytes>, Malformed>,
    ) -> Result<Vec<String>, Malformed> {
        let messages = with(&Bytes::copy_from_slice(text.as_bytes()), Bounds::NONE)?;
        Ok(messages.iter().map(|one| String::from_utf8(one.to_vec()).unwrap()).collect())
    }

    #[test]
    fn arrays() {
        assert_eq!(read(r#"["m1","m2"]"#).unwrap(), ["m1", "m2"]);
        assert_eq!(read(" [ \"a\" ,\n\"\" ]\r\n").unwrap(), ["a", ""]);
        assert!(read("[]").unwrap().is_empty() && read(" [ ] ").unwrap().is_empty());
        assert_eq!(read("[\"\u{200c}\u{ffff}é\"]").unwrap(), ["\u{200c}\u{ffff}é"]);
    }

    #[test]
    fn escapes() {
        assert_eq!(
            read(r#"["\"\\\/\b\f\n\r\t\u0041\u00e9"]"#).unwrap(),
            ["\"\\/\u{8}\u{c}\n\r\tAé"]
        );
        assert_eq!(read(r#"["\uD83D\uDe00"]"#).unwrap(), ["\u{1f600}"]);
        let lone = [
            (r#"["\ud83d"]"#, "\u{fffd}"),
            (r#"["\ude00x"]"#, "\u{fffd}x"),
            (r#"["\ud83dx"]"#, "\u{fffd}x"),
            (r#"["\ud83d\n"]"#, "\u{fffd}\n"),
            (r#"["\ud83d\ud83d\ude00"]"#, "\u{fffd}\u{1f600}"),
            (r#"["\ud83d\u0041"]"#, "\u{fffd}A"),
        ];
        for (text, expected) in lone {
            assert_eq!(read(text).unwrap(), [expected], "{text}");
        }
    }

    #[test]
    fn broken() {
        let broken = [
            "[\"a",
            "[\"a\"",
            "[\"a\",",
            "[\"a\",]",
            "[,]",
            "[\"a\"]x",
            "[\"a\" \"b\"]",
            "[",
            "x",
            "[\"\n\"]",
            "[\"\\x\"]",
            "[\"\\u12\"]",
            "[\"\\u12g4\"]",
            "[\"\\",
            "{\"a\"}",
            "[1,]",
            "[\"\\ud83d\\u12\"]",
            "[\"\\ud83d\\",
            "[\"a\"][\"b\"]",
        ];
        for text in broken {
            assert_eq!(read(text), Err(Malformed::Broken), "{text}");
        }
        let bytes = Bytes::from_static(b"[\"\xff\"]");
        assert_eq!(parse(&bytes, Bounds::NONE), Err(Malformed::Broken));
    }

    #[test]
    fn no_payload() {
        for text in ["", " \n", "1", "\"a\"", "{}", "null", "[1]", "[\"a\",null]", "[[\"a\"]]"] {
            assert_eq!(read(text), Err(Malformed::NoPayload), "{text}");
        }
        assert_eq!(Malformed::NoPayload.to_string(), "Payload expected.");
        assert_eq!(Malformed::Broken.to_string(), "Broken JSON encoding.");
    }

    #[test]
    fn on_a_socket() {
        let of = |text| both(text, from_socket);
        assert!(of("").unwrap().is_empty() && of("[]").unwrap().is_empty());
        assert_eq!(of(r#""bare\n" "#).unwrap(), ["bare\n"]);
        assert_eq!(of(r#"["a","b"]"#).unwrap(), ["a", "b"]);
        assert_eq!(of("[\"a"), Err(Malformed::Broken));
        assert_eq!(of("\"a\" \"b\""), Err(Malformed::Broken));
        assert_eq!(of("1"), Err(Malformed::NoPayload));
    }

    #[test]
    fn bounds() {
        let bounds = Bounds { message_bytes_max: 3, text_bytes_max: 13 };
        let of = |text: &'static str| parse(&Bytes::from_static(text.as_bytes()), bounds);
        assert_eq!(of(r#"["abc","def"]"#).unwrap(), ["abc", "def"]);
        assert_eq!(of(r#"["abc", "def"]"#), Err(Malformed::TooLarge));
        assert_eq!(of(r#"["abcd"]"#), Err(Malformed::MessageTooLarge));
        assert_eq!(of(r#"["\u0041BC"]"#).unwrap(), ["ABC"]);
        assert_eq!(of(r#"["\u0041BCD"]"#), Err(Malformed::MessageTooLarge));
    }

    proptest! {
        #[test]
        fn it_agrees_with_serde(text: String, array: Vec<String>) {
            let array = serde_json::to_string(&array).unwrap();
            for text in [text, array] {
                match serde_json::from_str::<Vec<String>>(&text) {
                    Ok(expected) => prop_assert_eq!(read(&text).unwrap(), expected),
                    Err(_) => prop_assert!(read(&text).is_err()),
                }
            }
        }

        #[test]
        fn it_never_panics(bytes: Vec<u8>) {
            let text = Bytes::from([&b"[\""[..], &bytes].concat());
            let _ = parse(&text, Bounds::NONE);
            let _ = from_socket(&text.slice(1..), Bounds::NONE);
        }

        #[test]
        fn escapes_never_panic(text in r#"\["(\\?[u"\\/ndD8c0-9]){0,12}"?\]?"#) {
            let _ = read(&text);
        }
    }
}
