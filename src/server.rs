//! Settings into shards and the control thread; signals; drain; join.
