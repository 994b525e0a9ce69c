//! What each byte of a head may be. Used by `framing`.

/// A byte that no header value has; tabs are fine.
pub(super) fn is_control(byte: u8) -> bool {
    (byte < b' ') & (byte != b'\t') | (byte == 0x7f)
}

/// In [`CLASSES`]: a character of methods and header names (RFC 9110, 5.6.2).
pub(super) const TOKEN: u8 = 1;
/// In [`CLASSES`]: a character of request targets (specification, routing 3.2), but for the grave
/// accent, which has its place only in queries.
pub(super) const TARGET: u8 = 2;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = b'!';
    while byte <= b'~' {
        let token = !matches!(
            byte,
            b'"' | b'(' | b')' | b',' | b'/' | b':'..=b'@' | b'['..=b']' | b'{' | b'}'
        );
        let target = !matches!(byte, b'"' | b'<' | b'>' | b'`');
        classes[byte as usize] = ((token as u8) * TOKEN) | ((target as u8) * TARGET);
        byte += 1;
    }
    classes
};

pub(super) const fn is(byte: u8, class: u8) -> bool {
    CLASSES[byte as usize] & class != 0
}
