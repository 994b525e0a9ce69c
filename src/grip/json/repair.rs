//! Rewrites almost-JSON that GRIP accepts into JSON: used when the strict parser has refused a
//! text.
//!
//! Lone surrogates become `?`, raw control characters in strings are escaped, needless escapes lose
//! their backslash, and integers of more than 64 bits become floats. Everything else stays as it
//! is, so that what is not JSON for another reason is refused again.

/// The text with those repairs made.
pub fn repaired(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = match byte {
            b'"' => string(after, &mut out),
            b'-' | b'0'..=b'9' => number(rest, &mut out),
            _ => {
                out.push(*byte);
                after
            }
        };
    }
    out
}

/// Copies a string, whose opening quote has been read, and gives what follows it.
fn string<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    out.push(b'"');
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return rest,
            [b'"', after @ ..] => {
                out.push(b'"');
                return after;
            }
            [b'\\', b'u', after @ ..] => unicode(after, out),
            [b'\\', escaped, after @ ..] => {
                if matches!(escaped, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') {
                    out.push(b'\\');
                    out.push(*escaped);
                    after
                } else {
                    // The backslash goes; the character is read again, it may need care itself.
                    rest.get(1..).unwrap_or_default()
                }
            }
            [control @ 0..0x20, after @ ..] => {
                out.extend_from_slice(format!("\\u{control:04x}").as_bytes());
                after
            }
            [byte, after @ ..] => {
                out.push(*byte);
                after
            }
        };
    }
}

/// Copies a `\u` escape whose first two characters have been read.
fn unicode<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let Some((unit, after)) = code_unit(text) else {
        out.extend_from_slice(b"\\u");
        return text;
    };
    let pair = match (unit, after) {
        (0xd800..=0xdbff, [b'\\', b'u', low @ ..]) => code_unit(low),
        _ => None,
    };
    match (unit, pair) {
        (_, Some((low @ 0xdc00..=0xdfff, after))) => {
            out.extend_from_slice(format!("\\u{unit:04x}\\u{low:04x}").as_bytes());
            after
        }
        (0xd800..=0xdfff, _) => {
            out.push(b'?');
            after
        }
        _ => {
            out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            after
        }
    }
}

fn code_unit(text: &[u8]) -> Option<(u16, &[u8])> {
    let (digits, after) = text.split_first_chunk::<4>()?;
    let [a, b, c, d] = *digits;
    let high = crate::wire::text::hex_pair([a, b])?;
    let low = crate::wire::text::hex_pair([c, d])?;
    Some((u16::from_be_bytes([high, low]), after))
}

/// Copies a number, as a float when it is an integer that may not fit 64 bits.
fn number<'a>(text: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
    let in_number = |b: &&u8| matches!(b, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
    let length = text.iter().take_while(in_number).count();
    let (number, rest) = text.split_at(length);
    out.extend_from_slice(number);
    let digits = number.strip_prefix(b"-").unwrap_or(number);
    if digits.len() >= 19 && digits.iter().all(u8::is_ascii_digit) {
        out.extend_from_slice(b".0");
    }
    rest
}
