//! What may be set about the way to backends, as meant; the command line fills it, `backend` and
//! the proxy read it.

pub use crate::backend::Settings as Backends;
