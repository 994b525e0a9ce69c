//! Connecting to a name that has several addresses: they are tried in order, but nobody waits long
//! for one while others are left (RFC 8305, 4 and 5).
//!
//! Called by `connect`. The next address is begun with when an attempt has failed, or has said
//! nothing for a moment; the first connection that is made is used, and the other attempts are
//! given up. There are never more of them than the resolver gives addresses. What leads nowhere is
//! remembered, so that later connections do not begin with it.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::net::TcpStream;

use super::detours::Detours;
use super::error::{Error, Kind, Stage};
use crate::clock::{self, Tick};
use crate::limits::BACKEND_NEXT_ADDRESS_MS;

type Connecting = Pin<Box<dyn Future<Output = io::Result<TcpStream>>>>;

/// A connection, and how many addresses before its own were of no use.
pub struct Won {
    /// The connection.
    pub stream: TcpStream,
    /// Addresses before it that failed, or had not answered yet.
    pub passed_over: usize,
}

/// Connects to one of these addresses, before `deadline`.
///
/// # Errors
/// What the last one failed of; that the time is up, if one had not answered then.
pub async fn connect(
    addresses: &[SocketAddr],
    detours: &Detours,
    deadline: Tick,
) -> Result<Won, Error> {
    if let [address] = addresses {
        // Mostly there is one: it needs no race.
        let connecting = pin!(TcpStream::connect(*address));
        return tokio::select! {
            biased;
            connected = connecting => connected
                .map(|stream| Won { stream, passed_over: 0 })
                .map_err(|error| Error::from_connect(&error, address)),
            () = clock::sleep_until(deadline) => Err(silent(&[*address])),
        };
    }
    let mut order = alternating(addresses);
    detours.put_last(order.make_contiguous(), clock::now());
    let mut race = Race { left: order.clone(), under_way: Vec::new(), last: None };
    loop {
        let now = clock::now();
        race.begin_next();
        if race.is_over() {
            break;
        }
        // Whoever is left has its turn, however short the time is.
        let share_ms = deadline.ms_since(now) / (race.left.len() as u64).saturating_add(1);
        let patience_ms = match race.left.len() {
            0 => deadline.ms_since(now),
            _ => share_ms.min(BACKEND_NEXT_ADDRESS_MS),
        };
        tokio::select! {
            biased;
            over = poll_fn(|cx| race.poll(cx)) => {
                // Else one has failed: the next one begins.
                if let Some((answered, stream)) = over {
                    let before = order.iter().take_while(|address| **address != answered);
                    let passed_over: Vec<_> = before.copied().collect();
                    detours.learn(&passed_over, answered, clock::now());
                    return Ok(Won { stream, passed_over: passed_over.len() });
                }
            }
            () = clock::sleep_until(now.plus_ms(patience_ms)) => {
                if clock::now() >= deadline {
                    let under_way: Vec<_> = race.under_way.iter().map(|(at, _)| *at).collect();
                    return Err(silent(&under_way));
                }
            }
        }
    }
    Err(race.last.unwrap_or_else(|| silent(addresses)))
}

/// The addresses of both families by turns, beginning with that of the first: one family that leads
/// nowhere costs one turn (RFC 8305, 4).
fn alternating(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (VecDeque<_>, VecDeque<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first);
    let mut all = VecDeque::with_capacity(addresses.len());
    while !one.is_empty() || !other.is_empty() {
        all.extend(one.pop_front());
        all.extend(other.pop_front());
    }
    all
}

struct Race {
    left: VecDeque<SocketAddr>,
    under_way: Vec<(SocketAddr, Connecting)>,
    last: Option<Error>,
}

impl Race {
    fn begin_next(&mut self) {
        if let Some(address) = self.left.pop_front() {
            self.under_way.push((address, Box::pin(TcpStream::connect(address))));
        }
    }

    fn is_over(&self) -> bool {
        self.left.is_empty() && self.under_way.is_empty()
    }

    /// The first that connects; `None` when one has failed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<(SocketAddr, TcpStream)>> {
        let mut at = 0;
        let mut any = false;
        while let Some((address, connecting)) = self.under_way.get_mut(at) {
            match connecting.as_mut().poll(cx) {
                Poll::Ready(Ok(stream)) => return Poll::Ready(Some((*address, stream))),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%address, %error, "an address of a backend fails");
                    self.last = Some(Error::from_connect(&error, address));
                    let _ = self.under_way.swap_remove(at);
                    any = true;
                }
                Poll::Pending => at = at.saturating_add(1),
            }
        }
        if any { Poll::Ready(None) } else { Poll::Pending }
    }
}

fn silent(addresses: &[SocketAddr]) -> Error {
    let all: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    let detail = format!("{}: no answer in time", all.join(", "));
    Error::new(Stage::Connect, Kind::TimedOut, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::time::Duration;

    /// Addresses where somebody listens, nobody does, and where connections are neither accepted
    /// nor refused.
    fn alive() -> (SocketAddr, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        (listener.local_addr().unwrap(), listener)
    }

    /// It stays bound, so that nobody else listens there.
    fn refusing() -> SocketAddr {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        std::mem::forget(socket);
        address
    }

    fn swallowing() -> (SocketAddr, Vec<std::net::TcpStream>, TcpListener) {
        let (address, listener) = alive();
        rustix::net::listen(&listener, 0).unwrap();
        let wait = Duration::from_millis(200);
        let mut full = Vec::new();
        while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, wait) {
            full.push(stream);
            assert!(full.len() < 64, "the queue is never full");
        }
        (address, full, listener)
    }

    fn raced(addresses: &[SocketAddr], within_ms: u64) -> (Result<(SocketAddr, usize), Kind>, u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let began = clock::now();
            let won = connect(addresses, &Detours::default(), began.plus_ms(within_ms)).await;
            let result = won.map(|won| (won.stream.peer_addr().unwrap(), won.passed_over));
            (result.map_err(|error| error.kind), clock::now().ms_since(began))
        })
    }

    #[test]
    fn the_first_that_is_alive_is_used() {
        let ((one, _one), (two, _two)) = (alive(), alive());
        assert_eq!(raced(&[one], 5_000).0, Ok((one, 0)));
        assert_eq!(raced(&[one, two], 5_000).0, Ok((one, 0)));
        let (result, took_ms) = raced(&[refusing(), refusing(), two], 60_000);
        assert_eq!(result, Ok((two, 2)));
        assert!(took_ms < 30_000, "nobody waits for who refuses: {took_ms} ms");
    }

    #[test]
    fn nobody_waits_long_for_who_is_silent() {
        let (dead, alive) = (swallowing(), alive());
        let (result, took_ms) = raced(&[dead.0, refusing(), alive.0], 60_000);
        assert_eq!(result, Ok((alive.0, 2)));
        assert!(took_ms >= BACKEND_NEXT_ADDRESS_MS, "the first one had its chance: {took_ms} ms");
        assert!(took_ms < 30_000, "{took_ms} ms");
        // However short the time, each has its turn: of 200 ms here, unless this thread has none.
        let many = [[dead.0; 7].as_slice(), &[alive.0]].concat();
        assert!((0..5).any(|_| raced(&many, 1600).0 == Ok((alive.0, 7))));
    }

    #[test]
    fn when_all_fail_it_says_of_what() {
        assert_eq!(raced(&[refusing()], 5_000).0, Err(Kind::Refused));
        assert_eq!(raced(&[refusing(), refusing()], 5_000).0, Err(Kind::Refused));
        let dead = swallowing();
        assert_eq!(raced(&[dead.0], 100).0, Err(Kind::TimedOut));
        assert_eq!(raced(&[refusing(), dead.0], 100).0, Err(Kind::TimedOut));
        assert_eq!(raced(&[], 100).0, Err(Kind::TimedOut));
    }

    #[test]
    fn families_take_turns() {
        let addresses = |text: &str| -> Vec<SocketAddr> {
            text.split(' ').map(|address| address.parse().unwrap()).collect()
        };
        let given = addresses("[::1]:1 [::2]:1 [::3]:1 10.0.0.1:1 10.0.0.2:1");
        let turns = addresses("[::1]:1 10.0.0.1:1 [::2]:1 10.0.0.2:1 [::3]:1");
        assert_eq!(alternating(&given), turns);
        let four = addresses("10.0.0.2:1 10.0.0.1:1");
        assert_eq!(alternating(&four), four);
        assert!(alternating(&[]).is_empty());
    }
}
