//! GRIP's words: parsed, validated, immutable.
//!
//! A backend answers with an [`instruction::Instruction`]: hold this request (in which
//! [`instruction::Hold`] mode), subscribe it to these [`channel::Channel`]s. A publisher sends
//! [`item::Item`]s: for a channel, a payload for each transport ([`format`]). A WebSocket backend
//! speaks in [`control::Control`] messages, and over HTTP in [`events`]. Nothing here does I/O.

pub mod channel;
pub mod control;
pub mod document;
pub mod events;
pub mod fields;
pub mod filter;
pub mod format;
pub mod format_json;
pub mod headers;
pub mod instruction;
pub mod item;
pub mod json;
pub mod memory;
pub mod message;
pub mod signature;
