//! A channel's name with its hash computed once, and a channel as an instruction names it.

use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

/// The full name of a channel (a route's prefix included), with its hash.
///
/// The hash is computed where a name enters the process and is the same in every shard, so that a
/// publish looks a channel up without hashing again.
#[derive(Clone, Debug)]
pub struct ChannelName {
    hash: u64,
    name: Box<str>,
}

fn hasher() -> &'static ahash::RandomState {
    static STATE: OnceLock<ahash::RandomState> = OnceLock::new();
    STATE.get_or_init(ahash::RandomState::new)
}

impl ChannelName {
    /// A name, hashed.
    #[must_use]
    pub fn new(name: &str) -> ChannelName {
        ChannelName { hash: hasher().hash_one(name), name: name.into() }
    }

    /// `prefix` and `name`, joined: the name that publishers use.
    #[must_use]
    pub fn prefixed(prefix: &str, name: &str) -> ChannelName {
        if prefix.is_empty() {
            return ChannelName::new(name);
        }
        let mut whole = String::with_capacity(prefix.len() + name.len());
        whole.push_str(prefix);
        whole.push_str(name);
        ChannelName { hash: hasher().hash_one(whole.as_str()), name: whole.into() }
    }

    /// The text of the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// The hash of the name; equal names have equal hashes in the whole process.
    #[must_use]
    pub fn hash_value(&self) -> u64 {
        self.hash
    }
}

impl PartialEq for ChannelName {
    fn eq(&self, other: &ChannelName) -> bool {
        self.hash == other.hash && self.name == other.name
    }
}

impl Eq for ChannelName {}

impl Hash for ChannelName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A channel as a backend names it in an instruction or a `subscribe` message: without the route's
/// prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The name, without the route's prefix. May be empty in a header instruction.
    pub name: Box<str>,
    /// The id of the last item that the client has; present and empty is not the same as absent.
    pub prev_id: Option<Box<str>>,
    /// The client's `Last-Event-ID`, if it sends one, is the id of the last item that it has.
    pub last_event_id: bool,
    /// The names of the filters, in order.
    pub filters: Vec<Box<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_part_of_the_name() {
        assert_eq!(ChannelName::prefixed("shop-", "a"), ChannelName::new("shop-a"));
        assert_eq!(ChannelName::prefixed("", "a").as_str(), "a");
        assert_ne!(ChannelName::new("a"), ChannelName::new("b"));
        assert_eq!(ChannelName::new("a").hash_value(), ChannelName::new("a").hash_value());
    }
}
