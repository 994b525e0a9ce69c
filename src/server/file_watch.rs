//! Tells that a file has changed: written, replaced, removed, made, or reached by other links.
//!
//! Used by `reload`. The folders are watched, not the file, so that none of this is missed: the
//! file's own and that of each link on the way to it, or the nearest one that exists. What is seen
//! there only wakes; the file's state decides. Where the kernel has no watch left, and now and then
//! in any case, the state is looked at without having been woken.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use notify::{RecommendedWatcher, RecursiveMode, Watcher, recommended_watcher};
use tokio::sync::Notify;

use crate::clock;
use crate::limits;

/// Links that are followed on the way to a file.
const LINKS_MAX: usize = 16;
/// A file that was changed so shortly before it was read may have been changed since, and show it
/// by nothing but its content: clocks of file systems tick slowly.
const DOUBT: Duration = Duration::from_millis(50);
/// What happens in so short a time wakes once, in milliseconds.
const GATHER_MS: u64 = 10;

/// What a file's inode says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    place: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// Of what the path leads to; `None` if that is nothing.
    #[must_use]
    pub fn of(path: &Path) -> Option<Stamp> {
        let data = fs::metadata(path).ok()?;
        Some(Stamp {
            place: (data.dev(), data.ino()),
            bytes: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }

    /// Whether a change after this one would surely show.
    fn is_settled(&self) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let since = Duration::new(seconds.unsigned_abs(), nanoseconds.unsigned_abs() as u32);
        let age = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + since);
        age.is_ok_and(|age| age > DOUBT)
    }
}

/// A file as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    stamp: Option<Stamp>,
    content: u64,
    settled: bool,
}

impl Seen {
    /// Reads the file.
    pub fn read(path: &Path) -> (Seen, io::Result<Vec<u8>>) {
        // Before the file is read: what changes meanwhile is news.
        let stamp = Stamp::of(path);
        let settled = stamp.is_none_or(|stamp| stamp.is_settled());
        let bytes = fs::read(path);
        let content = bytes.as_deref().map_or(0, hash);
        (Seen { stamp, content, settled }, bytes)
    }
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// See the module.
pub struct Watch {
    file: PathBuf,
    seen: Seen,
    bell: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    /// Each with its inode: another folder of the same name is watched anew.
    folders: BTreeMap<PathBuf, (u64, u64)>,
    /// The kernel could not watch something.
    blind: bool,
}

impl Watch {
    /// Watches a file that was seen like this.
    #[must_use]
    pub fn new(file: PathBuf, seen: Seen) -> Watch {
        let bell = Arc::new(Notify::new());
        let ring = Arc::clone(&bell);
        let woken = move |event: notify::Result<notify::Event>| {
            // Reading is no change, and we read it ourselves.
            if !matches!(&event, Ok(event) if event.kind.is_access()) {
                ring.notify_one();
            }
        };
        let watcher = recommended_watcher(woken);
        if let Err(error) = &watcher {
            let file = file.display();
            tracing::warn!(%error, "cannot watch {file}: it is looked at every second");
        }
        Watch::with(file, seen, bell, watcher.ok())
    }

    fn with(
        file: PathBuf,
        seen: Seen,
        bell: Arc<Notify>,
        watcher: Option<RecommendedWatcher>,
    ) -> Watch {
        let blind = watcher.is_none();
        Watch { file, seen, bell, watcher, folders: BTreeMap::new(), blind }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// From now on news is what differs from this.
    pub fn saw(&mut self, seen: Seen) {
        self.seen = seen;
    }

    /// Waits until the file is not as it was seen. It need not be read for that to be noticed once
    /// more.
    pub async fn news(&mut self) {
        loop {
            // In this order: what happens after the look wakes.
            self.aim();
            if self.is_other() {
                return;
            }
            let patience = if self.blind { limits::WATCH_BLIND_MS } else { limits::WATCH_LOOK_MS };
            tokio::select! {
                () = self.bell.notified() => clock::sleep_ms(GATHER_MS).await,
                () = clock::sleep_ms(patience) => {}
            }
        }
    }

    /// Whether the file is not as it was seen.
    fn is_other(&mut self) -> bool {
        let stamp = Stamp::of(&self.file);
        if stamp != self.seen.stamp {
            return true;
        }
        if self.seen.settled {
            return false;
        }
        let (seen, _) = Seen::read(&self.file);
        let same = seen.stamp == self.seen.stamp && seen.content == self.seen.content;
        if same {
            self.seen = seen;
        }
        !same
    }

    /// Watches the folders on the way to the file as the way is now.
    fn aim(&mut self) {
        let Some(watcher) = &mut self.watcher else { return };
        let wanted = folders(&self.file);
        self.folders.retain(|folder, place| {
            let stays = wanted.get(folder) == Some(place);
            if !stays {
                // It may be gone, and its watch with it.
                let _ = watcher.unwatch(folder);
            }
            stays
        });
        let mut blind = false;
        for (folder, place) in wanted {
            if self.folders.contains_key(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.folders.insert(folder, place);
                }
                Err(error) => {
                    blind = true;
                    if !self.blind {
                        let folder = folder.display();
                        tracing::warn!(%error, "cannot watch {folder}: looking every second");
                    }
                }
            }
        }
        self.blind = blind;
    }
}

/// The folders in which something may happen that leads to another file, each with its inode.
fn folders(file: &Path) -> BTreeMap<PathBuf, (u64, u64)> {
    let mut found = BTreeMap::new();
    let mut at = file.to_owned();
    for _ in 0..LINKS_MAX {
        let folder = at.parent().unwrap_or(Path::new(""));
        let here = folder.ancestors().find_map(|folder| {
            // A relative path ends in the empty one, which is where we are.
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            let data = fs::metadata(folder).ok().filter(fs::Metadata::is_dir)?;
            Some((folder.to_owned(), (data.dev(), data.ino())))
        });
        found.extend(here);
        let Ok(link) = fs::read_link(&at) else { break };
        at = folder.join(link);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Runs within a few seconds, or fails.
    fn run(future: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let limit = Duration::from_secs(30);
        runtime.block_on(async { tokio::time::timeout(limit, future).await.expect("in time") });
    }

    /// A watch, and a step that it must notice.
    async fn notices(watch: &mut Watch, step: impl FnOnce()) {
        step();
        watch.news().await;
        let (seen, _) = Seen::read(&watch.file);
        watch.saw(seen);
        assert!(!watch.is_other());
    }

    fn of(file: &Path) -> Watch {
        Watch::new(file.to_owned(), Seen::read(file).0)
    }

    #[test]
    fn whatever_happens_to_a_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("deep/er/routes");
        let other = folder.path().join("other");
        run(async {
            let mut watch = of(&file);
            notices(&mut watch, || {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, "1").unwrap();
            })
            .await;
            notices(&mut watch, || fs::write(&file, "2").unwrap()).await;
            notices(&mut watch, || {
                fs::write(&other, "2").unwrap();
                fs::rename(&other, &file).unwrap();
            })
            .await;
            notices(&mut watch, || fs::remove_file(&file).unwrap()).await;
            notices(&mut watch, || fs::write(&file, "3").unwrap()).await;
            notices(&mut watch, || fs::rename(folder.path().join("deep"), &other).unwrap()).await;
            notices(&mut watch, || fs::rename(&other, folder.path().join("deep")).unwrap()).await;
        });
    }

    #[test]
    fn a_folder_behind_a_link_is_replaced_as_kubernetes_does_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (number, name) in ["..1", "..2"].iter().enumerate() {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("routes"), number.to_string()).unwrap();
        }
        symlink("..1", at("..data")).unwrap();
        symlink("..data/routes", at("routes")).unwrap();
        run(async {
            let mut watch = of(&at("routes"));
            notices(&mut watch, || {
                symlink("..2", at("..new")).unwrap();
                fs::rename(at("..new"), at("..data")).unwrap();
            })
            .await;
            // In the folder behind the link, too.
            notices(&mut watch, || fs::write(at("..2/routes"), "x").unwrap()).await;
        });
    }

    #[test]
    fn a_change_that_the_inode_does_not_show_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes");
        fs::write(&file, "1").unwrap();
        let mut watch = of(&file);
        fs::write(&file, "2").unwrap();
        // As if both had happened between two ticks of the file system's clock.
        let stamp = Stamp::of(&file);
        assert!(stamp.is_some());
        watch.seen = Seen { stamp, settled: false, ..watch.seen };
        assert!(watch.is_other());
    }

    #[test]
    fn without_a_watch_it_is_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("routes");
        run(async {
            let mut watch = Watch::with(file.clone(), Seen::read(&file).0, Arc::default(), None);
            notices(&mut watch, || fs::write(&file, "1").unwrap()).await;
            notices(&mut watch, || fs::remove_file(&file).unwrap()).await;
        });
    }
}
