//! The options of where clients connect; part of the command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config::listening::{Listening, Written};
use crate::config::problem::Problem;
use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[runner]")]
pub struct ListeningArgs {
    /// Where plain HTTP is served: ports, optionally with an address before them ([::]:7999 is IPv6
    /// only). An empty value is none. Port 0 picks a free one.
    #[arg(
        long,
        env = "LINCHPIN_HTTP_PORT",
        default_value = limits::HTTP_PORT_DEFAULT,
        value_delimiter = ',',
        value_name = "[ADDR:]PORT"
    )]
    pub http_port: Vec<String>,

    /// Where HTTPS is served, in the same form. Off unless given.
    #[arg(
        long,
        visible_alias = "https-port",
        env = "LINCHPIN_HTTPS_PORTS",
        value_delimiter = ',',
        value_name = "[ADDR:]PORT"
    )]
    pub https_ports: Vec<String>,

    /// Unix sockets where plain HTTP is served: PATH[?mode=OCTAL&user=USER&group=GROUP]. Off unless
    /// given. A socket that nobody listens on any more is replaced.
    #[arg(
        long,
        visible_alias = "local-port",
        env = "LINCHPIN_LOCAL_PORTS",
        value_delimiter = ',',
        value_name = "PATH"
    )]
    pub local_ports: Vec<String>,

    /// Address of client ports that are given without one.
    #[arg(long, env = "LINCHPIN_BIND", default_value = "0.0.0.0", value_name = "ADDR")]
    pub bind: IpAddr,

    /// Connections that may wait in the kernel until they are accepted, for each thread and port.
    /// The system's bound is net.core.somaxconn (4096 unless raised): more than that has no effect.
    #[arg(
        long,
        env = "LINCHPIN_BACKLOG",
        default_value_t = limits::BACKLOG_DEFAULT,
        value_name = "N"
    )]
    pub backlog: u32,

    /// Listeners whose connections begin with a header of the PROXY protocol (version 1 or 2): `on`
    /// for all, or ports and paths as they are given there. Off unless given. A connection without
    /// a valid header is closed.
    #[arg(
        long,
        env = "LINCHPIN_PROXY_PROTOCOL",
        value_delimiter = ',',
        value_name = "on|[ADDR:]PORT|PATH"
    )]
    pub proxy_protocol: Vec<String>,

    /// Networks whose hosts may send such headers; others are closed. By default this machine and
    /// private networks. Whoever reaches a Unix socket may.
    #[arg(
        long,
        env = "LINCHPIN_PROXY_PROTOCOL_FROM",
        default_value = limits::PROXY_PROTOCOL_FROM_DEFAULT,
        value_delimiter = ',',
        value_name = "ADDR[/BITS]"
    )]
    pub proxy_protocol_from: Vec<String>,

    /// File that the id of the process is written to once it listens. It is locked: one that a
    /// process left behind prevents no start, one that a process has does.
    #[arg(long, env = "LINCHPIN_PID_FILE", value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
}

impl ListeningArgs {
    /// Where clients connect, `ports` (of `--port`) too; what is wrong is added to `problems`.
    pub fn listening(&self, ports: &[String], problems: &mut Vec<Problem>) -> Listening {
        let http = [ports, self.http_port.as_slice()].concat();
        let written = Written {
            http: &http,
            https: &self.https_ports,
            local: &self.local_ports,
            proxied: &self.proxy_protocol,
            proxies: &self.proxy_protocol_from,
            bind: self.bind,
        };
        let pid_file = self.pid_file.clone().filter(|path| !path.as_os_str().is_empty());
        Listening { backlog: self.backlog, pid_file, ..Listening::read(&written, problems) }
    }
}
