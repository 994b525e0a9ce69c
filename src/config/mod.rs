//! What the operator has set, from what was typed; the routes; the log.

mod access;
pub mod backends;
pub mod check;
pub mod explain;
pub mod file;
pub mod forwarding;
pub mod ini;
pub mod listening;
pub mod logging;
pub mod messages;
pub mod problem;
pub mod routes;
pub mod settings;
pub mod tls;
pub mod websocket;
