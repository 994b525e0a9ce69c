//! TNetString.
