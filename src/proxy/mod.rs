//! One request's life: route, target, instruction or plain answer.

pub mod context;
pub mod failure;
pub mod onward;
pub mod outgoing;
pub mod shared;
