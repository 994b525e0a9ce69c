//! The command line: `run` (the default), `check`, `publish`. Every flag of `run` is also an
//! environment variable, `LINCHPIN_` and its name.

mod backends;
mod check;
mod clients;
mod compression;
mod control;
mod documented;
mod explain;
mod failing;
mod forwarding;
mod from_file;
mod global;
mod idle;
mod invocation;
mod known;
mod listening;
mod logs;
mod messages;
mod publishing;
mod recovery;
mod reloading;
mod routes;
mod signing;
mod sockjs;
mod start;
mod tls;
mod websocket;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::backends::BackendsArgs;
use self::clients::{AtCapacity, ClientArgs, SlowConsumer};
use self::compression::CompressionArgs;
use self::control::ControlArgs;
use self::documented::OptionsArgs;
use self::explain::ExplainArgs;
use self::failing::{cannot_start, exit_code};
use self::forwarding::ForwardingArgs;
use self::global::GlobalArgs;
use self::invocation::InvocationArgs;
use self::listening::ListeningArgs;
use self::logs::LogArgs;
use self::messages::MessageArgs;
use self::publishing::PublishingArgs;
use self::recovery::RecoveryArgs;
use self::reloading::ReloadingArgs;
use self::routes::RoutesArgs;
use self::signing::SigningArgs;
use self::sockjs::SockJsArgs;
use self::start::{Refusal, Told};
use self::tls::TlsArgs;
use self::websocket::WebSocketArgs;
use crate::config::logging;
use crate::config::problem::{Findings, Places, Problem};
use crate::config::settings::Settings;
use crate::config::websocket::WebSockets;
use crate::limits;
use crate::publish::command::{self, PublishArgs};
use crate::route::condition::Slow;
use crate::server;

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
    /// Report the mistakes of configuration and routes without serving: all that a start would
    /// find out, and warnings. Exit code 1 if something prevents the start or a route is skipped.
    Check {
        /// A routes file: only that is looked at.
        file: Option<PathBuf>,
        /// Print what every option is, and where that is from.
        #[arg(long)]
        effective: bool,
        #[command(flatten)]
        run: Box<RunArgs>,
    },
    /// Print all options: an annotated configuration file, or tables.
    Options(OptionsArgs),
    /// Say which route a request takes, why no other, and what its targets would be sent; exit code
    /// 1 if it has no route.
    Explain {
        #[command(flatten)]
        request: ExplainArgs,
        #[command(flatten)]
        run: Box<RunArgs>,
    },
    /// Publish to a channel, as pushpin-publish does.
    Publish(Box<PublishArgs>),
}

/// Flags of `run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    #[command(flatten)]
    listening: ListeningArgs,

    #[command(flatten)]
    invocation: InvocationArgs,

    #[command(flatten)]
    global: GlobalArgs,

    #[command(flatten)]
    routes: RoutesArgs,

    #[command(flatten)]
    control: ControlArgs,

    #[command(flatten)]
    reloading: ReloadingArgs,

    #[command(flatten)]
    tls: TlsArgs,

    /// Threads that serve; 0 is one for each core.
    #[arg(
        long,
        env = "LINCHPIN_WORKERS",
        default_value_t = 0,
        value_name = "N",
        help_heading = "[proxy]"
    )]
    workers: usize,

    #[command(flatten)]
    logs: LogArgs,

    #[command(flatten)]
    forwarding: ForwardingArgs,

    #[command(flatten)]
    backends: BackendsArgs,

    #[command(flatten)]
    signing: SigningArgs,

    #[command(flatten)]
    clients: ClientArgs,

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
        value_name = "MS",
        help_heading = "[runner]"
    )]
    drain_timeout: u64,
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let pushpin = start::is_pushpin(&arguments);
    let mut asked = match start::ask::<Cli>(&arguments) {
        Ok(asked) => asked,
        Err(refusal) => return refused(refusal, pushpin),
    };
    match asked.cli.command.take() {
        None => serve(&asked.cli.run, &asked.told, pushpin),
        Some(Command::Run(args)) => serve(&args, &asked.told, pushpin),
        Some(Command::Check { effective: true, .. }) => {
            print!("{}", asked.told.effective);
            ExitCode::SUCCESS
        }
        Some(Command::Check { file: Some(file), run, .. }) => {
            check::routes_file(&file, run.global.strict)
        }
        Some(Command::Check { run, .. }) => {
            let mut found = Findings::default();
            logging::check(&run.logs.logs(&run.invocation), &mut found);
            let settings = settings(&run, &mut found);
            check::all(settings, found, &run.routes.routes(), &asked.told, run.global.strict)
        }
        Some(Command::Options(args)) => {
            print!("{}", documented::options(&args, &start::command::<Cli>()));
            ExitCode::SUCCESS
        }
        Some(Command::Explain { request, run }) => {
            let settings = settings(&run, &mut Findings::default());
            let made = asked.told.judge(settings, run.global.strict);
            let explained = made.and_then(|settings| {
                explain::run(&request, &settings).map_err(|problem| vec![problem])
            });
            explained.unwrap_or_else(|problems| cannot_start(&problems, false))
        }
        Some(Command::Publish(args)) => command::run(&args, &mut io::stdout(), &mut io::stderr()),
    }
}

/// What was typed cannot be used.
fn refused(refusal: Refusal, pushpin: bool) -> ExitCode {
    match refusal {
        Refusal::CommandLine(error) if pushpin && error.use_stderr() => {
            eprintln!("error: {}\n\n{}", start::as_pushpin(&error), start::usage::<Cli>());
            exit_code(pushpin)
        }
        Refusal::CommandLine(error) => {
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(failing::CANNOT_START))
        }
        Refusal::File { problem, command } if command.as_deref() == Some("check") => {
            check::nothing_to_look_at(&problem)
        }
        Refusal::File { problem, .. } => cannot_start(&[problem], pushpin),
        Refusal::NotFound(text) => {
            eprintln!("{text}");
            exit_code(pushpin)
        }
    }
}

fn serve(args: &RunArgs, told: &Told, pushpin: bool) -> ExitCode {
    if pushpin && let Some(text) = args.invocation.wrong_port() {
        eprintln!("error: {text}");
        return exit_code(pushpin);
    }
    let log = logging::init(&args.logs.logs(&args.invocation));
    let mut found = Findings::default();
    let settings = settings(args, &mut found);
    let settings = match log {
        Ok(doubts) => {
            found.warnings.extend(doubts);
            settings
        }
        Err(problem) => Err([vec![problem], settings.err().unwrap_or_default()].concat()),
    };
    told.log(&found.warnings, args.global.strict);
    let ended = match told.judge(settings, args.global.strict) {
        Ok(settings) => server::run(Settings { places: told.places.clone(), ..settings }),
        Err(problems) => cannot_start(&problems, pushpin),
    };
    logging::flush();
    if ended == ExitCode::from(failing::CANNOT_START) { exit_code(pushpin) } else { ended }
}

/// What was typed, as it is meant; all that is wrong at once. What is doubtful is added to `found`.
fn settings(args: &RunArgs, found: &mut Findings) -> Result<Settings, Vec<Problem>> {
    let mut problems = Vec::new();
    let listening = args.listening.listening(&args.invocation.port, &mut problems);
    for (flag, value, least) in [
        ("--client-maxconn", args.clients.client_maxconn, limits::CONNECTIONS_LEAST),
        ("--handshakes-max", args.clients.handshakes_max, 1),
        ("--client-buffer-size", args.clients.client_buffer_size, 256),
        ("--outbox-bytes", args.clients.outbox_bytes, 1024),
        ("--outbox-messages", args.clients.outbox_messages, 1),
        ("--waiting-items", args.publishing.waiting_items, 1),
        ("--waiting-bytes", args.publishing.waiting_bytes, 1),
        ("--updates-at-once", args.recovery.updates_at_once, 1),
        ("--push-in-http-max-headers-size", args.control.push_in_http_max_headers_size, 64),
        ("--push-in-http-max-body-size", args.control.push_in_http_max_body_size, 1),
    ] {
        if value < least {
            problems.push(Problem::of(flag, format!("{value} is less than {least}")));
        }
    }
    let forwarding = args.forwarding.forwarding(found);
    if !problems.is_empty() {
        return Err(problems);
    }
    let workers = match args.workers {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let settings = Settings {
        places: Places::default(),
        listening,
        tls: args.tls.tls(),
        forwarding,
        backends: args.backends.backends(),
        logs: args.logs.logs(&args.invocation),
        reload_delay_ms: args.reloading.reload_delay,
        control: args.control.address(),
        command_spec: args.control.commands(),
        routes: args.routes.routes(),
        strict: args.global.strict,
        workers,
        sig_key: args.signing.sig_key.clone().filter(|key| !key.is_empty()),
        sig_iss: args.signing.sig_iss.clone(),
        upstream_key: args.signing.upstream_key.clone().filter(|key| !key.is_empty()),
        debug: args.signing.debug,
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
        subscriptions_max: args.messages.connection_subscription_max,
        messages: args.messages.messages(),
        websockets: WebSockets {
            compression: args.compression.compression(),
            bounds: args.websocket.bounds(),
            sockjs: args.sockjs.sockjs(),
        },
        control_head_bytes_max: args.control.push_in_http_max_headers_size,
        control_body_bytes_max: args.control.push_in_http_max_body_size,
        drain_ms: args.drain_timeout,
    };
    let RunArgs { listening, tls, compression, forwarding, messages, .. } = args;
    let given = idle::Given { listening, tls, compression, forwarding, messages };
    idle::look(&given, &settings, found);
    Ok(settings)
}

#[cfg(test)]
mod tests;
