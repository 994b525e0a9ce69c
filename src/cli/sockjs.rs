//! The options of SockJS; part of the command line.

use clap::Args;

use crate::config::websocket::SockJs;

/// See the module.
#[derive(Args, Clone, Debug)]
pub struct SockJsArgs {
    /// Where SockJS iframe pages load the client library from.
    #[arg(
        long,
        env = "LINCHPIN_SOCKJS_URL",
        default_value = "http://cdn.jsdelivr.net/sockjs/0.3.4/sockjs.min.js",
        value_name = "URL"
    )]
    pub sockjs_url: String,
}

impl SockJsArgs {
    /// As it is meant.
    #[must_use]
    pub fn sockjs(&self) -> SockJs {
        SockJs { url: self.sockjs_url.clone() }
    }
}
