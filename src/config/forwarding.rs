//! What backends are told of clients, as meant; the command line fills it, the proxy reads it.

pub use crate::proxy::forwarded::{ForRule, SetProtocol};
pub use crate::proxy::protocols::Protocols;
pub use crate::proxy::shared::Forwarding;
