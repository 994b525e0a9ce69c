//! WebSockets: the handshake in both roles, and reading messages from bytes.

pub mod handshake;
pub mod reader;
