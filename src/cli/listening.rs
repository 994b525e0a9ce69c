//! The options of where clients connect; part of the command line.

use std::net::{IpAddr, SocketAddr};

use clap::Args;

use crate::config::listening::Listening;
use crate::config::problem::Problem;
use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[runner]")]
pub struct ListeningArgs {
    /// Port for plain HTTP, optionally ADDR:PORT; 0 picks a free one.
    #[arg(long, env = "LINCHPIN_PORT", default_value = "7999", value_name = "[ADDR:]PORT")]
    pub port: String,

    /// Port for HTTPS, optionally ADDR:PORT; 0 picks a free one. Off unless given.
    #[arg(long, env = "LINCHPIN_HTTPS_PORT", value_name = "[ADDR:]PORT")]
    pub https_port: Option<String>,

    /// Address that client ports listen on.
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
}

impl ListeningArgs {
    /// Where clients connect; what is wrong is added to `problems`.
    pub fn listening(&self, problems: &mut Vec<Problem>) -> Option<Listening> {
        let mut address = |flag: &'static str, text: &str| match port(text, self.bind) {
            Some(address) => Some(address),
            None => {
                problems.push(Problem::of(flag, format!("'{text}' is not a port or ADDR:PORT")));
                None
            }
        };
        let http = address("--port", &self.port);
        let https = self.https_port.as_deref().map(|text| address("--https-port", text));
        Some(Listening { http: http?, https: https.flatten(), backlog: self.backlog })
    }
}

/// `PORT`, `ADDR:PORT` or `[V6]:PORT`.
fn port(text: &str, bind: IpAddr) -> Option<SocketAddr> {
    match text.parse::<u16>() {
        Ok(port) => Some(SocketAddr::new(bind, port)),
        Err(_) => text.parse().ok(),
    }
}
