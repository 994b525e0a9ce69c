//! The names that properties have, and which one was meant by a name that none has. Called by
//! `condition` and `target`.

use super::problem::{Fault, Span};

/// The properties of a condition that are acted upon.
pub const CONDITION: &[&str] = &[
    "proto",
    "ssl",
    "path_beg",
    "id",
    "sig_iss",
    "sig_key",
    "prefix",
    "orig_headers",
    "as_host",
    "path_rem",
    "replace_beg",
    "debug",
    "header",
    "no_grip",
    "slow",
    "aco",
    "jsonp_mode",
    "jsonp_cb",
    "jsonp_body",
    "jsonp_defcb",
    "jsonp_defmethod",
    "log_level",
    "balance",
    "sockjs",
    "sockjs_as_path",
    "sockjs_websocket",
    "sockjs_cookie",
    "sockjs_limit",
];
/// The properties of a target that are acted upon.
pub const TARGET: &[&str] = &[
    "ssl",
    "untrusted",
    "trust_connect_host",
    "insecure",
    "host",
    "sub",
    "over_http",
    "one_event",
    "client_cert",
    "client_key",
    "check",
];

/// What a property that is not known is taken for: its place and its name, those that are known
/// where it stands and those that are known elsewhere.
#[must_use]
pub fn unknown(span: Span, name: &str, target: bool) -> Fault {
    let (here, there) = if target { (TARGET, CONDITION) } else { (CONDITION, TARGET) };
    let (place, elsewhere) = if target { ("target", "condition") } else { ("condition", "target") };
    let reason = format!("unknown {place} property `{name}`");
    let fault = Fault::warning(span, reason, format!("a {place} property"));
    if there.contains(&name) {
        return fault.help(format!("`{name}` is a property of a {elsewhere}"));
    }
    match nearest(name, here) {
        Some(near) => fault.help(format!("there is a property with a similar name: `{near}`")),
        None => fault.help(format!("a {place} has {}", list(here))),
    }
}

/// The names, each in backticks.
fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The name that is written most alike, if one is alike enough: a third of its letters may be
/// wrong, left out, too many, or changed round.
fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    // Longer ones are no misspelling, and would take long.
    if name.len() > 40 {
        return None;
    }
    let plain = |text: &str| text.to_lowercase().replace('-', "_");
    let name = plain(name);
    let ranked = names.iter().map(|other| (distance(&name, other), *other));
    let (distance, near) = ranked.min_by_key(|(distance, _)| *distance)?;
    (distance <= near.len().max(3) / 3).then_some(near)
}

/// How many steps lead from one word to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, a) in from.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, b) in to.iter().enumerate() {
            let exchange = last[column] + usize::from(a != b);
            let mut least = exchange.min(last[column + 1] + 1).min(next[column] + 1);
            let turned = row > 0 && column > 0 && from[row - 1] == *b && to[column - 1] == *a;
            if turned {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut last, next);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(name: &str, target: bool) -> Option<String> {
        unknown(Span::default(), name, target).help
    }

    #[test]
    fn steps() {
        for (from, to, steps) in
            [("", "", 0), ("", "ab", 2), ("ab", "", 2), ("abc", "abd", 1), ("abc", "acb", 1)]
        {
            assert_eq!(distance(from, to), steps, "{from} {to}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
    }

    #[test]
    fn what_was_meant() {
        for (name, target, meant) in [
            ("path-beg", false, "path_beg"),
            ("path_begin", false, "path_beg"),
            ("perfix", false, "prefix"),
            ("Debug", false, "debug"),
            ("ids", false, "id"),
            ("over-http", true, "over_http"),
            ("trust_conect_host", true, "trust_connect_host"),
            ("subs", true, "sub"),
        ] {
            let text = help(name, target).unwrap_or_default();
            assert!(text.ends_with(&format!("similar name: `{meant}`")), "{name}: {text}");
        }
        let text = help("over_http", false).unwrap();
        assert_eq!(text, "`over_http` is a property of a target");
        assert_eq!(help("path_beg", true).unwrap(), "`path_beg` is a property of a condition");
        for name in ["colour", "method", "x", "weight", &"path_beg".repeat(1000)] {
            let text = help(name, false).unwrap();
            assert!(text.starts_with("a condition has `proto`, `ssl`, "), "{name}: {text}");
        }
    }

    #[test]
    fn the_documentation_has_all_of_them() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/routes.md");
        let text = std::fs::read_to_string(path).unwrap();
        for name in CONDITION.iter().chain(TARGET) {
            let named = [format!("`{name}`"), format!("`{name}=")];
            assert!(named.iter().any(|named| text.contains(named)), "{name} in docs/routes.md");
        }
        let blocks = text.split("```routes\n").skip(1);
        let blocks: Vec<&str> = blocks.filter_map(|rest| rest.split("```").next()).collect();
        assert!(blocks.len() > 3);
        for block in blocks {
            let (table, problems) = super::super::Table::parse(block.as_bytes());
            let shown: Vec<_> = problems.iter().map(|p| p.report("f").to_string()).collect();
            assert!(shown.is_empty() && table.routes().len() > 3, "{shown:?}\n{block}");
        }
    }
}
