//! A head that has come whole and is written as almost all are: read line by line, without a state
//! for each byte. Used by `framing`, which reads every other head itself, and says what is wrong.

use smallvec::SmallVec;

use super::byte::{TARGET, TOKEN, is, is_control};
use super::value::{Framing, Value};
use super::{HEADERS_MAX, USUAL_VERSION};

/// Most heads have no more fields.
const NAMES: usize = 24;

/// What such a head is.
pub(super) struct Whole<'a> {
    /// Its bytes, the empty line with them.
    pub(super) length: usize,
    /// What it says of its body.
    pub(super) framing: Framing,
    /// The names of its fields, in order.
    pub(super) names: SmallVec<[&'a [u8]; NAMES]>,
    /// One of them is not written as names usually are.
    pub(super) unusual: bool,
}

/// The head that these bytes begin with. `None` if it is not all here, has more than `limit` bytes,
/// or has anything that is unusual or in doubt.
pub(super) fn read(bytes: &[u8], limit: usize) -> Option<Whole<'_>> {
    let bytes = bytes.get(..bytes.len().min(limit))?;
    let fields = bytes.get(request_line(bytes)?..)?;
    let mut whole =
        Whole { length: 0, framing: Framing::default(), names: SmallVec::new(), unusual: false };
    let mut rest = fields;
    while !rest.starts_with(b"\r\n") {
        let end = memchr::memchr(b'\n', rest)?;
        let (line, behind) = rest.split_at_checked(end)?;
        let (length, unusual) = name(line);
        let name = line.get(..length).filter(|name| !name.is_empty())?;
        let value = line.get(length..)?.strip_prefix(b":")?.strip_suffix(b"\r")?;
        if whole.names.len() >= HEADERS_MAX {
            return None;
        }
        whole.names.push(name);
        whole.unusual |= unusual;
        let begin = Value::of(name);
        if begin != Value::Other {
            let read = value.iter().try_fold(begin, |value, byte| value.and(*byte)).ok()?;
            whole.framing.decide(read, false).ok()?;
        }
        rest = behind.get(1..)?;
    }
    let fields = fields.get(..fields.len().checked_sub(rest.len())?)?;
    // All lines at once, so that it runs on many bytes at a time. Each line ends with CR LF, so
    // there is no further CR.
    let odd = |byte: u8| is_control(byte) & (byte != b'\r') & (byte != b'\n');
    let bad = fields.iter().fold(false, |bad, byte| bad | odd(*byte));
    if bad || memchr::memchr_iter(b'\r', fields).count() != whole.names.len() {
        return None;
    }
    whole.length = bytes.len().checked_sub(rest.len())?.checked_add(2)?;
    Some(whole)
}

/// The length of the usual request line that these bytes begin with.
fn request_line(bytes: &[u8]) -> Option<usize> {
    let method = bytes.iter().take_while(|byte| is(**byte, TOKEN)).count();
    let rest = bytes.get(method..)?.strip_prefix(b" ").filter(|_| method > 0)?;
    let target = rest.iter().take_while(|byte| is(**byte, TARGET)).count();
    let path = rest.starts_with(b"/");
    let behind = rest.get(target..)?.strip_prefix(b" ").filter(|_| path)?;
    let length = bytes.len().checked_sub(behind.len())?.checked_add(USUAL_VERSION.len())?;
    behind.starts_with(USUAL_VERSION).then_some(length)
}

/// How many characters of a name the line begins with, and whether they are written otherwise than
/// usual: each word, and nothing else, begins with a capital.
fn name(line: &[u8]) -> (usize, bool) {
    let mut step = BEGIN;
    let mut length = 0_usize;
    for byte in line {
        let next = STEPS[usize::from(step)][usize::from(*byte)];
        if next == END {
            break;
        }
        step = next;
        length = length.saturating_add(1);
    }
    (length, step == UNUSUAL)
}

/// At the beginning of a word.
const BEGIN: u8 = 0;
/// Within one.
const WITHIN: u8 = 1;
/// Something was unusual.
const UNUSUAL: u8 = 2;
/// Behind the name.
const END: u8 = 3;

/// What each byte makes of the first three.
const STEPS: [[u8; 256]; 3] = {
    let mut steps = [[END; 256]; 3];
    let mut byte = 0;
    while byte < 256 {
        let character = byte as u8;
        if is(character, TOKEN) {
            let (lower, upper) = (character.is_ascii_lowercase(), character.is_ascii_uppercase());
            let usual = if character == b'-' { BEGIN } else { WITHIN };
            steps[BEGIN as usize][byte] = if lower { UNUSUAL } else { usual };
            steps[WITHIN as usize][byte] = if upper { UNUSUAL } else { usual };
            steps[UNUSUAL as usize][byte] = UNUSUAL;
        }
        byte += 1;
    }
    steps
};
