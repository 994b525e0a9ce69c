//! What GRIP makes of a WebSocket backend's messages: relay, drop, or carry out (specification,
//! WebSockets 3).
//!
//! Both kinds of backend (`passthrough` and `over_http`) hand their messages through here. It acts
//! on the hub only; what concerns the connection itself (detach, close) it gives back to the
//! caller.

use http::{HeaderMap, HeaderValue};

use super::errand::{self, Home};
use super::filters;
use crate::clock::Tick;
use crate::forward::access;
use crate::forward::askers::Askers;
use crate::forward::context::{Context, RouteRef};
use crate::grip::channel::{Channel, ChannelName};
use crate::grip::control::{self, Control};
use crate::grip::filter::Filters;
use crate::hub::Hub;
use crate::hub::interest::Interest;
use crate::hub::registry::Subscribed;
use crate::hub::slab::SessionId;
use crate::route::Route;
use crate::route::target::Target;
use crate::ws::extensions::{ExtensionsError, grip_lines, grip_prefix};

/// A TEXT message that begins so is a control message.
const CONTROL_PREFIX: &[u8] = b"c:";
/// What was agreed on in a backend's handshake answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Negotiated {
    /// The prefix of ordinary messages; `None` when GRIP is not spoken and all is relayed.
    pub prefix: Option<Box<[u8]>>,
    /// Extension lines for the client: it does the GRIP work itself.
    pub relayed: Vec<HeaderValue>,
}

/// Reads a backend's handshake answer: with `no_grip`, or when the client is a GRIP proxy that we
/// trust, its extension is the client's business.
pub fn negotiate(
    context: &Context,
    route: &Route,
    answer: &HeaderMap,
) -> Result<Negotiated, ExtensionsError> {
    let prefix = grip_prefix(answer)?;
    if route.options.no_grip || context.trusted {
        return Ok(Negotiated { prefix: None, relayed: grip_lines(answer) });
    }
    Ok(Negotiated { prefix, relayed: Vec::new() })
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes to the client without so many of its first bytes.
    Relay(usize),
    /// It is a control message: what follows so many bytes is for [`carry_out`].
    Control(usize),
    /// It is not for the client.
    Drop,
}

/// Judges a TEXT or BINARY message by how it begins.
#[must_use]
pub fn judge(prefix: Option<&[u8]>, is_text: bool, beginning: &[u8]) -> Verdict {
    let Some(prefix) = prefix else { return Verdict::Relay(0) };
    if is_text && beginning.starts_with(CONTROL_PREFIX) {
        Verdict::Control(CONTROL_PREFIX.len())
    } else if beginning.starts_with(prefix) {
        Verdict::Relay(prefix.len())
    } else {
        Verdict::Drop
    }
}

/// How many bytes of a message [`judge`] must see.
#[must_use]
pub fn beginning_bytes(prefix: Option<&[u8]>) -> usize {
    prefix.map_or(0, |prefix| prefix.len().max(CONTROL_PREFIX.len()))
}

/// What the caller has to do after a control message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// Nothing.
    None,
    /// The backend has subscribed the client to this channel or taken it out: what the client may
    /// have missed of it before does not matter any more.
    Settled {
        /// The channel, without the route's prefix.
        channel: Box<str>,
        /// From now on the client may miss something of it.
        reliable: bool,
    },
    /// Separate the backend from the client.
    Detach,
    /// Close the client with code 1011 and this reason (empty unless the route is in debug), and
    /// the backend without a code.
    Close(String),
}

/// Whose control messages are carried out.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The shard's hub.
    pub hub: &'a Hub,
    /// The client's session.
    pub id: SessionId,
    /// The client's handshake.
    pub context: &'a Context,
    /// Its route.
    pub route: &'a RouteRef,
    /// Who accepted it: an index into the route's targets.
    pub target: usize,
    /// Who asks HTTP filters.
    pub askers: &'a Askers,
}

/// Carries out one control message (what follows `c:`). What is not valid is logged and ignored.
pub fn carry_out(subject: Subject<'_>, text: &[u8], now: Tick) -> Consequence {
    let Subject { hub, id, route, .. } = subject;
    match control::parse(text) {
        Ok(Control::Subscribe(channel)) => return subscribe(subject, channel, now),
        Ok(Control::Unsubscribe(channel)) => {
            let name = ChannelName::prefixed(&route.options.prefix, &channel);
            hub.with(|registry| registry.unsubscribe(id, &name));
            return Consequence::Settled { channel, reliable: false };
        }
        Ok(Control::Detach) => return Consequence::Detach,
        Ok(Control::KeepAlive(keep_alive)) => {
            hub.with(|registry| registry.set_keep_alive(id, keep_alive, now));
        }
        Ok(Control::SetMeta(name, value)) => {
            hub.with(|registry| registry.set_meta(id, &name, value.as_deref()));
        }
        Ok(Control::SendDelayed(message, seconds)) => hub.with_outlet(|registry, outlet| {
            registry.send_delayed(id, message, seconds, now, outlet);
        }),
        Ok(Control::FlushDelayed) => {
            hub.with_outlet(|registry, outlet| registry.flush_delayed(id, now, outlet));
        }
        // There is no external state service.
        Ok(Control::Session(_)) => {}
        Err(error) => tracing::debug!("{}: control message ignored: {error}", subject.context.host),
    }
    Consequence::None
}

fn subscribe(subject: Subject<'_>, channel: Channel, now: Tick) -> Consequence {
    let Subject { hub, id, context, route, target, askers } = subject;
    let filters = match Filters::parse(channel.filters.iter().map(|name| &**name)) {
        Ok(filters) => filters,
        Err(error) => {
            let reason = error.for_channel(&channel.name);
            tracing::warn!("subscribe {} channel={}: {reason}", uri(context), channel.name);
            return Consequence::Close(if route.options.debug { reason } else { String::new() });
        }
    };
    let home = Home::new(context, route, target);
    filters::remember((askers, hub), id, &filters, &home, || errand::url(context).ok());
    let reliable = channel.prev_id.is_some();
    let interest = Interest {
        channel: ChannelName::prefixed(&route.options.prefix, &channel.name),
        prefix_bytes: route.options.prefix.len(),
        prev_id: channel.prev_id,
        filters,
        debug: route.options.debug,
        implicit: false,
    };
    let name = &interest.channel;
    let subscribed = hub.with_outlet(|registry, outlet| {
        let subscribed = registry.subscribe_to(id, &interest);
        registry.settle(id, now, outlet);
        subscribed
    });
    match subscribed {
        Subscribed::Added | Subscribed::Replaced => {
            access::subscribed(route, || uri(context), name.as_str(), "");
            return Consequence::Settled { channel: channel.name, reliable };
        }
        Subscribed::TooMany => {
            tracing::debug!(
                "subscribe {} channel={}: too many subscriptions",
                uri(context),
                name.as_str()
            );
        }
        Subscribed::Gone => {}
    }
    Consequence::None
}

/// Subscribes a new connection to what its target names with `sub=`: without the route's prefix.
pub fn subscribe_implicitly(
    hub: &Hub,
    (context, route): (&Context, &Route),
    id: SessionId,
    target: &Target,
) {
    for name in target.subs.iter().filter(|name| !name.is_empty()) {
        hub.with(|registry| registry.subscribe(id, &ChannelName::new(name), true));
        access::subscribed(route, || uri(context), name, "");
    }
}

/// The client's URI, for the log.
#[must_use]
pub fn uri(context: &Context) -> String {
    Context { websocket: true, ..context.clone() }.url()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_judged_by_how_they_begin() {
        let m = Some(&b"m:"[..]);
        assert_eq!(judge(m, true, b"m:m:x"), Verdict::Relay(2));
        assert_eq!(judge(m, false, b"m:x"), Verdict::Relay(2));
        assert_eq!(judge(m, true, b"hello"), Verdict::Drop);
        assert_eq!(judge(m, true, b""), Verdict::Drop);
        assert_eq!(judge(m, true, b"c:{}"), Verdict::Control(2));
        assert_eq!(judge(m, false, b"c:{}"), Verdict::Drop);
        let empty = Some(&b""[..]);
        assert_eq!(judge(empty, true, b"x"), Verdict::Relay(0));
        assert_eq!(judge(empty, true, b"c:{}"), Verdict::Control(2));
        assert_eq!(judge(empty, false, b"c:{}"), Verdict::Relay(0));
        assert_eq!(judge(None, true, b"c:{}"), Verdict::Relay(0));
        assert_eq!(beginning_bytes(None), 0);
        assert_eq!(beginning_bytes(Some(b"")), 2);
        assert_eq!(beginning_bytes(Some(b"long:")), 5);
    }
}
