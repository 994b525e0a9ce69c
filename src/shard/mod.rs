//! One thread: its listeners, connections, hub, lot and pools.
