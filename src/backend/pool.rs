//! Idle connections of one shard, by target.
