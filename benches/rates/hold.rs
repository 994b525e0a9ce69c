//! Connections accepted, asked of the backend and held: opened as fast as the server takes them,
//! so many at once, then each gets one message. Called by `main.rs`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::case::{Figures, Measurement, Run};
use crate::failure::Failure;
use crate::item;
use crate::meter::Meter;
use crate::options::Options;
use crate::readiness::Readiness;
use crate::server::Server;
use crate::subscriber::Subscriber;

/// After the message nothing more may come for this long.
const QUIET: Duration = Duration::from_millis(100);

/// All of them.
struct Crowd {
    readiness: Readiness,
    ready: Vec<usize>,
    clients: Vec<Subscriber>,
    buffer: Vec<u8>,
    held: usize,
    received: usize,
}

/// Measures it.
pub fn measure(run: Run, server: &Server, options: &Options) -> Result<Measurement, Failure> {
    let mut crowd = Crowd {
        readiness: Readiness::new()?,
        ready: Vec::new(),
        clients: Vec::with_capacity(options.connections),
        buffer: vec![0; 64 * 1024],
        held: 0,
        received: 0,
    };
    let meter = Meter::start(server)?;
    let began = Instant::now();
    while crowd.held < options.connections {
        while crowd.clients.len() < options.connections
            && crowd.clients.len() - crowd.held < options.opening.min(1 + crowd.held)
        {
            crowd.add(server.http)?;
        }
        crowd.read()?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let spent = meter.stop(server)?;

    item::publish_first(server)?;
    while crowd.received < options.connections {
        crowd.read()?;
    }
    crowd.quiet()?;
    let figures = Figures {
        connections: options.connections,
        operations: options.connections as u64,
        seconds,
        spent,
    };
    Ok(Measurement::new(run, &figures))
}

impl Crowd {
    fn add(&mut self, http: SocketAddr) -> Result<(), Failure> {
        let client = Subscriber::hold(http)?;
        self.readiness.watch(&client.socket, self.clients.len())?;
        self.clients.push(client);
        Ok(())
    }

    /// Waits for something and reads it.
    fn read(&mut self) -> Result<(), Failure> {
        let (held, all, received) = (self.held, self.clients.len(), self.received);
        self.readiness.wait(&mut self.ready, || {
            format!("{held} of {all} are held, {received} have the message")
        })?;
        self.take()
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

    fn take(&mut self) -> Result<(), Failure> {
        for &number in &self.ready {
            let Some(client) = self.clients.get_mut(number) else { continue };
            let before = (client.opened(), client.inbox.received);
            client
                .read(&mut self.buffer)
                .map_err(|fault| Failure::Delivery { subscriber: number, fault })?;
            let now = (client.opened(), client.inbox.received);
            self.held += usize::from(now.0 != before.0);
            self.received += usize::from(now.1 != before.1);
        }
        Ok(())
    }
}
