//! Asking backends: a client's request with its body, errands of our own, filters over HTTP; which
//! target is asked, what is made again, and what of the answer the client gets.
//!
//! `proxy`, `holding`, `websocket` and `sockjs_sessions` ask through here.

pub mod answer;
pub mod body;
pub mod checks;
pub mod choice;
pub mod collected;
pub mod cross_origin_answer;
pub mod errand;
pub mod failure;
pub mod filters;
pub mod inquiry;
pub mod onward;
pub mod rules;
pub mod shown;
pub mod terms;
pub mod upload;
