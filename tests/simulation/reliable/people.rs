//! The clients: what each has got, and that nothing of it was lost, doubled or out of order.

use linchpin::hub::slab::SessionId;

use super::CHANNELS;
use super::wire::{Form, Mark};

/// How a client comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Long-polls, one after the other.
    Poll,
    /// A stream, with a next link or without.
    Stream {
        chunked: bool,
        linked: bool,
    },
    Socket,
}

impl Kind {
    pub fn form(self) -> Form {
        match self {
            Kind::Poll => Form::Response,
            Kind::Stream { chunked: true, .. } => Form::Chunked,
            Kind::Stream { .. } => Form::Raw,
            Kind::Socket => Form::Frames,
        }
    }

    pub fn linked(self) -> bool {
        matches!(self, Kind::Stream { linked: true, .. })
    }
}

/// What a client that follows no ids has got on one channel since it was subscribed.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// How many items the observer of the channel had got by then.
    pub from: usize,
    pub numbers: Vec<u32>,
}

#[derive(Clone, Debug)]
pub struct Client {
    pub kind: Kind,
    /// It follows ids: nothing may be lost.
    pub reliable: bool,
    pub channels: Vec<u8>,
    pub session: Option<SessionId>,
    /// A request of its own (not the registry's) is with the backend.
    pub asking: bool,
    /// The last item of each channel that was sent to its session.
    pub sent: [Option<u32>; CHANNELS],
    /// The last item of each channel that it has read, over all its sessions.
    pub got: [Option<u32>; CHANNELS],
    pub seen: Vec<(u8, Seen)>,
    pub tells_end: bool,
    /// Channels of which its backend was told that something is missing.
    pub missed: Vec<u8>,
}

impl Client {
    pub fn new(kind: Kind, reliable: bool, channels: Vec<u8>) -> Client {
        Client {
            kind,
            reliable,
            channels,
            session: None,
            asking: false,
            sent: [None; CHANNELS],
            got: [None; CHANNELS],
            seen: Vec::new(),
            tells_end: false,
            missed: Vec::new(),
        }
    }

    /// Items were sent to its session.
    pub fn is_sent(&mut self, marks: &[Mark]) {
        for &(channel, number) in marks {
            if self.reliable {
                let sent = &mut self.sent[usize::from(channel)];
                assert_eq!(
                    sent.map(|last| last + 1),
                    Some(number),
                    "channel {channel}: lost, doubled or out of order"
                );
                *sent = Some(number);
            } else {
                let seen = self.seen.iter_mut().find(|(known, _)| *known == channel);
                let (_, seen) = seen.expect("only of channels that it is subscribed to");
                seen.numbers.push(number);
            }
        }
    }

    /// It has read items.
    pub fn reads(&mut self, marks: &[Mark]) {
        if !self.reliable {
            return;
        }
        for &(channel, number) in marks {
            let got = &mut self.got[usize::from(channel)];
            assert!(got.is_none_or(|last| last + 1 == number), "channel {channel}: a hole");
            *got = Some(number);
        }
    }
}
