//! Gives memory back after a storm: a thousand requests at once take buffers that a thousand held
//! connections do not need.
//!
//! mimalloc returns what is free to the system while others allocate, and a shard that only holds
//! does not. Its own call for that is not reachable without `unsafe`, so it is asked in the only
//! other way: it looks through a thread's pages after so many larger allocations, and gives up
//! those that have been free for a second when a large piece comes and goes. With another allocator
//! this does nothing, shortly.

use std::hint::black_box;
use std::rc::Rc;

use super::state::Shard;
use crate::clock;
use crate::limits;

/// How often it is looked whether the storm is over, in milliseconds; longer than mimalloc keeps
/// free memory (`purge_delay`).
const LOOK_MS: u64 = 1100;
/// It is over when a shard serves so many times less than in the storm.
const CALM_PART: usize = 8;
/// Allocations after which mimalloc looks through the pages of a thread (`generic_collect`).
const ALLOCATIONS: usize = 10_000;
/// Of a size that is not served from a thread's lists of small blocks.
const ALLOCATION_BYTES: usize = 2048;
/// A piece with a page of its own.
const LARGE_BYTES: usize = 1 << 20;

/// Waits for storms, and for their end, for ever.
pub async fn run(shard: Rc<Shard>) {
    loop {
        shard.storm().await;
        let mut peak = limits::STORM_CONNECTIONS;
        loop {
            clock::sleep_ms(LOOK_MS).await;
            let serving = shard.serving();
            if serving <= peak / CALM_PART {
                break;
            }
            peak = peak.max(serving);
        }
        // The first round frees pages, the second returns them.
        remind();
        clock::sleep_ms(LOOK_MS).await;
        remind();
    }
}

fn remind() {
    for _ in 0..ALLOCATIONS {
        drop(black_box(Vec::<u8>::with_capacity(ALLOCATION_BYTES)));
    }
    drop(black_box(Vec::<u8>::with_capacity(LARGE_BYTES)));
}
