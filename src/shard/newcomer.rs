//! A connection that one shard has accepted and another one serves.
//!
//! Of a socket that all shards would have to share (a Unix socket, one that was inherited) one
//! shard accepts, and deals the connections out in turn: so each shard gets as many as the others,
//! and nobody is woken for nothing. Sent through mailboxes; knows nothing of them.

use std::net::IpAddr;

use super::capacity::Place;
use crate::listen::socket::Bare;

/// See the module.
#[derive(Debug)]
pub struct Newcomer {
    /// The connection, watched by no runtime.
    pub socket: Bare,
    /// Where it comes from.
    pub peer: Option<IpAddr>,
    /// Which of the process's entrances it came through.
    pub entrance: usize,
    /// That it is counted.
    pub place: Place,
}
