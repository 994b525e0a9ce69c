//! 2,000 clients of server-sent events lose their connections, and come back at once while 200
//! messages a second are published: each gets every message, in order, once.
//!
//! The backend keeps the true history. Who comes back is told nothing of it: its stream is held at
//! the position that its Last-Event-ID says, and what it misses the server has to find - in what
//! it remembers of the channel, or by the next link, with Grip-Last, of the backend's history.
//!
//! Added delay: from the moment at which a client has the head of its response, or the message was
//! given to be published, if that is later, to the moment at which the client has the message. It
//! is told of the messages that a client missed (published before it had its head), and of all.
//! Each figure is printed: run with `--nocapture`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::harness::wait::within_seconds;
use super::harness::{Answer, Backend, Publisher, Request, Server};

/// `CROWD=100` makes it fewer, for a server that cannot do with so many.
const CLIENTS: usize = 2_000;
const MESSAGES_PER_SECOND: u32 = 200;
/// Messages before the cut.
const BEFORE: usize = 40;
/// Messages in all: those after the cut take two seconds.
const LAST: usize = BEFORE + 400;
/// So many were published when the clients come back.
const AWAY: usize = BEFORE + 20;
/// Clients are cut off at this many positions.
const POSITIONS: usize = 20;
/// Clients that stay connected, so that their channel is never without a subscriber.
const WITNESSES: usize = 16;
const DEADLINE_S: u64 = 60;
/// Nothing that is published takes longer than this.
const SILENCE_S: u64 = 20;
/// The bound on the median of the delay that is added where the ring reaches back. Where the
/// backend is asked, this backend and 2,000 clients in one debug build are what takes time: it is
/// printed.
const DELAY_MAX: Duration = Duration::from_millis(100);

/// One at a time: each takes both cores.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn clients() -> usize {
    std::env::var("CROWD").map_or(CLIENTS, |crowd| crowd.parse().expect("a number"))
}

fn event(id: usize) -> String {
    format!("id: {id}\ndata: m\n\n")
}

/// What was written so far, by whom it is published.
struct History {
    written: AtomicUsize,
    /// When each message was given to be published.
    moments: Vec<OnceLock<Instant>>,
}

impl History {
    fn new() -> Arc<History> {
        let moments = (0..=LAST).map(|_| OnceLock::new()).collect();
        Arc::new(History { written: AtomicUsize::new(0), moments })
    }

    fn answer(&self, request: &Request) -> Answer {
        let written = self.written.load(Ordering::SeqCst);
        let (position, body) = match request.header("grip-last") {
            Some(last) => {
                let last = last.strip_prefix("c; last-id=").expect("the channel");
                let last: usize = last.parse().expect("a position");
                (written, (last + 1..=written).map(event).collect())
            }
            None => {
                let last = request.header("last-event-id").map(|last| last.parse().expect("an id"));
                (last.unwrap_or(written), ":\n\n".to_owned())
            }
        };
        Answer::hold("stream", &format!("c; prev-id={position}"), body).next_link("/events?next")
    }

    /// Publishes up to `last`, at the pace of the test, on a thread of its own.
    fn publish(self: &Arc<Self>, server: &Server, last: usize) -> std::thread::JoinHandle<()> {
        let history = Arc::clone(self);
        let publisher = Publisher::new(server);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let pace = Duration::from_secs(1) / MESSAGES_PER_SECOND;
                let mut ticks = tokio::time::interval(pace);
                for id in history.written.load(Ordering::SeqCst) + 1..=last {
                    ticks.tick().await;
                    history.moments[id].set(Instant::now()).expect("published once");
                    history.written.store(id, Ordering::SeqCst);
                    let formats = json!({ "http-stream": { "content": event(id) } });
                    let (id, prev_id) = (id.to_string(), (id - 1).to_string());
                    publisher.step("c", &id, Some(&prev_id), formats).await;
                }
            });
        })
    }
}

/// What a client has seen.
struct Seen {
    /// When the head of its response came.
    began: Instant,
    /// When each message came, from the one after its position on.
    arrivals: Vec<Instant>,
    first: usize,
}

struct Listener {
    stream: TcpStream,
    kept: Vec<u8>,
    /// Bytes of the present chunk that are still to come, its line end included.
    wanted: usize,
    /// Content that ends in the middle of a line.
    line: Vec<u8>,
    last: usize,
    seen: Seen,
}

impl Listener {
    /// Connects, and reads the head of the response.
    async fn open(address: SocketAddr, last: usize) -> Listener {
        let mut stream = TcpStream::connect(address).await.expect("the server accepts");
        stream.set_nodelay(true).expect("a socket");
        let request = format!(
            "GET /events HTTP/1.1\r\nHost: a.example\r\nAccept: text/event-stream\r\n\
             Last-Event-ID: {last}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("the server reads");
        let mut kept = Vec::new();
        let end = loop {
            let end = kept.windows(4).position(|window| window == b"\r\n\r\n");
            match end {
                Some(end) => break end + 4,
                None => assert_ne!(stream.read_buf(&mut kept).await.expect("a response"), 0),
            }
        };
        let head = String::from_utf8_lossy(&kept[..end]).into_owned();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        kept.drain(..end);
        let seen = Seen { began: Instant::now(), arrivals: Vec::new(), first: last + 1 };
        Listener { stream, kept, wanted: 0, line: Vec::new(), last, seen }
    }

    /// Reads until it has the message `goal`.
    async fn until(&mut self, goal: usize) {
        loop {
            self.decode();
            assert!(self.last <= goal, "{} after {goal}", self.last);
            if self.last == goal {
                return;
            }
            let read = self.stream.read_buf(&mut self.kept);
            let read = tokio::time::timeout(Duration::from_secs(SILENCE_S), read).await;
            let Ok(count) = read else { panic!("nothing came after {}", self.last) };
            let count = count.expect("the stream goes on");
            assert_ne!(count, 0, "the stream ended after {}", self.last);
        }
    }

    /// Takes what whole lines there are. This is a debug build with 400,000 messages a second to
    /// read: so nothing here looks at single bytes but `memchr`.
    fn decode(&mut self) {
        let now = Instant::now();
        let mut at = 0;
        loop {
            let rest = &self.kept[at..];
            if self.wanted == 0 {
                let Some(end) = memchr::memchr(b'\n', rest) else { break };
                let size = std::str::from_utf8(&rest[..end]).expect("a chunk size").trim_end();
                let size = usize::from_str_radix(size, 16).expect("a chunk size");
                assert_ne!(size, 0, "the stream ended after {}", self.last);
                self.wanted = size + 2;
                at += end + 1;
                continue;
            }
            // The line end of the chunk is taken together with the last byte before it.
            let content = rest.len().min(self.wanted - 2);
            self.line.extend_from_slice(&rest[..content]);
            at += content;
            self.wanted -= content;
            if self.wanted > 2 || rest.len() < content + 2 {
                break;
            }
            at += 2;
            self.wanted = 0;
        }
        self.kept.drain(..at);
        self.lines(now);
    }

    fn lines(&mut self, now: Instant) {
        let mut at = 0;
        while let Some(end) = memchr::memchr(b'\n', &self.line[at..]) {
            if let Some(id) = self.line[at..at + end].strip_prefix(b"id: ") {
                let id: usize = std::str::from_utf8(id).expect("text").parse().expect("a number");
                assert_eq!(id, self.last + 1, "in order, each once");
                self.last = id;
                self.seen.arrivals.push(now);
            }
            at += end + 1;
        }
        self.line.drain(..at);
    }
}

/// Runs one task for each of `positions`, and waits for all.
async fn all<T: 'static, F: Future<Output = T> + 'static>(
    what: &str,
    tasks: impl Iterator<Item = F>,
) -> Vec<T> {
    let tasks: Vec<_> = tasks.map(tokio::task::spawn_local).collect();
    within_seconds(what, DEADLINE_S, async {
        let mut results = Vec::new();
        for task in tasks {
            results.push(task.await.expect("no client fails"));
        }
        results
    })
    .await
}

/// What came of a storm.
struct Outcome {
    /// Positions from which clients came back.
    came_from: usize,
    /// The Grip-Last of each recovery request.
    recoveries: Vec<String>,
    /// The median of the delay that was added to what a client had missed, and to the rest.
    median: Duration,
    median_of_others: Duration,
    /// How long it took until the last of them had come.
    came_within: Duration,
}

impl Outcome {
    fn distinct(&self) -> usize {
        self.recoveries.iter().collect::<BTreeSet<_>>().len()
    }
}

/// All clients listen, are cut off, and come back.
async fn storm(name: &str, options: &[&str], witnesses: usize) -> Outcome {
    let _alone = ALONE.lock().await;
    let history = History::new();
    let answering = Arc::clone(&history);
    let mut backend = Backend::answering(move |request| answering.answer(request));
    let options = [&["--log-level", "warn"], options].concat();
    let server = Server::start_with(&[backend.route("*", "")], &options);
    let address = server.http;

    let listeners =
        all("all to listen", (0..clients() + witnesses).map(|_| Listener::open(address, 0)));
    let mut listeners = listeners.await;
    let publishing = history.publish(&server, BEFORE);
    let listening = listeners.drain(..).map(|mut listener| async move {
        listener.until(BEFORE).await;
        listener
    });
    let mut listeners = all("what came before the cut", listening).await;
    publishing.join().expect("it publishes");
    let before = recoveries(&backend.all_seen()).len();

    let witnesses = listeners.split_off(clients());
    drop(listeners);
    let cut = Instant::now();
    let publishing = history.publish(&server, LAST);
    within_seconds("messages that nobody hears", DEADLINE_S, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(1));
        while history.written.load(Ordering::SeqCst) < AWAY {
            ticks.tick().await;
        }
    })
    .await;
    let positions: Vec<usize> = (0..clients()).map(|n| BEFORE - n % POSITIONS).collect();
    let back = Rc::new(Instant::now());
    let coming = positions.iter().map(|position| {
        let position = *position;
        async move {
            let mut listener = Listener::open(address, position).await;
            listener.until(LAST).await;
            listener.seen
        }
    });
    let staying = witnesses.into_iter().map(|mut listener| async move {
        listener.until(LAST).await;
    });
    let staying = all("those who stayed", staying);
    let (seen, _) = tokio::join!(all("all that was missed", coming), staying);
    publishing.join().expect("it publishes");
    let took = back.elapsed();

    let came_within = seen.iter().map(|each| each.began.saturating_duration_since(*back));
    let came_within = came_within.max().unwrap_or_default();
    let (mut missed, mut every, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for each in &seen {
        for (id, arrival) in (each.first..).zip(&each.arrivals) {
            let published = *history.moments[id].get().expect("it was published");
            let delay = arrival.saturating_duration_since(each.began.max(published));
            every.push(delay);
            if published < each.began {
                missed.push(delay);
            } else {
                others.push(delay);
            }
        }
    }
    let (missed, every, others) = (Delays::of(missed), Delays::of(every), Delays::of(others));
    let recoveries = recoveries(&backend.all_seen());
    let (median, median_of_others) = (missed.median, others.median);
    let outcome =
        Outcome { came_from: POSITIONS, recoveries, median, median_of_others, came_within };
    println!(
        "{name}: {} clients back from {} positions, caught up {took:.1?} after they came \
         ({:.1?} after the cut)\n  recovery requests: {} from {} positions ({before} before the \
         cut)\n  added delay of what was missed: {missed}\n  of all: {every}",
        clients(),
        outcome.came_from,
        cut.elapsed(),
        outcome.recoveries.len(),
        outcome.distinct(),
    );
    outcome
}

fn recoveries(requests: &[Request]) -> Vec<String> {
    let last = |request: &Request| request.header("grip-last").map(str::to_owned);
    requests.iter().filter_map(last).collect()
}

/// Delays of many messages.
struct Delays {
    count: usize,
    median: Duration,
    p99: Duration,
    most: Duration,
}

impl Delays {
    fn of(mut delays: Vec<Duration>) -> Delays {
        delays.sort_unstable();
        let at = |part: usize| delays.get(delays.len() * part / 100).copied().unwrap_or_default();
        let most = delays.last().copied().unwrap_or_default();
        Delays { count: delays.len(), median: at(50), p99: at(99), most }
    }
}

impl std::fmt::Display for Delays {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Delays { count, median, p99, most } = self;
        write!(out, "median {median:.1?}, 99 % {p99:.1?}, most {most:.1?}, of {count}")
    }
}

fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio::task::LocalSet::new().block_on(&runtime.expect("a runtime"), test);
}

/// What was missed is in the ring: nobody asks the backend.
#[test]
fn the_ring_brings_everybody_up_to_date() {
    run(async {
        let outcome = storm("large ring", &["--ring-items", "1000"], WITNESSES).await;
        assert_eq!(outcome.recoveries, Vec::<String>::new());
        // Where everything takes long, that is not the ring's doing.
        let most = DELAY_MAX.max(2 * outcome.median_of_others);
        assert!(outcome.median < most, "{:?}, {:?}", outcome.median, outcome.median_of_others);
    });
}

/// Nothing is in the ring: the backend is asked for positions and not for clients. Requests are
/// shared while they are under way; an older answer would leave a gap that no ring covers, so who
/// comes to a position later asks anew.
#[test]
fn without_a_ring_the_backend_is_asked_for_positions_and_not_for_clients() {
    run(async {
        let outcome = storm("no ring", &["--ring-items", "0"], WITNESSES).await;
        let (requests, positions) = (outcome.recoveries.len(), outcome.distinct());
        assert!(positions >= POSITIONS, "{positions}");
        let rounds = 4.max(2 * (outcome.came_within.as_secs() as usize + 1));
        let most = (rounds * positions).min(clients() / 4);
        assert!(requests <= most, "{requests}, {positions}, {:?}", outcome.came_within);
    });
}

/// Everybody was cut off, so for a while the channel had no subscriber; and most come back when the
/// ring, of the default size, has forgotten where they were. Clients come for two seconds and more,
/// and an answer serves latecomers for one: so a position may be asked for a second time, and once
/// more for each second that they take longer.
#[test]
fn a_channel_that_was_empty_recovers_all_the_same() {
    run(async {
        let outcome = storm("nobody stays", &[], 0).await;
        let (requests, positions) = (outcome.recoveries.len(), outcome.distinct());
        let rounds = 2.max(outcome.came_within.as_secs() as usize + 1);
        let most = (rounds * positions).min(clients() / 4);
        assert!(requests <= most, "{requests}, {positions}, {:?}", outcome.came_within);
    });
}
