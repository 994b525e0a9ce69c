//! SockJS sessions as they run: the door that tells their requests, the home of each session, and
//! what stands between a client's transport and the WebSocket that the session is for its backend.
//!
//! What is said when, and in which bytes, is `sockjs`'s matter.

pub mod door;
pub mod hixie;
pub mod home;
mod listener;
mod roster;
mod session;
pub mod socket;
mod talk;
