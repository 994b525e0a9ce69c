//! A channel that a session is to be subscribed to, and how. Made by the proxy of what a backend
//! instructs; read by `seats`.

use crate::grip::channel::ChannelName;
use crate::grip::filter::Filters;

/// A subscription that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interest {
    /// The channel as publishers name it: with the route's prefix.
    pub channel: ChannelName,
    /// How many bytes of the name are the prefix: backends do not know it.
    pub prefix_bytes: usize,
    /// The id of the last item that the client has. From then on the subscription is reliable: it
    /// gets what follows in order and without a hole, or its backend is asked.
    pub prev_id: Option<Box<str>>,
    /// What is to be kept from the client, or rewritten for it.
    pub filters: Filters,
    /// The client is told of items that were written for other filters.
    pub debug: bool,
    /// Made by a target's `sub=`: neither counted nor removable.
    pub implicit: bool,
}

impl Interest {
    /// A plain subscription.
    #[must_use]
    pub fn plain(channel: ChannelName, implicit: bool) -> Interest {
        let filters = Filters::default();
        Interest { channel, prefix_bytes: 0, prev_id: None, filters, debug: false, implicit }
    }
}
