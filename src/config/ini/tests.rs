//! The specification's rules of syntax (routing 6.1), and what no input may do.

use proptest::prelude::*;

use super::*;

/// The values of each `[section] key`, in order, of a file without mistakes.
fn read(text: &str) -> Vec<(String, Vec<String>)> {
    let Parsed { entries, mistakes } = parse(text.as_bytes());
    assert_eq!(mistakes, [], "{text:?}");
    entries
        .into_iter()
        .map(|each| (format!("{}.{}", each.section, each.key), each.values))
        .collect()
}

/// The values of one line.
fn values(value: &str) -> Vec<String> {
    let mut entries = read(&format!("[s]\nk={value}\n"));
    assert_eq!(entries.len(), 1);
    entries.remove(0).1
}

fn mistakes(text: &str) -> Vec<(u32, u32, Mistake)> {
    let places = parse(text.as_bytes()).mistakes.into_iter();
    places.map(|(place, mistake)| (place.line, place.column, mistake)).collect()
}

#[test]
fn sections_and_keys_in_their_own_case() {
    let text =
        "[a]\r\nK = 1\r\n\r\n; one\n# two\n  ; three\n[B]\nk=2\n[a]\nk=\"3\"\nk=4\n[ c ] x\nk=5";
    let found = read(text);
    let found: Vec<_> =
        found.iter().map(|(key, values)| (key.as_str(), values[0].as_str())).collect();
    assert_eq!(found, [("a.K", "1"), ("B.k", "2"), ("a.k", "3"), ("a.k", "4"), ("c.k", "5")]);
}

#[test]
fn blanks_at_the_ends_go() {
    assert_eq!(
        read("[s]\n \tkey with  blanks \t= \t value  here \t\r\n")[0].0,
        "s.key with  blanks"
    );
    assert_eq!(values(" \t value  here \t"), ["value  here"]);
    assert_eq!(values(""), [""]);
    assert_eq!(values("a=b"), ["a=b"]);
}

#[test]
fn what_is_a_comment_and_what_is_not() {
    assert_eq!(values("a ; b"), ["a"]);
    assert_eq!(values("a # b"), ["a # b"]);
    assert_eq!(values("\"a ; b\" ; c"), ["a ; b"]);
    assert_eq!(values(";"), [""]);
    let odd = "[s]\n# it's \"odd\n; and \\ so\n# \u{fffd}\nk=1";
    assert_eq!(read(odd).len(), 1);
    assert!(parse(b"[s]\n# \xff\xfe\nk=1").mistakes.is_empty());
}

#[test]
fn commas_make_lists() {
    assert_eq!(values("a, b ,c"), ["a", "b", "c"]);
    assert_eq!(values("\"a,b\",c"), ["a,b", "c"]);
    assert_eq!(values("truncate:0,append"), ["truncate:0", "append"]);
    assert_eq!(values("a,"), ["a", ""]);
    assert_eq!(values("\" a \" , \"\""), [" a ", ""]);
}

#[test]
fn backslashes_are_decoded() {
    assert_eq!(values(r"\x41\t\x42"), ["A\tB"]);
    assert_eq!(values(r#"\"a\\"#), ["\"a\\"]);
    assert_eq!(values(r"\101\a\b\f\v\n\r\'\?"), ["A\x07\x08\x0c\x0b\n\r'?"]);
    assert_eq!(values(r"\x263a\t"), ["\u{263a}\t"]);
    assert_eq!(values("ab\\"), ["ab"]);
    assert_eq!(values("a\\t "), ["a\t"]);
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    use Mistake::{NoAssignment, NoCharacter, NoKey, NoSection, NotUtf8, QuoteNotClosed};
    use Mistake::{SectionNotClosed, UnknownEscape};
    assert_eq!(mistakes("k=1\n"), [(1, 1, NoSection)]);
    assert_eq!(mistakes("[s\nk=1\n"), [(1, 1, SectionNotClosed)]);
    assert_eq!(parse(b"[s\nk=1\n").entries[0].section, "s");
    assert_eq!(mistakes("[s]\n  word ; k=1\n"), [(2, 3, NoAssignment)]);
    assert_eq!(mistakes("[s]\n =1\n"), [(2, 2, NoKey)]);
    assert_eq!(mistakes("[s]\nk=a\\;b\n"), [(2, 4, UnknownEscape(';'))]);
    assert_eq!(mistakes("[s]\nk=\\é1\n"), [(2, 3, UnknownEscape('é'))]);
    assert_eq!(mistakes("[s]\nk=\\xd800\n"), [(2, 3, NoCharacter(0xd800))]);
    assert_eq!(mistakes("[s]\nk=\\xfffffffffff\n"), [(2, 3, NoCharacter(u32::MAX))]);
    assert_eq!(mistakes("[s]\nk= a\"b\nl=2\n"), [(2, 5, QuoteNotClosed)]);
    assert_eq!(parse(b"[s]\nk=a\"b\nl=2\n").entries.len(), 1);
    let bytes = parse(b"[s]\nk=\xff\n\xff=1\n[\xff]\n").mistakes;
    assert!(bytes.iter().all(|(_, mistake)| *mistake == NotUtf8) && bytes.len() == 3, "{bytes:?}");
}

#[test]
fn a_mark_of_utf8_at_the_beginning_is_none_of_the_text() {
    assert_eq!(read("\u{feff}[s]\nk=1").len(), 1);
}

proptest! {
    #[test]
    fn nothing_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&text);
    }

    #[test]
    fn nothing_that_looks_like_it_panics(text in "(\\[s\\]|k=|[a,;\"\\\\x0-9= \n\r\t])*") {
        let Parsed { entries, .. } = parse(text.as_bytes());
        prop_assert!(entries.iter().all(|entry| !entry.values.is_empty()));
    }

    #[test]
    fn what_is_printed_is_read_as_the_same(
        given in proptest::collection::vec(any::<String>(), 1..4)
    ) {
        prop_assert_eq!(values(&print(&given)), given);
    }
}
