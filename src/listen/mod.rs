//! Sockets that clients connect to, and what they are until somebody serves them: where to listen,
//! who comes in, who sent them, and the streams that are read and written then.
//!
//! Bound by `server`, accepted from by `shard`; `parking` and `proxy` hold the streams.

pub mod inherited;
pub mod listener;
pub mod local;
pub mod network;
pub mod pipe;
pub mod preamble;
pub mod refusal;
pub mod reserve;
pub mod socket;
pub mod stream;
pub mod tcp;
