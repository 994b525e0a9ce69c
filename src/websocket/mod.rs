//! WebSockets between client and backend: the handshake, the relay to a WebSocket backend, the
//! conversation with one over HTTP, and the clients that are parked meanwhile.
//!
//! The protocol itself is `ws`'s matter. `proxy` brings clients, `sockjs_sessions` its own.

pub mod accept;
pub mod compression;
pub mod conversation;
pub mod courier;
pub mod dialogue;
pub mod echo;
pub mod end;
pub mod offer;
pub mod opening;
pub mod over_http;
pub mod passthrough;
pub mod porter;
mod relay;
pub mod retries;
pub mod sockets;
pub mod turn;
pub mod upgrade;
