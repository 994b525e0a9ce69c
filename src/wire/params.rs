//! Header values as GRIP writes them: comma lists, `;` parameters, quoting, 32-bit integers
//! (specification, GRIP 1.2).
//!
//! Called by the parsers of `grip` and by everything that splits a list header. Knows no header's
//! meaning. The rules are GRIP's own: in places they are looser or stricter than RFC 9110.

use std::borrow::Cow;

/// The elements of a comma list: split at commas outside double quotes, trimmed.
///
/// An empty value has no elements, a comma at the very end opens none, and `a, ,b` has an empty one
/// in the middle. An element whose quote never ends is dropped.
#[must_use]
pub fn elements(value: &[u8]) -> Elements<'_> {
    Elements { rest: value }
}

/// See [`elements`].
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        match end_of_element(self.rest) {
            Some(end) => {
                let (element, rest) = self.rest.split_at(end);
                self.rest = rest.get(1..).unwrap_or_default();
                Some(element.trim_ascii())
            }
            None => {
                self.rest = &[];
                None
            }
        }
    }
}

/// Where the element that `bytes` begin with ends; `None` when a quote in it does not.
fn end_of_element(bytes: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => at += 1,
            b',' if !quoted => return Some(at),
            _ => {}
        }
        at += 1;
    }
    (!quoted).then_some(bytes.len())
}

/// A parameter: a name and perhaps a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The name, trimmed, in the case in which it was written.
    pub name: &'a [u8],
    /// What follows `=`.
    pub value: Value<'a>,
}

/// The value of a parameter. How it was written matters: `prev-id=` and `prev-id=""` differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// There is no `=`.
    Absent,
    /// Without quotes, trimmed.
    Plain(&'a [u8]),
    /// What was between quotes, escapes resolved.
    Quoted(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// The bytes; none for an absent value.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Absent => &[],
            Value::Plain(bytes) => bytes,
            Value::Quoted(bytes) => bytes,
        }
    }
}

/// A first item, taken literally, and the parameters that follow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters<'a> {
    /// The text before the first `;`, trimmed, its quotes kept.
    pub first: &'a [u8],
    /// The parameters in order.
    pub list: Vec<Parameter<'a>>,
}

impl Parameters<'_> {
    /// The value of the first parameter of this name, in any case; `None` when there is none.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value<'_>> {
        let named = |p: &&Parameter<'_>| p.name.eq_ignore_ascii_case(name.as_bytes());
        self.list.iter().find(named).map(|p| &p.value)
    }
}

/// Reads `first; name=value; ...`. `None` when a quoted value does not end.
#[must_use]
pub fn parameters(element: &[u8]) -> Option<Parameters<'_>> {
    match memchr::memchr(b';', element) {
        Some(at) => {
            let (first, rest) = element.split_at(at);
            let list = named(rest.get(1..).unwrap_or_default())?;
            Some(Parameters { first: first.trim_ascii(), list })
        }
        None => Some(Parameters { first: element.trim_ascii(), list: Vec::new() }),
    }
}

/// Reads `name=value; name=value; ...`, as [`parameters`] does after the first item. Blank items
/// are skipped. `None` when a quoted value does not end.
#[must_use]
pub fn named(mut rest: &[u8]) -> Option<Vec<Parameter<'_>>> {
    let mut list = Vec::new();
    while !rest.is_empty() {
        let stop = memchr::memchr2(b'=', b';', rest).unwrap_or(rest.len());
        let (name, tail) = rest.split_at(stop);
        let name = name.trim_ascii();
        let (value, after) = match tail {
            [b'=', b'"', quoted @ ..] => {
                let (value, after) = unquote(quoted)?;
                (Value::Quoted(value), after)
            }
            [b'=', plain @ ..] => {
                let end = memchr::memchr(b';', plain).unwrap_or(plain.len());
                let (value, after) = plain.split_at(end);
                (Value::Plain(value.trim_ascii()), after)
            }
            _ => (Value::Absent, tail),
        };
        if !(name.is_empty() && value == Value::Absent) {
            list.push(Parameter { name, value });
        }
        // What is between a closing quote and the next `;` counts for nothing.
        rest = match memchr::memchr(b';', after) {
            Some(at) => after.get(at + 1..).unwrap_or_default(),
            None => &[],
        };
    }
    Some(list)
}

/// The text up to the closing quote with `\x` as `x`, and what follows that quote.
fn unquote(bytes: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let stop = memchr::memchr2(b'"', b'\\', bytes)?;
    let (plain, tail) = bytes.split_at(stop);
    if let [b'"', after @ ..] = tail {
        return Some((Cow::Borrowed(plain), after));
    }
    let mut text = plain.to_vec();
    let mut tail = tail;
    loop {
        match tail {
            [b'"', after @ ..] => return Some((Cow::Owned(text), after)),
            [b'\\', escaped, after @ ..] => {
                text.push(*escaped);
                tail = after;
            }
            [b'\\'] | [] => return None,
            [byte, after @ ..] => {
                text.push(*byte);
                tail = after;
            }
        }
    }
}

/// A decimal integer of 32 bits, with an optional sign and blanks around it. Anything else is
/// `None`.
#[must_use]
pub fn integer(text: &[u8]) -> Option<i32> {
    let text = text.trim_ascii();
    let digits = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")).unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(value: &str) -> Vec<&str> {
        elements(value.as_bytes()).map(|e| std::str::from_utf8(e).unwrap()).collect()
    }

    #[test]
    fn lists() {
        assert_eq!(split(""), Vec::<&str>::new());
        assert_eq!(split("a, b ,c"), ["a", "b", "c"]);
        assert_eq!(split("a, ,b"), ["a", "", "b"]);
        assert_eq!(split("a,"), ["a"]);
        assert_eq!(split(",a"), ["", "a"]);
        assert_eq!(split(r#"a;x="1,2",b"#), [r#"a;x="1,2""#, "b"]);
        assert_eq!(split(r#"a;x="1\",2",b"#), [r#"a;x="1\",2""#, "b"]);
    }

    #[test]
    fn an_element_whose_quote_does_not_end_is_dropped() {
        assert_eq!(split(r#"a, b;x="c, d"#), ["a"]);
        assert_eq!(split(r#"a, b;x="c\"#), ["a"]);
        // A backslash outside quotes is nothing special.
        assert_eq!(split(r"a\,b\"), [r"a\", r"b\"]);
    }

    fn pairs(text: &str) -> Vec<(String, Option<String>)> {
        let text_of = |b: &[u8]| String::from_utf8(b.to_vec()).unwrap();
        named(text.as_bytes())
            .unwrap()
            .iter()
            .map(|p| {
                (text_of(p.name), (p.value != Value::Absent).then(|| text_of(p.value.bytes())))
            })
            .collect()
    }

    #[test]
    fn parameters_and_quoting() {
        let some = |n: &str, v: &str| (n.to_owned(), Some(v.to_owned()));
        assert_eq!(pairs("a=1; B = 2 ;c"), [some("a", "1"), some("B", "2"), ("c".into(), None)]);
        assert_eq!(pairs(r#"a="x;\"y\\";b=2"#), [some("a", r#"x;"y\"#), some("b", "2")]);
        assert_eq!(pairs(r#"a="x"rubbish;b="#), [some("a", "x"), some("b", "")]);
        // Not right after the equals sign: not a quoted string.
        assert_eq!(pairs(r#"a= "x""#), [some("a", r#""x""#)]);
        assert_eq!(pairs(" ; ;"), []);
        assert_eq!(pairs("=x"), [some("", "x")]);
        assert_eq!(named(br#"a="x"#), None);
        assert_eq!(named(br#"a="x\"#), None);
    }

    #[test]
    fn the_first_item_is_literal() {
        let read = parameters(br#" "he;llo"; Timeout=1; timeout=2"#).unwrap();
        assert_eq!(read.first, br#""he"#);
        assert_eq!(read.value("TIMEOUT").unwrap().bytes(), b"1");
        assert_eq!(read.value("mode"), None);
        assert_eq!(parameters(b" a ").unwrap(), Parameters { first: b"a", list: vec![] });
        assert_eq!(parameters(b"a;").unwrap().list, []);
        assert_eq!(parameters(br#"a; b="c"#), None);
    }

    #[test]
    fn integers() {
        for (text, value) in
            [("5", 5), (" +7 ", 7), ("-1", -1), ("2147483647", i32::MAX), ("007", 7)]
        {
            assert_eq!(integer(text.as_bytes()), Some(value), "{text:?}");
        }
        for text in ["", " ", "5.5", "5; x", "2147483648", "-2147483649", "+", "+-1", "0x1", "5 5"]
        {
            assert_eq!(integer(text.as_bytes()), None, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(bytes: Vec<u8>) {
            for element in elements(&bytes) {
                let _ = parameters(element);
                let _ = named(element);
            }
            let _ = parameters(&bytes);
            let _ = integer(&bytes);
        }

        #[test]
        fn quoting_is_undone(text in "[a-z\"\\\\;, ]{0,12}") {
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            let written = format!("x; p=\"{quoted}\"; q=1");
            let mut list = elements(written.as_bytes());
            let read = parameters(list.next().unwrap()).unwrap();
            proptest::prop_assert_eq!(read.value("p").unwrap().bytes(), text.as_bytes());
            proptest::prop_assert_eq!(read.value("q").unwrap().bytes(), b"1");
            proptest::prop_assert_eq!(list.next(), None);
        }
    }
}
