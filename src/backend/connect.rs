//! Resolve, connect, TLS; time bounds.
