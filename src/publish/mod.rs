//! What comes in from publishers, and the command that is one.
//!
//! [`http`] is the control API; it gives what it parsed to the [`publisher::Publisher`], the one
//! way into the shards. [`command`] is the other end of it: `linchpin publish`. [`command_port`]
//! takes the commands of operators.

pub mod accept;
pub mod answer;
pub mod api;
pub mod command;
pub mod command_port;
pub mod connection;
pub mod head;
pub mod http;
pub mod operator;
pub mod publisher;
pub mod receipts;
pub mod requests;
pub mod seen;
