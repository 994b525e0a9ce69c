//! The corpus as data: a text file of cases, each some lines of a word and what belongs to it.
//!
//! ```text
//! == name of the case | section
//! send BYTES          what the client sends (several lines are one after the other)
//! end                 after that the client says that it sends nothing more
//! answer BYTES        what the backend answers to the case's first request
//! then BYTES          and what it sends after that, once the client has got something
//! answer-end          after that the backend says that it sends nothing more
//! sees METHOD TARGET  a request that the backend gets; the next three are about it
//! field NAME: VALUE   it has this field once, with this value
//! lacks NAME          it does not have this field
//! body BYTES          its body
//! partial             the backend may get the beginning of a request that never ends
//! gets STATUS         a response that the client gets (but 100); `head` after it: of a HEAD
//! got-field, got-lacks, got-body    the same about it
//! broken              the client gets the beginning of a response that never ends
//! cut                 it gets either that, or 502, as the backend's end is seen later or at once
//! closed              the connection is closed; without it the client's next request is served
//! kept, dropped       whether the connection to the backend is used again
//! ```
//!
//! Bytes are ASCII with `\r`, `\n`, `\t`, `\0`, `\\`, `\s` for a space and `\xHH`; `{3*ab}` is
//! `ababab`.

/// What a message must be like.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// `METHOD TARGET`, or the status.
    pub start: String,
    /// It answers a HEAD.
    pub bodyless: bool,
    pub fields: Vec<(String, String)>,
    pub lacks: Vec<String>,
    pub body: Option<Vec<u8>>,
}

/// One case.
#[derive(Clone, Debug, Default)]
pub struct Case {
    pub name: String,
    pub send: Vec<u8>,
    pub end: bool,
    pub answer: Option<Vec<u8>>,
    pub then: Option<Vec<u8>>,
    pub answer_end: bool,
    pub sees: Vec<Expected>,
    pub partial: bool,
    pub gets: Vec<Expected>,
    pub broken: bool,
    pub cut: bool,
    pub closed: bool,
    pub kept: Option<bool>,
}

/// Reads a file of cases.
pub fn read(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        if word == "==" {
            assert!(rest.contains(" | "), "line {}: no section", number + 1);
            assert!(cases.iter().all(|case| case.name != rest), "twice: {rest}");
            cases.push(Case { name: rest.to_owned(), ..Case::default() });
            continue;
        }
        let case = cases.last_mut().expect("a file begins with a case");
        take(case, word, rest).unwrap_or_else(|| panic!("line {}: {line}", number + 1));
    }
    cases
}

fn take(case: &mut Case, word: &str, rest: &str) -> Option<()> {
    match word {
        "send" => case.send.extend(bytes(rest)),
        "end" => case.end = true,
        "answer" => case.answer.get_or_insert_default().extend(bytes(rest)),
        "then" => case.then.get_or_insert_default().extend(bytes(rest)),
        "answer-end" => case.answer_end = true,
        "sees" => {
            let start = String::from_utf8(bytes(rest)).ok()?;
            case.sees.push(Expected { start, ..Expected::default() });
        }
        "gets" => {
            let (start, head) = rest.split_once(' ').unwrap_or((rest, ""));
            let bodyless = head == "head";
            case.gets.push(Expected { start: start.to_owned(), bodyless, ..Expected::default() });
        }
        "field" | "lacks" | "body" => about(case.sees.last_mut()?, word, rest)?,
        "got-field" => about(case.gets.last_mut()?, "field", rest)?,
        "got-lacks" => about(case.gets.last_mut()?, "lacks", rest)?,
        "got-body" => about(case.gets.last_mut()?, "body", rest)?,
        "partial" => case.partial = true,
        "broken" => case.broken = true,
        "cut" => case.cut = true,
        "closed" => case.closed = true,
        "kept" => case.kept = Some(true),
        "dropped" => case.kept = Some(false),
        _ => return None,
    }
    Some(())
}

fn about(expected: &mut Expected, word: &str, rest: &str) -> Option<()> {
    match word {
        "field" => {
            let (name, value) = rest.split_once(':')?;
            expected.fields.push((name.to_owned(), value.trim().to_owned()));
        }
        "lacks" => expected.lacks.push(rest.to_owned()),
        _ => expected.body = Some(bytes(rest)),
    }
    Some(())
}

/// The bytes that `text` stands for.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match first {
            b'\\' => {
                let (byte, length) = match after[0] {
                    b'r' => (b'\r', 1),
                    b'n' => (b'\n', 1),
                    b't' => (b'\t', 1),
                    b's' => (b' ', 1),
                    b'0' => (0, 1),
                    b'\\' => (b'\\', 1),
                    b'x' => {
                        let digits = std::str::from_utf8(&after[1..3]).expect("two digits");
                        (u8::from_str_radix(digits, 16).expect("two digits"), 3)
                    }
                    other => panic!("unknown escape {:?} in {text}", char::from(other)),
                };
                out.push(byte);
                rest = &after[length..];
            }
            b'{' => {
                let end = after.iter().position(|byte| *byte == b'}').expect("a closing brace");
                let inner = std::str::from_utf8(&after[..end]).expect("ASCII");
                let (count, part) = inner.split_once('*').expect("{count*text}");
                out.extend(bytes(part).repeat(count.parse().expect("a count")));
                rest = &after[end + 1..];
            }
            other => out.push(*other),
        }
    }
    out
}
