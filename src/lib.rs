//! linchpin: a realtime reverse proxy. This page is the map, one line a module, in the order in
//! which data flows; `ARCHITECTURE.md` holds the layer table that a test enforces.
//!
//! ```text
//! client -> listen -> tls -> http -> proxy -> forward (route) -> asking -> backend
//!                                                                  |
//!                                instruction <- holding, websocket <+
//!                                     |
//! publisher -> publish -> item -> hub (slab + channels) -> session -> parking -> client
//! ```

pub mod cli;
pub mod clock;
pub mod limits;
pub mod stats;
pub mod tls;
pub mod wheel;

pub mod wire;

pub mod route;

pub mod grip;
pub mod session;

pub mod hub;

pub mod listen;

pub mod http;
pub mod sockjs;
pub mod ws;

pub mod parking;

pub mod backend;

pub mod forward;

pub mod asking;

pub mod holding;
pub mod websocket;

pub mod sockjs_sessions;

pub mod proxy;

pub mod shard;

pub mod publish;

pub mod config;

pub mod server;
