//! One thread: its listeners, connections, hub, lot and pools.

pub mod mailbox;
