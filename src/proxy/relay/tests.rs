//! The relay between two streams in memory.
