//! Messages that the control API accepts in a second: some connections publish, some subscribers
//! read along, on one thread. Called by `main.rs`.

use std::time::{Duration, Instant};

use crate::case::{Case, Figures, Measurement, Peer, Run};
use crate::failure::{Failure, Fault};
use crate::item::Shape;
use crate::meter::Meter;
use crate::options::Options;
use crate::publisher::Publisher;
use crate::readiness::Readiness;
use crate::server::Server;
use crate::subscriber::Subscriber;

/// Everybody publishes for this long before it counts.
const WARM_UP: Duration = Duration::from_millis(200);
/// After the last message nothing more may come for this long.
const QUIET: Duration = Duration::from_millis(100);

/// All connections of a run: first the subscribers', then the publishers'.
struct Traffic {
    readiness: Readiness,
    ready: Vec<usize>,
    buffer: Vec<u8>,
    subscribers: Vec<Subscriber>,
    publishers: Vec<Publisher>,
    backlog: u64,
}

/// What a while of publishing came to.
struct Published {
    messages: u64,
    accepted: Duration,
    delivered: Duration,
}

/// Measures it.
pub fn measure(run: Run, server: &Server, options: &Options) -> Result<Measurement, Failure> {
    let (depth, batch) = match run.case {
        Case::PublishPipelined | Case::PublishIds => (options.depth, 1),
        Case::PublishBatches => (1, options.batch),
        _ => (1, 1),
    };
    let mut traffic = Traffic {
        readiness: Readiness::new()?,
        ready: Vec::new(),
        buffer: vec![0; 256 * 1024],
        subscribers: Vec::new(),
        publishers: Vec::new(),
        backlog: options.backlog,
    };
    traffic.subscribe(server, options)?;
    for number in 0..options.publishers {
        let token = options.subscribers + number;
        let shape = Shape { batch, ids: run.case == Case::PublishIds };
        traffic.publishers.push(Publisher::new(server, number, token, depth, shape));
    }
    server.rest()?;
    traffic.publish(WARM_UP)?;
    let meter = Meter::start(server)?;
    let published = traffic.publish(options.time())?;
    let spent = meter.stop(server)?;
    traffic.quiet()?;
    traffic.all_in_one_order()?;

    let figures = Figures {
        connections: options.publishers,
        operations: published.messages,
        seconds: published.accepted.as_secs_f64(),
        spent,
    };
    let mut row = Measurement::new(run, &figures);
    row.delivered_per_second = Some(published.messages as f64 / published.delivered.as_secs_f64());
    Ok(row)
}

impl Traffic {
    fn subscribe(&mut self, server: &Server, options: &Options) -> Result<(), Failure> {
        for number in 0..options.subscribers {
            let subscriber = Subscriber::connect(server, options.publishers)?;
            self.readiness.watch(&subscriber.socket, number)?;
            self.subscribers.push(subscriber);
        }
        while !self.subscribers.iter().all(Subscriber::opened) {
            self.read()?;
        }
        // Pushpin goes through its subscriptions once more a second after the first of them.
        if server.peer == Peer::Pushpin {
            std::thread::sleep(Duration::from_millis(1500));
        }
        server.rest()
    }

    /// Publishes for this long, or until too much is not delivered, and waits for everything
    /// to be accepted and delivered.
    fn publish(&mut self, time: Duration) -> Result<Published, Failure> {
        let earlier = self.accepted();
        let began = Instant::now();
        let mut accepted = Duration::ZERO;
        for publisher in &mut self.publishers {
            publisher.go_on(&self.readiness)?;
        }
        loop {
            self.read()?;
            let taken = began.elapsed();
            let everything = self.accepted();
            let delivered = self.delivered();
            let stops = taken >= time || everything.saturating_sub(delivered) > self.backlog;
            if stops {
                self.publishers.iter_mut().for_each(Publisher::stop);
            }
            if accepted.is_zero() && self.publishers.iter().all(Publisher::done) {
                accepted = taken;
            }
            if !accepted.is_zero() && delivered == everything {
                let messages = everything - earlier;
                return Ok(Published { messages, accepted, delivered: taken });
            }
        }
    }

    /// Messages that were accepted.
    fn accepted(&self) -> u64 {
        self.publishers.iter().map(|publisher| publisher.accepted).sum()
    }

    /// Messages that every subscriber has.
    fn delivered(&self) -> u64 {
        self.subscribers.iter().map(|subscriber| subscriber.inbox.received).min().unwrap_or(0)
    }

    fn read(&mut self) -> Result<(), Failure> {
        let (accepted, delivered) = (self.accepted(), self.delivered());
        self.readiness.wait(&mut self.ready, || {
            format!("{accepted} messages are accepted, {delivered} delivered to all")
        })?;
        self.take()
    }

    fn take(&mut self) -> Result<(), Failure> {
        let subscribers = self.subscribers.len();
        for &token in &self.ready {
            if let Some(subscriber) = self.subscribers.get_mut(token) {
                subscriber
                    .read(&mut self.buffer)
                    .map_err(|fault| Failure::Delivery { subscriber: token, fault })?;
            } else if let Some(publisher) = self.publishers.get_mut(token - subscribers) {
                publisher.read(&mut self.buffer, &self.readiness)?;
            }
        }
        Ok(())
    }

    /// Reads what comes now; everything that was due has come, so anything is an error.
    fn quiet(&mut self) -> Result<(), Failure> {
        let until = Instant::now() + QUIET;
        while Instant::now() < until {
            self.readiness.look(&mut self.ready, QUIET)?;
            self.take()?;
        }
        Ok(())
    }

    fn all_in_one_order(&self) -> Result<(), Failure> {
        let first = self.subscribers.first().map_or(0, |subscriber| subscriber.inbox.order);
        let other = self.subscribers.iter().position(|subscriber| subscriber.inbox.order != first);
        let Some(subscriber) = other else { return Ok(()) };
        let what = "messages of different publishers in another order than subscriber 0";
        Err(Failure::Delivery { subscriber, fault: Fault::Protocol { what, got: String::new() } })
    }
}
