//! Unpredictable bytes for masks and handshake keys, from the system's source, a block at a time.
//!
//! RFC 6455 (10.3) wants masks that nobody can foresee, one for each message; a system call for
//! each would cost more than the frame.

use std::cell::Cell;

const BLOCK_BYTES: usize = 256;

thread_local! {
    /// Random bytes, and how many of them have been handed out.
    static BLOCK: Cell<([u8; BLOCK_BYTES], usize)> =
        const { Cell::new(([0; BLOCK_BYTES], BLOCK_BYTES)) };
}

/// `N` (at most 256) bytes that cannot be foreseen.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    const { assert!(N <= BLOCK_BYTES) };
    BLOCK.with(|cell| {
        let (mut block, mut used) = cell.get();
        if BLOCK_BYTES - used < N {
            if getrandom::fill(&mut block).is_err() {
                // No system that we run on does this; a mask that may be foreseen beats no service.
                fastrand::fill(&mut block);
            }
            used = 0;
        }
        let mut out = [0; N];
        out.copy_from_slice(&block[used..used + N]);
        // What has been handed out is not kept.
        block[used..used + N].fill(0);
        cell.set((block, used + N));
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_differ() {
        let many: std::collections::HashSet<[u8; 16]> = (0..1000).map(|_| bytes()).collect();
        assert_eq!(many.len(), 1000);
    }
}
