//! WebSockets: the handshake in both roles, extension headers, and messages from and to bytes.

pub mod compression;
pub mod extensions;
pub mod handshake;
pub mod inflating;
pub mod list;
pub mod messages;
pub mod meter;
pub mod random;
pub mod reader;
pub mod violation;
pub mod writer;
