//! How header names were written: names keep their case on their way through. Pure.
//!
//! The `http` crate knows names in lower case only. Names in the usual Title-Case need no memory,
//! because that is how names are written where nothing else is known; of a head with any other name
//! all names are kept. `framing` notes those of requests, `backend` those of responses.

use smallvec::SmallVec;

/// The names of one head as they were written, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Spelling(Box<[u8]>);

impl Spelling {
    /// Of names that each end with a colon.
    #[must_use]
    pub fn new(names: &[u8]) -> Spelling {
        Spelling(names.into())
    }

    /// The spelling of a head that has fields of these names, each ended with a colon, before those
    /// of another one, but for its `Host` and `Accept`, which are written as usual.
    #[must_use]
    pub fn after(given: &[u8], rest: Option<Spelling>) -> Option<Spelling> {
        let usual =
            |name: &[u8]| [&b"host"[..], b"accept"].iter().any(|n| name.eq_ignore_ascii_case(n));
        let rest = rest.map(|rest| rest.0).unwrap_or_default();
        let names = given.split(|byte| *byte == b':').chain(rest.split(|byte| *byte == b':'));
        let names = names.filter(|name| !name.is_empty() && !usual(name));
        let all: Vec<u8> = names.flat_map(|name| [name, b":"]).flatten().copied().collect();
        (!all.is_empty()).then(|| Spelling(all.into()))
    }

    /// The names, to be given to the fields of the head.
    #[must_use]
    pub fn names(&self) -> Names<'_> {
        Names { passed: SmallVec::new(), ahead: &self.0 }
    }
}

/// The names of one head as they were written; each is given out once.
#[derive(Clone, Debug, Default)]
pub struct Names<'a> {
    /// Those before `ahead` that nobody has asked for yet.
    passed: SmallVec<[&'a [u8]; 8]>,
    /// The others, each with a colon behind it.
    ahead: &'a [u8],
}

impl<'a> Names<'a> {
    /// How the next field of this (lower-case) name was written.
    pub fn take(&mut self, name: &str) -> Option<&'a [u8]> {
        // Mostly it is written as it is asked for, and a look is cheaper than a comparison.
        let is_it =
            |other: &[u8]| other == name.as_bytes() || other.eq_ignore_ascii_case(name.as_bytes());
        if let Some(at) = self.passed.iter().position(|other| is_it(other)) {
            return Some(self.passed.remove(at));
        }
        while let Some(end) = memchr::memchr(b':', self.ahead) {
            let (next, behind) = self.ahead.split_at_checked(end)?;
            self.ahead = behind.get(1..).unwrap_or_default();
            if next.is_empty() {
                continue;
            }
            if is_it(next) {
                return Some(next);
            }
            self.passed.push(next);
        }
        None
    }
}

/// Whether each word of a name, and nothing else, begins with a capital.
#[must_use]
pub fn is_usual(name: &[u8]) -> bool {
    // Without a branch for each byte: what was wrong, and the class that the next one may not have.
    let (wrong, _) = name.iter().fold((0, LOWER), |(wrong, not), byte| {
        let class = CLASSES[usize::from(*byte)];
        (wrong | (class & not), if class == DASH { LOWER } else { UPPER })
    });
    wrong == 0
}

const LOWER: u8 = 1;
const UPPER: u8 = 2;
const DASH: u8 = 4;

const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut letter = 0;
    while letter < 26 {
        classes[b'a' as usize + letter] = LOWER;
        classes[b'A' as usize + letter] = UPPER;
        letter += 1;
    }
    classes[b'-' as usize] = DASH;
    classes
};

/// Appends a lower-case name as it is usually written.
pub fn put_usual(out: &mut Vec<u8>, name: &str) {
    let mut begins = true;
    out.extend(name.bytes().map(|byte| {
        let upper = if begins { byte.to_ascii_uppercase() } else { byte };
        begins = byte == b'-';
        upper
    }));
}

/// Appends a lower-case name as RFC 6455 writes it, or as is usual: some WebSocket servers and
/// clients know the names of handshakes in that spelling only.
pub fn put_registered(out: &mut Vec<u8>, name: &str) {
    let rest = name.strip_prefix("sec-websocket-");
    out.extend_from_slice(if rest.is_some() { b"Sec-WebSocket-" } else { b"" });
    put_usual(out, rest.unwrap_or(name));
}

/// The names of the head that is being read, and of heads before it that nobody has asked for.
#[derive(Debug, Default)]
pub(super) struct Noted {
    /// As they were written, each with a colon behind it.
    bytes: Vec<u8>,
    /// Where the present one begins.
    begin: usize,
    unusual: bool,
    /// Heads that were whole.
    heads: u64,
    spelled: Vec<(u64, Spelling)>,
}

impl Noted {
    /// A part of a name.
    pub(super) fn add(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
    }

    /// The end of a name.
    pub(super) fn end(&mut self) {
        self.unusual |= !is_usual(self.bytes.get(self.begin..).unwrap_or_default());
        self.bytes.push(b':');
        self.begin = self.bytes.len();
    }

    /// The names of a whole head, one of which at least is not written as usual.
    pub(super) fn add_all(&mut self, names: &[&[u8]]) {
        self.bytes.reserve(names.iter().map(|name| name.len().saturating_add(1)).sum());
        for name in names {
            self.bytes.extend_from_slice(name);
            self.bytes.push(b':');
        }
        self.unusual = true;
    }

    /// The end of a head.
    pub(super) fn end_head(&mut self) {
        if self.unusual {
            self.spelled.push((self.heads, Spelling::new(&self.bytes)));
        }
        self.heads = self.heads.wrapping_add(1);
        (self.begin, self.unusual) = (0, false);
        self.bytes.clear();
    }

    /// The spellings of heads that were not written as usual, each with how many heads came before
    /// it; to be taken out.
    pub(super) fn spelled(&mut self) -> &mut Vec<(u64, Spelling)> {
        &mut self.spelled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_case() {
        for name in ["Host", "X-Forwarded-For", "A", "X_y", "4-A", ""] {
            assert!(is_usual(name.as_bytes()), "{name}");
        }
        for name in ["host", "ETag", "WWW-Authenticate", "X-y", "Sec-WebSocket-Key"] {
            assert!(!is_usual(name.as_bytes()), "{name}");
        }
        let mut out = Vec::new();
        put_usual(&mut out, "x-forwarded-for");
        assert_eq!(out, b"X-Forwarded-For");
        out.clear();
        for name in ["sec-websocket-key", ":", "sec-fetch-mode"] {
            put_registered(&mut out, name);
        }
        assert_eq!(out, b"Sec-WebSocket-Key:Sec-Fetch-Mode");
    }

    #[test]
    fn each_field_has_its_own_spelling() {
        let spelling = Spelling::new(b"host:X-ODD:A:x-odd:");
        let mut names = spelling.names();
        for (name, spelled) in [
            ("x-odd", Some("X-ODD")),
            ("x-odd", Some("x-odd")),
            ("x-odd", None),
            ("host", Some("host")),
            ("host", None),
            ("x", None),
            ("a", Some("A")),
            ("", None),
        ] {
            assert_eq!(names.take(name), spelled.map(str::as_bytes), "{name}");
        }
        let after = Spelling::after(b"x-Odd:ACCEPT:", Some(spelling.clone())).unwrap();
        let mut names = after.names();
        let odd = [0; 4].map(|_| names.take("x-odd"));
        assert_eq!(odd, [Some(&b"x-Odd"[..]), Some(b"X-ODD"), Some(b"x-odd"), None]);
        assert_eq!((names.take("host"), names.take("accept")), (None, None));
        assert_eq!(Spelling::after(b"", None), None);
    }
}
