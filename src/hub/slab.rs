//! The slab of sessions and the ids that it checks.

/// A session: its place in the slab and the generation of that place. A stale id is told by its
/// generation, so an id may be kept anywhere without keeping the session alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    /// The place; also the place of its socket in the lot.
    pub index: u32,
    /// Which use of that place.
    pub generation: u32,
}
