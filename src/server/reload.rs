//! Routes at the start, and again whenever their file changes or SIGHUP comes (specification,
//! routing 2.1).
//!
//! A task of the control thread. A file that changes is read a while later, and once it is no
//! longer written to; SIGHUP has it read at once. Reading and freeing tables of a hundred thousand
//! routes takes a while and is done beside that thread, which serves publishers. All shards get the
//! new table together; requests under way keep the route that they have. A file with an error, or
//! none, leaves the table as it is.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::Notify;

use super::file_watch::{Seen, Stamp, Watch};
use crate::clock;
use crate::config::problem::Problem;
use crate::config::routes::{self, Loaded};
use crate::config::settings::{RoutesFrom, Settings};
use crate::limits;
use crate::route::Table;
use crate::shard::mailbox::{Command, Mailbox};
use crate::stats::Stats;

/// The routes to begin with.
pub struct Beginning {
    /// The table.
    pub table: Arc<Table>,
    /// How their file was found, if there is one.
    seen: Option<Seen>,
}

/// Reads the routes. Mistakes are logged, and prevent the start when they must. A file that cannot
/// be read leaves no routes, as in Pushpin.
pub fn begin(settings: &Settings, problems: &mut Vec<Problem>) -> Option<Beginning> {
    let (loaded, seen) = match &settings.routes {
        RoutesFrom::Compiled => {
            let table = routes::compiled();
            tracing::info!("{} routes, compiled in", table.routes().len());
            for reason in routes::unusable(&table) {
                tracing::warn!("{reason}");
            }
            return Some(Beginning { table: Arc::new(table), seen: None });
        }
        RoutesFrom::Lines(lines) => (routes::from_lines(lines.iter().map(String::as_str)), None),
        RoutesFrom::File(path) => {
            let (seen, bytes) = Seen::read(path);
            let loaded = match bytes {
                Ok(bytes) => routes::read(path, &bytes),
                Err(error) if settings.strict => {
                    let place = path.display().to_string();
                    problems.push(Problem::of(place, format!("cannot read the routes: {error}")));
                    return None;
                }
                Err(error) => {
                    tracing::warn!(%error, "unable to open routes file: {}", path.display());
                    Loaded::default()
                }
            };
            (loaded, Some(seen))
        }
    };
    if settings.strict && !loaded.problems.is_empty() {
        problems.push(Problem::of("--strict", format!("\n{}", loaded.report())));
        return None;
    }
    for text in loaded.log_texts() {
        tracing::warn!("{text}");
    }
    tracing::info!("routes loaded with {} entries", loaded.table.routes().len());
    Some(Beginning { table: Arc::new(loaded.table), seen })
}

/// Keeps the shards' routes as their file has them.
pub struct Reload {
    watch: Watch,
    delay_ms: u64,
    strict: bool,
    mailboxes: Vec<Mailbox>,
    stats: Rc<Stats>,
    /// What the shards have.
    table: Arc<Table>,
    /// What they may still be about to leave.
    former: Vec<Arc<Table>>,
}

impl Reload {
    /// For a process that began so; `None` if its routes come from no file.
    #[must_use]
    pub fn new(
        settings: &Settings,
        beginning: Beginning,
        mailboxes: &[Mailbox],
        stats: Rc<Stats>,
    ) -> Option<Reload> {
        let (RoutesFrom::File(file), Some(seen)) = (&settings.routes, beginning.seen) else {
            return None;
        };
        Some(Reload {
            watch: Watch::new(file.clone(), seen),
            delay_ms: settings.reload_delay_ms,
            strict: settings.strict,
            mailboxes: mailboxes.to_vec(),
            stats,
            table: beginning.table,
            former: Vec::new(),
        })
    }

    /// Does so for ever. `at_once` has the file read without delay, changed or not, and `done` says
    /// when that was.
    pub async fn run(mut self, at_once: Rc<Notify>, done: Rc<Notify>) {
        loop {
            let asked = tokio::select! {
                () = at_once.notified() => true,
                () = self.change() => false,
            };
            self.load().await;
            if asked {
                done.notify_one();
            }
        }
    }

    /// Waits until the file has changed and is to be read.
    async fn change(&mut self) {
        self.watch.news().await;
        tracing::info!("routes file changed, reloading");
        // What is half written is not to come into force. Who goes on writing for long is read in
        // the middle of it all the same, and once more afterwards.
        let settle_ms = limits::RELOAD_SETTLE_MS.min(self.delay_ms);
        clock::sleep_ms(self.delay_ms - settle_ms).await;
        for _ in 0..=self.delay_ms / settle_ms.max(1) {
            let before = Stamp::of(self.watch.file());
            clock::sleep_ms(settle_ms).await;
            if Stamp::of(self.watch.file()) == before {
                return;
            }
        }
    }

    /// Reads the file, and has the shards go by it if it can serve.
    async fn load(&mut self) {
        let file = self.watch.file().to_owned();
        let name = file.display().to_string();
        let read = tokio::task::spawn_blocking(move || read(&file)).await;
        let Ok((seen, loaded)) = read else { return };
        self.watch.saw(seen);
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => {
                self.stats.routes_refused.inc();
                tracing::warn!(%error, "unable to open routes file: {name}");
                return;
            }
        };
        for text in loaded.log_texts() {
            tracing::warn!("{text}");
        }
        if loaded.has_errors() || self.strict && !loaded.problems.is_empty() {
            self.stats.routes_refused.inc();
            tracing::warn!("{name} cannot serve as it is: the routes in use stay");
            return;
        }
        let entries = loaded.table.routes().len();
        self.swap(Arc::new(loaded.table)).await;
        self.stats.routes_loaded.inc();
        tracing::info!("routes loaded with {entries} entries");
    }

    /// Gives the table to all shards: only when each has a place for it, so all have it at once.
    async fn swap(&mut self, table: Arc<Table>) {
        let mut slots = Vec::with_capacity(self.mailboxes.len());
        for mailbox in &self.mailboxes {
            // A shard that has ended needs no routes.
            slots.extend(mailbox.reserve(0).await.ok());
        }
        for slot in slots {
            slot.fill(Command::Routes(Arc::clone(&table)));
        }
        self.former.push(std::mem::replace(&mut self.table, table));
        // A shard that has been slow leaves a table at the next change.
        let (kept, left) = self.former.drain(..).partition(|table| Arc::strong_count(table) > 1);
        self.former = kept;
        free(left);
    }
}

fn read(file: &Path) -> (Seen, std::io::Result<Loaded>) {
    let (seen, bytes) = Seen::read(file);
    (seen, bytes.map(|bytes| routes::read(file, &bytes)))
}

/// Frees tables elsewhere.
fn free(tables: Vec<Arc<Table>>) {
    if !tables.is_empty() {
        drop(tokio::task::spawn_blocking(move || drop(tables)));
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Weak;

    use super::*;
    use crate::shard::mailbox::mailbox;

    #[test]
    fn ten_thousand_tables_come_and_go() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (mailboxes, mut inboxes): (Vec<_>, Vec<_>) = (0..2).map(|_| mailbox()).unzip();
            let file = PathBuf::from("/nonexistent/routes");
            let mut reload = Reload {
                watch: Watch::new(file.clone(), Seen::read(&file).0),
                delay_ms: 1,
                strict: false,
                mailboxes,
                stats: Rc::default(),
                table: Arc::default(),
                former: Vec::new(),
            };
            let mut shards = vec![Arc::default(); inboxes.len()];
            let mut known: Vec<Weak<Table>> = Vec::new();
            for number in 0..10_000 {
                let table = Arc::new(Table::parse(format!("h{number} a:1").as_bytes()).0);
                known.push(Arc::downgrade(&table));
                reload.swap(table).await;
                for (inbox, shard) in inboxes.iter_mut().zip(&mut shards) {
                    let Some(Command::Routes(table)) = inbox.try_recv() else { panic!("none") };
                    *shard = table;
                }
                assert!(reload.former.len() <= 1);
            }
            assert_eq!(shards[0].routes().next().unwrap().to_string(), "h9999 a:1");
            // Freed on another thread, which may not have come to it yet.
            while known.iter().filter(|table| table.strong_count() > 0).count() > 2 {
                tokio::task::yield_now().await;
            }
        });
    }
}
