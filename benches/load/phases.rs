//! How messages follow each other: back to back, one by one, at a fixed rate. Works on a swarm
//! whose connections are all held; called by the suites and by a client in a process of its own.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::ledger::Ledger;
use crate::swarm::{PATIENCE, Swarm};
use crate::transport::Transport;

/// After the last delivery nothing more may come for this long.
const QUIET: Duration = Duration::from_millis(100);

/// What a phase came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Messages published.
    pub messages: u64,
    /// From the first publish to the last delivery; long-polls: until all have asked again.
    pub seconds: f64,
    /// Deliveries.
    pub deliveries: u64,
    /// Deliveries by seconds.
    pub deliveries_per_s: f64,
    /// Half of the deliveries took at most so many milliseconds.
    pub p50_ms: f64,
    /// 99 % of the deliveries took at most so many milliseconds.
    pub p99_ms: f64,
    /// The longest, in milliseconds.
    pub max_ms: f64,
    /// Deliveries that were waited for no longer; they count with the time that they were late
    /// by then, so that the quantiles are lower bounds.
    pub undelivered: u64,
}

impl Outcome {
    fn of(ledger: &Ledger, messages: u64, took: Duration, undelivered: u64) -> Outcome {
        let milliseconds = |micros: u64| micros as f64 / 1000.0;
        let seconds = took.as_secs_f64().max(1e-6);
        Outcome {
            messages,
            seconds,
            deliveries: ledger.delivered,
            deliveries_per_s: ledger.delivered as f64 / seconds,
            p50_ms: milliseconds(ledger.latency.quantile(0.5)),
            p99_ms: milliseconds(ledger.latency.quantile(0.99)),
            max_ms: milliseconds(ledger.latency.longest()),
            undelivered,
        }
    }
}

/// One message to everybody, so that all that is done only once has been done.
pub fn warm_up(swarm: &mut Swarm) -> Result<(), Failure> {
    swarm.publish(Instant::now())?;
    swarm.finish()?;
    swarm.rest()?;
    Ok(())
}

/// Whatever comes now was delivered twice; reading it is the error.
pub fn nothing_more(swarm: &mut Swarm) -> Result<(), Failure> {
    swarm.rest()?;
    swarm.quiet(QUIET)
}

/// Keeps up to `window` messages under way until `messages` were sent or `longest` is over.
/// Long-polls: always one.
pub fn back_to_back(
    swarm: &mut Swarm,
    window: usize,
    messages: u64,
    longest: Duration,
) -> Result<Outcome, Failure> {
    if swarm.transport() == Transport::Longpoll {
        return one_by_one(swarm, messages, longest);
    }
    let began = Instant::now();
    back_to_back_until(swarm, window, |sent| Ok(sent < messages && began.elapsed() < longest))
}

/// Keeps up to `window` messages under way for as long as `more`, told how many were sent, says
/// so; it is asked often.
pub fn back_to_back_until(
    swarm: &mut Swarm,
    window: usize,
    mut more: impl FnMut(u64) -> Result<bool, Failure>,
) -> Result<Outcome, Failure> {
    swarm.ledger.restart();
    let began = Instant::now();
    let mut moved = began;
    let mut sent = 0;
    while more(sent)? {
        if swarm.may_publish() && swarm.ledger.outstanding() < window {
            swarm.publish(Instant::now())?;
            sent += 1;
        }
        if swarm.poll(Duration::from_secs(1))? {
            moved = Instant::now();
        } else if moved.elapsed() > PATIENCE {
            // Waits no longer, and says who lacks what.
            break;
        }
    }
    swarm.finish()?;
    let took = swarm.ledger.last.saturating_duration_since(began);
    Ok(Outcome::of(&swarm.ledger, sent, took, 0))
}

/// Long-polls: the next message only when all have asked again and the server holds them, since
/// what is published between two polls is not for them. The time of making sure is not counted.
fn one_by_one(swarm: &mut Swarm, messages: u64, longest: Duration) -> Result<Outcome, Failure> {
    swarm.ledger.restart();
    let began = Instant::now();
    let mut took = Duration::ZERO;
    let mut sent = 0;
    while sent < messages && began.elapsed() < longest {
        let published = Instant::now();
        swarm.publish(published)?;
        sent += 1;
        swarm.finish()?;
        took += swarm.rest()?.saturating_duration_since(published);
    }
    Ok(Outcome::of(&swarm.ledger, sent, took, 0))
}

/// One message each time that it is due, whether the last one has arrived or not. A message that
/// must wait for the control API, or for long-polls to be asked again, counts from the moment at
/// which it was due, so that a slow server does not look fast by slowing the publisher down. What
/// has not come `patience` after the last message was due is written off.
pub fn at_a_rate(
    swarm: &mut Swarm,
    rate: f64,
    messages: u64,
    patience: Duration,
) -> Result<Outcome, Failure> {
    swarm.ledger.restart();
    let began = Instant::now();
    let interval = Duration::from_secs_f64(1.0 / rate);
    let due = |number: u64| began + interval.mul_f64(number as f64);
    let end = due(messages) + patience;
    let mut sent = 0;
    while sent < messages && publish_when_due(swarm, due(sent), end)? {
        sent += 1;
    }
    while (swarm.ledger.outstanding() > 0 || !swarm.may_publish()) && Instant::now() < end {
        swarm.poll(end.saturating_duration_since(Instant::now()))?;
    }
    let took = swarm.ledger.last.saturating_duration_since(began);
    let now = Instant::now();
    let mut undelivered = swarm.ledger.write_off(now);
    for number in sent..messages {
        undelivered += swarm.ledger.write_off_unsent(due(number), now);
    }
    Ok(Outcome::of(&swarm.ledger, sent, took, undelivered))
}

/// Publishes at `due` or as soon as it can be done after that; false if not before `end`.
fn publish_when_due(swarm: &mut Swarm, due: Instant, end: Instant) -> Result<bool, Failure> {
    if swarm.transport() == Transport::Longpoll {
        swarm.finish()?;
        swarm.rest()?;
    }
    loop {
        let now = Instant::now();
        let left = due.saturating_duration_since(now);
        if left.is_zero() && swarm.may_publish() {
            swarm.publish(due)?;
            return Ok(true);
        }
        if now >= end {
            return Ok(false);
        }
        // The last millisecond is spent looking, so that a coarse timer delays nothing.
        let wait = left.saturating_sub(Duration::from_millis(1));
        swarm.poll(if left.is_zero() { Duration::from_millis(1) } else { wait })?;
    }
}
