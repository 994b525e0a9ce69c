//! Requests to backends: connect, pool, exchange. The roof, [`Backend`], is a shard's handle.

pub mod body;
pub mod builtin;
pub mod connect;
pub mod error;
pub mod http;
pub mod pool;

use std::rc::Rc;

/// A shard's way to backends.
#[derive(Clone)]
pub struct Backend(Rc<()>);
