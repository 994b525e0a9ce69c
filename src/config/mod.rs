//! What the operator has set, from what was typed; the routes; the log.

pub mod logging;
pub mod messages;
pub mod routes;
pub mod settings;
pub mod websocket;
