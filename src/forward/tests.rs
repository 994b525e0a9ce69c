//! For the tests of WebSockets: clients that take what they are sent, a backend that does what it
//! is told, and a shard's company around them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use super::askers::Askers;
use super::context::{Context, RouteRef};
use super::order::Peers;
use super::shared::{Settings, Shared};
use super::signing::Keys;
use crate::backend::Backend;
use crate::clock;
use crate::forward::connections::Connections;
use crate::grip::item;
use crate::hub::Hub;
use crate::hub::fanout::{Delivery, Outlet, Then};
use crate::hub::registry;
use crate::hub::slab::SessionId;
use crate::limits;
use crate::route::Table;
use crate::session::outbox::Outbox;
use crate::session::socket::Form;
use crate::tls::ClientTls;
use crate::wire::frame::{Opcode, client_fragment};
use crate::wire::http1::Version;
use crate::ws::handshake;

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a client has got.
#[derive(Default)]
pub struct Client {
    /// It does not read.
    pub stalled: bool,
    /// The shard reads from it.
    pub paused: bool,
    /// How it ended.
    pub finished: Option<Then>,
    outbox: Outbox,
    written: Vec<u8>,
    closed: bool,
}

/// All clients of a shard.
#[derive(Default)]
pub struct Clients {
    known: HashMap<SessionId, Client>,
    /// New ones are stalled: what is sent to them waits for their reader.
    pub stalled: bool,
}

impl Clients {
    /// One client; it stays after its connection is closed.
    pub fn client(&mut self, id: SessionId) -> &mut Client {
        let stalled = self.stalled;
        self.known.entry(id).or_insert_with(|| Client { stalled, ..Client::default() })
    }

    /// What a client has got since it was last asked, and whether its connection was closed.
    pub fn take(&mut self, id: SessionId) -> (Vec<u8>, bool) {
        let client = self.client(id);
        (std::mem::take(&mut client.written), client.closed)
    }

    /// A client that was stalled reads all.
    pub fn read_all(&mut self, id: SessionId) {
        let client = self.client(id);
        client.stalled = false;
        let waiting: Vec<u8> = client.outbox.pieces().flatten().copied().collect();
        client.outbox.advance(waiting.len());
        client.written.extend(waiting);
    }
}

impl Outlet for Clients {
    fn open(&mut self, id: SessionId) {
        self.client(id);
    }

    fn send(&mut self, id: SessionId, bytes: &Bytes) -> Delivery {
        let client = self.client(id);
        assert_eq!(client.finished, None, "nothing is sent after the end");
        if client.closed {
            return Delivery::Gone;
        }
        if !client.stalled {
            client.written.extend_from_slice(bytes);
            return Delivery::Written;
        }
        match client.outbox.push(bytes.clone(), limits::OUTBOX_BYTES_MAX) {
            Ok(()) => Delivery::Queued,
            Err(_) => Delivery::Refused,
        }
    }

    fn finish(&mut self, id: SessionId, then: Then) {
        let client = self.client(id);
        client.finished = Some(then);
        client.outbox.wake();
    }

    fn backlog(&self, id: SessionId) -> usize {
        self.known.get(&id).map_or(0, |client| client.outbox.bytes())
    }

    fn finished(&self, id: SessionId) -> Option<Then> {
        self.known.get(&id).and_then(|client| client.finished)
    }

    fn set_reading(&mut self, id: SessionId, on: bool) {
        let client = self.client(id);
        client.paused = !on;
        client.outbox.wake();
    }

    fn wants_reading(&self, id: SessionId) -> bool {
        self.known.get(&id).is_some_and(|client| !client.paused)
    }

    fn poll_next(&mut self, id: SessionId, waker: &Waker) -> Poll<Option<Bytes>> {
        let client = self.client(id);
        if client.closed || (client.finished.is_some() && client.outbox.is_empty()) {
            return Poll::Ready(None);
        }
        client.outbox.poll_pop(waker).map(Some)
    }

    fn poll_closed(&mut self, id: SessionId, cx: &mut std::task::Context<'_>) -> Poll<()> {
        let client = self.client(id);
        client.outbox.register(cx.waker());
        if client.closed { Poll::Ready(()) } else { Poll::Pending }
    }

    fn close(&mut self, id: SessionId) {
        let client = self.client(id);
        client.closed = true;
        client.outbox.wake();
    }
}

/// A shard's company.
pub struct Company {
    /// As the proxy has it.
    pub shared: Rc<Shared>,
    /// Its clients.
    pub clients: Rc<RefCell<Clients>>,
}

impl Company {
    /// A shard without sessions.
    pub fn new() -> Company {
        Company::with(|_| {})
    }

    /// A shard without sessions, and with other settings.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Company {
        Company::among(None, change)
    }

    /// A shard beside others.
    pub fn among(peers: Option<Rc<dyn Peers>>, change: impl FnOnce(&mut Settings)) -> Company {
        let clients = Rc::new(RefCell::new(Clients::default()));
        let hub = Hub::new(registry::Settings::default(), Rc::clone(&clients) as _, Rc::new(|| {}));
        let tls = ClientTls::with_roots(rustls::RootCertStore::empty()).unwrap();
        let mut settings = Settings { sig_iss: String::new(), ..Settings::default() };
        change(&mut settings);
        let stats = Rc::<crate::stats::Stats>::default();
        let shared = Rc::new(Shared {
            hub,
            routing: Default::default(),
            backend: Backend::new(crate::backend::Settings::default(), tls, Rc::clone(&stats)),
            turns: Default::default(),
            stats,
            ears: Rc::default(),
            connections: Connections::new(true),
            remembers: true,
            peers,
            keys: Keys::new(PathBuf::new()),
            askers: Rc::new(Askers::new(settings.filter_requests_per_s)),
            settings,
        });
        Company { shared, clients }
    }

    /// Publishes items.
    pub fn publish(&self, items: &str) {
        let items = item::parse_items(items.as_bytes()).unwrap();
        let items: Vec<_> = items.into_iter().map(std::sync::Arc::new).collect();
        self.shared.hub.publish(&items, crate::clock::now(), None);
        while self.shared.hub.is_delivering() {
            self.shared.hub.deliver(clock::now());
        }
    }
}

/// Runs a test on one thread, as a shard runs.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let test = async { tokio::time::timeout(2 * PATIENCE, test).await.expect("it hangs") };
    tokio::task::LocalSet::new().block_on(&runtime, test);
}

/// Waits until `done` is true.
pub async fn until(done: impl Fn() -> bool) {
    let deadline = clock::now().plus_ms(PATIENCE.as_millis() as u64);
    while !done() {
        assert!(clock::now() < deadline, "it never came to be");
        tokio::task::yield_now().await;
        clock::sleep_ms(1).await;
    }
}

/// The only route of a table of one line.
pub fn route(line: &str) -> RouteRef {
    let (table, problems) = Table::parse(line.as_bytes());
    assert!(problems.is_empty(), "{problems:?}");
    table.share(0).unwrap()
}

/// A client's handshake.
pub fn context(path: &str, query: Option<&str>) -> Context {
    let mut headers = HeaderMap::new();
    handshake::ask(&mut headers, &HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ=="));
    for (name, value) in [("cookie", "a=b"), ("content-type", "x/y"), ("meta-user", "forged")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Context {
        peer: None,
        secure: false,
        method: Method::GET,
        host: "example.com".into(),
        path: path.into(),
        query: query.map(Into::into),
        headers: Rc::new(headers),
        version: Version::Http11,
        websocket: true,
        trusted: false,
        form: Form::default(),
    }
}

/// A frame of a client.
pub fn from_client(opcode: Opcode, payload: &[u8]) -> Bytes {
    client_fragment(opcode, true, [7, 6, 5, 4], payload)
}

/// A port on which nobody listens: it stays bound, as long as the tests run.
pub fn refusing() -> u16 {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    std::mem::forget(socket);
    port
}

/// A backend over HTTP that does what it is told.
pub struct Scripted {
    /// Its port.
    pub port: u16,
    asked: mpsc::UnboundedReceiver<Asked>,
}

/// A request that waits for its answer.
pub struct Asked {
    /// Request line and headers, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
    answer: oneshot::Sender<String>,
}

impl Asked {
    /// Answers with events and further header lines (each with its CRLF).
    pub fn events(self, headers: &str, body: &str) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/websocket-events\r\n";
        self.raw(format!("{head}{headers}Content-Length: {}\r\n\r\n{body}", body.len()));
    }

    /// Answers with these bytes.
    pub fn raw(self, answer: String) {
        let _ = self.answer.send(answer);
    }
}

impl Scripted {
    /// One that listens on a port of its own.
    pub async fn start() -> Scripted {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asks, asked) = mpsc::unbounded_channel();
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::task::spawn_local(serve(stream, asks.clone()));
            }
        });
        Scripted { port, asked }
    }

    /// The next request.
    pub async fn next(&mut self) -> Asked {
        let asked = tokio::time::timeout(PATIENCE, self.asked.recv()).await;
        asked.expect("no request came").unwrap()
    }

    /// Whether no request waits.
    pub fn is_idle(&mut self) -> bool {
        self.asked.try_recv().is_err()
    }
}

async fn serve(stream: TcpStream, asks: mpsc::UnboundedSender<Asked>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let mut body = vec![0; length.map_or(0, |text| text.parse().unwrap())];
        stream.read_exact(&mut body).await.unwrap();
        let body = String::from_utf8_lossy(&body).into_owned();
        let (answer, answered) = oneshot::channel();
        asks.send(Asked { head, body, answer }).unwrap_or_default();
        let Ok(answer) = answered.await else { return };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}
