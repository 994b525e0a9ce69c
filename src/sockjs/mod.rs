//! SockJS as HTTP sees it: which request means what, and the bytes of every answer. Pure: no I/O,
//! no clock, no sessions; `proxy` keeps those and asks here.
//!
//! Vocabulary: the *base* is the path of a route's `sockjs=`; what comes behind it says the
//! *endpoint*. A *session* is one conversation, named by its client in the path. A *transport* is a
//! way in which a session's *frames* (`o`, `h`, `a[...]`, `c[...]`) reach the client: a *receiver*
//! is one request that waits for them, and a polling transport's receiver takes one frame, a
//! streaming one's many. What the client has to say comes in requests of its own, *sends*. Over
//! WebSocket both are the one connection; the *raw* WebSocket has no frames at all.
//!
//! A request goes through these: [`path::endpoint`], then [`client::Client::of`] (what its headers
//! mean for the answer's), then one of [`answers`], or [`transport::Receiver`] and
//! [`answers::receiving`], or [`sending::text`] and `wire::sockjs::parse`.

pub mod answers;
pub mod client;
pub mod hearing;
pub mod hixie;
pub mod iframe;
pub mod path;
pub mod sending;
pub mod session;
pub mod transport;
