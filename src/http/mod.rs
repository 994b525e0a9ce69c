//! HTTP towards clients: one connection from its first byte until it closes, is upgraded, or is parked.
