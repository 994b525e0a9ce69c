//! What may be set about WebSockets and SockJS, as meant; the command line fills it, the proxy
//! reads it.

pub use crate::forward::shared::{Bounds, Compression, SockJs};

/// All of it.
#[derive(Clone, Debug)]
pub struct WebSockets {
    /// Whether and what is compressed.
    pub compression: Compression,
    /// What a WebSocket may do.
    pub bounds: Bounds,
    /// SockJS.
    pub sockjs: SockJs,
}
