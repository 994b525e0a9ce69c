//! What an instruction says of channels, made the hub's: which a session is subscribed to, what its
//! client has of them, and whether that can be right.
//!
//! Called by `hold` for new holds, by `follow` and `repeat` for those whose backend was asked
//! again.

use std::fmt::Display;

use url::Url;

use super::errand::Home;
use super::filters;
use crate::forward::access;
use crate::forward::content;
use crate::forward::outgoing::Last;
use crate::forward::shared::Shared;
use crate::grip::channel::{Channel, ChannelName};
use crate::grip::instruction::Instruction;
use crate::hub::interest::Interest;
use crate::hub::registry::{Registry, Subscribed};
use crate::hub::slab::SessionId;
use crate::hub::updates::Standing;
use crate::route::Route;

/// Lets the client's `Last-Event-ID` stand for what the backend says that the client has, where the
/// backend has it so (the channel parameter `last-event-id`). When the backend was asked once more,
/// what it says comes first, then what it was asked with.
pub fn settle_ids(
    channels: &mut [Channel],
    last_event_id: Option<&str>,
    asked_with: Option<&[Last]>,
) {
    for channel in channels.iter_mut().filter(|channel| channel.last_event_id) {
        if let Some(lasts) = asked_with {
            let known = lasts.iter().find(|(name, _)| *name == channel.name);
            let known = known.map(|(_, id)| Box::from(&**id));
            channel.prev_id = channel.prev_id.take().or(known);
            if channel.prev_id.is_some() {
                continue;
            }
        }
        if let Some(id) = last_event_id.filter(|id| !id.is_empty()) {
            channel.prev_id = Some(id.into());
        }
    }
}

/// What is wrong with a stream that says what its client has, and not where the rest is
/// (specification, GRIP 3.1).
#[must_use]
pub fn missing_link(instruction: &Instruction) -> Option<String> {
    if instruction.next.is_some() {
        return None;
    }
    let reliable = |channel: &&Channel| channel.prev_id.is_some() || channel.last_event_id;
    let channel = instruction.channels.iter().find(reliable)?;
    Some(format!("channel '{}' specifies prev-id, but no next link found", channel.name))
}

/// The subscriptions that a hold is to have: its target's and those of its instruction.
#[must_use]
pub fn interests(shared: &Shared, home: &Home, instruction: &Instruction) -> Vec<Interest> {
    let prefix = &*home.route.options.prefix;
    let debug = home.debug(shared);
    let subs = home.target().map_or(&[][..], |target| &target.subs);
    let prefix_bytes = prefix.len();
    let implicit = subs.iter().map(|name| Interest {
        prefix_bytes,
        debug,
        ..Interest::plain(ChannelName::prefixed(prefix, name), true)
    });
    let named = instruction.channels.iter().map(|channel| Interest {
        channel: ChannelName::prefixed(prefix, &channel.name),
        prefix_bytes,
        prev_id: channel.prev_id.clone(),
        filters: content::filters(channel),
        debug,
        implicit: false,
    });
    implicit.chain(named).collect()
}

/// Whether the client has something of a channel that is not what came last: its backend is to be
/// asked. The last id is not forgotten for that, as who comes next may be behind as well.
#[must_use]
pub fn is_behind(registry: &Registry, interests: &[Interest]) -> bool {
    interests.iter().any(|interest| {
        let standing = |prev_id| registry.standing(&interest.channel, prev_id);
        interest.prev_id.as_deref().map(standing) == Some(Standing::Conflict)
    })
}

/// The channels of which the client, by what its backend insists on, has something that is not what
/// came last: their last ids are forgotten (specification, GRIP 5.4). Whether there are any.
pub fn forget_conflicts(registry: &mut Registry, interests: &[Interest]) -> bool {
    let mut any = false;
    for interest in interests {
        let Some(prev_id) = &interest.prev_id else { continue };
        if registry.standing(&interest.channel, prev_id) == Standing::Conflict {
            registry.forget_last_id(&interest.channel);
            any = true;
        }
    }
    any
}

/// For `Grip-Last`: the channels of which the client has something.
#[must_use]
pub fn lasts(instruction: &Instruction) -> Vec<Last> {
    let channels = instruction.channels.iter();
    channels.filter_map(|c| Some((c.name.clone(), c.prev_id.as_deref()?.into()))).collect()
}

/// Has a session's filters ask, if they do, on behalf of a request from `home`, seen from `url`: to
/// be called before [`subscribe`].
pub fn remember(
    shared: &Shared,
    id: SessionId,
    instruction: &Instruction,
    home: &Home,
    url: impl Fn() -> Option<Url>,
) {
    for channel in &instruction.channels {
        let wanted = content::filters(channel);
        filters::remember((&shared.askers, &shared.hub), id, &wanted, home, &url);
    }
}

/// Sets a session's variables.
pub fn set_meta(shared: &Shared, id: SessionId, instruction: &Instruction) {
    for (name, value) in &instruction.meta {
        shared.hub.with(|registry| registry.set_meta(id, name, value.as_deref()));
    }
}

/// Subscribes a session, and sets its variables. The others are for the log.
pub fn subscribe(
    shared: &Shared,
    id: SessionId,
    instruction: &Instruction,
    interests: &[Interest],
    (route, request, note): (&Route, &dyn Display, &str),
) {
    set_meta(shared, id, instruction);
    for interest in interests {
        let name = interest.channel.as_str();
        let subscribed = shared.hub.with(|registry| registry.subscribe_to(id, interest));
        if subscribed == Subscribed::TooMany {
            shared.stats.subscriptions_refused.inc();
            tracing::debug!(channel = name, "too many subscriptions");
            continue;
        }
        if subscribed == Subscribed::Added {
            access::subscribed(route, || request, name, note);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grip::headers;
    use bytes::Bytes;
    use http::HeaderMap;

    fn instruction(channels: &str, link: Option<&'static str>) -> Instruction {
        let mut headers = HeaderMap::new();
        headers.insert("grip-hold", "stream".parse().unwrap());
        headers.insert("grip-channel", channels.parse().unwrap());
        if let Some(link) = link {
            headers.insert("grip-link", link.parse().unwrap());
        }
        headers::instruction(200, None, &headers, Bytes::new()).unwrap()
    }

    #[test]
    fn a_client_says_what_it_has_where_the_backend_lets_it() {
        let ids = |header: Option<&str>, asked_with: Option<&[Last]>| {
            let mut channels =
                instruction("a; prev-id=1; last-event-id, b; last-event-id, c; prev-id=3", None)
                    .channels;
            settle_ids(&mut channels, header, asked_with);
            let ids = channels.into_iter().map(|channel| channel.prev_id);
            ids.map(|id| id.map_or("-".to_owned(), String::from)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(ids(None, None), "1 - 3");
        assert_eq!(ids(Some("7"), None), "7 7 3");
        assert_eq!(ids(Some(""), None), "1 - 3");
        assert_eq!(ids(Some("7"), Some(&[("b".into(), "9".into())])), "1 9 3");
        assert_eq!(ids(Some("7"), Some(&[])), "1 7 3");
    }

    #[test]
    fn ids_need_a_next_link() {
        let missing = |channels, link| missing_link(&instruction(channels, link));
        let message = "channel 'b' specifies prev-id, but no next link found";
        assert_eq!(missing("a, b; prev-id=5", None).as_deref(), Some(message));
        assert_eq!(missing("a, b; last-event-id", None).as_deref(), Some(message));
        assert_eq!(missing("a, b; prev-id=5", Some("</x>; rel=next")), None);
        assert_eq!(missing("a, b", None), None);
    }
}
