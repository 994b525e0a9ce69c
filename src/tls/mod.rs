//! TLS, both sides: configurations for rustls, from a folder of certificates and from the system's
//! roots. `listen` and `backend` pass them on; nothing else knows rustls.
//!
//! The cryptography is given explicitly (ring): no process-wide default is needed or set.

pub mod authorities;
pub mod certificates;
pub mod client;
pub mod handshake;
pub mod identity;
pub mod problem;
pub mod resumption;
pub mod server;
mod stamp;
#[cfg(test)]
mod tests;
pub mod validity;

pub use certificates::Certificates;
pub use client::{ClientTls, is_certificate_error};
pub use problem::Problem;
pub use server::{Edge, ServerTls};
