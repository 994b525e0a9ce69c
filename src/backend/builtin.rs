//! The `test` target.
