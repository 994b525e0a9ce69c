//! What every story stands on: the server, a backend, clients, a publisher, and bounded waits.

pub mod authority;
pub mod backend;
pub mod client;
pub mod frames;
pub mod mortal;
pub mod publisher;
pub mod reserved;
pub mod server;
pub mod wait;
pub mod websocket;

pub use backend::{Answer, Backend, Request};
pub use client::{Client, chunk};
pub use mortal::{Act, Mortal};
pub use publisher::Publisher;
pub use reserved::Reserved;
pub use server::Server;
pub use wait::{PATIENCE, within};
pub use websocket::WebSocket;
