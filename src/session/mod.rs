//! One held connection as plain data: what it is subscribed to, what it is sent, when it is due.
//!
//! No I/O, no task, no clock. The roof holds [`Session`]; the hub keeps them in its slab.

pub mod http;
pub mod outbox;
pub mod socket;
