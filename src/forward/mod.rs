//! A client's request, and how it is to reach a backend: what of its head is passed on and what is
//! set (specification, routing 3.1 to 3.8), which route is its own, and what a shard shares for all
//! of its requests.
//!
//! Nothing here talks to a backend: `asking` does. Visits and orders, which shards send each other,
//! are here because they carry requests.

pub mod absent;
pub mod access;
pub mod askers;
pub mod carried;
pub mod connections;
pub mod content;
pub mod context;
pub mod cross_origin;
pub mod fields;
pub mod forwarded;
pub mod heading;
pub mod kept;
mod meaning;
pub mod order;
pub mod outgoing;
pub mod preview;
pub mod protocols;
pub mod recovery;
pub mod request;
pub mod routing;
pub mod shared;
pub mod shelf;
pub mod signing;
#[cfg(test)]
pub(crate) mod tests;
pub mod turns;
pub mod upstream;
pub mod visit;
