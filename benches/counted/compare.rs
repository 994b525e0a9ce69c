//! What was counted beside what was recorded, and whether that passes. Called by `main.rs`. Pure.

use std::fmt::Write;

use crate::callgrind::Counted;
use crate::record::Set;

/// Counts may differ by so much.
const TOLERANCE: f64 = 0.03;
/// And by so much if they were made with another compiler, C library or valgrind: what these do
/// differently is not the tree's doing.
const TOLERANCE_OTHER_TOOLS: f64 = 0.15;

/// The comparison.
#[derive(Debug)]
pub struct Table {
    /// To be printed.
    pub text: String,
    /// Nothing takes more instructions than it may.
    pub passed: bool,
}

/// Compares. `all`: every case was counted, so that a recorded one that was not is gone.
pub fn table(counted: &Counted, recorded: Option<&Set>, all: bool) -> Table {
    let mut table = Table { text: String::new(), passed: true };
    let out = &mut table.text;
    let Counted { processor, tools, counts } = counted;
    let width = counts.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(20);
    let _ = writeln!(out, "Instructions for one operation ({processor}; {tools})\n");
    let _ = writeln!(out, "{:<width$}{:>14}{:>14}{:>13}", "", "recorded", "counted", "difference");
    let same_tools = recorded.is_none_or(|set| set.made_with == *tools);
    let tolerance = if same_tools { TOLERANCE } else { TOLERANCE_OTHER_TOOLS };
    let (mut more, mut fewer, mut other) = (Vec::new(), Vec::new(), Vec::new());
    for (name, count) in counts {
        let before = recorded.and_then(|set| find(set, name));
        let (Some(before), true) = (before, before > Some(0.0)) else {
            let _ = writeln!(out, "{name:<width$}{:>14}{count:>14.2}", "-");
            other.push(name.as_str());
            continue;
        };
        let difference = count / before - 1.0;
        let mark = if difference > tolerance {
            more.push(name.as_str());
            "  MORE"
        } else if difference < -tolerance {
            fewer.push(name.as_str());
            "  fewer"
        } else {
            ""
        };
        let percent = difference * 100.0;
        let _ = writeln!(out, "{name:<width$}{before:>14.2}{count:>14.2}{percent:>+11.1} %{mark}");
    }
    out.push('\n');
    let Some(set) = recorded else {
        let _ = writeln!(
            out,
            "NOTICE: nothing is recorded for {processor}, so nothing was compared. \
             `make counted RECORD=1` records it."
        );
        return table;
    };
    let gone = set.counts.iter().map(|(name, _)| name.as_str());
    let gone = gone.filter(|name| all && !counts.iter().any(|(counted, _)| counted == name));
    other.extend(gone);
    if !same_tools {
        let _ = writeln!(
            out,
            "NOTICE: recorded with {}; so up to {:.0} % pass.",
            set.made_with,
            tolerance * 100.0
        );
    }
    let percent = tolerance * 100.0;
    if !fewer.is_empty() {
        let _ = writeln!(
            out,
            "NOTICE: more than {percent:.0} % fewer instructions: {}. `make counted RECORD=1` \
             records that, so that it stays.",
            fewer.join("; ")
        );
    }
    if !more.is_empty() {
        let _ = writeln!(
            out,
            "FAILED: more than {percent:.0} % more instructions: {}. If that is what it has to \
             cost, `make counted RECORD=1` records it, and the commit says why.",
            more.join("; ")
        );
    }
    if !other.is_empty() {
        let _ = writeln!(
            out,
            "FAILED: counted and recorded cases differ: {}. `make counted RECORD=1` records them.",
            other.join("; ")
        );
    }
    table.passed = more.is_empty() && other.is_empty();
    table
}

fn find(set: &Set, name: &str) -> Option<f64> {
    set.counts.iter().find(|(recorded, _)| recorded == name).map(|(_, count)| *count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(list: &[(&str, f64)]) -> Vec<(String, f64)> {
        list.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    fn compared(recorded: &[(&str, f64)], counted: &[(&str, f64)], tools: &str) -> Table {
        let set = Set { made_with: "t".to_owned(), counts: counts(recorded) };
        let processor = "p".to_owned();
        let counted = Counted { processor, tools: tools.to_owned(), counts: counts(counted) };
        table(&counted, Some(&set), true)
    }

    #[test]
    fn more_fails_and_fewer_is_told() {
        let table = compared(&[("a", 100.0)], &[("a", 102.9)], "t");
        assert!(table.passed && !table.text.contains("MORE"), "{}", table.text);
        let table = compared(&[("a", 100.0)], &[("a", 103.1)], "t");
        assert!(!table.passed && table.text.contains("MORE"), "{}", table.text);
        let table = compared(&[("a", 100.0)], &[("a", 96.0)], "t");
        assert!(table.passed && table.text.contains("fewer"), "{}", table.text);
    }

    #[test]
    fn other_tools_may_differ_more() {
        let table = compared(&[("a", 100.0)], &[("a", 110.0)], "u");
        assert!(table.passed && table.text.contains("NOTICE: recorded with t"), "{}", table.text);
        assert!(!compared(&[("a", 100.0)], &[("a", 116.0)], "u").passed);
    }

    #[test]
    fn cases_come_and_go_with_their_record() {
        assert!(!compared(&[("a", 1.0)], &[("a", 1.0), ("b", 1.0)], "t").passed);
        assert!(!compared(&[("a", 1.0), ("b", 1.0)], &[("a", 1.0)], "t").passed);
        let none = table(&Counted::default(), None, true);
        assert!(none.passed && none.text.contains("nothing is recorded"));
    }
}
