//! What comes in from publishers.
