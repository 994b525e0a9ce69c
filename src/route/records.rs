//! What a lookup compares with, laid out so that it reads one place for the host and one for the
//! path: an arena of bytes with a record for each host and each of its different `path_beg`s.
//! Called by `hosts`, which knows where a record begins. All numbers are 32 bits, little-endian
//! everywhere, because the build script prints the arena as a constant.
//!
//! A host: the length of its name; a word with the number of its paths or lengths and two flags;
//! the name; then either its paths (when they are few), the longest first, or the lengths that its
//! paths have, ascending, each with a [`Mark`] of their last bytes. A path: a word with its length
//! and the number of its rules; the rules; the path. Paths that are found by hash have their host's
//! place before them.

/// A rule: a route's number above its class, see [`suits`].
type Rule = [u8; 4];

/// Bits of a rule that say which requests the route is for.
pub const CLASS_BITS: u32 = 4;
/// Bits of a path's word for the number of its rules: one for each class.
const RULES_BITS: u32 = 4;
/// A host's flag: its paths follow it.
const FEW: u32 = 1 << 31;
/// A host's flag: a rule of it has `proto`.
const PROTOS: u32 = 1 << 30;
/// A [`Length`] as it is written.
pub type LengthRecord = [u8; 12];

/// One host's rules, as read.
#[derive(Clone, Copy, Debug)]
pub struct Host<'a> {
    /// Its name, empty for `*`.
    pub name: &'a [u8],
    /// A rule of it has `proto`, so one with a shorter `path_beg` may beat one with a longer.
    pub protos: bool,
    /// Where to look for paths.
    pub paths: Paths<'a>,
}

/// Where a host's paths are.
#[derive(Clone, Copy, Debug)]
pub enum Paths<'a> {
    /// Here, the longest first: so many in these bytes.
    Few(u32, &'a [u8]),
    /// Elsewhere, by hash; these are their [`lengths`](Length).
    Many(&'a [LengthRecord]),
}

/// One `path_beg` of a host, as read.
#[derive(Clone, Copy, Debug)]
pub struct Path<'a> {
    /// The `path_beg`, empty for none.
    pub beginning: &'a [u8],
    /// Its rules, the better first.
    rules: &'a [Rule],
}

/// A length that some `path_beg`s of a host have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Length {
    /// In bytes.
    pub bytes: u32,
    /// Of the last bytes of these `path_beg`s.
    pub mark: Mark,
}

/// A set of bytes, which may also hold others: a bit for each byte, and the upper case of a letter
/// has that of the lower case. Most beginnings of a request's path are no `path_beg` because they
/// do not end as one does (with a slash, say); that is told here without looking any up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(u64);

impl Mark {
    /// Whether the byte may be in the set; without a byte, yes.
    #[must_use]
    pub fn may_have(self, byte: Option<u8>) -> bool {
        byte.is_none_or(|byte| self.0 >> Mark::bit(byte) & 1 == 1)
    }

    /// Adds a byte.
    pub fn add(&mut self, byte: u8) {
        self.0 |= 1 << Mark::bit(byte);
    }

    /// The byte without its bits 5 and 7.
    fn bit(byte: u8) -> u8 {
        byte & 31 | (byte & 64) >> 1
    }
}

impl Length {
    /// From the bytes of a record.
    #[must_use]
    pub fn read(record: &LengthRecord) -> Length {
        let [a, b, c, d, mark @ ..] = *record;
        Length { bytes: u32::from_le_bytes([a, b, c, d]), mark: Mark(u64::from_le_bytes(mark)) }
    }
}

impl<'a> Host<'a> {
    /// The host whose record begins there.
    #[must_use]
    pub fn read(arena: &'a [u8], place: u32) -> Option<Host<'a>> {
        let (length, rest) = word(arena.get(place as usize..)?)?;
        let (kind, rest) = word(rest)?;
        let (name, rest) = rest.split_at_checked(length as usize)?;
        let count = kind & !(FEW | PROTOS);
        let paths = if kind & FEW != 0 {
            Paths::Few(count, rest)
        } else {
            Paths::Many(rest.as_chunks().0.get(..count as usize)?)
        };
        Some(Host { name, protos: kind & PROTOS != 0, paths })
    }

    /// Adds the beginning of a record: all but what [`Paths`] has. So many paths or lengths follow.
    pub fn write(arena: &mut Vec<u8>, name: &str, protos: bool, few: bool, count: usize) {
        let flags = if few { FEW } else { 0 } | if protos { PROTOS } else { 0 };
        arena.extend(small(name.len()).to_le_bytes());
        arena.extend((small(count) | flags).to_le_bytes());
        arena.extend(name.as_bytes());
    }
}

impl Length {
    /// Adds this to a record.
    pub fn write(self, arena: &mut Vec<u8>) {
        arena.extend(self.bytes.to_le_bytes());
        arena.extend(self.mark.0.to_le_bytes());
    }
}

impl<'a> Path<'a> {
    /// The path whose record these bytes begin with, and what follows it.
    #[must_use]
    pub fn read(bytes: &'a [u8]) -> Option<(Path<'a>, &'a [u8])> {
        let (kind, rest) = word(bytes)?;
        let count = kind as usize & ((1 << RULES_BITS) - 1);
        let (rules, rest) = rest.split_at_checked(count * size_of::<Rule>())?;
        let (beginning, rest) = rest.split_at_checked((kind >> RULES_BITS) as usize)?;
        Some((Path { beginning, rules: rules.as_chunks().0 }, rest))
    }

    /// The path that was found by hash at this place, if it is one of the host's.
    #[must_use]
    pub fn of(arena: &'a [u8], place: u32, host: u32) -> Option<Path<'a>> {
        let (owner, rest) = word(arena.get(place as usize..)?)?;
        if owner != host {
            return None;
        }
        Path::read(rest).map(|(path, _)| path)
    }

    /// Adds a record. The rules must be sorted, the better first; there are at most nine.
    pub fn write(arena: &mut Vec<u8>, beginning: &str, rules: &[u32]) {
        arena.extend((small(beginning.len()) << RULES_BITS | small(rules.len())).to_le_bytes());
        rules.iter().for_each(|rule| arena.extend(rule.to_le_bytes()));
        arena.extend(beginning.as_bytes());
    }

    /// The best of the path's rules for such a request.
    #[must_use]
    pub fn rule(&self, websocket: bool, secure: bool) -> Option<u32> {
        let rules = self.rules.iter().map(|rule| u32::from_le_bytes(*rule));
        rules.into_iter().find(|rule| suits(*rule, websocket, secure))
    }
}

/// Adds the place of a host, which goes before a path that is found by hash.
pub fn write_owner(arena: &mut Vec<u8>, host: u32) {
    arena.extend(host.to_le_bytes());
}

/// A rule. The four low bits say whether `proto` is set and to `ws`, whether `ssl` is set and to
/// `yes`.
#[must_use]
pub fn rule(number: u32, websocket: Option<bool>, secure: Option<bool>) -> u32 {
    let two = |set: Option<bool>| u32::from(set.is_some()) << 1 | u32::from(set == Some(true));
    number << CLASS_BITS | two(websocket) << 2 | two(secure)
}

/// Whether the route has `proto`.
#[must_use]
pub fn has_proto(rule: u32) -> bool {
    rule & 8 != 0
}

fn suits(rule: u32, websocket: bool, secure: bool) -> bool {
    let suits = |two: u32, asked: bool| two & 2 == 0 || (two & 1 == 1) == asked;
    suits(rule >> 2, websocket) && suits(rule, secure)
}

/// The first word of some bytes, and the others.
fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*word), rest))
}

/// What is not below 2^28 is in no file that could be read.
pub fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_written() {
        let mut arena = vec![0; 3];
        Host::write(&mut arena, "a.com", true, true, 2);
        Path::write(&mut arena, "/x", &[rule(7, Some(true), None), rule(8, None, None)]);
        Path::write(&mut arena, "", &[rule(9, None, Some(false))]);
        let host = Host::read(&arena, 3).unwrap();
        assert!(host.protos);
        assert_eq!(host.name, b"a.com");
        let Paths::Few(2, bytes) = host.paths else { panic!("{host:?}") };
        let (path, rest) = Path::read(bytes).unwrap();
        assert_eq!(path.beginning, b"/x");
        assert_eq!(path.rule(true, false).map(|rule| rule >> CLASS_BITS), Some(7));
        assert_eq!(path.rule(false, false).map(|rule| rule >> CLASS_BITS), Some(8));
        let (path, rest) = Path::read(rest).unwrap();
        assert_eq!((path.beginning, rest), (&b""[..], &b""[..]));
        assert_eq!(path.rule(true, true), None);

        let many = small(arena.len());
        Host::write(&mut arena, "", false, false, 1);
        let mut length = Length { bytes: 2, mark: Mark::default() };
        length.mark.add(b'x');
        length.write(&mut arena);
        let path = small(arena.len());
        write_owner(&mut arena, many);
        Path::write(&mut arena, "/x", &[rule(1, None, None)]);
        let host = Host::read(&arena, many).unwrap();
        let Paths::Many([read]) = host.paths else { panic!("{host:?}") };
        assert_eq!(Length::read(read), length);
        assert_eq!(Path::of(&arena, path, many).unwrap().beginning, b"/x");
        assert!(Path::of(&arena, path, many + 1).is_none());
    }

    #[test]
    fn a_place_that_is_none_reads_as_nothing() {
        let mut arena = Vec::new();
        Host::write(&mut arena, "a.com", false, false, 3);
        for place in 0..40 {
            let _ = (Host::read(&arena, place), Path::of(&arena, place, 0));
        }
        assert!(Host::read(&arena, 0).is_none() && Host::read(&arena, u32::MAX).is_none());
    }

    #[test]
    fn a_mark_tells_a_slash_from_letters_and_digits() {
        let mut mark = Mark::default();
        mark.add(b'/');
        let others = (b'0'..=b'9').chain(b'a'..=b'z').chain(b'A'..=b'Z').chain(*b"-_.~%?&=");
        assert!(mark.may_have(Some(b'/')) && mark.may_have(None));
        others.for_each(|byte| assert!(!mark.may_have(Some(byte)), "{byte}"));
    }
}
