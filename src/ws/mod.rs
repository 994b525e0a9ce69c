//! WebSockets: the handshake in both roles, extension headers, and reading messages from bytes.

pub mod extensions;
pub mod handshake;
pub mod messages;
pub mod meter;
pub mod random;
pub mod reader;
