//! The thread that writes the log. Called by the roof.
//!
//! Shards hand it lines and go on: a disk that is slow or full, or a terminal that is stopped,
//! holds up nobody. What waits is bounded; lines past that are dropped, and the log says how many.
//! The only thing that all threads share.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use tracing::Metadata;
use tracing_subscriber::fmt::MakeWriter;

use super::component::Component;
use crate::limits;

/// Lines that wait are written together up to so many bytes.
const TOGETHER_BYTES: usize = 64 * 1024;
/// At the end of the process what waits is written within this time, or lost.
const FLUSH: Duration = Duration::from_secs(2);

/// Where lines go, by component. `None` is standard error.
pub type Places = [Option<PathBuf>; 4];

/// What the thread is told.
enum Told {
    Line(Component, Vec<u8>),
    /// Files may have been renamed: from here on, those of the same names are written to.
    Reopen,
    Flush(SyncSender<()>),
}

#[derive(Default)]
struct Counts {
    waiting_bytes: AtomicUsize,
    dropped: AtomicU64,
}

/// The side that hands lines over.
#[derive(Clone)]
pub struct Log {
    told: Sender<Told>,
    counts: Arc<Counts>,
}

impl Log {
    /// Opens the files and starts the thread.
    ///
    /// # Errors
    /// When a file cannot be opened, or there can be no thread; with the component that has none.
    pub fn start(places: Places) -> Result<Log, (Component, io::Error)> {
        let mut sinks = Sinks::open(places)?;
        let (told, heard) = channel();
        let counts = Arc::new(Counts::default());
        let log = Log { told, counts: Arc::clone(&counts) };
        let run = move || run(&heard, &mut sinks, &counts);
        let thread = std::thread::Builder::new().name("log".to_owned()).spawn(run);
        thread.map_err(|error| (Component::Runner, error))?;
        Ok(log)
    }

    /// Files are opened anew.
    pub fn reopen(&self) {
        // The thread lives as long as the process.
        let _ = self.told.send(Told::Reopen);
    }

    /// Waits until all that was handed over is written, but not for ever.
    pub fn flush(&self) {
        let (done, flushed) = sync_channel(1);
        if self.told.send(Told::Flush(done)).is_ok() {
            let _ = flushed.recv_timeout(FLUSH);
        }
    }

    fn line(&self, component: Component, line: &[u8]) {
        let bytes = line.len();
        let waiting = self.counts.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        if waiting + bytes > limits::LOG_BYTES_MAX {
            self.counts.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            let _ = self.told.send(Told::Line(component, line.to_vec()));
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { log: self, component: Component::Runner }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Line<'a> {
        Line { log: self, component: Component::of(meta.target()) }
    }
}

/// Takes one line, whole.
pub struct Line<'a> {
    log: &'a Log,
    component: Component,
}

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.log.line(self.component, line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All places. Components that share one share its sink, so that their lines keep their order.
#[derive(Default)]
struct Sinks {
    all: Vec<Sink>,
    /// Which one is whose.
    of: [usize; 4],
}

impl Sinks {
    fn open(places: Places) -> Result<Sinks, (Component, io::Error)> {
        let mut sinks = Sinks::default();
        let mut places_of = [0; 4];
        for ((component, path), of) in Component::ALL.into_iter().zip(places).zip(&mut places_of) {
            let known = sinks.all.iter().position(|sink| sink.path == path);
            *of = known.unwrap_or(sinks.all.len());
            if known.is_none() {
                let file = path.as_ref().map(open).transpose();
                let file = file.map_err(|error| (component, error))?;
                sinks.all.push(Sink { path, file, ..Sink::default() });
            }
        }
        Ok(Sinks { of: places_of, ..sinks })
    }

    fn of(&mut self, component: Component) -> Option<&mut Sink> {
        self.all.get_mut(*self.of.get(component as usize)?)
    }

    fn write(&mut self) {
        self.all.iter_mut().for_each(Sink::write);
    }
}

/// One place, and what is to be written there.
#[derive(Default)]
struct Sink {
    path: Option<PathBuf>,
    file: Option<File>,
    lines: Vec<u8>,
    /// What was to be written last was lost.
    is_losing: bool,
}

fn open(path: &PathBuf) -> io::Result<File> {
    let named = |error: io::Error| io::Error::new(error.kind(), named(path, &error));
    OpenOptions::new().append(true).create(true).open(path).map_err(named)
}

/// Why there is no log in a file.
pub fn named(path: &Path, error: &io::Error) -> String {
    format!("cannot write the log to {}: {error}", path.display())
}

impl Sink {
    /// Writes what there is. What cannot be written is lost; standard error is told once.
    fn write(&mut self) {
        if self.lines.is_empty() {
            return;
        }
        if self.is_losing {
            // The last line may have been cut.
            self.lines.splice(..0, b"\n(lines of the log are missing)\n".iter().copied());
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(&self.lines),
            None => io::stderr().lock().write_all(&self.lines),
        };
        self.lines.clear();
        let was_losing = std::mem::replace(&mut self.is_losing, written.is_err());
        if let (Err(error), Some(path), false) = (written, &self.path, was_losing) {
            let text = format!("{}; its lines are lost until it can\n", named(path, &error));
            let _ = io::stderr().lock().write_all(text.as_bytes());
        }
    }

    fn reopen(&mut self) {
        if let Some(path) = &self.path {
            match open(path) {
                Ok(file) => self.file = Some(file),
                // Better there than nowhere.
                Err(error) => self.lines.extend(format!("{error}\n").bytes()),
            }
        }
    }
}

fn run(heard: &Receiver<Told>, sinks: &mut Sinks, counts: &Counts) {
    let mut dropped = 0;
    while let Ok(first) = heard.recv() {
        let (mut next, mut together) = (Some(first), 0);
        while let Some(told) = next.take() {
            match told {
                Told::Line(component, line) => {
                    counts.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                    together += line.len();
                    if let Some(sink) = sinks.of(component) {
                        sink.lines.extend(line);
                    }
                }
                Told::Reopen => {
                    sinks.write();
                    sinks.all.iter_mut().for_each(Sink::reopen);
                }
                Told::Flush(done) => {
                    sinks.write();
                    let _ = done.send(());
                }
            }
            next = if together < TOGETHER_BYTES { heard.try_recv().ok() } else { None };
        }
        let now = counts.dropped.load(Ordering::Relaxed);
        if let Some(sink) = sinks.of(Component::Runner)
            && now > dropped
        {
            let lines = now - dropped;
            sink.lines.extend(format!("({lines} lines of the log are missing)\n").bytes());
            dropped = now;
        }
        sinks.write();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_to_their_files_and_follow_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let places = [Some(at("c")), Some(at("p")), Some(at("h")), Some(at("r"))];
        let log = Log::start(places).unwrap();
        let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
        for number in 0..100 {
            log.line(Component::Proxy, format!("{number}\n").as_bytes());
            if number == 49 {
                log.flush();
                std::fs::rename(at("p"), at("p.1")).unwrap();
            }
            if number == 59 {
                log.reopen();
            }
        }
        log.line(Component::Handler, b"published\n");
        log.flush();
        let (old, new) = (read("p.1"), read("p"));
        assert!(old.ends_with("58\n59\n") && new.starts_with("60\n"), "{old}{new}");
        assert_eq!((old + &new).lines().count(), 100);
        assert_eq!((read("h").as_str(), read("c").as_str()), ("published\n", ""));
        let nowhere = [Some(at("none/x")), None, None, None];
        assert!(Log::start(nowhere).is_err());
    }

    #[test]
    fn lines_of_one_place_keep_their_order() {
        let (told, heard) = channel();
        let counts = Arc::new(Counts::default());
        let log = Log { told, counts: Arc::clone(&counts) };
        let mut expected = String::new();
        for number in 0..40 {
            let line = format!("{number}\n");
            log.line(Component::ALL[number * 7 % 4], line.as_bytes());
            expected += &line;
        }
        drop(log);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let places = [const { None }; 4].map(|_: Option<()>| Some(path.clone()));
        let mut sinks = Sinks::open(places).unwrap();
        run(&heard, &mut sinks, &counts);
        assert_eq!(std::fs::read_to_string(path).unwrap(), expected);
        assert_eq!(sinks.all.len(), 1);
    }

    #[test]
    fn a_full_disk_leaves_a_trace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut sink = Sink { path: Some(path.clone()), file: Some(full), ..Sink::default() };
        for line in [&b"lost\n"[..], b"lost too\n"] {
            sink.lines.extend(line);
            sink.write();
            assert!(sink.is_losing && sink.lines.is_empty());
        }
        sink.file = Some(open(&path).unwrap());
        for line in [&b"there\n"[..], b"again\n"] {
            sink.lines.extend(line);
            sink.write();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "\n(lines of the log are missing)\nthere\nagain\n");
    }

    #[test]
    fn what_waits_is_bounded() {
        let (told, heard) = channel();
        let counts = Arc::new(Counts::default());
        let log = Log { told, counts: Arc::clone(&counts) };
        let line = vec![b'x'; limits::LOG_BYTES_MAX / 4];
        for _ in 0..6 {
            log.line(Component::Proxy, &line);
        }
        assert_eq!(counts.dropped.load(Ordering::Relaxed), 2);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let places = [const { None }; 4].map(|_: Option<()>| Some(path.clone()));
        let mut sinks = Sinks::open(places).unwrap();
        drop(log);
        run(&heard, &mut sinks, &counts);
        assert_eq!(counts.waiting_bytes.load(Ordering::Relaxed), 0);
        let written = std::fs::read_to_string(path).unwrap();
        assert!(written.contains("(2 lines of the log are missing)\n"));
        assert_eq!(written.bytes().filter(|byte| *byte == b'x').count(), 4 * line.len());
    }
}
