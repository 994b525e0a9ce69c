//! Channel names to vectors of subscribers; a subscription knows its place, so leaving is O(1).
