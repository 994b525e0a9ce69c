//! Settings and routes, loaded.

pub mod routes;
