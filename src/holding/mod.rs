//! Holds: an instruction becomes a session of the hub, waits without a task, and asks again when
//! its client has missed something, or its time is up.
//!
//! Entered from `proxy` with an exchange whose answer is an instruction, and with what the hub says
//! of sessions.

pub mod ferry;
pub mod flight;
pub mod follow;
pub mod gone;
pub mod held;
pub mod hold;
pub mod holds;
pub mod parked;
pub mod queue;
pub mod repeat;
