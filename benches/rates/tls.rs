//! TLS: new sessions in a second, and memory of connections that are held and idle. Called by
//! `main.rs`; the handshakes and records of a client are `tls_client`'s.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;

use crate::case::{Figures, Measurement, Peer, Run};
use crate::failure::Failure;
use crate::item;
use crate::machine;
use crate::meter::Meter;
use crate::options::Options;
use crate::readiness::Readiness;
use crate::server::Server;
use crate::tls_client::{Asks, TlsClient};

/// How long a server may take to give back what idle connections do not need.
const SETTLING: Duration = Duration::from_secs(1);

/// TLS connections, most of them the same way on.
struct Crowd<'a> {
    server: &'a Server,
    config: &'a Arc<ClientConfig>,
    readiness: Readiness,
    ready: Vec<usize>,
    buffer: Vec<u8>,
    clients: Vec<Option<TlsClient>>,
}

impl<'a> Crowd<'a> {
    fn new(server: &'a Server, config: &'a Arc<ClientConfig>) -> Result<Crowd<'a>, Failure> {
        Ok(Crowd {
            server,
            config,
            readiness: Readiness::new()?,
            ready: Vec::new(),
            buffer: vec![0; 64 * 1024],
            clients: Vec::new(),
        })
    }

    fn add(&mut self, asks: Asks) -> Result<(), Failure> {
        let client = TlsClient::connect(self.server.https, self.config, asks)?;
        self.readiness.watch(client.socket(), self.clients.len())?;
        self.clients.push(Some(client));
        Ok(())
    }

    /// Waits for something, reads it, and tells for each whom it reached how far it was before.
    fn read(&mut self, mut each: impl FnMut(&mut Option<TlsClient>, u64)) -> Result<(), Failure> {
        self.readiness.wait(&mut self.ready, || "TLS connections are not answered".to_owned())?;
        for &number in &self.ready {
            let Some(place) = self.clients.get_mut(number) else { continue };
            let Some(client) = place else { continue };
            let before = client.steps();
            client
                .read(&mut self.buffer)
                .map_err(|fault| Failure::Delivery { subscriber: number, fault })?;
            each(place, before);
        }
        Ok(())
    }

    /// Opens connections until there are `count`, `opening` at once.
    fn open(&mut self, count: usize, opening: usize, asks: Asks) -> Result<(), Failure> {
        let mut opened = self.clients.len();
        while opened < count {
            while self.clients.len() < count && self.clients.len() - opened < opening {
                self.add(asks)?;
            }
            self.read(|client, before| {
                let now = client.as_ref().map_or(0, TlsClient::steps);
                opened += usize::from(before == 0 && now > 0);
            })?;
        }
        Ok(())
    }
}

/// Connections that each make a new session, ask once and leave.
pub fn handshakes(
    run: Run,
    server: &Server,
    options: &Options,
    config: &Arc<ClientConfig>,
) -> Result<Measurement, Failure> {
    let mut crowd = Crowd::new(server, config)?;
    let meter = Meter::start(server)?;
    let began = Instant::now();
    let (mut under_way, mut done) = (0, 0);
    while done < options.handshakes {
        while under_way < options.opening && done + under_way < options.handshakes {
            crowd.add(Asks::Once)?;
            under_way += 1;
        }
        crowd.read(|client, _| {
            if client.as_ref().is_some_and(|client| client.steps() > 0) {
                // Says that it leaves, and does.
                if let Some(client) = client.take() {
                    client.leave();
                }
                under_way -= 1;
                done += 1;
            }
        })?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let spent = meter.stop(server)?;
    let connections = options.opening;
    let figures = Figures { connections, operations: done as u64, seconds, spent };
    Ok(Measurement::new(run, &figures))
}

/// Idle connections: what one adds, from the difference between few and many. linchpin holds
/// streams, and then sends each a message; nginx has answered and waits for the next request.
pub fn memory(
    run: Run,
    server: &Server,
    options: &Options,
    config: &Arc<ClientConfig>,
) -> Result<Measurement, Failure> {
    let asks = if server.peer == Peer::Nginx { Asks::Once } else { Asks::ToBeHeld };
    let mut crowd = Crowd::new(server, config)?;
    let settled = || -> Result<u64, Failure> {
        server.rest()?;
        std::thread::sleep(SETTLING);
        machine::memory(&server.processes)
    };
    let meter = Meter::start(server)?;
    let began = Instant::now();
    crowd.open(options.tls_few, options.opening, asks)?;
    let few = settled()?;
    crowd.open(options.tls_many, options.opening, asks)?;
    let many = settled()?;
    let seconds = began.elapsed().as_secs_f64() - 2.0 * SETTLING.as_secs_f64();
    let spent = meter.stop(server)?;

    let more = (options.tls_many - options.tls_few) as f64;
    let slope = |bytes: u64| (bytes as f64 - few as f64) / more;
    let connections = options.tls_many;
    let figures = Figures { connections, operations: connections as u64, seconds, spent };
    let mut row = Measurement::new(run, &figures);
    row.bytes_per_connection = Some(slope(many));
    if asks == Asks::ToBeHeld {
        item::publish_first(server)?;
        let mut received = 0;
        while received < connections {
            crowd.read(|client, before| {
                let now = client.as_ref().map_or(0, TlsClient::steps);
                received += usize::from(now > before);
            })?;
        }
        row.bytes_per_connection_after = Some(slope(settled()?));
    }
    Ok(row)
}
