//! One request's life: route, target, instruction or plain answer.

pub mod accept;
pub mod context;
pub mod conversation;
pub mod courier;
pub mod dialogue;
pub mod echo;
pub mod end;
pub mod failure;
pub mod offer;
pub mod onward;
pub mod opening;
pub mod outgoing;
pub mod over_http;
pub mod passthrough;
pub mod relay;
pub mod rules;
pub mod shared;
pub mod sockets;
pub mod upgrade;

#[cfg(test)]
mod tests;
