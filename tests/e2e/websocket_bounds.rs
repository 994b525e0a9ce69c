//! What a WebSocket may do: sizes, counts, times; each at its limit.
