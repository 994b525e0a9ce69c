//! A client in a process of its own: for more connections than one process may have open, and for
//! measuring a small channel unharmed by the work that a large one's client has. The harness
//! starts itself with a [`Job`]; the two talk in lines of JSON over standard input and output.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::{Context, Failure};
use crate::machine;
use crate::peer::Site;
use crate::phases::{self, Outcome};
use crate::swarm::Swarm;
use crate::transport::Transport;

/// What to connect to.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// The server.
    pub site: Site,
    /// How to connect.
    pub transport: Transport,
    /// The channel.
    pub channel: String,
    /// How many connections.
    pub connections: usize,
    /// Bytes of a message.
    pub size: usize,
}

/// What to do with the connections.
#[derive(Debug, Serialize, Deserialize)]
pub enum Order {
    /// [`phases::at_a_rate`].
    Rate {
        /// Messages per second.
        per_second: f64,
        /// How many.
        messages: u64,
        /// How long after the last one to wait for deliveries.
        patience_s: f64,
    },
    /// [`phases::back_to_back`] with one message under way.
    Burst {
        /// How many.
        messages: u64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Held,
    Done(Outcome),
    Failed(String),
}

/// Does what a [`Job`] and then the orders on standard input say; ends with the input.
pub fn serve(job: &str) -> Result<(), Failure> {
    let told = |failure: Failure| {
        // The other end reads the reason there; if it is gone, nobody wants to know.
        let _ = say(&Answer::Failed(failure.to_string()));
        failure
    };
    machine::raise_file_limit()?;
    let job: Job = parse(job)?;
    let mut swarm =
        Swarm::connect(&job.site, job.transport, &job.channel, job.connections, job.size)
            .map_err(told)?;
    say(&Answer::Held)?;
    for line in std::io::stdin().lines() {
        let line = line.during(|| "reading an order".to_owned())?;
        let outcome = obey(&mut swarm, &parse(&line)?).map_err(told)?;
        say(&Answer::Done(outcome))?;
    }
    Ok(())
}

fn obey(swarm: &mut Swarm, order: &Order) -> Result<Outcome, Failure> {
    match order {
        Order::Rate { per_second, messages, patience_s } => {
            let patience = Duration::try_from_secs_f64(*patience_s).unwrap_or(Duration::ZERO);
            phases::at_a_rate(swarm, *per_second, *messages, patience)
        }
        Order::Burst { messages } => {
            let outcome = phases::back_to_back(swarm, 1, *messages, Duration::MAX)?;
            phases::nothing_more(swarm)?;
            Ok(outcome)
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Setup(format!("{error} in {text:?}")))
}

fn line(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| Failure::Setup(format!("a message between two processes: {error}")))
}

fn say(answer: &Answer) -> Result<(), Failure> {
    let line = line(answer)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).during(|| "answering".to_owned())
}

/// How a client's process stands beside the others of its core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// As all others.
    Usual,
    /// It runs as soon as it has something to do (`SCHED_FIFO`).
    Realtime,
    /// It gets more time than others, but may have to wait for their slices (`nice -10`).
    Nice,
}

impl Priority {
    /// The highest that this user may have.
    pub fn highest() -> Priority {
        let works = |words: &[&str]| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).arg("true").stdout(Stdio::null()).stderr(Stdio::piped());
            command.output().is_ok_and(|out| out.status.success() && out.stderr.is_empty())
        };
        [Priority::Realtime, Priority::Nice]
            .into_iter()
            .find(|priority| works(priority.words()))
            .unwrap_or(Priority::Usual)
    }

    fn words(self) -> &'static [&'static str] {
        match self {
            Priority::Usual => &[],
            Priority::Realtime => &["chrt", "--fifo", "10"],
            Priority::Nice => &["nice", "-n", "-10"],
        }
    }
}

/// The harness's end of such a process, which ends with this.
pub struct Delegate {
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Delegate {
    /// Starts the process; it connects at once.
    pub fn start(job: &Job, priority: Priority) -> Result<Delegate, Failure> {
        let program = std::env::current_exe().during(|| "finding this program".to_owned())?;
        let mut command = match priority.words() {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.arg("--delegate").arg(line(job)?).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().during(|| "starting a client".to_owned())?;
        let orders = child.stdin.take();
        let answers = child.stdout.take().map(BufReader::new);
        let answers =
            answers.ok_or_else(|| Failure::Setup("a client without output".to_owned()))?;
        Ok(Delegate { child, orders, answers })
    }

    /// Its process.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Returns when all its connections are held.
    pub fn held(&mut self) -> Result<(), Failure> {
        match self.hear()? {
            Answer::Held => Ok(()),
            other => Err(unexpected(other)),
        }
    }

    /// Tells it what to do next.
    pub fn order(&mut self, order: &Order) -> Result<(), Failure> {
        let line = line(order)?;
        let Some(orders) = &mut self.orders else { return Ok(()) };
        writeln!(orders, "{line}").during(|| "telling a client what to do".to_owned())
    }

    /// Returns when it has done it.
    pub fn outcome(&mut self) -> Result<Outcome, Failure> {
        match self.hear()? {
            Answer::Done(outcome) => Ok(outcome),
            other => Err(unexpected(other)),
        }
    }

    fn hear(&mut self) -> Result<Answer, Failure> {
        let mut line = String::new();
        self.answers.read_line(&mut line).during(|| "listening to a client".to_owned())?;
        if line.is_empty() {
            return Err(Failure::Delegate("it ended without a word".to_owned()));
        }
        parse(&line)
    }
}

impl Drop for Delegate {
    fn drop(&mut self) {
        self.orders = None;
        // What it is still busy with is of no use to anybody.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unexpected(answer: Answer) -> Failure {
    Failure::Delegate(match answer {
        Answer::Failed(why) => why,
        other => format!("said {other:?} out of turn"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_and_answers_survive_the_pipe() {
        let order = Order::Rate { per_second: 20.0, messages: 5, patience_s: 1.5 };
        let text = line(&order).unwrap();
        let back: Order = parse(&text).unwrap();
        assert_eq!(format!("{order:?}"), format!("{back:?}"));
        assert!(matches!(parse(&line(&Answer::Held).unwrap()), Ok(Answer::Held)));
        assert!(parse::<Order>("{").is_err());
    }
}
