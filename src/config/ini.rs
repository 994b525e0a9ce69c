//! The syntax of `pushpin.conf` (specification, routing 6.1): bytes in, entries with their places
//! out. Knows no option. Called by `config::file`; what is printed is for the example file.
//!
//! The dialect is the one of Pushpin's settings library, so it is read here: quotes protect
//! commas and semicolons, a comma makes a list, backslashes are decoded.

use std::fmt;

/// What one key was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The section it stands in, without brackets.
    pub section: String,
    /// The key, in its own case.
    pub key: String,
    /// What stands between commas that are not quoted; one, possibly empty, where there is none.
    pub values: Vec<String>,
    /// Where the key stands.
    pub place: Place,
}

/// A place in a file, both counted from 1; columns count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Neither a comment, a section nor an assignment.
    #[error("expected [section], key=value or a comment (; or #)")]
    NoAssignment,
    /// `=` without a key.
    #[error("expected a key before the =")]
    NoKey,
    /// An assignment before the first section.
    #[error("expected a [section] before the first key")]
    NoSection,
    /// `[` without `]`.
    #[error("expected ] at the end of the section's name")]
    SectionNotClosed,
    /// A backslash before a character that it gives no meaning.
    #[error("\\{0} stands for nothing and is left out; \\\\ is a backslash")]
    UnknownEscape(char),
    /// An escape by number that is no character.
    #[error("{0:#x} is the number of no character")]
    NoCharacter(u32),
    /// `"` without a second one on the line.
    #[error("expected a second \" on this line")]
    QuoteNotClosed,
    /// A key or a value that is not UTF-8.
    #[error("expected UTF-8")]
    NotUtf8,
}

impl Mistake {
    /// Whether it is unclear what was meant. What else is wrong Pushpin passes over silently, and a
    /// warning is enough.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self, Mistake::QuoteNotClosed | Mistake::NotUtf8 | Mistake::NoCharacter(_))
    }
}

/// What a file says: entries in their order, repeated ones too, and what is wrong, by place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parsed {
    /// The good lines.
    pub entries: Vec<Entry>,
    /// The others.
    pub mistakes: Vec<(Place, Mistake)>,
}

/// Reads a whole file.
#[must_use]
pub fn parse(text: &[u8]) -> Parsed {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut parsed = Parsed::default();
    let mut section: Option<String> = None;
    let mut reader = Reader { rest: text, line: 0 };
    while let Some((line, bytes)) = reader.line() {
        let start = bytes.iter().take_while(|byte| is_blank(**byte)).count();
        let bytes_from = bytes.get(start..).unwrap_or_default();
        let place = |at: usize| Place { line, column: column(start.saturating_add(at)) };
        match bytes_from.first() {
            None | Some(b';' | b'#') => {}
            Some(b'[') => match section_name(bytes_from) {
                (Ok(name), closed) => {
                    if !closed {
                        parsed.mistakes.push((place(0), Mistake::SectionNotClosed));
                    }
                    section = Some(name);
                }
                (Err(mistake), _) => parsed.mistakes.push((place(0), mistake)),
            },
            Some(_) => match assignment(bytes_from) {
                Err((at, mistake)) => parsed.mistakes.push((place(at), mistake)),
                Ok((key, values, complaints)) => {
                    let wrong = complaints.iter().any(|(_, mistake)| mistake.is_error());
                    let complaints = complaints.into_iter();
                    parsed.mistakes.extend(complaints.map(|(at, mistake)| (place(at), mistake)));
                    match &section {
                        None => parsed.mistakes.push((place(0), Mistake::NoSection)),
                        Some(_) if wrong => {}
                        Some(section) => parsed.entries.push(Entry {
                            section: section.clone(),
                            key,
                            values,
                            place: place(0),
                        }),
                    }
                }
            },
        }
    }
    parsed
}

fn column(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = rest;
    }
    bytes
}

/// Cuts a file into lines: LF, CRLF or CR.
struct Reader<'a> {
    rest: &'a [u8],
    line: u32,
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> Option<(u32, &'a [u8])> {
        if self.rest.is_empty() {
            return None;
        }
        self.line = self.line.saturating_add(1);
        let end = self.rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (line, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = match rest {
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => rest,
        };
        Some((self.line, line))
    }
}

/// The name between brackets, and whether there is a second one.
fn section_name(line: &[u8]) -> (Result<String, Mistake>, bool) {
    let inside = line.get(1..).unwrap_or_default();
    let end = inside.iter().position(|byte| *byte == b']');
    let name = trim(inside.get(..end.unwrap_or(inside.len())).unwrap_or_default());
    (String::from_utf8(name.to_vec()).map_err(|_| Mistake::NotUtf8), end.is_some())
}

type Assignment = (String, Vec<String>, Vec<(usize, Mistake)>);

fn assignment(line: &[u8]) -> Result<Assignment, (usize, Mistake)> {
    let sign = line.iter().position(|byte| matches!(byte, b'=' | b';'));
    let Some((sign, b'=')) = sign.and_then(|at| Some((at, *line.get(at)?))) else {
        return Err((0, Mistake::NoAssignment));
    };
    let (key, value) = line.split_at(sign);
    let key = trim(key);
    if key.is_empty() {
        return Err((0, Mistake::NoKey));
    }
    let key = String::from_utf8(key.to_vec()).map_err(|_| (0, Mistake::NotUtf8))?;
    let mut scanner = Scanner { bytes: value, at: 1, ..Scanner::default() };
    scanner.run();
    let Scanner { values, mistakes, .. } = scanner;
    let place = |(at, mistake)| (sign.saturating_add(at), mistake);
    Ok((key, values, mistakes.into_iter().map(place).collect()))
}

/// Reads a value: what follows the `=`.
#[derive(Default)]
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<String>,
    /// The value that is being read, and how much of it is no blank that may have to go.
    value: Vec<u8>,
    solid: usize,
    /// Where the quote stands that is open.
    quote: Option<usize>,
    mistakes: Vec<(usize, Mistake)>,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at = self.at.saturating_add(1);
        Some(byte)
    }

    fn run(&mut self) {
        self.skip_blanks();
        while let Some(byte) = self.next() {
            let at = self.at.saturating_sub(1);
            match byte {
                b'\\' => self.escape(at),
                b'"' if self.quote.is_some() => {
                    self.quote = None;
                    self.skip_blanks();
                }
                b'"' => self.quote = Some(at),
                b',' if self.quote.is_none() => {
                    self.end_of_value();
                    self.skip_blanks();
                }
                b';' if self.quote.is_none() => break,
                _ => self.take(byte),
            }
        }
        self.end_of_value();
        if let Some(at) = self.quote {
            self.mistakes.push((at, Mistake::QuoteNotClosed));
        }
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.next();
        }
    }

    fn take(&mut self, byte: u8) {
        self.value.push(byte);
        if self.quote.is_some() || !is_blank(byte) {
            self.solid = self.value.len();
        }
    }

    fn take_char(&mut self, char: char) {
        self.value.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
        self.solid = self.value.len();
    }

    fn end_of_value(&mut self) {
        self.value.truncate(self.solid);
        self.solid = 0;
        match String::from_utf8(std::mem::take(&mut self.value)) {
            Ok(value) => self.values.push(value),
            Err(_) => self.mistakes.push((1, Mistake::NotUtf8)),
        }
    }

    /// What a backslash, which stands at `at`, makes of what follows.
    fn escape(&mut self, at: usize) {
        let plain = match self.next() {
            None => return,
            Some(b'a') => '\x07',
            Some(b'b') => '\x08',
            Some(b'f') => '\x0c',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'v') => '\x0b',
            Some(byte @ (b'"' | b'?' | b'\'' | b'\\')) => char::from(byte),
            Some(b'x') if self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) => {
                return self.number(at, 16);
            }
            Some(b'0'..=b'7') => {
                self.at = self.at.saturating_sub(1);
                return self.number(at, 8);
            }
            Some(byte) => return self.unknown(at, byte),
        };
        self.take_char(plain);
    }

    fn number(&mut self, at: usize, base: u32) {
        let mut number: u32 = 0;
        while let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(base)) {
            self.next();
            number = number.saturating_mul(base).saturating_add(digit);
        }
        match char::from_u32(number) {
            Some(char) => self.take_char(char),
            None => self.mistakes.push((at, Mistake::NoCharacter(number))),
        }
    }

    fn unknown(&mut self, at: usize, first: u8) {
        // The whole character goes, not only its first byte.
        let more = |byte: u8| byte & 0xc0 == 0x80;
        let mut bytes = vec![first];
        while first >= 0x80 && self.peek().is_some_and(more) {
            bytes.extend(self.next());
        }
        let char = String::from_utf8_lossy(&bytes).chars().next().unwrap_or_default();
        self.mistakes.push((at, Mistake::UnknownEscape(char)));
    }
}

/// Writes a value so that it is read as the same.
#[must_use]
pub fn print(values: &[String]) -> String {
    let quoted = |value: &String| {
        let outer = value.starts_with(char::is_whitespace) || value.ends_with(char::is_whitespace);
        if !outer && !value.contains([',', ';', '"', '\\']) && !value.contains(char::is_control) {
            return value.clone();
        }
        let mut text = String::from("\"");
        let mut chars = value.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '"' | '\\' => text.extend(['\\', char]),
                '\n' => text += "\\n",
                '\r' => text += "\\r",
                '\t' => text += "\\t",
                char if char.is_control() => {
                    text += &format!("\\x{:x}", u32::from(char));
                    // A digit behind it would be taken for one of the number's.
                    if chars.peek().is_some_and(char::is_ascii_hexdigit) {
                        text += "\"\"";
                    }
                }
                char => text.push(char),
            }
        }
        text + "\""
    };
    values.iter().map(quoted).collect::<Vec<_>>().join(",")
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

#[cfg(test)]
mod tests;
