//! All subscribers of a run and the publisher, on one thread and one epoll: connects them, reads
//! whatever is ready, and tells when the server has come to rest. Driven by the phases; knows
//! nothing of rates and reports.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;

use crate::control::{Control, TOKEN};
use crate::failure::{Context, Failure, Fault};
use crate::ledger::Ledger;
use crate::machine;
use crate::peer::Site;
use crate::subscriber::Subscriber;
use crate::transport::Transport;

/// Without any event for this long a run is given up.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that are being opened at once, unless told otherwise: less than any server's
/// listen backlog.
const OPENING: usize = 64;
/// Between two looks at whether the server's threads sleep.
const LOOK: Duration = Duration::from_millis(1);

/// The client side of a run.
pub struct Swarm {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    buffer: Vec<u8>,
    transport: Transport,
    channel: String,
    site: Site,
    request: Vec<u8>,
    subscribers: Vec<Subscriber>,
    opened: usize,
    /// Connections that are being opened at once.
    pub opening: usize,
    control: Control,
    /// Connections that the server closed between two long-polls, opened anew.
    pub reconnects: u64,
    /// Who has which message.
    pub ledger: Ledger,
}

impl Swarm {
    /// Connects `count` subscribers of `channel` to the server at `site` and returns when all
    /// are held.
    pub fn connect(
        site: &Site,
        transport: Transport,
        channel: &str,
        count: usize,
        size: usize,
    ) -> Result<Swarm, Failure> {
        let dialect = site.peer.dialect();
        let mut swarm = Swarm {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)
                .during(|| "creating an epoll".to_owned())?,
            events: Vec::with_capacity(1024),
            buffer: vec![0; 64 * 1024],
            transport,
            channel: channel.to_owned(),
            request: dialect.request(transport, &site.http.to_string(), channel),
            subscribers: Vec::with_capacity(count),
            opened: 0,
            opening: OPENING,
            control: Control::new(site.control),
            reconnects: 0,
            ledger: Ledger::new(size),
            site: site.clone(),
        };
        swarm.grow(count)?;
        Ok(swarm)
    }

    /// Connects more, up to `count` in all, and returns when all are held. Only before the first
    /// message.
    pub fn grow(&mut self, count: usize) -> Result<(), Failure> {
        while self.subscribers.len() < count {
            self.add()?;
            let number = self.subscribers.len();
            if number == count || number.is_multiple_of(self.opening) {
                self.all_open()?;
            }
            // What shows nothing when it is held must not fill the listen backlog.
            let unseen =
                self.transport == Transport::Longpoll && number.is_multiple_of(self.opening);
            if number == count || unseen {
                self.rest()?;
            }
            if number == 1 {
                self.quiet(self.site.settling(self.transport))?;
            }
        }
        self.ledger.serve(self.subscribers.len());
        Ok(())
    }

    fn add(&mut self) -> Result<(), Failure> {
        let number = self.subscribers.len();
        let greeted = !self.site.peer.dialect().greets(self.transport);
        let subscriber =
            Subscriber::connect(self.site.http, self.transport, &self.request, greeted)
                .during(|| format!("connecting subscriber {number} to {}", self.site.http))?;
        self.subscribers.push(subscriber);
        self.watch(number)
    }

    fn watch(&self, number: usize) -> Result<(), Failure> {
        let Some(subscriber) = self.subscribers.get(number) else { return Ok(()) };
        let token = epoll::EventData::new_u64(number as u64);
        epoll::add(&self.epoll, &subscriber.socket, token, epoll::EventFlags::IN)
            .during(|| format!("watching subscriber {number}"))
    }

    /// A stream or WebSocket may show its start before it is subscribed, and a long-poll shows
    /// nothing; so in the end the server's rest decides.
    fn all_open(&mut self) -> Result<(), Failure> {
        let mut moved = Instant::now();
        while self.transport != Transport::Longpoll && self.opened < self.subscribers.len() {
            if self.poll(Duration::from_secs(1))? {
                moved = Instant::now();
            }
            let open = format!("{} of {} are held", self.opened, self.subscribers.len());
            stalled(moved, || open)?;
        }
        Ok(())
    }

    /// Reads whatever comes for this long.
    pub fn quiet(&mut self, time: Duration) -> Result<(), Failure> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.poll(left)?;
        }
    }

    /// Handles what is ready within `timeout`; whether there was anything.
    pub fn poll(&mut self, timeout: Duration) -> Result<bool, Failure> {
        let timeout = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(timeout.subsec_nanos()),
        };
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).during(|| "waiting for the server".to_owned()),
        }
        for event in &events {
            match event.data.u64() {
                TOKEN => self.control.readable()?,
                number => self.read(number as usize)?,
            }
        }
        let any = !events.is_empty();
        self.events = events;
        Ok(any)
    }

    fn read(&mut self, number: usize) -> Result<(), Failure> {
        let Some(subscriber) = self.subscribers.get_mut(number) else { return Ok(()) };
        let count = match subscriber.socket.read(&mut self.buffer) {
            Ok(0) => return self.closed(number),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return self.closed(number),
            Err(error) => return Err(error).during(|| format!("reading as subscriber {number}")),
        };
        let progress = subscriber
            .feed(&self.buffer[..count], self.transport, &mut self.ledger, Instant::now())
            .map_err(|fault| Failure::Delivery { subscriber: number, fault })?;
        self.opened += usize::from(progress.opened);
        if progress.answered && subscriber.socket.write_all(&self.request).is_err() {
            return self.closed(number);
        }
        Ok(())
    }

    /// Between two long-polls a server may close a connection, and a client opens another; that
    /// is counted. Everywhere else it is an error.
    fn closed(&mut self, number: usize) -> Result<(), Failure> {
        let Some(subscriber) = self.subscribers.get_mut(number) else { return Ok(()) };
        let again = self.transport == Transport::Longpoll
            && subscriber
                .reconnect(self.site.http, &self.request)
                .during(|| format!("connecting subscriber {number} again"))?;
        if !again {
            let fault = Fault::Closed { expected: subscriber.next() };
            return Err(Failure::Delivery { subscriber: number, fault });
        }
        self.reconnects += 1;
        self.watch(number)
    }

    /// Whether the control API has answered the last message.
    pub fn may_publish(&self) -> bool {
        self.control.ready()
    }

    /// Publishes the next message; its latency counts from `at`.
    pub fn publish(&mut self, at: Instant) -> Result<(), Failure> {
        let payload = self.ledger.publish(at);
        let host = self.site.control.to_string();
        let dialect = self.site.peer.dialect();
        let request = dialect.publication(self.transport, &host, &self.channel, payload);
        self.control.send(&self.epoll, &request)
    }

    /// Publishes the next message and waits until the control API has answered, but reads
    /// nothing of what subscribers get.
    pub fn publish_unread(&mut self) -> Result<(), Failure> {
        self.publish(Instant::now())?;
        self.control.wait(PATIENCE)
    }

    /// Waits until the server has nothing left to do, but reads nothing of what subscribers get;
    /// looks every `look`. Returns the moment at which its rest began.
    pub fn rest_unread(&self, look: Duration) -> Result<Instant, Failure> {
        let began = Instant::now();
        let mut since = None;
        loop {
            let now = Instant::now();
            if machine::all_asleep(&self.site.processes)? {
                let start = *since.get_or_insert(now);
                if now.duration_since(start) >= self.site.calm() {
                    return Ok(start);
                }
            } else {
                since = None;
                stalled(began, || "waiting for the server to come to rest".to_owned())?;
            }
            std::thread::sleep(look);
        }
    }

    /// Reads until every subscriber has every message and the control API has answered.
    pub fn finish(&mut self) -> Result<(), Failure> {
        let mut moved = Instant::now();
        while self.ledger.outstanding() > 0 || !self.control.ready() {
            if self.poll(Duration::from_secs(1))? {
                moved = Instant::now();
            }
            stalled(moved, || self.ledger.missing())?;
        }
        Ok(())
    }

    /// Reads until the server has nothing left to do: nothing arrives and all its threads are
    /// found asleep for some time on end. Returns the moment at which that began.
    pub fn rest(&mut self) -> Result<Instant, Failure> {
        let began = Instant::now();
        let mut since = None;
        loop {
            let arrived = self.poll(Duration::ZERO)?;
            let now = Instant::now();
            if arrived || !machine::all_asleep(&self.site.processes)? {
                since = None;
                stalled(began, || "waiting for the server to come to rest".to_owned())?;
                continue;
            }
            let start = *since.get_or_insert(now);
            if now.duration_since(start) >= self.site.calm() {
                return Ok(start);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// How these subscribers are connected.
    pub fn transport(&self) -> Transport {
        self.transport
    }
}

fn stalled(moved: Instant, waiting: impl FnOnce() -> String) -> Result<(), Failure> {
    if moved.elapsed() < PATIENCE {
        return Ok(());
    }
    Err(Failure::Stalled { seconds: PATIENCE.as_secs(), waiting: waiting() })
}
