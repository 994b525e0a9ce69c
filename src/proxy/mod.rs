//! One request's life: route, target, instruction or plain answer.

pub mod context;
pub mod failure;
pub mod fields;
pub mod forwarded;
pub mod onward;
pub mod outgoing;
pub mod shared;
pub mod signing;
