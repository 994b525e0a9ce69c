//! Active health: targets that name a path with `check` are asked for it now and then.
//!
//! Begun by the roof whenever the routes are set. Each shard checks for itself, because each knows
//! by itself who is ill. Of targets without `check` nothing is asked.

use std::rc::{Rc, Weak};

use http::{HeaderMap, Method};
use tokio::task::{JoinHandle, JoinSet};

use crate::backend::unwell::Check;
use crate::clock;
use crate::forward::context::Context;
use crate::forward::outgoing;
use crate::forward::shared::Shared;
use crate::limits::{HEALTH_CHECK_MS, HEALTH_CHECKS_AT_ONCE};
use crate::route::target::{Address, Target};
use crate::route::{Route, Table};
use crate::session::socket::Form;
use crate::wire::http1::Version;

/// Checks that go on until this is dropped.
pub struct Checks(JoinHandle<()>);

impl Checks {
    /// Begins with the checks of these routes' targets; `None` if there is nothing to check. Must
    /// be called on a shard.
    #[must_use]
    pub fn begin(shared: &Rc<Shared>, table: &Table) -> Option<Checks> {
        let checks = all(table);
        let made = shared.backend.settings().check_interval_ms > 0;
        shared.backend.health().set_checks(if made { &checks } else { &[] });
        if checks.is_empty() || !made {
            return None;
        }
        Some(Checks(tokio::task::spawn_local(run(Rc::downgrade(shared), checks))))
    }
}

impl Drop for Checks {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is to be checked, each once.
fn all(table: &Table) -> Vec<Rc<Check>> {
    let mut checks: Vec<Rc<Check>> = Vec::new();
    for route in table.routes() {
        for target in &*route.targets {
            let Some(check) = of(route, target) else {
                if target.check.is_some() && target.address != Address::Test {
                    let line = route.line;
                    tracing::warn!(line, "the check of {target} is not a path: it is not made");
                }
                continue;
            };
            if !checks.iter().any(|known| **known == check) {
                checks.push(Rc::new(check));
            }
        }
    }
    checks
}

/// The check of one target; `None` if it has none, or none that can be made.
pub fn of(route: &Route, target: &Target) -> Option<Check> {
    let path = target.check.as_deref()?;
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let host = match &target.address {
        Address::Tcp(host, port) => format!("{host}:{port}"),
        Address::Unix(_) => "localhost".to_owned(),
        Address::Test => return None,
    };
    // What clients ask for, if all ask for the same; else the target as it is.
    let named = route.condition.host.as_deref().filter(|host| !host.contains('*'));
    let context = Context {
        peer: None,
        secure: false,
        method: Method::GET,
        host: named.map_or(host, str::to_owned).into(),
        path: path.into(),
        query: None,
        headers: Rc::new(HeaderMap::new()),
        version: Version::Http11,
        websocket: false,
        trusted: false,
        form: Form::default(),
    };
    let (host, port) = outgoing::url_host(&context, route, target);
    let to = outgoing::destination(target, &host).ok()?.to_destination();
    let authority = outgoing::authority(&host, port).ok()?.to_vec();
    Some(Check { to: Rc::new(to), authority, path: path.to_owned() })
}

async fn run(shared: Weak<Shared>, checks: Vec<Rc<Check>>) {
    loop {
        let Some(strong) = shared.upgrade() else { return };
        let interval_ms = strong.backend.settings().check_interval_ms;
        let began = clock::now();
        round(&strong, &checks, interval_ms.min(HEALTH_CHECK_MS)).await;
        drop(strong);
        // Workers drift apart: they do not all ask at once.
        let random_ms = fastrand::u64(..=interval_ms / 10);
        clock::sleep_until(began.plus_ms(interval_ms.saturating_add(random_ms))).await;
    }
}

/// Makes each check once, some at a time.
async fn round(shared: &Rc<Shared>, checks: &[Rc<Check>], within_ms: u64) {
    let mut under_way = JoinSet::new();
    for check in checks {
        if under_way.len() >= HEALTH_CHECKS_AT_ONCE {
            under_way.join_next().await;
        }
        let (backend, check) = (shared.backend.clone(), Rc::clone(check));
        under_way.spawn_local(async move { backend.check(&check, within_ms).await });
    }
    while under_way.join_next().await.is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checks(lines: &str) -> Vec<(String, String, String)> {
        let (table, problems) = Table::parse(lines.as_bytes());
        assert!(problems.is_empty(), "{problems:?}");
        let text = |check: &Rc<Check>| {
            let tls = check.to.tls.as_ref().map_or("", |tls| &tls.name);
            let authority = String::from_utf8_lossy(&check.authority).into_owned();
            (format!("{} {tls}", check.to), authority, check.path.clone())
        };
        all(&table).iter().map(text).collect()
    }

    #[test]
    fn each_target_that_says_so_is_checked_once() {
        let found = checks(
            "* a:1,check=/up b:2\n*,path_beg=/x a:1,check=/up a:1,check=/other\n\
             c.example a:1,check=/up d:443,ssl,check=/up test,check=/up\n\
             *,path_beg=/y d:443,ssl,host=e.example,check=/up",
        );
        let expected = [
            ("a:1 ", "a:1", "/up"),
            ("a:1 ", "a:1", "/other"),
            ("a:1 ", "c.example", "/up"),
            ("d:443 c.example", "c.example", "/up"),
            ("d:443 e.example", "e.example", "/up"),
        ];
        let expected = expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(found, expected);
    }
}
