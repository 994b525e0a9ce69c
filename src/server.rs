//! Settings into shards and the control thread; signals; drain; join.
//!
//! Everything that can fail at start fails here, before a client is accepted, and all at once. The
//! thread that calls [`run`] becomes the control thread.

mod binding;
mod file_watch;
mod notify;
mod pid_file;
mod presence;
mod reload;
mod renewal;
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;
use std::rc::Rc;
use std::thread::JoinHandle;

use binding::Binding;
use notify::Supervisor;
use pid_file::PidFile;
use presence::Presence;
use reload::{Beginning, Reload};
use renewal::Renewal;
use signals::Signals;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::config::logging;
use crate::config::problem::{Findings, Problem};
use crate::config::settings::{RoutesFrom, Settings};
use crate::publish::{self, command_port, operator::Operator, publisher::Publisher};
use crate::shard;
use crate::shard::mailbox::{Command, Inbox, Mailbox, mailbox};
use crate::shard::peers::Peers;
use crate::stats::{Snapshot, Stats};
use crate::tls::Edge;

/// What could not start.
const EXIT_CANNOT_START: u8 = 2;
/// Stopping: how long after the drain bound a thread may take to end.
const JOIN_GRACE_MS: u64 = 2_000;
/// How often it is looked whether all threads are there, in milliseconds.
const LOOK_MS: u64 = 500;
/// How long one shard may take to take a command while stopping.
const COMMAND_MS: u64 = 1_000;

/// Each held connection is a descriptor, and the usual soft limit is 1024: asks for as many as are
/// allowed.
fn raise_descriptor_limit(connections_max: usize) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    limit.current = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => tracing::debug!(?before, now = ?limit.current, "limit of descriptors"),
        Err(error) => tracing::warn!(%error, ?before, "the limit of descriptors stays"),
    }
    let now = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if now < connections_max as u64 {
        tracing::info!(
            "the limit of descriptors ({now}) is below --client-maxconn ({connections_max})"
        );
    }
}

/// What a process has when it starts to serve.
struct Outfit {
    routes: Beginning,
    binding: Binding,
    edge: Option<Edge>,
    pid_file: Option<PidFile>,
}

/// Serves until it is told to stop.
#[must_use]
pub fn run(settings: Settings) -> ExitCode {
    raise_descriptor_limit(settings.connections_max);
    let mut found = Findings::default();
    let routes = reload::begin(&settings, &mut found.problems);
    let binding = binding::bind(&settings, &mut found.problems);
    let tls = binding.entrances.has_tls();
    let edge = tls.then(|| settings.tls.edge(&mut found)).flatten();
    let shard = shard_settings(&settings, &mut found);
    let Findings { mut problems, warnings } = found;
    for warning in warnings {
        tracing::warn!("{}", settings.places.located(warning));
    }
    let pid_file = pid_file(&settings, &mut problems);
    let (Some(routes), Some(shard), true) = (routes, shard, problems.is_empty()) else {
        for problem in problems {
            eprintln!("error: {}", settings.places.located(problem));
        }
        return ExitCode::from(EXIT_CANNOT_START);
    };
    let outfit = Outfit { routes, binding, edge, pid_file };
    match serve(&settings, outfit, &shard) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot serve");
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The file with the process's id, where one is wanted. Written last: who finds it there finds
/// everything else too.
fn pid_file(settings: &Settings, problems: &mut Vec<Problem>) -> Option<PidFile> {
    let path = settings.listening.pid_file.as_ref().filter(|_| problems.is_empty())?;
    let problem = |error: pid_file::PidFileError| {
        problems.push(Problem::of("--pid-file", format!("{}: {error}", path.display())));
    };
    PidFile::take(path).map_err(problem).ok()
}

/// What the shards are told; a key that cannot sign and missing cryptography are found now.
fn shard_settings(settings: &Settings, found: &mut Findings) -> Option<shard::state::Settings> {
    let client_tls = settings.tls.towards_backends(found)?;
    found.problems.extend(settings.check());
    Some(settings.for_shards(client_tls))
}

fn serve(settings: &Settings, outfit: Outfit, shard: &shard::state::Settings) -> io::Result<()> {
    let Outfit { routes, binding, edge, pid_file } = outfit;
    let banner = banner(settings, &binding)?;
    let Binding { entrances, control, files } = binding;
    entrances.log();
    if let Some(control) = &control {
        let address = control.local_addr()?;
        tracing::info!(target: "linchpin::publish", "http control server: {address}");
    }
    let mut presence = Presence { files, pid_file, supervisor: Supervisor::from_env() };
    let openings = entrances.openings(settings.workers, edge.as_ref(), &settings.listening.proxies);
    let (mailboxes, inboxes): (Vec<Mailbox>, Vec<Inbox>) =
        openings.iter().map(|_| mailbox()).unzip();
    let mut threads = Vec::new();
    for (index, (entrances, inbox)) in openings.into_iter().zip(inboxes).enumerate() {
        let (table, settings) = (routes.table.clone(), shard.clone());
        let peers = Peers::new(&mailboxes, index);
        let start = shard::Start { entrances, inbox, peers, table, settings };
        let thread = std::thread::Builder::new().name(format!("shard-{index}"));
        threads.push(thread.spawn(move || shard::run(start))?);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let commands = commands(settings)?;
        let doors = (control, commands);
        let files = (routes, edge);
        let outcome =
            control_thread(settings, files, banner, &mut presence, doors, &mailboxes, &threads)
                .await;
        drop(mailboxes);
        join(threads, settings.drain_ms).await;
        presence.ended();
        outcome
    })
}

/// The socket for commands, where one is wanted. Within a runtime, so it is bound late.
fn commands(settings: &Settings) -> io::Result<Option<command_port::Listener>> {
    let Some(spec) = &settings.command_spec else { return Ok(None) };
    let listener = command_port::Listener::bind(spec);
    listener.map(Some).map_err(|error| {
        io::Error::new(error.kind(), format!("--command-spec: cannot listen on {spec}: {error}"))
    })
}

/// The first lines on the terminal: what listens where, and what to try.
fn banner(settings: &Settings, binding: &Binding) -> io::Result<String> {
    let control = binding.control.as_ref();
    let control = control.map(std::net::TcpListener::local_addr).transpose()?;
    let mut text = format!("linchpin {}\n", env!("CARGO_PKG_VERSION"));
    text += &binding.entrances.lines();
    if let Some(control) = control {
        text += &format!("control API on http://{control}\n");
    }
    let port = binding.entrances.plain_port();
    if let (Some(port), Some(control), RoutesFrom::Compiled) = (port, control, &settings.routes) {
        text += &format!(
            "\ntry: curl -N http://localhost:{port}/stream\n\
             then, in another terminal:\n     \
             curl -d '{{\"items\":[{{\"channel\":\"test\",\"formats\":{{\"http-stream\":\
             {{\"content\":\"hello\\n\"}}}}}}]}}' http://{control}/publish/\n"
        );
    }
    Ok(text)
}

/// A terminal that is gone does not stop the server.
fn announce(banner: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(banner.as_bytes()).and_then(|()| out.flush());
}

/// Serves the control API until a signal comes or a shard dies, then tells everybody to stop.
async fn control_thread(
    settings: &Settings,
    (routes, edge): (Beginning, Option<Edge>),
    mut banner: String,
    presence: &mut Presence,
    (control, commands): (Option<std::net::TcpListener>, Option<command_port::Listener>),
    mailboxes: &[Mailbox],
    threads: &[JoinHandle<io::Result<()>>],
) -> io::Result<()> {
    let control = control.map(tokio::net::TcpListener::from_std).transpose()?;
    let stats = Rc::new(Stats::default());
    let api = publish::http::Settings {
        head_bytes_max: settings.control_head_bytes_max,
        body_bytes_max: settings.control_body_bytes_max,
        drain_ms: settings.drain_ms,
        ..Default::default()
    };
    let (stop, stopping) = watch::channel(false);
    let stopping_too = stopping.clone();
    let publisher = Publisher::new(mailboxes.to_vec(), settings.for_publisher(), stats.clone());
    let counted = stats.clone();
    let serving = tokio::task::spawn_local(async move {
        if let Some(listener) = control {
            publish::http::serve(listener, publisher, api, counted, stopping).await;
        }
    });
    if let Some(commands) = commands {
        banner += &format!("commands on {}\n", commands.spec()?);
        let operator = Operator::new(mailboxes.to_vec(), stats.clone());
        tokio::task::spawn_local(command_port::serve(commands, operator, stopping_too));
    }
    let hang_up_heard = Rc::new(Notify::new());
    let reloaded = Rc::new(Notify::new());
    let reload = Reload::new(settings, routes, mailboxes, stats.clone());
    let reloads = reload.is_some();
    let reload = reload.map(|reload| {
        let (heard, done) = (hang_up_heard.clone(), reloaded.clone());
        tokio::task::spawn_local(reload.run(heard, done)).abort_handle()
    });
    let look_at_once = Rc::new(Notify::new());
    let renewal = edge.map(|edge| {
        let renewal = Renewal::new(edge, mailboxes, stats.clone());
        tokio::task::spawn_local(renewal.run(look_at_once.clone())).abort_handle()
    });
    let mut signals = Signals::new()?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // Only now: whoever reads it may send a signal at once.
    tracing::info!("started");
    announce(&banner);
    presence.ready();
    let outcome = loop {
        tokio::select! {
            () = signals.next() => break Ok(()),
            _ = hang_up.recv() => {
                tracing::info!("reloading");
                presence.reloading();
                logging::reopen();
                look_at_once.notify_one();
                if reloads {
                    hang_up_heard.notify_one();
                } else {
                    tracing::warn!("there is no routes file: the routes stay");
                    presence.ready();
                }
            }
            () = reloaded.notified() => presence.ready(),
            () = clock::sleep_ms(LOOK_MS) => if let Some(name) = ended(threads) {
                break Err(io::Error::other(format!("{name}: Exited unexpectedly")));
            },
        }
    };
    signals.end_at_once();
    tracing::info!("stopping...");
    presence.stopping();
    for task in [reload, renewal].into_iter().flatten() {
        task.abort();
    }
    log_counters(mailboxes, &stats).await;
    // Publishers first: what has been accepted is still delivered by the shards.
    let _ = stop.send(true);
    for mailbox in mailboxes {
        if let Err(error) = mailbox.send(Command::Drain, COMMAND_MS).await {
            tracing::debug!(%error, "a shard does not hear");
        }
    }
    // A publisher's connection that failed has been logged.
    let _ = serving.await;
    outcome
}

/// The name of a thread that is no more.
fn ended<T>(threads: &[JoinHandle<T>]) -> Option<&str> {
    let ended = threads.iter().find(|thread| thread.is_finished())?;
    Some(ended.thread().name().unwrap_or("shard"))
}

/// Says once, at the end, what has been counted.
async fn log_counters(mailboxes: &[Mailbox], control: &Stats) {
    let mut sum: Snapshot = control.snapshot();
    for mailbox in mailboxes {
        let (reply, answer) = tokio::sync::oneshot::channel();
        if mailbox.send(Command::Snapshot(reply), COMMAND_MS).await.is_err() {
            continue;
        }
        let answer = tokio::select! {
            answer = answer => answer.ok(),
            () = clock::sleep_ms(COMMAND_MS) => None,
        };
        if let Some(snapshot) = answer {
            sum.merge(&snapshot);
        }
    }
    let counted: Vec<String> =
        sum.entries().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{name}={n}")).collect();
    tracing::info!("counters: {}", counted.join(" "));
}

/// Waits for the shards, within the bound.
async fn join(threads: Vec<JoinHandle<io::Result<()>>>, drain_ms: u64) {
    let deadline = clock::now().plus_ms(drain_ms.saturating_add(JOIN_GRACE_MS));
    while threads.iter().any(|thread| !thread.is_finished()) && clock::now() < deadline {
        clock::sleep_ms(5).await;
    }
    for thread in threads {
        if !thread.is_finished() {
            tracing::warn!("a shard did not end in time");
            continue;
        }
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a shard failed"),
            Err(_) => tracing::error!("a shard panicked"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_no_more_is_named() {
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let one = named("shard-0").spawn(move || stopped.recv().ok()).unwrap();
        let two =
            named("shard-1").spawn(|| -> Option<()> { panic!("as a mistake would") }).unwrap();
        let mut threads = vec![one];
        assert_eq!(ended(&threads), None);
        threads.push(two);
        while ended(&threads).is_none() {
            std::thread::yield_now();
        }
        assert_eq!(ended(&threads), Some("shard-1"));
        drop(stop);
    }
}
