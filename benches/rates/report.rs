//! From measurements to what is printed: medians over the rounds, ratios round by round (linchpin
//! against what ran beside it), and the goals. Pure text; `main.rs` prints.

use std::fmt::Write;

use crate::case::{Case, Measurement, Peer};
use crate::options::Options;

type Figure = fn(&Measurement) -> Option<f64>;

const RATE: Figure = |row| Some(row.per_second);
const CPU: Figure = |row| (row.cpu_micros_each > 0.0).then_some(row.cpu_micros_each);
const DELIVERED: Figure = |row| row.delivered_per_second;
const MEMORY: Figure = |row| row.bytes_per_connection;
const MEMORY_AFTER: Figure = |row| row.bytes_per_connection_after;
const GIGABYTES: Figure = |row| row.bytes.map(|bytes| bytes as f64 / row.seconds / 1e9);
const CPU_PER_GIGABYTE: Figure =
    |row| row.bytes.map(|bytes| row.cpu_seconds * 1e9 / bytes.max(1) as f64);

/// A column: its heading, the figure, and whether linchpin's is shown by that of each peer.
type Column = (&'static str, Figure, bool);

fn columns(case: Case) -> &'static [Column] {
    match case {
        Case::Hold => &[("held/s", RATE, true), ("CPU us each", CPU, true)],
        Case::Publish | Case::PublishPipelined | Case::PublishIds | Case::PublishBatches => &[
            ("accepted/s", RATE, true),
            ("delivered/s", DELIVERED, true),
            ("CPU us each", CPU, true),
        ],
        Case::Proxy | Case::ProxyMany => &[("requests/s", RATE, true), ("CPU us each", CPU, true)],
        Case::Socket | Case::SocketMany => {
            &[("round trips/s", RATE, true), ("CPU us each", CPU, true)]
        }
        Case::ProxyLarge => &[("GB/s", GIGABYTES, true), ("CPU s/GB", CPU_PER_GIGABYTE, true)],
        Case::TlsHandshakes => &[("handshakes/s", RATE, true), ("CPU us each", CPU, true)],
        Case::TlsMemory => &[("bytes/conn", MEMORY, true), ("after", MEMORY_AFTER, false)],
    }
}

/// How much of its core the server used, and the client with the backend of theirs.
const BUSY: [Column; 2] = [
    ("core used", |row| Some(row.server_busy), false),
    ("client's", |row| Some(row.client_busy), false),
];

/// One measurement in a line.
pub fn progress(row: &Measurement) -> String {
    let mut out = format!("{:<9}{:<20}", row.peer.title(), row.case.title());
    for (heading, figure, _) in columns(row.case).iter().chain(&BUSY) {
        if let Some(value) = figure(row) {
            let _ = write!(out, " {heading} {}", number(value));
        }
    }
    let _ = write!(out, " ({} in {:.2} s)", row.operations, row.seconds);
    out
}

/// The table of one case, empty without measurements.
pub fn table(all: &[Measurement], case: Case, options: &Options) -> String {
    let rows: Vec<&Measurement> = all.iter().filter(|row| row.case == case).collect();
    let Some(first) = rows.first() else { return String::new() };
    let rounds = rows.iter().map(|row| row.round).max().unwrap_or(1);
    let mut out = format!(
        "\n{}; medians of {rounds} round{}{}\n{:<10}",
        heading(case, options),
        if rounds == 1 { "" } else { "s" },
        if first.pinned { ", the server on a core of its own" } else { "" },
        ""
    );
    for (heading, _, compared) in columns(case).iter().chain(&BUSY) {
        let _ = write!(out, "{heading:>14}");
        if *compared {
            let _ = write!(out, "{:>11}", "linch. by");
        }
    }
    for &peer in case.peers() {
        if !rows.iter().any(|row| row.peer == peer) {
            continue;
        }
        let _ = write!(out, "\n{:<10}", peer.title());
        for (_, figure, compared) in columns(case).iter().chain(&BUSY) {
            let value = median(values(&rows, peer, *figure));
            let _ = write!(out, "{:>14}", value.map_or_else(|| "-".to_owned(), number));
            if *compared {
                let by = ratio(&rows, Peer::Linchpin, peer, *figure).map(number);
                let by = by.filter(|_| peer != Peer::Linchpin).unwrap_or_default();
                let _ = write!(out, "{by:>11}");
            }
        }
    }
    out.push('\n');
    out
}

fn heading(case: Case, options: &Options) -> String {
    let Options { connections, opening, subscribers, publishers, .. } = options;
    let publish = format!("100-byte messages to {subscribers} streams, {publishers} connections");
    match case {
        Case::Hold => format!("Held: {connections} new streams, {opening} under way at once"),
        Case::Publish => format!("Published: {publish}, one at a time on each"),
        Case::PublishPipelined => {
            format!("Published: {publish}, {} at a time on each", options.depth)
        }
        Case::PublishIds => {
            format!("Published with ids, kept in rings: {publish}, {} at a time", options.depth)
        }
        Case::PublishBatches => {
            format!("Published: {publish}, {} items a request", options.batch)
        }
        Case::Proxy => format!("Passed through: 100 bytes, {} clients", options.clients),
        Case::ProxyMany => format!("Passed through: 100 bytes, {} clients", options.many_clients),
        Case::ProxyLarge => format!("Passed through: 1 MB, {} clients", options.large_clients),
        Case::Socket => {
            format!("WebSocket echo: 100 bytes there and back, {} clients", options.clients)
        }
        Case::SocketMany => {
            format!("WebSocket echo: 100 bytes there and back, {} clients", options.many_clients)
        }
        Case::TlsHandshakes => {
            format!("TLS 1.3: {} new sessions, {opening} under way at once", options.handshakes)
        }
        Case::TlsMemory => format!(
            "Idle TLS connections (linchpin: streams; nginx: keep-alive), slope from {} to {}",
            options.tls_few, options.tls_many
        ),
    }
}

/// What must be shown, and whether it was. Says nothing about what was not measured.
pub fn goals(all: &[Measurement]) -> String {
    let mut out = String::new();
    let mut say = |what: &str, value: Option<f64>, at_least: bool, bound: f64| {
        let Some(value) = value else { return };
        let met = if at_least { value >= bound } else { value <= bound };
        let verdict = if met { "met" } else { "MISSED" };
        let sign = if at_least { "at least" } else { "at most" };
        let (value, bound) = (number(value), number(bound));
        let _ = writeln!(out, "  {verdict:<7} {what}: {value}, goal {sign} {bound}");
    };
    let by = |case: Case, peer: Peer, figure: Figure| {
        let rows: Vec<&Measurement> = all.iter().filter(|row| row.case == case).collect();
        ratio(&rows, Peer::Linchpin, peer, figure)
    };
    let (pushpin, nginx, nchan) = (Peer::Pushpin, Peer::Nginx, Peer::Nchan);
    say("held/s by Pushpin's", by(Case::Hold, pushpin, RATE), true, 10.0);
    say("CPU to hold one by Pushpin's", by(Case::Hold, pushpin, CPU), false, 1.0 / 15.0);
    say("publishes/s by Pushpin's", by(Case::Publish, pushpin, RATE), true, 6.0);
    say("publishes/s by nchan's", by(Case::Publish, nchan, RATE), true, 0.7);
    let middle = |case: Case| {
        let rows = all.iter().filter(|row| row.case == case && row.peer == Peer::Linchpin);
        median(rows.filter_map(CPU).collect())
    };
    let ids = middle(Case::PublishIds).zip(middle(Case::PublishPipelined));
    say("CPU of a publish with ids by one without", ids.map(|(a, b)| a / b), false, 1.15);
    say("items/s in batches by Pushpin's", by(Case::PublishBatches, pushpin, RATE), true, 4.0);
    say("proxied/s by nginx's", by(Case::Proxy, nginx, RATE), true, 0.9);
    say("proxied/s by Pushpin's", by(Case::Proxy, pushpin, RATE), true, 20.0);
    say("WebSocket round trips/s by nginx's", by(Case::Socket, nginx, RATE), true, 0.9);
    say("the same, many clients", by(Case::SocketMany, nginx, RATE), true, 0.9);
    let rows: Vec<&Measurement> = all.iter().filter(|row| row.case == Case::TlsMemory).collect();
    let memory = median(values(&rows, Peer::Linchpin, MEMORY));
    say("bytes per idle TLS stream", memory, false, 8192.0);
    if out.is_empty() { out } else { format!("\nGoals\n{out}") }
}

fn values(rows: &[&Measurement], peer: Peer, figure: Figure) -> Vec<f64> {
    rows.iter().filter(|row| row.peer == peer).filter_map(|row| figure(row)).collect()
}

/// The median over the rounds of one server's figure by another's of the same round.
fn ratio(rows: &[&Measurement], peer: Peer, base: Peer, figure: Figure) -> Option<f64> {
    let by_round = rows.iter().filter(|row| row.peer == peer).filter_map(|row| {
        let other = rows.iter().find(|other| other.peer == base && other.round == row.round)?;
        let other = figure(other).filter(|value| *value > 0.0)?;
        figure(row).map(|value| value / other)
    });
    median(by_round.collect())
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle).copied()?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = values.get(middle.checked_sub(1)?).copied()?;
    Some((lower + upper) / 2.0)
}

/// With as many digits as mean something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{Figures, Run};
    use crate::meter::Spent;

    fn row(peer: Peer, round: usize, operations: u64) -> Measurement {
        let spent = Spent { server: 1.0, server_busy: 0.5, client_busy: 0.5 };
        let figures = Figures { connections: 8, operations, seconds: 2.0, spent };
        Measurement::new(Run { case: Case::Publish, peer, round }, &figures)
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let rows = [
            row(Peer::Linchpin, 1, 1000),
            row(Peer::Nchan, 1, 2000),
            row(Peer::Linchpin, 2, 9000),
            row(Peer::Nchan, 2, 10_000),
            row(Peer::Linchpin, 3, 700),
        ];
        let said = goals(&rows);
        assert!(
            said.contains("met     publishes/s by nchan's: 0.700, goal at least 0.700"),
            "{said}"
        );
        assert!(!said.contains("Pushpin"), "{said}");
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![]), None);
    }

    #[test]
    fn figures_have_the_digits_that_mean_something() {
        let shown = [123_456.7, 12.34, 1.234, 0.0667].map(number);
        assert_eq!(shown, ["123457", "12.3", "1.23", "0.067"]);
    }
}
