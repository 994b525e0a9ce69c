//! Bytes written as text: lenient base64 and C-style escapes (specification, GRIP 1.3 and 4.5).
//!
//! Called by the parsers of `grip`.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Decodes base64 without ever failing: characters outside the standard alphabet are skipped,
/// padding may be missing, and bits that do not fill a byte are dropped.
#[must_use]
pub fn base64_decode(text: &[u8]) -> Vec<u8> {
    match BASE64.decode(text) {
        Ok(bytes) => bytes,
        Err(_) => base64_decode_leniently(text),
    }
}

fn base64_decode_leniently(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let mut bits = 0_u32;
    let mut count = 0_u32;
    for &byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            // At most 13 bits are ever in use, the upper 8 of them are the byte.
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    out
}

/// Encodes base64 with the standard alphabet and padding.
#[must_use]
pub fn base64_encode(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Why a text is not C-style escaped data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EscapeError {
    /// A backslash at the very end.
    #[error("backslash at the end")]
    Unfinished,
    /// `\x` without two hexadecimal digits after it.
    #[error("\\x at byte {0} is not followed by two hexadecimal digits")]
    BadHex(usize),
    /// Nothing is left.
    #[error("no data")]
    Empty,
}

/// Resolves `\\`, `\r`, `\n` and `\xHH`. Any other escape is dropped, both its characters.
pub fn unescape(text: &[u8]) -> Result<Vec<u8>, EscapeError> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [] => break,
            [b'\\'] => return Err(EscapeError::Unfinished),
            [b'\\', b'x', after @ ..] => {
                let position = text.len() - rest.len();
                let (digits, after) =
                    after.split_first_chunk::<2>().ok_or(EscapeError::BadHex(position))?;
                out.push(hex_pair(*digits).ok_or(EscapeError::BadHex(position))?);
                after
            }
            [b'\\', escaped, after @ ..] => {
                match escaped {
                    b'\\' => out.push(b'\\'),
                    b'r' => out.push(b'\r'),
                    b'n' => out.push(b'\n'),
                    _ => {}
                }
                after
            }
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        };
    }
    if out.is_empty() { Err(EscapeError::Empty) } else { Ok(out) }
}

/// The byte that two hexadecimal digits of either case stand for.
#[must_use]
pub fn hex_pair(digits: [u8; 2]) -> Option<u8> {
    Some(hex_digit(digits[0])? << 4 | hex_digit(digits[1])?)
}

/// The value of one hexadecimal digit of either case.
#[must_use]
pub fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_never_fails() {
        assert_eq!(base64_decode(b"aGVsbG8="), b"hello");
        assert_eq!(base64_decode(b"aGVsbG8"), b"hello");
        assert_eq!(base64_decode(b"a-_Gx sb!G8"), b"hlllo");
        assert_eq!(base64_decode(b"!!!!"), b"");
        assert_eq!(base64_decode(b""), b"");
        assert_eq!(base64_decode(b"a"), b"");
        assert_eq!(base64_decode(b"aGVs\r\nbG8=\r\n"), b"hello");
        assert_eq!(base64_encode(&[0xff, 0, b'a', b'b']), "/wBhYg==");
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(br"a\\b\r\n\x00\xfF").unwrap(), b"a\\b\r\n\x00\xff");
        assert_eq!(unescape(br"a\tb\qc").unwrap(), b"abc");
        assert_eq!(unescape(br"a\"), Err(EscapeError::Unfinished));
        assert_eq!(unescape(br"a\x4"), Err(EscapeError::BadHex(1)));
        assert_eq!(unescape(br"\xg0"), Err(EscapeError::BadHex(0)));
        assert_eq!(unescape(br"\q"), Err(EscapeError::Empty));
        assert_eq!(unescape(b""), Err(EscapeError::Empty));
    }

    proptest::proptest! {
        #[test]
        fn base64_round_trip(bytes: Vec<u8>) {
            let text = base64_encode(&bytes);
            proptest::prop_assert_eq!(&base64_decode(text.as_bytes()), &bytes);
            let spread: String = text.chars().flat_map(|c| [c, '-']).collect();
            proptest::prop_assert_eq!(&base64_decode(spread.as_bytes()), &bytes);
        }

        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            let _ = base64_decode(&bytes);
            let _ = unescape(&bytes);
        }
    }
}
