//! What backends are told of clients, as meant; the command line fills it, the proxy reads it.

pub use crate::forward::forwarded::{ForRule, SetProtocol};
pub use crate::forward::protocols::Protocols;
pub use crate::forward::shared::Forwarding;
