//! What would become of a request, for `linchpin explain`: as text and as JSON. Called by `cli`.

use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use super::backends::Backends;
use super::problem::Problem;
use super::routes::Loaded;
use super::settings::Settings;
pub use crate::forward::preview::Asked;
use crate::forward::preview::{Preview, Sent, preview};
use crate::route::Route;
use crate::route::balance::Balance;
use crate::route::explain::{Difference, Verdict};
use crate::route::ids::Id;
use crate::tls::client::ClientTls;

/// What is known of a request.
#[derive(Debug)]
pub struct Explanation {
    loaded: Loaded,
    preview: Preview,
    backends: Backends,
}

/// Finds out what would become of a request.
///
/// # Errors
/// When the request is none, or there is no cryptography.
pub fn explain(
    settings: &Settings,
    mut loaded: Loaded,
    asked: Asked,
) -> Result<Explanation, Problem> {
    let (tls, _) = ClientTls::from_system(Vec::new())
        .map_err(|error| Problem::of("TLS towards backends", error.to_string()))?;
    let backends = settings.backends.clone();
    let settings = settings.for_shards(tls).proxy;
    let table = Arc::new(std::mem::take(&mut loaded.table));
    let preview = preview(&settings, &table, asked)
        .map_err(|error| Problem::of("the request", error.to_string()))?;
    loaded.table = Arc::unwrap_or_clone(table);
    Ok(Explanation { loaded, preview, backends })
}

impl Explanation {
    /// Whether the request has a route.
    #[must_use]
    pub fn is_found(&self) -> bool {
        self.preview.route.is_some()
    }

    fn route(&self) -> Option<&Route> {
        self.loaded.table.route(self.preview.route?)
    }

    /// `file:line`.
    fn place(&self, route: &Route) -> String {
        format!("{}:{}", self.loaded.file, route.line)
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.preview.url);
        for note in &self.preview.notes {
            let _ = writeln!(text, "  {note}");
        }
        match self.route() {
            Some(route) => self.describe(route, &mut text),
            None => text.push_str("\nno route: the answer is 502, `Route not found`\n"),
        }
        self.describe_others(&mut text);
        text
    }

    fn describe(&self, route: &Route, text: &mut String) {
        let _ = writeln!(text, "\nroute {}: {}", self.place(route), line(route));
        let _ = writeln!(text, "  id {}", Id(route));
        self.describe_order(route, text);
        for (number, (target, sent)) in (1..).zip(route.targets.iter().zip(&self.preview.sent)) {
            let order = match (route.options.balance, number) {
                _ if route.targets.len() == 1 => "first",
                (Balance::RoundRobin, _) => "first in its turn",
                (Balance::Least, _) => "first if it has the fewest requests",
                (Balance::First, 1) => "first",
                (Balance::First, _) => "if those before it cannot be reached",
            };
            let _ = match sent {
                Sent::Head(head) => {
                    let lines = |line: &str| format!("    {}\n", shown(line));
                    let head: String = head.trim_end().lines().map(lines).collect();
                    writeln!(text, "\ntarget {target}, {order}, is sent\n{head}").map(|()| {
                        text.truncate(text.trim_end().len());
                        text.push('\n');
                    })
                }
                Sent::BuiltIn => writeln!(text, "\ntarget test, {order}: a part of the program"),
                Sent::Impossible(why) => {
                    writeln!(text, "\ntarget {target}, {order}: nothing can be sent, {why}")
                }
            };
            if let (Some(path), 1..) = (&target.check, self.backends.check_interval_ms) {
                let ms = self.backends.check_interval_ms;
                let _ = writeln!(text, "  each worker asks it for {path} every {ms} ms");
            }
        }
    }

    /// Which of several targets is asked when.
    fn describe_order(&self, route: &Route, text: &mut String) {
        if route.targets.len() < 2 || self.preview.sent.is_empty() {
            return;
        }
        match route.options.balance {
            Balance::First => {}
            Balance::RoundRobin => {
                text.push_str("  balance=round-robin: the targets take turns, in each worker\n");
            }
            Balance::Least => text
                .push_str("  balance=least: the target with the fewest requests is asked first\n"),
        }
        let often = self.backends.failures_max;
        if often > 0 {
            let _ = writeln!(
                text,
                "  a target that fails {often} times in a row, or whose check fails, is asked last"
            );
        }
    }

    /// The other routes. Those of other hosts are only counted: there may be a hundred thousand.
    fn describe_others(&self, text: &mut String) {
        let (mut elsewhere, mut first) = (0, true);
        for (route, verdict) in self.loaded.table.routes().zip(&self.preview.verdicts) {
            let why = match verdict {
                Verdict::Chosen => continue,
                Verdict::Differs(why) if why.contains(&Difference::Host) => {
                    elsewhere += 1;
                    continue;
                }
                Verdict::Differs(why) => join(why),
                Verdict::Beaten(better) => {
                    let by = self.route().map_or(0, |route| route.line);
                    format!("it matches too, but line {by} is better, {better}")
                }
            };
            text.push_str(if first { "\nnot taken:\n" } else { "" });
            first = false;
            let _ = writeln!(text, "  {}: {}\n    {why}", self.place(route), line(route));
        }
        if elsewhere > 0 {
            let routes = if elsewhere == 1 { "route is" } else { "routes are" };
            let _ = writeln!(text, "\n{elsewhere} more {routes} for other hosts");
        }
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let verdict = |(route, verdict): (&Route, &Verdict)| {
            let (verdict, reasons) = match verdict {
                Verdict::Chosen => ("chosen", Vec::new()),
                Verdict::Differs(why) => {
                    ("differs", why.iter().map(|why| why.to_string()).collect())
                }
                Verdict::Beaten(better) => ("beaten", vec![better.to_string()]),
            };
            json!({ "line": route.line, "verdict": verdict, "reasons": reasons })
        };
        let routes = self.loaded.table.routes().zip(&self.preview.verdicts);
        json!({
            "url": self.preview.url,
            "notes": self.preview.notes,
            "file": self.loaded.file,
            "route": self.route().map(|route| json!({
                "line": route.line,
                "id": Id(route).to_string(),
                "text": line(route),
                "balance": route.options.balance.word(),
            })),
            "targets": self.route().map_or_else(Vec::new, |route| self.targets(route)),
            "routes": routes.map(verdict).collect::<Vec<_>>(),
        })
    }

    fn targets(&self, route: &Route) -> Vec<Value> {
        let target = |(target, sent): (&crate::route::target::Target, &Sent)| {
            let name = target.to_string();
            match sent {
                Sent::Head(head) => {
                    let head: Vec<String> = head.trim_end().lines().map(shown).collect();
                    json!({ "target": name, "check": target.check, "head": head })
                }
                Sent::BuiltIn => json!({ "target": name, "check": null, "head": null }),
                Sent::Impossible(why) => {
                    json!({ "target": name, "check": target.check, "head": null, "error": why })
                }
            }
        };
        route.targets.iter().zip(&self.preview.sent).map(target).collect()
    }
}

fn join(why: &[Difference]) -> String {
    why.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// A route as it may be shown around: without a key that stands in it.
fn line(route: &Route) -> String {
    let key = route.options.sig_key.as_deref();
    if key.is_none_or(|key| key.starts_with("file:")) {
        return route.to_string();
    }
    let mut shown = route.clone();
    shown.options.sig_key = Some("(key)".into());
    shown.to_string()
}

/// A line of a head as it may be shown around: a token without its signature, which would make it
/// good for an hour.
fn shown(line: &str) -> String {
    let signed = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("grip-sig"));
    match signed.and_then(|_| line.rsplit_once('.')) {
        Some((front, _)) => format!("{front}.(signature)"),
        None => line.to_owned(),
    }
}
