//! Tells backends that a held request has ended: gone links (specification, GRIP 3.5), retried, a
//! bounded number at once, and flushed when the shard stops.
//!
//! `holds` puts down whom to tell; `hold` and `repeat` tell at once before a request is made again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::BodyExt;
use tokio::sync::Notify;
use url::Url;

use super::held::Held;
use crate::asking::errand::{self, Errand, ErrandError, Home};
use crate::clock::{self, Tick};
use crate::forward::shared::Shared;
use crate::limits::{ERRAND_RETRIES_MAX, GONE_AT_ONCE_MAX, GONE_WAITING_MAX};

/// Why a backend was not told.
#[derive(Debug, thiserror::Error)]
pub enum GoneError {
    /// It could not be asked.
    #[error(transparent)]
    Errand(#[from] ErrandError),
    /// It says that it could not take it.
    #[error("status {0}")]
    Status(u16),
}

/// Tells once.
///
/// # Errors
/// When the backend did not say that it has heard.
pub async fn tell(shared: &Shared, home: &Home, url: &str) -> Result<(), GoneError> {
    let parsed =
        Url::parse(url).map_err(|_| ErrandError::Url(url.to_owned(), "it does not parse"))?;
    let errand = Errand {
        method: Method::POST,
        url: &parsed,
        lasts: &[],
        headers: HeaderMap::new(),
        body: Bytes::new(),
    };
    shared.stats.gone_requests.inc();
    let asked = errand::run(shared, home, errand).await;
    let told = asked.map_err(GoneError::from).and_then(|answer| match answer.status() {
        status if status.is_success() => Ok(answer),
        status => Err(GoneError::Status(status.as_u16())),
    });
    match told {
        Ok(answer) => {
            tracing::info!("POST {url} code={}", answer.status().as_u16());
            // Read, so that the connection can be used again; what it says is of no use.
            let mut body = answer.into_body();
            while let Some(Ok(_)) = body.frame().await {}
            Ok(())
        }
        Err(error) => {
            tracing::info!("POST {url} error");
            tracing::debug!(url, %error, "a backend was not told that a request is gone");
            shared.stats.gone_failures.inc();
            Err(error)
        }
    }
}

/// How long to wait before a request is made again that has failed so often before, in
/// milliseconds: a second, then twice as long each time, and up to a second more.
#[must_use]
pub fn back_off_ms(failures: u32) -> u64 {
    (1000_u64 << failures.min(16)) + fastrand::u64(0..=999)
}

/// Somebody to be told.
struct Call {
    home: Rc<Home>,
    url: Rc<str>,
    failures: u32,
}

/// Who is to be told.
pub struct Gone {
    held: Rc<Held>,
    /// By when, and in the order of coming.
    waiting: RefCell<BTreeMap<(Tick, u64), Call>>,
    under_way: Cell<usize>,
    next: Cell<u64>,
    driving: Cell<bool>,
    stopping: Cell<bool>,
    changed: Notify,
    idle: RefCell<Option<Rc<dyn Fn()>>>,
}

impl Gone {
    /// Nobody yet.
    #[must_use]
    pub fn new(held: Rc<Held>) -> Rc<Gone> {
        Rc::new(Gone {
            held,
            waiting: RefCell::default(),
            under_way: Cell::new(0),
            next: Cell::new(0),
            driving: Cell::new(false),
            stopping: Cell::new(false),
            changed: Notify::new(),
            idle: RefCell::default(),
        })
    }

    /// A hold with this gone link has ended.
    pub fn ended(self: &Rc<Gone>, home: Rc<Home>, url: Rc<str>) {
        let delay_ms = self.held.shared.settings.gone_delay_ms;
        let delay_ms = if self.stopping.get() { 0 } else { delay_ms };
        self.put(Call { home, url, failures: 0 }, delay_ms);
    }

    fn put(self: &Rc<Gone>, call: Call, delay_ms: u64) {
        if self.waiting.borrow().len() >= GONE_WAITING_MAX {
            self.held.shared.stats.gone_dropped.inc();
            tracing::debug!(url = %call.url, "too many gone requests wait: one is left out");
            return;
        }
        let number = self.next.replace(self.next.get().wrapping_add(1));
        let due = clock::now().plus_ms(delay_ms);
        self.waiting.borrow_mut().insert((due, number), call);
        self.changed.notify_one();
        if !self.driving.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).drive());
        }
    }

    /// Starts what is due, until nothing waits.
    async fn drive(self: Rc<Gone>) {
        loop {
            let first = self.waiting.borrow().first_key_value().map(|((due, _), _)| *due);
            let Some(due) = first else { break };
            let busy = self.under_way.get() >= GONE_AT_ONCE_MAX;
            if !busy && due <= clock::now() {
                self.start_first();
                continue;
            }
            tokio::select! {
                () = self.changed.notified() => {}
                () = clock::sleep_until(due), if !busy => {}
            }
        }
        self.driving.set(false);
        self.tell_idle();
    }

    fn start_first(self: &Rc<Gone>) {
        let Some((_, call)) = self.waiting.borrow_mut().pop_first() else { return };
        let stats = &self.held.shared.stats;
        if call.failures == 0 && self.held.is_held(&call.url) {
            stats.gone_withdrawn.inc();
            tracing::debug!(url = %call.url, "a client came back: its gone link is not told");
            return;
        }
        self.under_way.set(self.under_way.get() + 1);
        let gone = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let told = tell(&gone.held.shared, &call.home, &call.url).await;
            gone.under_way.set(gone.under_way.get() - 1);
            if told.is_err() && call.failures < ERRAND_RETRIES_MAX {
                gone.held.shared.stats.gone_retries.inc();
                let delay_ms = back_off_ms(call.failures);
                gone.put(Call { failures: call.failures + 1, ..call }, delay_ms);
            }
            gone.changed.notify_one();
            gone.tell_idle();
        });
    }

    fn tell_idle(&self) {
        if self.is_idle()
            && let Some(tell) = &*self.idle.borrow()
        {
            tell();
        }
    }

    /// Whether nobody waits to be told.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.under_way.get() == 0 && self.waiting.borrow().is_empty()
    }

    /// The shard stops: nobody's return is waited for any more. `idle` is called when all have been
    /// told.
    pub fn flush(&self, idle: Rc<dyn Fn()>) {
        self.stopping.set(true);
        *self.idle.borrow_mut() = Some(idle);
        let mut waiting = self.waiting.borrow_mut();
        for ((_, number), call) in std::mem::take(&mut *waiting) {
            waiting.insert((clock::now(), number), call);
        }
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::tests::{Company, context, route, run};

    #[test]
    fn waits_grow() {
        for (failures, least) in [(0, 1000), (1, 2000), (4, 16_000), (u32::MAX, 65_536_000)] {
            let ms = back_off_ms(failures);
            assert!((least..least + 1000).contains(&ms), "{failures}: {ms}");
        }
    }

    #[test]
    fn beyond_the_bound_they_are_left_out_and_counted() {
        run(async {
            let company = Company::with(|settings| settings.gone_delay_ms = 60_000);
            let held = Rc::new(Held::new(company.shared.clone()));
            let home = held.home(&context("/", None), &route("* 127.0.0.1:1"), 0);
            let gone = Gone::new(held);
            for _ in 0..GONE_WAITING_MAX + 2 {
                gone.ended(Rc::clone(&home), "http://127.0.0.1:1/gone".into());
            }
            assert_eq!(company.shared.stats.gone_dropped.get(), 2);
            assert!(!gone.is_idle());
        });
    }
}
