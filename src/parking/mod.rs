//! Held sockets without a task each.
