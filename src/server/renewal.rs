//! TLS towards clients as its files have it: certificates that are replaced come into force while
//! others are served (specification, routing 9.2), and one that ends is told of before it does.
//!
//! A task of the control thread. It looks once a second, or at once after SIGHUP; reading is done
//! beside that thread, once for all shards, and each gets the same. Connections are not touched.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use hashbrown::HashMap;
use tokio::sync::Notify;

use crate::clock;
use crate::shard::mailbox::{Command, Mailbox};
use crate::stats::Stats;
use crate::tls::Edge;
use crate::tls::server::News;
use crate::tls::validity::{Standing, Validity};

/// How often the files are looked at, in milliseconds.
const LOOK_MS: u64 = 1000;
/// A folder that takes long to look through is looked at so rarely that this part of the time, at
/// most, is spent on it.
const LOOK_PART: u64 = 50;

/// See the module.
pub struct Renewal {
    edge: Edge,
    mailboxes: Vec<Mailbox>,
    stats: Rc<Stats>,
    /// How each certificate stood when that was last told.
    told: HashMap<PathBuf, (Validity, Standing)>,
}

impl Renewal {
    /// For a process that began so.
    #[must_use]
    pub fn new(edge: Edge, mailboxes: &[Mailbox], stats: Rc<Stats>) -> Renewal {
        Renewal { edge, mailboxes: mailboxes.to_vec(), stats, told: HashMap::new() }
    }

    /// Does so for ever.
    pub async fn run(mut self, at_once: Rc<Notify>) {
        let mut pause_ms = LOOK_MS;
        loop {
            self.tell_of_ends();
            tokio::select! {
                () = at_once.notified() => {}
                () = clock::sleep_ms(pause_ms) => {}
            }
            let edge = self.edge.clone();
            let begun = clock::now();
            let looked = tokio::task::spawn_blocking(move || edge.refresh()).await;
            pause_ms = clock::now().ms_since(begun).saturating_mul(LOOK_PART).max(LOOK_MS);
            if let Ok(Some((fresh, news))) = looked {
                news.iter().for_each(|news| self.tell(news));
                self.take_over(fresh).await;
            }
        }
    }

    async fn take_over(&mut self, fresh: Edge) {
        self.edge = fresh;
        let edge = Arc::new(self.edge.clone());
        for mailbox in &self.mailboxes {
            // A shard that has ended does no handshakes.
            if let Ok(slot) = mailbox.reserve(0).await {
                slot.fill(Command::Edge(Arc::clone(&edge)));
            }
        }
    }

    fn tell(&self, news: &News) {
        match news {
            News::Certificate(name) => tracing::info!("certificate {name} read again"),
            News::Authorities => tracing::info!("authorities of clients read again"),
            News::NoCertificate(problem) => {
                tracing::warn!(%problem, "certificate not taken over, the one before stays");
            }
            News::NoAuthorities(problem) => {
                tracing::warn!(%problem, "authorities of clients not taken over");
            }
        }
        match news {
            News::Certificate(_) | News::Authorities => self.stats.certificates_loaded.inc(),
            _ => self.stats.certificates_refused.inc(),
        }
    }

    /// Tells of certificates that end soon or have ended: each once, and again when it is worse.
    fn tell_of_ends(&mut self) {
        let now_s = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
        for (file, validity) in self.edge.certificates.validities() {
            let standing = validity.standing(now_s);
            let told = (validity, standing);
            let before = self.told.get(&file).copied();
            if before == Some(told) || (before.is_none() && standing == Standing::Good) {
                continue;
            }
            if let Some(words) = validity.words(now_s) {
                tracing::warn!("{}: the certificate {words}", file.display());
            }
            self.told.insert(file, told);
        }
    }
}
