//! Settings and routes, loaded.
