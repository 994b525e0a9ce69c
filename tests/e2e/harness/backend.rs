//! A scripted HTTP/1.1 backend on a thread of its own. It records each request byte for byte, and
//! either answers by a function or hands each exchange to the test, which then owns the socket
//! until it gives it back: delays, truncation, closes and raw bytes are the test's to decide.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

pub use super::reserved::refusing;
use super::wait::{soon, within};

/// A request as the backend got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head, up to and with its empty line.
    pub head: Vec<u8>,
    pub method: String,
    pub target: String,
    /// Names as they were written.
    pub headers: Vec<(String, String)>,
    /// Without chunked framing.
    pub body: Vec<u8>,
    /// Which of the backend's connections it came on, counted from 0.
    pub connection: usize,
}

impl Request {
    /// All values of a header.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(each, _): &&(String, String)| each.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} came {} times: {all:?}", all.len());
        all.first().copied()
    }
}

/// What a backend answers.
#[derive(Clone, Debug)]
pub struct Answer {
    status: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    raw: Option<Vec<u8>>,
    close: bool,
}

impl Answer {
    pub fn new(status: &str) -> Answer {
        Answer {
            status: status.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            raw: None,
            close: false,
        }
    }

    /// The status line's code and reason.
    pub fn status(&self) -> &str {
        &self.status
    }

    pub fn ok(body: impl AsRef<[u8]>) -> Answer {
        Answer::new("200 OK").header("Content-Type", "text/plain").body(body)
    }

    /// A response that asks for a hold (`response` or `stream`) on channels.
    pub fn hold(mode: &str, channels: &str, body: impl AsRef<[u8]>) -> Answer {
        Answer::ok(body).header("Grip-Hold", mode).header("Grip-Channel", channels)
    }

    /// With a link to what comes next.
    pub fn next_link(self, uri: &str) -> Answer {
        self.header("Grip-Link", &format!("<{uri}>; rel=next"))
    }

    /// Exactly these bytes; then the connection is closed if `close`.
    pub fn raw(bytes: impl AsRef<[u8]>, close: bool) -> Answer {
        Answer { raw: Some(bytes.as_ref().to_vec()), close, ..Answer::new("") }
    }

    /// WebSocket-over-HTTP events.
    pub fn events(body: impl AsRef<[u8]>) -> Answer {
        Answer::new("200 OK").header("Content-Type", "application/websocket-events").body(body)
    }

    /// Accepts a WebSocket-over-HTTP connection with the `grip` extension, and further events.
    pub fn open(further: impl AsRef<[u8]>) -> Answer {
        let body = [b"OPEN\r\n", further.as_ref()].concat();
        Answer::events(body).header("Sec-WebSocket-Extensions", "grip")
    }

    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a header out.
    pub fn without(mut self, name: &str) -> Answer {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Answer {
        self.body = body.as_ref().to_vec();
        self
    }

    pub fn bytes(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let mut head = format!("HTTP/1.1 {}\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", self.body.len()));
        [head.as_bytes(), &self.body].concat()
    }
}

type Handler = Box<dyn Fn(&Request) -> Answer + Send>;
type Handed = (TcpStream, Vec<u8>);

/// The socket of an exchange whose answer is the test's to write.
pub struct Exchange {
    pub request: Request,
    pub stream: TcpStream,
    kept: Vec<u8>,
    back: oneshot::Sender<Handed>,
}

impl Exchange {
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        within("the backend to write", self.stream.write_all(bytes.as_ref())).await.expect("write");
    }

    /// Answers and lets the connection go on to its next request.
    pub async fn answer(mut self, answer: Answer) {
        self.write(answer.bytes()).await;
        let _ = self.back.send((self.stream, self.kept));
    }

    /// Waits until the other side has closed the connection; returns what came before.
    pub async fn closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let closed = self.stream.read_to_end(&mut rest);
        let _ = within("the proxy to close its connection", closed).await;
        rest
    }
}

enum Script {
    Handler(Handler, mpsc::UnboundedSender<Request>),
    Manual(mpsc::UnboundedSender<Exchange>),
}

/// A running backend; it ends with the test.
pub struct Backend {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    exchanges: mpsc::UnboundedReceiver<Exchange>,
    requests: mpsc::UnboundedReceiver<Request>,
}

impl Backend {
    /// A backend whose exchanges the test takes with [`Backend::next`].
    pub fn manual() -> Backend {
        let (sender, exchanges) = mpsc::unbounded_channel();
        let (_, requests) = mpsc::unbounded_channel();
        Backend::start(Script::Manual(sender), exchanges, requests)
    }

    /// A backend that answers by a function; its requests are seen with [`Backend::seen`].
    pub fn answering(handler: impl Fn(&Request) -> Answer + Send + 'static) -> Backend {
        let (sender, requests) = mpsc::unbounded_channel();
        let (_, exchanges) = mpsc::unbounded_channel();
        Backend::start(Script::Handler(Box::new(handler), sender), exchanges, requests)
    }

    fn start(
        script: Script,
        exchanges: mpsc::UnboundedReceiver<Exchange>,
        requests: mpsc::UnboundedReceiver<Request>,
    ) -> Backend {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        // The standard library's backlog is too short for a crowd.
        rustix::net::listen(&listener, 4096).expect("a longer backlog");
        let address = listener.local_addr().expect("a bound socket");
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&connections);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime.expect("a runtime"), accept(listener, script, counter));
        });
        Backend { address, connections, exchanges, requests }
    }

    /// A route line: `condition` and this backend with `options` (each with its comma).
    pub fn route(&self, condition: &str, options: &str) -> String {
        format!("{condition} {}{options}", self.address)
    }

    /// The next exchange, to be answered by the test.
    pub async fn next(&mut self) -> Exchange {
        within("a request at the backend", self.exchanges.recv()).await.expect("it runs")
    }

    /// The next exchange, if there is one soon; for what is published until it has an effect.
    pub async fn next_soon(&mut self) -> Option<Exchange> {
        let mut next = None;
        soon(200, async { next = self.exchanges.recv().await }).await;
        next
    }

    /// Answers the next request, which must be for `target`; gives what was asked.
    pub async fn answer(&mut self, target: &str, answer: Answer) -> Request {
        let exchange = self.next().await;
        let request = exchange.request.clone();
        assert_eq!(request.target, target, "{}", String::from_utf8_lossy(&request.head));
        exchange.answer(answer).await;
        request
    }

    /// The next request that the function has answered.
    pub async fn seen(&mut self) -> Request {
        within("a request at the backend", self.requests.recv()).await.expect("it runs")
    }

    /// All requests that the function has answered and that were not seen yet.
    pub fn all_seen(&mut self) -> Vec<Request> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }

    /// Whether any request waits to be seen.
    pub fn has_seen_more(&mut self) -> bool {
        self.requests.try_recv().is_ok() || self.exchanges.try_recv().is_ok()
    }

    /// How many connections were made so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// An address where connections are neither accepted nor refused, as long as the sockets live.
pub fn swallowing() -> (SocketAddr, std::net::TcpListener, Vec<std::net::TcpStream>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    rustix::net::listen(&listener, 0).expect("a shorter backlog");
    let address = listener.local_addr().expect("a bound socket");
    let mut full = Vec::new();
    // Until the queue is full: then nothing is answered any more.
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(200))
    {
        full.push(stream);
        assert!(full.len() < 64, "the queue is never full");
    }
    (address, listener, full)
}

async fn accept(listener: std::net::TcpListener, script: Script, counter: Arc<AtomicUsize>) {
    let listener = TcpListener::from_std(listener).expect("a listener");
    let script = std::rc::Rc::new(script);
    while let Ok((stream, _)) = listener.accept().await {
        let connection = counter.fetch_add(1, Ordering::SeqCst);
        let script = std::rc::Rc::clone(&script);
        tokio::task::spawn_local(async move { serve(stream, connection, &script).await });
    }
}

async fn serve(mut stream: TcpStream, connection: usize, script: &Script) {
    let _ = stream.set_nodelay(true);
    let mut kept = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut kept, connection).await {
        match script {
            Script::Handler(handler, seen) => {
                let answer = handler(&request);
                let _ = seen.send(request);
                if stream.write_all(&answer.bytes()).await.is_err() || answer.close {
                    return;
                }
            }
            Script::Manual(exchanges) => {
                let (back, returned) = oneshot::channel();
                let exchange = Exchange { request, stream, kept, back };
                if exchanges.send(exchange).is_err() {
                    return;
                }
                let Ok(handed) = returned.await else { return };
                (stream, kept) = handed;
            }
        }
    }
}

pub async fn read_request(
    stream: &mut TcpStream,
    kept: &mut Vec<u8>,
    connection: usize,
) -> Option<Request> {
    let head = take_until(stream, kept, b"\r\n\r\n").await?;
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.trim_end().split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let field = |line: &str| {
        line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
    };
    let headers = lines.filter_map(field).collect();
    let mut request = Request { head, method, target, headers, body: Vec::new(), connection };
    let chunked = request.all("transfer-encoding").contains(&"chunked");
    if chunked {
        loop {
            let line = take_until(stream, kept, b"\r\n").await?;
            let size = String::from_utf8_lossy(&line).trim().to_owned();
            let size = usize::from_str_radix(&size, 16).ok()?;
            let piece = take(stream, kept, size + 2).await?;
            if size == 0 {
                break;
            }
            request.body.extend_from_slice(&piece[..size]);
        }
    } else if let Some(length) = request.all("content-length").first() {
        request.body = take(stream, kept, length.parse().ok()?).await?;
    }
    Some(request)
}

async fn take_until(stream: &mut TcpStream, kept: &mut Vec<u8>, mark: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = kept.windows(mark.len()).position(|window| window == mark) {
            let rest = kept.split_off(at + mark.len());
            return Some(std::mem::replace(kept, rest));
        }
        if stream.read_buf(kept).await.ok()? == 0 {
            return None;
        }
    }
}

async fn take(stream: &mut TcpStream, kept: &mut Vec<u8>, count: usize) -> Option<Vec<u8>> {
    while kept.len() < count {
        if stream.read_buf(kept).await.ok()? == 0 {
            return None;
        }
    }
    let rest = kept.split_off(count);
    Some(std::mem::replace(kept, rest))
}
