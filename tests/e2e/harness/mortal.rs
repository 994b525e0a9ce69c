//! A backend that dies and comes back on the same port, and that closes connections as real ones
//! do: after some idle time, after an answer without saying so, or in the middle. It counts how
//! often it has seen each request that has an `X-Id`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc as blocking;
use std::time::Duration;

use rustix::net::sockopt::set_tcp_cork;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::backend::{Answer, Request, read_request};
use super::reserved::Reserved;
use super::wait::within;

/// What is done after a request was read.
pub enum Act {
    /// It is answered, and the connection goes on.
    Answer(Answer),
    /// It is answered, and the connection closed without a word of it.
    AnswerAndClose(Answer),
    /// The connection is closed.
    Close,
}

enum Order {
    Die(oneshot::Sender<()>),
    Live(oneshot::Sender<()>),
}

/// See the module. It lives at first.
pub struct Mortal {
    pub address: SocketAddr,
    ids: blocking::Receiver<String>,
    seen: RefCell<HashMap<String, u32>>,
    orders: mpsc::UnboundedSender<Order>,
}

impl Mortal {
    /// A backend that acts by a function, and closes connections that were idle for so long.
    pub fn new(idle: Duration, handler: impl Fn(&Request) -> Act + Send + 'static) -> Mortal {
        // Nobody else is to have the port while it is dead.
        let port = Reserved::new();
        let address = port.address;
        let listener = listen(&port);
        let (tell, ids) = blocking::channel();
        let (orders, received) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let tasks = tokio::task::LocalSet::new();
            let life = Rc::new(Life { idle, handler: Box::new(handler), tell });
            tasks.block_on(&runtime.expect("a runtime"), live(listener, port, life, received));
        });
        Mortal { address, ids, seen: RefCell::default(), orders }
    }

    /// Closes the port and all connections; what is under way is broken off.
    pub async fn die(&self) {
        self.order(Order::Die).await;
    }

    /// Listens again.
    pub async fn live(&self) {
        self.order(Order::Live).await;
    }

    async fn order(&self, order: impl FnOnce(oneshot::Sender<()>) -> Order) {
        let (done, wait) = oneshot::channel();
        assert!(self.orders.send(order(done)).is_ok(), "it runs");
        within("the backend to obey", wait).await.expect("it runs");
    }

    /// How often each request was seen.
    pub fn seen(&self) -> HashMap<String, u32> {
        let seen = self.take_seen();
        self.seen.replace(seen.clone());
        seen
    }

    /// The same, and begins to count anew: for a run that is long.
    pub fn take_seen(&self) -> HashMap<String, u32> {
        let mut seen = self.seen.take();
        for id in self.ids.try_iter() {
            *seen.entry(id).or_default() += 1;
        }
        seen
    }
}

struct Life {
    idle: Duration,
    handler: Box<dyn Fn(&Request) -> Act>,
    tell: blocking::Sender<String>,
}

fn listen(port: &Reserved) -> std::net::TcpListener {
    let listener = port.listen();
    listener.set_nonblocking(true).expect("a socket");
    listener
}

async fn live(
    first: std::net::TcpListener,
    port: Reserved,
    life: Rc<Life>,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let mut next = Some(first);
    loop {
        let listener = next.take().unwrap_or_else(|| listen(&port));
        let listener = TcpListener::from_std(listener).expect("a listener");
        let mut connections = JoinSet::new();
        let done = loop {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Die(done)) => break done,
                    Some(Order::Live(done)) => done.send(()).unwrap_or_default(),
                    None => return,
                },
                accepted = listener.accept() => {
                    let Ok((stream, _)) = accepted else { continue };
                    let life = Rc::clone(&life);
                    connections.spawn_local(async move { serve(stream, &life).await });
                }
                Some(_) = connections.join_next() => {}
            }
        };
        drop(listener);
        connections.shutdown().await;
        let _ = done.send(());
        loop {
            match orders.recv().await {
                Some(Order::Live(done)) => {
                    next = Some(listen(&port));
                    let _ = done.send(());
                    break;
                }
                Some(Order::Die(done)) => drop(done.send(())),
                None => return,
            }
        }
    }
}

async fn serve(mut stream: TcpStream, life: &Life) {
    let _ = stream.set_nodelay(true);
    let mut kept = Vec::new();
    let mut is_new = true;
    loop {
        // Idle is who has been answered, until a byte of the next request is there: however long
        // that one then takes.
        if !is_new && kept.is_empty() {
            let mut byte = [0];
            let more = tokio::time::timeout(life.idle, stream.peek(&mut byte));
            if !matches!(more.await, Ok(Ok(1))) {
                return;
            }
        }
        is_new = false;
        let Some(request) = read_request(&mut stream, &mut kept, 0).await else { return };
        if let Some(id) = request.header("x-id") {
            let _ = life.tell.send(id.to_owned());
        }
        let (answer, close) = match (life.handler)(&request) {
            Act::Answer(answer) => (answer, false),
            Act::AnswerAndClose(answer) => (answer, true),
            Act::Close => return,
        };
        // The end leaves together with the last of the answer: who reads the answer can see it.
        let _ = close.then(|| set_tcp_cork(&stream, true));
        if stream.write_all(&answer.bytes()).await.is_err() || close {
            return;
        }
    }
}
