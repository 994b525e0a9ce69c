//! The header fields by which a browser lets a page of another origin read an answer
//! (specification, routing 5.1; Fetch standard, 3.2). Pure: what a request says, and the fields
//! that an answer lacks.
//!
//! Kept with a held request; asked by `session` and `proxy` when an answer is written.

use std::borrow::Cow;

use smallvec::SmallVec;

const METHODS: &[u8] = b"OPTIONS, HEAD, GET, POST, PUT, DELETE";
const MAX_AGE_S: &[u8] = b"3600";

/// Names of answers that a page may read unasked.
const SIMPLE: [&str; 7] = [
    "Cache-Control",
    "Content-Language",
    "Content-Length",
    "Content-Type",
    "Expires",
    "Last-Modified",
    "Pragma",
];

/// Names of fields that are not a backend's to expose.
const PREFIXES: [&str; 2] = ["Access-Control-", "Grip-"];

/// What a request says of itself to whoever serves pages of other origins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cors {
    origin: Option<Box<[u8]>>,
    /// Only preflights have it.
    asked: Option<Box<Asked>>,
}

/// What a preflight asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Asked {
    method: Option<Box<[u8]>>,
    headers: Option<Box<[u8]>>,
}

/// Fields of an answer, in order.
pub type Fields<'a> = SmallVec<[(&'static str, Cow<'a, [u8]>); 6]>;

impl Cors {
    /// Of a request with these values of `Origin`, `Access-Control-Request-Method` and
    /// `Access-Control-Request-Headers` (all of them).
    #[must_use]
    pub fn new<'v>(
        origin: Option<&[u8]>,
        method: Option<&[u8]>,
        headers: impl Iterator<Item = &'v [u8]>,
    ) -> Cors {
        let said = |value: Option<&[u8]>| value.filter(|v| !v.is_empty()).map(Box::from);
        let all: Vec<&[u8]> = headers.collect();
        let headers = said(Some(&all.join(&b", "[..])));
        let asked = Asked { method: said(method), headers };
        let asked = (asked != Asked::default()).then(|| Box::new(asked));
        Cors { origin: said(origin), asked }
    }

    /// The fields that an answer lacks whose fields have these names, in the order in which they
    /// are written.
    pub fn lacking<'n, N>(&self, names: N) -> Fields<'_>
    where
        N: Iterator<Item = &'n [u8]> + Clone,
    {
        let (method, headers) = match &self.asked {
            Some(asked) => (asked.method.as_deref(), asked.headers.as_deref()),
            None => (None, None),
        };
        let exposed = exposed(names.clone());
        let mut fields: Fields<'_> = SmallVec::new();
        for (name, value) in [
            ("Access-Control-Allow-Methods", Some(Cow::Borrowed(method.unwrap_or(METHODS)))),
            ("Access-Control-Allow-Headers", headers.map(Cow::Borrowed)),
            ("Access-Control-Expose-Headers", exposed.map(Cow::Owned)),
            ("Access-Control-Allow-Credentials", Some(Cow::Borrowed(&b"true"[..]))),
            (
                "Access-Control-Allow-Origin",
                Some(Cow::Borrowed(self.origin.as_deref().unwrap_or(b"*"))),
            ),
            ("Access-Control-Max-Age", Some(Cow::Borrowed(MAX_AGE_S))),
        ] {
            let is_there = || names.clone().any(|n| n.eq_ignore_ascii_case(name.as_bytes()));
            if let Some(value) = value
                && !is_there()
            {
                fields.push((name, value));
            }
        }
        fields
    }
}

/// The names that a page may read only if it is told so, each once.
fn exposed<'n>(names: impl Iterator<Item = &'n [u8]>) -> Option<Vec<u8>> {
    let mut seen: SmallVec<[&[u8]; 16]> = SmallVec::new();
    for name in names {
        let begins = |prefix: &&str| {
            name.get(..prefix.len()).is_some_and(|n| n.eq_ignore_ascii_case(prefix.as_bytes()))
        };
        let is = |other: &[u8]| name.eq_ignore_ascii_case(other);
        let simple = SIMPLE.iter().any(|simple| is(simple.as_bytes()));
        if !simple && !PREFIXES.iter().any(begins) && !seen.iter().any(|seen| is(seen)) {
            seen.push(name);
        }
    }
    (!seen.is_empty()).then(|| seen.join(&b", "[..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lacking(cors: &Cors, names: &[&str]) -> Vec<String> {
        let fields = cors.lacking(names.iter().map(|name| name.as_bytes()));
        fields.iter().map(|(n, v)| format!("{n}: {}", String::from_utf8_lossy(v))).collect()
    }

    #[test]
    fn all_of_it_in_order() {
        let asked = [&b"X-A, X-B"[..], b"X-C"].into_iter();
        let cors = Cors::new(Some(b"http://o.example"), Some(b"PUT"), asked);
        let expected = [
            "Access-Control-Allow-Methods: PUT",
            "Access-Control-Allow-Headers: X-A, X-B, X-C",
            "Access-Control-Expose-Headers: X-Foo, ETag",
            "Access-Control-Allow-Credentials: true",
            "Access-Control-Allow-Origin: http://o.example",
            "Access-Control-Max-Age: 3600",
        ];
        assert_eq!(lacking(&cors, &["X-Foo", "x-foo", "Content-Type", "ETag"]), expected);
    }

    #[test]
    fn what_says_nothing() {
        let expected = [
            "Access-Control-Allow-Methods: OPTIONS, HEAD, GET, POST, PUT, DELETE",
            "Access-Control-Allow-Credentials: true",
            "Access-Control-Allow-Origin: *",
            "Access-Control-Max-Age: 3600",
        ];
        let simple = [
            "cache-control",
            "Content-Language",
            "content-length",
            "CONTENT-TYPE",
            "Expires",
            "Last-Modified",
            "Pragma",
            "Grip-Foo",
            "grip-",
        ];
        assert_eq!(lacking(&Cors::default(), &simple), expected);
        let empty = Cors::new(Some(b""), Some(b""), [&b""[..]].into_iter());
        assert_eq!(empty, Cors::default());
        assert_eq!(Cors::new(None, None, std::iter::empty()), Cors::default());
    }

    #[test]
    fn what_the_backend_says_stays() {
        let names = ["access-control-allow-origin", "Access-Control-Max-Age", "Set-Cookie"];
        let expected = [
            "Access-Control-Allow-Methods: OPTIONS, HEAD, GET, POST, PUT, DELETE",
            "Access-Control-Expose-Headers: Set-Cookie",
            "Access-Control-Allow-Credentials: true",
        ];
        assert_eq!(lacking(&Cors::default(), &names), expected);
        let expose = ["Access-Control-Expose-Headers", "X-A"];
        assert!(lacking(&Cors::default(), &expose).iter().all(|line| !line.contains("Expose")));
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<Cors>() <= 24);
    }

    proptest! {
        #[test]
        fn nothing_is_lacking_twice(
            names in prop::collection::vec(
                "[a-c]|X-[a-c]|Access-Control-(Max-Age|Allow-Origin)", 0..6),
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let cors = Cors::default();
            let added = cors.lacking(names.iter().map(|name| name.as_bytes()));
            let added = added.iter().map(|(name, _)| *name);
            let all: Vec<&str> = names.iter().copied().chain(added).collect();
            let again = cors.lacking(all.iter().map(|name| name.as_bytes()));
            prop_assert!(again.iter().all(|(name, _)| *name == "Access-Control-Expose-Headers"));
        }
    }
}
