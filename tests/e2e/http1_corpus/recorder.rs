//! A backend that keeps every byte it is sent, and judges it only with `strict`. It runs on a
//! thread of its own, and says what it has got when it is asked for [`FENCE`]: by then all that was
//! sent to it before has been read, on whichever connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::event::{PollFd, PollFlags, poll};

use super::strict::{self, Message};
use crate::harness::wait::PATIENCE;

/// The target that ends a case.
pub const FENCE: &str = "/fence";
/// The target by which the test asks for the rest of an answer.
const MORE: &str = "/more";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const LAST: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// What the first request of the next case is answered: these bytes, when asked for it some more,
/// then perhaps a close.
pub struct Script {
    pub answer: Vec<u8>,
    pub then: Option<Vec<u8>>,
    pub close: bool,
}

/// What came since the last fence, in the order in which it was whole.
#[derive(Debug, Default)]
pub struct Record {
    /// Each request, and which connection it came over.
    pub requests: Vec<(usize, Message)>,
    /// What is no request, or not one only.
    pub faults: Vec<String>,
    /// Beginnings of requests.
    pub partial: Vec<Vec<u8>>,
    /// Which connection the fence came over.
    pub fence: usize,
}

/// The test's end of it.
pub struct Recorder {
    pub address: SocketAddr,
    scripts: Sender<Script>,
    records: Receiver<Record>,
}

impl Recorder {
    pub fn start() -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("a bound socket");
        let ((scripts, given), (sender, records)) = (channel(), channel());
        let (open, record) = (Vec::new(), Record::default());
        let mut backend = Thread { listener, given, open, made: 0, more: None, record };
        std::thread::spawn(move || backend.run(&sender));
        Recorder { address, scripts, records }
    }

    /// Sets the answer to the next request.
    pub fn script(&self, script: Script) {
        self.scripts.send(script).expect("it runs");
    }

    /// The client has got something: the rest of the answer may follow.
    pub fn more(&self) {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        write!(stream, "GET {MORE} HTTP/1.1\r\nHost: test\r\n\r\n").expect("it reads");
        let _ = stream.read(&mut [0]);
    }

    /// What came up to the fence, which has been asked for.
    pub fn record(&self) -> Record {
        self.records.recv_timeout(PATIENCE).expect("the fence reaches the backend")
    }
}

struct Open {
    stream: TcpStream,
    number: usize,
    bytes: Vec<u8>,
    ended: bool,
}

struct Thread {
    listener: TcpListener,
    given: Receiver<Script>,
    open: Vec<Open>,
    made: usize,
    /// Half an answer has been sent on this connection.
    more: Option<(usize, Script)>,
    record: Record,
}

impl Thread {
    fn run(&mut self, records: &Sender<Record>) {
        loop {
            {
                let mut watched = vec![PollFd::new(&self.listener, PollFlags::IN)];
                let open = self.open.iter().filter(|open| !open.ended);
                watched.extend(open.map(|open| PollFd::new(&open.stream, PollFlags::IN)));
                poll(&mut watched, None).expect("the sockets are open");
            }
            self.sweep();
            let Some(fence) = self.take() else { continue };
            // What was sent before the fence has come, if not in the order of sending.
            self.sweep();
            assert!(self.take().is_none(), "one fence a case");
            let mut record = std::mem::take(&mut self.record);
            record.fence = self.open[fence].number;
            let rest = self.open.iter().filter(|open| !open.bytes.is_empty());
            record.partial = rest.map(|open| open.bytes.clone()).collect();
            write(&mut self.open[fence].stream, LAST);
            self.open.clear();
            self.more = None;
            if records.send(record).is_err() {
                return;
            }
        }
    }

    /// Takes in all that has come.
    fn sweep(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true).expect("a socket");
            self.open.push(Open { stream, number: self.made, bytes: Vec::new(), ended: false });
            self.made += 1;
        }
        let mut piece = [0; 64 * 1024];
        for open in self.open.iter_mut().filter(|open| !open.ended) {
            loop {
                match open.stream.read(&mut piece) {
                    Ok(0) => open.ended = true,
                    Ok(count) => {
                        open.bytes.extend_from_slice(&piece[..count]);
                        continue;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    Err(error) => open.ended |= error.kind() != ErrorKind::WouldBlock,
                }
                break;
            }
        }
    }

    /// Reads the requests that are whole and answers them; which connection has the fence.
    fn take(&mut self) -> Option<usize> {
        let mut asked = false;
        for (at, open) in self.open.iter_mut().enumerate() {
            loop {
                match strict::request(&open.bytes) {
                    Ok(None) => break,
                    Ok(Some(request)) => {
                        open.bytes.drain(..request.length);
                        if request.start[1] == FENCE {
                            return Some(at);
                        }
                        if request.start[1] == MORE {
                            write(&mut open.stream, OK);
                            asked = true;
                            continue;
                        }
                        self.record.requests.push((open.number, request));
                        let script = self.given.try_recv().ok();
                        let answer = script.as_ref().map_or(OK, |script| &script.answer);
                        write(&mut open.stream, answer);
                        match script {
                            Some(script) if script.then.is_some() => self.more = Some((at, script)),
                            Some(script) if script.close => end(&open.stream),
                            _ => {}
                        }
                    }
                    Err(why) => {
                        let bytes = open.bytes.escape_ascii();
                        self.record.faults.push(format!("{why} in {bytes}"));
                        open.bytes.clear();
                        break;
                    }
                }
            }
        }
        if let Some((at, script)) = self.more.take_if(|_| asked) {
            write(&mut self.open[at].stream, &script.then.unwrap_or_default());
            if script.close {
                end(&self.open[at].stream);
            }
        }
        None
    }
}

fn end(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
}

/// The answers are small: the socket takes them at once, if the other side is still there.
fn write(stream: &mut TcpStream, bytes: &[u8]) {
    let _ = stream.set_nonblocking(false);
    let _ = stream.write_all(bytes);
    let _ = stream.set_nonblocking(true);
}
