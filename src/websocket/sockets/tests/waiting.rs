//! What takes time between a WebSocket and its backend over HTTP: intervals, retries, farewells.
//! Time is moved by hand, the backend is a pipe in memory.

use super::simulation::events;
use super::simulation::peer::{Ask, Peer};
use super::*;
use crate::backend::memory;

const NOTHING: &str = "";

struct Scene {
    company: Company,
    sockets: Rc<Sockets>,
    peer: Peer,
}

impl Scene {
    fn new(disconnects_max: usize) -> Scene {
        let company = Company::with(|settings| settings.disconnects_max = disconnects_max);
        let sockets = Sockets::new(Rc::clone(&company.shared));
        let mut peer = Peer::new();
        peer.up();
        Scene { company, sockets, peer }
    }

    /// Everybody goes on until nobody can.
    async fn settle(&self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
            while let Some(effect) = self.company.shared.hub.with(|registry| registry.poll_effect())
            {
                self.sockets.effect(&effect);
            }
        }
    }

    async fn pass(&self, ms: u64) {
        // In small steps: each may set the next timer.
        for _ in 0..ms / 100 {
            clock::by_hand::advance(100);
            self.company.shared.hub.tick(clock::now());
            self.settle().await;
        }
    }

    /// Nothing is asked for so long, then this.
    async fn asked_after(&mut self, ms: u64) -> Ask {
        self.settle().await;
        if ms > 0 {
            self.pass(ms - 100).await;
            assert!(self.peer.next().is_none(), "too early");
            self.pass(100).await;
        }
        self.peer.next().expect("it is asked")
    }

    async fn stays_silent(&mut self, ms: u64) {
        self.pass(ms).await;
        assert!(self.peer.next().is_none());
    }

    fn opening(&self) -> tokio::task::JoinHandle<Outcome> {
        let (sockets, route) = (Rc::clone(&self.sockets), route(&line()));
        tokio::task::spawn_local(async move { open(&sockets, context("/ws", None), route).await })
    }

    async fn opened(&mut self) -> SessionId {
        let opening = self.opening();
        self.asked_after(0).await.answer(events("", OPEN));
        let id = accepted(opening.await.unwrap()).park();
        self.settle().await;
        id
    }

    fn leaves(&self, id: SessionId) {
        self.company.shared.hub.close(id);
        self.sockets.gone(id);
    }
}

fn line() -> String {
    format!("* {}:1,over_http", memory::HOST)
}

fn by_hand(test: impl AsyncFnOnce()) {
    clock::by_hand::take();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test());
}

fn text(ask: &Ask) -> &str {
    std::str::from_utf8(&ask.body).unwrap()
}

#[test]
fn a_backend_may_let_a_client_wait() {
    by_hand(async || {
        let mut scene = Scene::new(9);
        let opening = scene.opening();
        // One second is less than the least.
        let ask = scene.asked_after(0).await;
        ask.answer(events("Keep-Alive-Interval: 1\r\n", NOTHING));
        let ask = scene.asked_after(20_000).await;
        assert_eq!(text(&ask), OPEN);
        ask.answer(events("Keep-Alive-Interval: 30\r\n", NOTHING));
        let ask = scene.asked_after(30_000).await;
        // It stays as it was said last, also when the client has been accepted.
        ask.answer(events("", OPEN));
        let id = accepted(opening.await.unwrap()).park();
        let ask = scene.asked_after(30_000).await;
        assert_eq!((text(&ask), &*ask.headers["content-length"]), ("", "0"));
        ask.answer(events("Keep-Alive-Interval: 0\r\n", NOTHING));
        scene.stays_silent(100_000).await;
        scene.leaves(id);
        assert_eq!(text(&scene.asked_after(0).await), "DISCONNECT\r\n");
    });
}

#[test]
fn a_client_that_leaves_while_it_is_let_wait_is_told_of_to_nobody() {
    by_hand(async || {
        let mut scene = Scene::new(9);
        let opening = scene.opening();
        let ask = scene.asked_after(0).await;
        ask.answer(events("Keep-Alive-Interval: 20\r\n", NOTHING));
        scene.settle().await;
        opening.abort();
        scene.stays_silent(100_000).await;
    });
}

#[test]
fn the_interval_runs_from_the_last_answer() {
    by_hand(async || {
        let mut scene = Scene::new(9);
        let opening = scene.opening();
        let ask = scene.asked_after(0).await;
        ask.answer(events("Keep-Alive-Interval: 20\r\n", OPEN));
        let id = accepted(opening.await.unwrap()).park();
        scene.stays_silent(15_000).await;
        scene.sockets.received(id, &from_client(Opcode::Text, b"x"));
        let ask = scene.asked_after(0).await;
        scene.stays_silent(60_000).await;
        ask.answer(events("", NOTHING));
        let ask = scene.asked_after(20_000).await;
        assert_eq!(text(&ask), "");
        ask.answer(events("", NOTHING));
        // A CLOSE that is not answered is told again.
        scene.settle().await;
        scene.sockets.received(id, &from_client(Opcode::Close, b""));
        for wait in [0, 20_000, 20_000] {
            let ask = scene.asked_after(wait).await;
            assert_eq!(text(&ask), "CLOSE\r\n");
            ask.answer(events("", NOTHING));
        }
        let ask = scene.asked_after(20_000).await;
        ask.answer(events("", "CLOSE 2\r\n\x0f\x0f\r\n"));
        scene.settle().await;
        let (frames, _) = scene.company.clients.borrow_mut().take(id);
        assert_eq!(frames, b"\x88\x02\x0f\x0f");
        scene.stays_silent(60_000).await;
    });
}

#[test]
fn a_backend_that_stays_away_is_given_up() {
    by_hand(async || {
        let mut scene = Scene::new(9);
        let id = scene.opened().await;
        scene.peer.down();
        scene.sockets.received(id, &from_client(Opcode::Text, b"x"));
        let retries = |scene: &Scene| scene.company.shared.stats.events_retries.get();
        // Each a second at most later than twice the time of the last.
        for (made, ms) in [(1, 0), (2, 2000), (3, 3000), (4, 5000), (5, 9000)] {
            scene.pass(ms).await;
            scene.settle().await;
            assert_eq!(retries(&scene), made);
        }
        let finished = |scene: &Scene| scene.company.clients.borrow_mut().client(id).finished;
        assert_eq!(finished(&scene), None);
        scene.pass(17_000).await;
        assert_eq!((retries(&scene), finished(&scene)), (5, Some(Then::Close)));
        assert_eq!(scene.company.clients.borrow_mut().take(id).0, b"", "no CLOSE frame");
        scene.peer.up();
        scene.leaves(id);
        scene.stays_silent(60_000).await;
        assert!(scene.sockets.is_empty());
    });
}

#[test]
fn so_many_backends_are_told_at_once_that_clients_are_gone() {
    by_hand(async || {
        let mut scene = Scene::new(2);
        let mut ids = Vec::new();
        for _ in 0..3 {
            ids.push(scene.opened().await);
        }
        ids.into_iter().for_each(|id| scene.leaves(id));
        let first = scene.asked_after(0).await;
        let second = scene.asked_after(0).await;
        assert_eq!([text(&first), text(&second)], ["DISCONNECT\r\n"; 2]);
        scene.stays_silent(1000).await;
        assert_eq!(scene.company.shared.stats.disconnects_dropped.get(), 1);
        first.answer(events("", NOTHING));
        let id = scene.opened().await;
        scene.leaves(id);
        assert_eq!(text(&scene.asked_after(0).await), "DISCONNECT\r\n");
        assert_eq!(scene.company.shared.stats.disconnects_dropped.get(), 1);
    });
}

#[test]
fn what_cannot_be_accepted_is_offered_a_few_times_then_the_client_is_dropped() {
    by_hand(async || {
        let mut scene = Scene::new(9);
        let id = scene.opened().await;
        scene.sockets.received(id, &from_client(Opcode::Text, b"abc"));
        let ask = scene.asked_after(0).await;
        ask.answer(events("Content-Bytes-Accepted: 0\r\n", NOTHING));
        scene.stays_silent(10_000).await;
        scene.sockets.received(id, &from_client(Opcode::Close, b""));
        for wait in [0, 1000, 1000, 1000, 1000, 1000] {
            let ask = scene.asked_after(wait).await;
            assert_eq!(text(&ask), "TEXT 3\r\nabc\r\nCLOSE\r\n");
            assert_eq!(ask.headers["content-bytes-replayed"], "3");
            ask.answer(events("Content-Bytes-Accepted: 0\r\n", NOTHING));
        }
        let ask = scene.asked_after(0).await;
        assert_eq!(text(&ask), "DISCONNECT\r\n");
        ask.answer(events("", NOTHING));
        scene.settle().await;
        assert_eq!(scene.company.clients.borrow_mut().client(id).finished, Some(Then::Close));
        assert_eq!(scene.company.clients.borrow_mut().take(id).0, b"", "no CLOSE frame");
        scene.stays_silent(10_000).await;
    });
}
