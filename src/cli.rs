//! The command line: `run` (the default), `check`, `publish`. Every flag of `run` is also an
//! environment variable, `LINCHPIN_` and its name.

mod backends;
mod clients;
mod compression;
mod forwarding;
mod listening;
mod logs;
mod messages;
mod publishing;
mod recovery;
mod reloading;
mod sockjs;
mod tls;
mod websocket;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::backends::BackendsArgs;
use self::clients::{AtCapacity, ClientArgs, SlowConsumer};
use self::compression::CompressionArgs;
use self::forwarding::ForwardingArgs;
use self::listening::ListeningArgs;
use self::logs::LogArgs;
use self::messages::MessageArgs;
use self::publishing::PublishingArgs;
use self::recovery::RecoveryArgs;
use self::reloading::ReloadingArgs;
use self::sockjs::SockJsArgs;
use self::tls::TlsArgs;
use self::websocket::WebSocketArgs;
use crate::config::problem::Problem;
use crate::config::settings::{RoutesFrom, Settings};
use crate::config::websocket::WebSockets;
use crate::config::{logging, routes};
use crate::limits;
use crate::publish::command::{self, PublishArgs};
use crate::route::condition::Slow;
use crate::server;

/// What could not start, or a routes file with mistakes.
const EXIT_CANNOT_START: u8 = 2;

/// A realtime reverse proxy: holds client connections open and writes what is published to them.
///
/// Without a subcommand it serves. The routes are those compiled into the program, or those of
/// --routes or --route.
#[derive(Parser, Debug)]
#[command(name = "linchpin", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: RunArgs,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Serve (the default).
    Run(Box<RunArgs>),
    /// Report the mistakes of a routes file without serving.
    Check {
        /// The routes file.
        file: PathBuf,
    },
    /// Publish to a channel, as pushpin-publish does.
    Publish(Box<PublishArgs>),
}

/// Flags of `run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    listening: ListeningArgs,

    /// Address of the control API, to which publishers send; port 0 picks a free one.
    #[arg(
        long,
        env = "LINCHPIN_CONTROL",
        default_value = "127.0.0.1:5561",
        value_name = "ADDR:PORT"
    )]
    control: SocketAddr,

    /// Address of the socket for commands (ZeroMQ REP): tcp://HOST:PORT or ipc://PATH; port 0 picks
    /// a free one. Off unless given.
    #[arg(long, env = "LINCHPIN_COMMAND_SPEC", value_name = "SPEC")]
    command_spec: Option<String>,

    /// Routes file to use instead of the routes compiled in.
    #[arg(long, env = "LINCHPIN_ROUTES", value_name = "FILE")]
    routes: Option<PathBuf>,

    /// A route line to use instead of any routes file; may be repeated (separated by newlines in
    /// the environment).
    #[arg(long, env = "LINCHPIN_ROUTE", value_name = "LINE", value_delimiter = '\n')]
    route: Vec<String>,

    /// Do not start when a route has a mistake (exit code 2), instead of skipping its line.
    #[arg(long, env = "LINCHPIN_STRICT")]
    strict: bool,

    #[command(flatten)]
    reloading: ReloadingArgs,

    #[command(flatten)]
    tls: TlsArgs,

    /// Threads that serve; 0 is one for each core.
    #[arg(long, env = "LINCHPIN_WORKERS", default_value_t = 0, value_name = "N")]
    workers: usize,

    #[command(flatten)]
    logs: LogArgs,

    #[command(flatten)]
    forwarding: ForwardingArgs,

    #[command(flatten)]
    backends: BackendsArgs,

    /// Key that Grip-Sig is signed with: text, base64:..., or file:... (PEM or hex).
    #[arg(long, env = "LINCHPIN_SIG_KEY", value_name = "KEY", hide_env_values = true)]
    sig_key: Option<String>,

    /// Issuer named in Grip-Sig (backends of Pushpin may know its name).
    #[arg(long, env = "LINCHPIN_SIG_ISS", default_value = "pushpin", value_name = "NAME")]
    sig_iss: String,

    /// Key of GRIP proxies in front that are trusted, in the same forms (PEM of the public key):
    /// who signs with its counterpart holds connections itself.
    #[arg(long, env = "LINCHPIN_UPSTREAM_KEY", value_name = "KEY", hide_env_values = true)]
    upstream_key: Option<String>,

    /// Say in error answers what went wrong behind them.
    #[arg(long, env = "LINCHPIN_DEBUG")]
    debug: bool,

    #[command(flatten)]
    clients: ClientArgs,

    /// Channels that one connection may be subscribed to.
    #[arg(
        long,
        env = "LINCHPIN_CONNECTION_SUBSCRIPTION_MAX",
        default_value_t = limits::SUBSCRIPTIONS_PER_CONNECTION_MAX,
        value_name = "N"
    )]
    connection_subscription_max: usize,

    #[command(flatten)]
    recovery: RecoveryArgs,

    #[command(flatten)]
    messages: MessageArgs,

    #[command(flatten)]
    publishing: PublishingArgs,

    #[command(flatten)]
    websocket: WebSocketArgs,

    #[command(flatten)]
    compression: CompressionArgs,

    #[command(flatten)]
    sockjs: SockJsArgs,

    /// Stopping: what is in flight gets this many milliseconds.
    #[arg(
        long,
        env = "LINCHPIN_DRAIN_TIMEOUT",
        default_value_t = limits::DRAIN_MS_DEFAULT,
        value_name = "MS"
    )]
    drain_timeout: u64,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        None => run(&cli.run),
        Some(Command::Run(args)) => run(&args),
        Some(Command::Check { file }) => check(&file),
        Some(Command::Publish(args)) => command::run(&args, &mut io::stdout(), &mut io::stderr()),
    }
}

fn run(args: &RunArgs) -> ExitCode {
    if let Err(problem) = logging::init(&args.logs.logs()) {
        return cannot_start(&[problem]);
    }
    match settings(args) {
        Ok(settings) => server::run(settings),
        Err(problems) => cannot_start(&problems),
    }
}

fn cannot_start(problems: &[Problem]) -> ExitCode {
    for problem in problems {
        eprintln!("error: {problem}");
    }
    ExitCode::from(EXIT_CANNOT_START)
}

/// What was typed, as it is meant; all that is wrong at once.
fn settings(args: &RunArgs) -> Result<Settings, Vec<Problem>> {
    let mut problems = Vec::new();
    let listening = args.listening.listening(&mut problems);
    for (flag, value, least) in [
        ("--client-maxconn", args.clients.client_maxconn, 1),
        ("--handshakes-max", args.clients.handshakes_max, 1),
        ("--client-buffer-size", args.clients.client_buffer_size, 256),
        ("--outbox-bytes", args.clients.outbox_bytes, 1024),
        ("--outbox-messages", args.clients.outbox_messages, 1),
        ("--waiting-items", args.publishing.waiting_items, 1),
        ("--waiting-bytes", args.publishing.waiting_bytes, 1),
        ("--updates-at-once", args.recovery.updates_at_once, 1),
        ("--control-head-bytes", args.publishing.control_head_bytes, 64),
        ("--control-body-bytes", args.publishing.control_body_bytes, 1),
    ] {
        if value < least {
            problems.push(Problem::of(flag, format!("{value} is less than {least}")));
        }
    }
    problems.extend(args.messages.contradiction().map(|(flag, why)| Problem::of(flag, why)));
    let (Some(listening), true) = (listening, problems.is_empty()) else { return Err(problems) };
    let routes = match (&args.routes, args.route.is_empty()) {
        (_, false) => RoutesFrom::Lines(args.route.clone()),
        (Some(file), true) => RoutesFrom::File(file.clone()),
        (None, true) => RoutesFrom::Compiled,
    };
    let workers = match args.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    Ok(Settings {
        listening,
        tls: args.tls.tls(),
        forwarding: args.forwarding.forwarding(),
        backends: args.backends.backends(),
        logs: args.logs.logs(),
        control: args.control,
        command_spec: args.command_spec.clone().filter(|spec| !spec.is_empty()),
        routes,
        strict: args.strict,
        reload_delay_ms: args.reloading.reload_delay,
        workers,
        sig_key: args.sig_key.clone().filter(|key| !key.is_empty()),
        sig_iss: args.sig_iss.clone(),
        upstream_key: args.upstream_key.clone().filter(|key| !key.is_empty()),
        debug: args.debug,
        connections_max: args.clients.client_maxconn,
        refuse_at_capacity: args.clients.at_capacity == AtCapacity::Refuse,
        handshakes_max: args.clients.handshakes_max,
        handshake_ms: args.clients.handshake_timeout,
        head_bytes_max: args.clients.client_buffer_size,
        request_body_bytes_max: match args.clients.request_body_bytes {
            0 => u64::MAX,
            bytes => bytes,
        },
        updates_at_once: args.recovery.updates_at_once,
        gone_delay_ms: args.recovery.gone_delay,
        outbox_bytes_max: args.clients.outbox_bytes,
        outbox_messages_max: args.clients.outbox_messages,
        slow: match args.clients.slow_consumer {
            SlowConsumer::Close => Slow::Close,
            SlowConsumer::DropOldest => Slow::DropOldest,
            SlowConsumer::Conflate => Slow::Conflate,
        },
        waiting_items_max: args.publishing.waiting_items,
        waiting_bytes_max: args.publishing.waiting_bytes,
        subscriptions_max: args.connection_subscription_max,
        messages: args.messages.messages(),
        websockets: WebSockets {
            compression: args.compression.compression(),
            bounds: args.websocket.bounds(),
            sockjs: args.sockjs.sockjs(),
        },
        control_head_bytes_max: args.publishing.control_head_bytes,
        control_body_bytes_max: args.publishing.control_body_bytes,
        drain_ms: args.drain_timeout,
    })
}

fn check(file: &std::path::Path) -> ExitCode {
    let loaded = match routes::load(file) {
        Ok(loaded) => loaded,
        Err(error) => {
            return cannot_start(&[Problem::of(file.display().to_string(), error.to_string())]);
        }
    };
    if loaded.problems.is_empty() {
        println!("{}: {} routes, no mistakes", file.display(), loaded.table.routes().len());
        return ExitCode::SUCCESS;
    }
    eprintln!("{}", loaded.report());
    ExitCode::from(EXIT_CANNOT_START)
}

#[cfg(test)]
mod tests;
