//! What the suites share: the options, attempts, the JSON file, what failed, what was to be
//! shown. Owned by `main.rs`, lent to each suite in turn.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::Ipv4Addr;

use serde::Serialize;
use serde_json::{Value, json};

use crate::cores::Cores;
use crate::failure::{Context, Failure};
use crate::goal::Goal;
use crate::options::Options;
use crate::peer::{Peer, Site};
use crate::server::{Plan, Server};
use crate::transport::Transport;

/// A run of the harness.
pub struct Bench {
    /// What was asked for.
    pub options: Options,
    failed: Vec<(Peer, String)>,
    goals: Vec<Goal>,
}

impl Bench {
    /// Nothing measured yet.
    pub fn new(options: Options) -> Bench {
        Bench { options, failed: Vec::new(), goals: Vec::new() }
    }

    /// A server to be started, with one worker, on 127.0.0.1.
    pub fn plan(&self, peer: Peer, transport: Transport, connections: usize) -> Plan<'_> {
        let host = Ipv4Addr::LOCALHOST;
        Plan { peer, transport, connections, workers: 1, host, linchpin: &self.options.linchpin }
    }

    /// One measurement, with as many attempts as the server is granted. `what` names it.
    pub fn attempt<T>(
        &mut self,
        peer: Peer,
        what: String,
        measure: impl Fn(&Bench) -> Result<T, Failure>,
    ) -> Option<T> {
        let chances = peer.chances();
        for chance in 1..=chances {
            match measure(self) {
                Ok(measured) => return Some(measured),
                Err(failure) => {
                    eprintln!("load: {what}, attempt {chance} of {chances}: {failure}");
                }
            }
        }
        self.fail(peer, what);
        None
    }

    /// Remembers what could not be measured, to be told at the end.
    pub fn fail(&mut self, peer: Peer, what: String) {
        self.failed.push((peer, what));
    }

    /// Appends a line to the JSON file, if there is one.
    pub fn record(&self, suite: &str, row: &impl Serialize) -> Result<(), Failure> {
        let Some(path) = &self.options.json else { return Ok(()) };
        let line = json_line(suite, row)?;
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| writeln!(file, "{line}"))
            .during(|| format!("writing {}", path.display()))
    }

    /// Remembers what was to be shown; what was not measured is left out, and so is what is too
    /// small to show anything.
    pub fn show(&mut self, goals: impl IntoIterator<Item = Option<Goal>>) {
        if self.options.smoke {
            return;
        }
        self.goals.extend(goals.into_iter().flatten());
    }

    /// Prints the goals and what failed; whether all that had to be measured was.
    pub fn conclude(&self) -> Result<bool, Failure> {
        if !self.goals.is_empty() {
            println!("\nGoals");
        }
        for goal in &self.goals {
            println!("{}", goal.text());
            self.record("goal", goal)?;
        }
        for (_, what) in &self.failed {
            println!("\n{what}: FAILED, see above");
        }
        println!("\nIn all that is reported every subscriber got every message once and in order.");
        Ok(!self.failed.iter().any(|(peer, _)| peer.is_ours()))
    }
}

/// A server of its own for one measurement; what goes wrong is told with its last words.
pub fn with_server<T>(
    plan: Plan<'_>,
    cores: &Cores,
    measure: impl FnOnce(&Site) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let server = Server::start(plan, cores)?;
    measure(&server.site).map_err(|failure| server.blame(failure))
}

fn json_line(suite: &str, row: &impl Serialize) -> Result<String, Failure> {
    let mut line = json!({ "suite": suite });
    let row = serde_json::to_value(row)
        .map_err(|error| Failure::Setup(format!("a measurement as JSON: {error}")))?;
    if let (Value::Object(line), Value::Object(row)) = (&mut line, row) {
        line.extend(row);
    }
    Ok(line.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_its_suite() {
        let goal = Goal::at_most("x".to_owned(), Some(1.0), 2.0);
        let line = json_line("goal", &goal).unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        assert_eq!((&value["suite"], &value["met"]), (&json!("goal"), &json!(true)));
    }
}
