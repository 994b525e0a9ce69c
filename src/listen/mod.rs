//! Sockets that clients connect to.

pub mod stream;
