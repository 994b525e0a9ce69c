//! Held sockets without a task each: the lot of one shard.
//!
//! A parked connection is a slot: its socket, a remainder that the socket has not taken, and bytes
//! that the client sent ahead. The slot of a session is at the place that its id names in the hub's
//! slab, so a delivery finds its socket by one index and one comparison. The lot implements the
//! hub's outlet; what it cannot do itself (serve the next request, tell a backend) it leaves to
//! the shard as a [`Notice`].

mod complaints;
mod delivery;
mod idle;
pub mod lot;
pub mod poll;
pub mod socket;

pub use lot::{Lot, Notice, Settings};

#[cfg(test)]
mod tests;
