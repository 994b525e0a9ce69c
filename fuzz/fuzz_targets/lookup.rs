//! Routes and requests: what the index of a table finds, by condition and by id, is what one finds
//! who goes through the lines by the specification's words (routing 2.7), and so is what is
//! explained. The reference knows the lines only, not what was read of them.
#![no_main]

use std::collections::HashSet;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use linchpin::route::explain::Verdict;
use linchpin::route::ids::Named;
use linchpin::route::{Query, Table};

/// What conditions and requests have for a host; of two spellings a condition has the first.
const HOSTS: [(&str, &str); 8] = [
    ("*", "*"),
    ("", "-"),
    ("a", "a"),
    ("B.com", "b.com"),
    ("[::1]", "::1"),
    ("2001:DB8:0::1", "[2001:db8::1]"),
    ("a-host-with-a-long-name.example.com", "a-host-with-a-long-name.example.com"),
    ("a.", "a."),
];
/// What paths consist of.
const PIECES: [&str; 8] =
    ["/", "a", "b", "/v1/", "12345678", "%2F", "A", "-long-enough-for-words/"];
/// Ids; the second half are what routes without one may have.
const IDS: [&str; 8] =
    ["i", "j", "", "a,b", "*,*,*,*", "a,*,*,*", "b.com,ws,no-ssl,/a", "::1,http,ssl,/"];

#[derive(Arbitrary, Clone, Debug)]
struct Line {
    host: u8,
    websocket: Option<bool>,
    secure: Option<bool>,
    path: Option<Vec<u8>>,
    id: Option<u8>,
}

#[derive(Arbitrary, Clone, Debug)]
struct Request {
    host: u8,
    websocket: bool,
    secure: bool,
    path: Vec<u8>,
    /// The path of this line goes before the path.
    like: Option<u8>,
    id: Option<u8>,
    lenient: bool,
}

/// Lines as read by somebody who knows which are in force.
struct Reference {
    line: Line,
    number: u32,
    path: String,
    id: String,
}

fn of<T: Copy>(list: &[T; 8], number: u8) -> T {
    list[usize::from(number) % 8]
}

fn path(pieces: &[u8]) -> String {
    let pieces = pieces.iter().take(40).map(|piece| of(&PIECES, *piece));
    std::iter::once("/").chain(pieces).collect()
}

impl Line {
    fn host(&self) -> &'static str {
        of(&HOSTS, self.host).0
    }

    /// As the index spells it.
    fn name(&self) -> &'static str {
        of(&HOSTS, self.host).1.trim_matches(['[', ']'])
    }

    fn text(&self, path: &str) -> String {
        let mut text = format!("{},debug", self.host());
        if let Some(websocket) = self.websocket {
            text += if websocket { ",proto=ws" } else { ",proto=http" };
        }
        if let Some(secure) = self.secure {
            text += if secure { ",ssl=yes" } else { ",ssl=no" };
        }
        if !path.is_empty() {
            text += &format!(",path_beg={path}");
        }
        if let Some(id) = self.id {
            text += &format!(",id=\"{}\"", of(&IDS, id));
        }
        text + " t:1\n"
    }

    fn id(&self, path: &str) -> String {
        if let Some(id) = self.id.map(|id| of(&IDS, id)).filter(|id| !id.is_empty()) {
            return id.to_owned();
        }
        let host = if self.host().is_empty() { "*" } else { self.name() };
        let proto = self.websocket.map_or("*", |ws| if ws { "ws" } else { "http" });
        // The reversal is the specification's.
        let ssl = self.secure.map_or("*", |secure| if secure { "no-ssl" } else { "ssl" });
        format!("{host},{proto},{ssl},{}", if path.is_empty() { "*" } else { path })
    }
}

impl Reference {
    fn suits(&self, request: &Request, path: &str) -> bool {
        self.line.websocket.is_none_or(|websocket| websocket == request.websocket)
            && self.line.secure.is_none_or(|secure| secure == request.secure)
            && path.starts_with(&self.path)
    }

    fn rank(&self) -> (bool, usize, bool) {
        (self.line.websocket.is_some(), self.path.len(), self.line.secure.is_some())
    }
}

/// The number of the line for a request that names no route.
fn scan(lines: &[Reference], request: &Request, path: &str) -> Option<u32> {
    let host = of(&HOSTS, request.host).1.trim_matches(['[', ']']);
    let has = |line: &&Reference, name| !line.line.host().is_empty() && line.line.name() == name;
    let own = lines.iter().any(|line| has(&line, host));
    let name = if own { host } else { "*" };
    let rules = lines.iter().filter(|line| has(line, name));
    let best = rules.filter(|line| line.suits(request, path)).max_by_key(|line| line.rank());
    best.map(|line| line.number)
}

fn check(table: &Table, lines: &[Reference], request: &Request) {
    let like = request.like.and_then(|like| lines.get(usize::from(like)));
    let mut text = like.map_or(String::new(), |like| like.path.clone());
    text += path(&request.path).get(usize::from(!text.is_empty())..).unwrap_or("");
    let query = Query {
        host: of(&HOSTS, request.host).1,
        path: &text,
        websocket: request.websocket,
        secure: request.secure,
    };
    let number = |found: Option<usize>| found.and_then(|n| table.route(n)).map(|route| route.line);
    let expected = scan(lines, request, &text);
    assert_eq!(number(table.lookup(&query)), expected, "{query:?}");

    let id = request.id.map(|id| match lines.get(usize::from(id)) {
        Some(line) => line.id.clone(),
        None => of(&IDS, id).to_owned(),
    });
    let expected = match &id {
        None => expected,
        Some(id) => {
            let all: Vec<&Reference> = lines.iter().filter(|line| line.id == *id).collect();
            let named = table.named(id);
            match all[..] {
                [] => {
                    assert_eq!(named, Named::Unknown, "{id}");
                    None
                }
                [only] => {
                    let Named::One(found) = named else { panic!("{id}: {named:?}") };
                    assert_eq!(number(Some(found)), Some(only.number), "{id}");
                    text.starts_with(&only.path).then_some(only.number)
                }
                _ => {
                    assert_eq!(named, Named::Shared, "{id}");
                    expected.filter(|_| request.lenient)
                }
            }
        }
    };
    let id = id.as_deref();
    assert_eq!(
        number(table.lookup_named(id, &query, request.lenient)),
        expected,
        "{id:?} {query:?}"
    );
    let verdicts = table.explain(id, &query, request.lenient);
    let chosen = verdicts.iter().position(|verdict| *verdict == Verdict::Chosen);
    assert_eq!((verdicts.len(), number(chosen)), (lines.len(), expected), "{verdicts:?}");
}

fuzz_target!(|input: (Vec<Line>, Vec<Request>)| {
    let (lines, requests) = input;
    let mut file = String::new();
    let mut seen = HashSet::new();
    let mut reference = Vec::new();
    for (number, line) in (1_u32..).zip(lines) {
        let path = line.path.as_deref().map_or(String::new(), path);
        file += &line.text(&path);
        // What two lines may not have in common, unless they are found by id only.
        let key = (line.name(), line.websocket, line.secure, path.clone());
        if line.host().is_empty() || seen.insert(key) {
            let id = line.id(&path);
            reference.push(Reference { line, number, path, id });
        }
    }
    let (table, _) = Table::parse(file.as_bytes());
    assert_eq!(table.routes().len(), reference.len(), "{file}");
    requests.iter().for_each(|request| check(&table, &reference, request));
});
