//! The options of where publishers and operators send to; part of the command line.

use std::net::{IpAddr, SocketAddr};

use clap::Args;

use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[handler]")]
pub struct ControlArgs {
    /// Address and port of the control API, to which publishers send, instead of
    /// push_in_http_addr and push_in_http_port; port 0 picks a free one.
    #[arg(long, env = "LINCHPIN_CONTROL", value_name = "ADDR:PORT")]
    pub control: Option<SocketAddr>,

    /// Address of the control API, to which publishers send. It knows no authentication: keep it
    /// private.
    #[arg(
        long,
        env = "LINCHPIN_PUSH_IN_HTTP_ADDR",
        default_value = "127.0.0.1",
        value_name = "ADDR"
    )]
    pub push_in_http_addr: IpAddr,

    /// Port of the control API; 0 picks a free one.
    #[arg(long, env = "LINCHPIN_PUSH_IN_HTTP_PORT", default_value = "5561", value_name = "PORT")]
    pub push_in_http_port: Option<u16>,

    /// Largest head of a request to the control API, in bytes; a larger one is answered 400.
    #[arg(
        long,
        alias = "control-head-bytes",
        env = "LINCHPIN_PUSH_IN_HTTP_MAX_HEADERS_SIZE",
        default_value_t = limits::CONTROL_HEAD_BYTES_MAX,
        value_name = "BYTES"
    )]
    pub push_in_http_max_headers_size: usize,

    /// Largest body of a publish, in bytes; a larger one is answered 400.
    #[arg(
        long,
        alias = "control-body-bytes",
        env = "LINCHPIN_PUSH_IN_HTTP_MAX_BODY_SIZE",
        default_value_t = limits::CONTROL_BODY_BYTES_MAX,
        value_name = "BYTES"
    )]
    pub push_in_http_max_body_size: usize,

    /// Address of the socket for commands (ZeroMQ REP): tcp://HOST:PORT or ipc://PATH; port 0 picks
    /// a free one. Off unless given.
    #[arg(long, env = "LINCHPIN_COMMAND_SPEC", value_name = "SPEC")]
    pub command_spec: Option<String>,
}

impl ControlArgs {
    /// Where the control API is, if anywhere.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        let parts = || Some(SocketAddr::new(self.push_in_http_addr, self.push_in_http_port?));
        self.control.or_else(parts)
    }

    /// Where commands are taken, if anywhere.
    #[must_use]
    pub fn commands(&self) -> Option<String> {
        self.command_spec.clone().filter(|spec| !spec.is_empty())
    }
}
