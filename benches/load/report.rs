//! From measurements to what is printed: medians over the rounds, ratios round by round (each
//! server against what ran beside it), and the goals of the project. Pure text; `main.rs` prints.

use std::fmt::Write;

use crate::peer::Peer;
use crate::phases::{Measurement, Mode};
use crate::transport::Transport;

type Figure = fn(&Measurement) -> f64;

/// The table of one transport and mode, empty without measurements.
pub fn table(all: &[Measurement], transport: Transport, mode: Mode) -> String {
    let rows: Vec<&Measurement> =
        all.iter().filter(|row| row.transport == transport && row.mode == mode).collect();
    let Some(first) = rows.first() else { return String::new() };
    let mut out = heading(first, rows.iter().map(|row| row.round).max().unwrap_or(1));
    let peers = [Peer::Linchpin, Peer::Pushpin, Peer::Nchan, Peer::Bare];
    match mode {
        Mode::Throughput => {
            let _ = writeln!(
                out,
                "{:<14}{:>14}{:>9}{:>10}{:>10}{:>13}{:>10}{:>9}{:>9}",
                "",
                "deliveries/s",
                "of bare",
                "p50 ms",
                "p99 ms",
                "CPU s/M",
                "x linch.",
                "KB/conn",
                "after"
            );
        }
        Mode::Latency => {
            let _ = writeln!(
                out,
                "{:<14}{:>10}{:>10}{:>10}{:>10}{:>13}{:>10}",
                "", "p50 ms", "x linch.", "p99 ms", "max ms", "CPU s/M", "x linch."
            );
        }
    }
    for peer in peers {
        let Some(line) = line(&rows, peer, mode) else { continue };
        let _ = writeln!(out, "{:<14}{line}", peer.title());
    }
    for peer in peers {
        let closed: u64 = rows.iter().filter(|row| row.peer == peer).map(|r| r.reconnects).sum();
        if closed > 0 {
            let _ = writeln!(
                out,
                "{} closed {closed} connections between two long-polls; they were opened anew",
                peer.title()
            );
        }
    }
    out
}

fn heading(first: &Measurement, rounds: usize) -> String {
    let what = match first.mode {
        Mode::Throughput => format!("back to back, {} under way", first.window),
        Mode::Latency => "at a fixed rate".to_owned(),
    };
    format!(
        "\n{}, {} subscribers, {}-byte messages {what}; medians of {rounds} round{}, {} worker{}{}\n",
        first.transport.title(),
        first.connections,
        first.size,
        if rounds == 1 { "" } else { "s" },
        first.workers,
        if first.workers == 1 { "" } else { "s" },
        if first.pinned { ", server and client on cores of their own" } else { "" },
    )
}

fn line(rows: &[&Measurement], peer: Peer, mode: Mode) -> Option<String> {
    let of = |figure: Figure| median(values(rows, peer, figure));
    let p50 = of(|row| row.p50_micros as f64 / 1000.0)?;
    let p99 = of(|row| row.p99_micros as f64 / 1000.0)?;
    let cpu = of(|row| row.cpu_seconds_per_million)?;
    let cpu_ratio = shown(ratio(rows, peer, Peer::Linchpin, |row| row.cpu_seconds_per_million));
    Some(match mode {
        Mode::Throughput => format!(
            "{:>14.0}{:>9}{p50:>10.2}{p99:>10.2}{cpu:>13.2}{cpu_ratio:>10}{:>9.2}{:>9.2}",
            of(|row| row.deliveries_per_second)?,
            shown(ratio(rows, peer, Peer::Bare, |row| row.deliveries_per_second)),
            of(|row| row.bytes_per_connection / 1024.0)?,
            of(|row| row.bytes_per_connection_after / 1024.0)?,
        ),
        Mode::Latency => format!(
            "{p50:>10.2}{:>10}{p99:>10.2}{:>10.2}{cpu:>13.2}{cpu_ratio:>10}",
            shown(ratio(rows, peer, Peer::Linchpin, |row| row.p50_micros as f64)),
            of(|row| row.max_micros as f64 / 1000.0)?,
        ),
    })
}

/// What must be shown at 10,000 subscribers and 100-byte messages, and whether it was. Says
/// nothing about what was not measured.
pub fn goals(all: &[Measurement]) -> String {
    let mut out = String::new();
    let mut say = |what: String, value: Option<f64>, met: fn(f64, f64) -> bool, bound: f64| {
        let Some(value) = value else { return };
        let verdict = if met(value, bound) { "met" } else { "MISSED" };
        let _ = writeln!(out, "  {verdict:<7} {what}: {value:.2}, goal {bound:.2}");
    };
    let at_least = |value, bound| value >= bound;
    let at_most = |value, bound| value <= bound;
    for transport in Transport::ALL {
        let rows: Vec<&Measurement> = all
            .iter()
            .filter(|row| row.transport == transport && row.mode == Mode::Throughput)
            .collect();
        let name = transport.title();
        let linchpin = Peer::Linchpin;
        if transport != Transport::Longpoll {
            let speed = ratio(&rows, linchpin, Peer::Bare, |row| row.deliveries_per_second);
            say(format!("{name}: deliveries/s by the bare loop's"), speed, at_least, 0.8);
            let cpu = ratio(&rows, Peer::Pushpin, linchpin, |row| row.cpu_seconds_per_million);
            let bound = if transport == Transport::Stream { 6.0 } else { 15.0 };
            say(format!("{name}: Pushpin's CPU time by linchpin's"), cpu, at_least, bound);
        }
        let memory = median(values(&rows, linchpin, |row| row.bytes_per_connection / 1024.0));
        say(format!("{name}: KB per held connection"), memory, at_most, 3.0);
    }
    if out.is_empty() { out } else { format!("\nGoals\n{out}") }
}

fn values(rows: &[&Measurement], peer: Peer, figure: Figure) -> Vec<f64> {
    rows.iter().filter(|row| row.peer == peer).map(|row| figure(row)).collect()
}

/// The median over the rounds of one server's figure by another's of the same round.
fn ratio(rows: &[&Measurement], peer: Peer, base: Peer, figure: Figure) -> Option<f64> {
    let by_round = rows.iter().filter(|row| row.peer == peer).filter_map(|row| {
        let other = rows.iter().find(|other| other.peer == base && other.round == row.round)?;
        let other = figure(other);
        (other > 0.0).then(|| figure(row) / other)
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

fn shown(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }
}
