//! One line of the routes file into sections, values and properties: quotes, escapes, comments
//! (specification, routing 2.2). Called by `line`; knows no property by name.

use std::iter::Peekable;
use std::str::CharIndices;

use super::problem::{Fault, Span};

/// A word between spaces: a value and what follows it after commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// The value without its quotes; empty if the section begins with a property.
    pub value: String,
    /// Where the value is.
    pub value_span: Span,
    /// The properties, in order.
    pub props: Vec<Prop>,
    /// The whole section.
    pub span: Span,
}

/// `name` or `name=text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prop {
    /// Never empty.
    pub name: String,
    /// What follows the first `=`; empty without one.
    pub text: String,
    /// The whole property.
    pub span: Span,
    /// Where its text is; the whole property if there is none.
    pub text_span: Span,
}

/// What stands between two commas, its quotes removed.
struct Item {
    text: String,
    span: Span,
    /// The first `=`: its place in `text`, and in the line the place behind it.
    equals: Option<(usize, usize)>,
}

/// The sections of a line; none if it is blank or only a comment.
///
/// # Errors
///
/// The first thing that breaks the grammar: after it nothing of the line can be told apart.
pub fn sections(line: &str) -> Result<Vec<Section>, Fault> {
    let mut scanner = Scanner { line, characters: line.char_indices().peekable() };
    let mut sections = Vec::new();
    while scanner.skip_spaces() {
        sections.push(scanner.section()?);
    }
    Ok(sections)
}

struct Scanner<'a> {
    line: &'a str,
    characters: Peekable<CharIndices<'a>>,
}

impl Scanner<'_> {
    /// Goes to the next section; `false` if there is none. Only the space separates: a tab is an
    /// ordinary character.
    fn skip_spaces(&mut self) -> bool {
        while self.characters.next_if(|(_, c)| *c == ' ').is_some() {}
        self.characters.peek().is_some_and(|(_, c)| *c != '#')
    }

    /// The place of the next character in the line.
    fn here(&mut self) -> usize {
        self.characters.peek().map_or(self.line.len(), |(at, _)| *at)
    }

    fn section(&mut self) -> Result<Section, Fault> {
        let first = self.item()?;
        let mut span = first.span;
        let empty = Span { start: span.start, end: span.start };
        let mut section = Section { value: String::new(), value_span: empty, props: vec![], span };
        // An `=` in the first item, even within quotes, makes it a property of an empty value.
        if first.equals.is_some() {
            section.props.push(prop(first)?);
        } else {
            (section.value, section.value_span) = (first.text, first.span);
        }
        while self.characters.next_if(|(_, c)| *c == ',').is_some() {
            let item = self.item()?;
            span.end = item.span.end;
            section.props.push(prop(item)?);
        }
        section.span = span;
        Ok(section)
    }

    /// Everything up to an unquoted comma, space or `#`.
    fn item(&mut self) -> Result<Item, Fault> {
        let start = self.here();
        let mut item = Item { text: String::new(), span: Span { start, end: start }, equals: None };
        while let Some((at, c)) = self.characters.next_if(|(_, c)| !matches!(c, ',' | ' ' | '#')) {
            match c {
                '"' => self.quoted(at, &mut item)?,
                _ => item.push(at, c),
            }
        }
        item.span.end = self.here();
        Ok(item)
    }

    /// The rest of a quoted part, up to and with its closing quote.
    fn quoted(&mut self, opening: usize, item: &mut Item) -> Result<(), Fault> {
        let end = self.line.len();
        while let Some((at, c)) = self.characters.next() {
            match c {
                '"' => return Ok(()),
                '\\' => match self.characters.next() {
                    Some((at, c @ ('\\' | '"'))) => item.push(at, c),
                    Some((after, c)) => {
                        let span = Span { start: at, end: after + c.len_utf8() };
                        let reason = format!("unexpected escape character: {c}");
                        return Err(Fault::error(span, reason, r#"`\\` or `\"`"#));
                    }
                    None => {
                        let span = Span { start: at, end };
                        let reason = "unterminated escape sequence";
                        return Err(Fault::error(span, reason, r#"`\\` or `\"`"#));
                    }
                },
                _ => item.push(at, c),
            }
        }
        let span = Span { start: opening, end };
        Err(Fault::error(span, "unterminated quoted section", "a closing `\"`"))
    }
}

impl Item {
    fn push(&mut self, at: usize, c: char) {
        if c == '=' && self.equals.is_none() {
            self.equals = Some((self.text.len(), at + 1));
        }
        self.text.push(c);
    }
}

fn prop(item: Item) -> Result<Prop, Fault> {
    let Item { text, span, equals } = item;
    if text.is_empty() {
        return Err(Fault::error(span, "expecting prop", "a property after the comma"));
    }
    let Some((at, behind)) = equals else {
        return Ok(Prop { name: text, text: String::new(), span, text_span: span });
    };
    if at == 0 {
        return Err(Fault::error(span, "empty prop name", "a name before the `=`"));
    }
    let (name, value) = text.split_at(at);
    let value = value.strip_prefix('=').unwrap_or(value).to_owned();
    // Without a text the whole property is what a complaint about the text points to.
    let text_span = if behind < span.end { Span { start: behind, end: span.end } } else { span };
    Ok(Prop { name: name.to_owned(), text: value, span, text_span })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `value{name=text}` for each section.
    fn shown(line: &str) -> String {
        let section = |s: &Section| {
            let props: Vec<String> =
                s.props.iter().map(|p| format!("{}:{}", p.name, p.text)).collect();
            format!("{}{{{}}}", s.value, props.join(";"))
        };
        sections(line).unwrap().iter().map(section).collect::<Vec<_>>().join(" ")
    }

    fn reason(line: &str) -> (String, usize, usize) {
        let fault = sections(line).unwrap_err();
        (fault.reason, fault.span.start, fault.span.end)
    }

    #[test]
    fn vectors() {
        assert_eq!(shown("  apple   banana  # c"), "apple{} banana{}");
        assert_eq!(
            shown(r#"apple,organic,type=gala,from="wa, \"usa\"""#),
            r#"apple{organic:;type:gala;from:wa, "usa"}"#
        );
        assert_eq!(shown(",organic"), "{organic:}");
        assert_eq!(shown("type=gala"), "{type:gala}");
    }

    #[test]
    fn errors() {
        let of = |reason: &str, start, end| (reason.to_owned(), start, end);
        assert_eq!(reason("apple,organic,"), of("expecting prop", 14, 14));
        assert_eq!(reason("apple, b"), of("expecting prop", 6, 6));
        assert_eq!(reason("apple,organic,=gala"), of("empty prop name", 14, 19));
        assert_eq!(reason("=gala"), of("empty prop name", 0, 5));
        assert_eq!(reason("apple,organic,type=\"gala"), of("unterminated quoted section", 19, 24));
        assert_eq!(reason(r#"a "b\"#), of("unterminated escape sequence", 4, 5));
        assert_eq!(reason(r#"a "b\néx"#), of("unexpected escape character: n", 4, 6));
    }

    #[test]
    fn quotes_begin_anywhere() {
        assert_eq!(shown(r#"mid"dle,x".com 1:2"#), "middle,x.com{} 1:2{}");
        assert_eq!(shown(r##"a" # ""b" c"##), "a # b{} c{}");
        assert_eq!(shown(r"back\slash,a\b"), r"back\slash{a\b:}");
    }

    #[test]
    fn comments_and_tabs() {
        assert_eq!(shown("* 1.2.3.4:80#x \"y"), "*{} 1.2.3.4:80{}");
        assert_eq!(shown("# all"), "");
        assert_eq!(shown("   "), "");
        assert_eq!(shown("a.com\t1.2.3.4:80"), "a.com\t1.2.3.4:80{}");
    }

    #[test]
    fn the_first_equals_sign_splits() {
        assert_eq!(shown("a,b=c=d"), "a{b:c=d}");
        assert_eq!(shown("id=foo 1.2.3.4:80"), "{id:foo} 1.2.3.4:80{}");
        assert_eq!(shown("\"id=foo\" x"), "{id:foo} x{}");
        assert_eq!(shown("a,b= c"), "a{b:} c{}");
    }

    #[test]
    fn spans_point_into_the_line() {
        let line = r#"é,b="c d" x"#;
        let sections = sections(line).unwrap();
        let of = |span: Span| &line[span.start..span.end];
        assert_eq!(of(sections[0].span), r#"é,b="c d""#);
        assert_eq!(of(sections[0].props[0].text_span), r#""c d""#);
        assert_eq!(of(sections[1].value_span), "x");
    }
}
