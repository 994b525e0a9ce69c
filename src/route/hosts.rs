//! From host and path to the number of a route (specification, routing 2.7): the index that makes a
//! lookup among a hundred thousand routes cost what it costs among ten. Called by the roof.
//!
//! Routes of one host form a *group*. Two open-addressed tables of plain numbers are all there is:
//! one from host to group, one from group and `path_beg` to routes. A group knows the lengths that
//! its `path_beg`s have, so a lookup hashes the path once, stops at each of these lengths and
//! probes there. The hash goes from length to length, so it is a function of the group's lengths
//! too; that is sound because they never change once the index is built. The build script prints
//! the tables as constants; hence no `usize` and no random seed goes into a hash.

use std::borrow::Cow;
use std::collections::HashMap;

use super::hash::{Slots, advance, probe, seed};
use super::host_text::HostText;
use super::line::Route;

/// What a lookup goes by.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The request's host without its port, in lower case. IPv6 addresses may have brackets.
    pub host: &'a str,
    /// The path, still percent-encoded.
    pub path: &'a str,
    /// A WebSocket handshake.
    pub websocket: bool,
    /// The client's scheme is https or wss.
    pub secure: bool,
}

/// Most routes that an index can tell apart.
pub const ROUTES_MAX: usize = (1 << (32 - CLASS_BITS)) - 2;
/// Bits of a path slot that say which requests the route is for.
const CLASS_BITS: u32 = 4;
/// The seed of the hashes of hosts; those of paths are seeded by their group.
const HOSTS: u32 = u32::MAX;

/// Where a group's parts begin; they end where the next group's begin, so one more follows the
/// last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its first entry in [`Index::entries`].
    pub entries: u32,
    /// Its first length in [`Index::lengths`].
    pub lengths: u32,
}

impl Group {
    /// Short, for the printed source.
    #[must_use]
    pub const fn new(entries: u32, lengths: u32) -> Group {
        Group { entries, lengths }
    }
}

/// The index over a table's routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Slots by host: a group's number.
    pub hosts: Cow<'static, [u64]>,
    /// The groups.
    pub groups: Cow<'static, [Group]>,
    /// Route numbers, group by group, in file order.
    pub entries: Cow<'static, [u32]>,
    /// For each group the lengths of its `path_beg`s, ascending; 0 for none.
    pub lengths: Cow<'static, [u32]>,
    /// Slots by group and `path_beg`: an entry's number above its class.
    pub paths: Cow<'static, [u64]>,
    /// The group of `*`.
    pub fallback: Option<u32>,
}

/// A group while the index is built: the numbers of its routes.
type Members = Vec<u32>;

impl Index {
    /// The index of `routes`, of which there must be at most [`ROUTES_MAX`] and no two alike.
    #[must_use]
    pub fn new(routes: &[Route]) -> Index {
        let (groups, fallback) = gather(routes);
        let mut hosts = Slots::with_room_for(groups.len());
        let mut paths = Slots::with_room_for(routes.len());
        let mut bounds = vec![Group::default()];
        let (mut entries, mut lengths) = (Vec::new(), Vec::new());
        let path_of = |number: u32| routes.get(number as usize).map_or("", path_beg).as_bytes();
        for (group, (host, members)) in (0_u32..).zip(&groups) {
            if let Some(host) = host {
                hosts.insert(hash_of_host(host), group);
            }
            let mut own: Vec<u32> = members.iter().map(|n| small(path_of(*n).len())).collect();
            own.sort_unstable();
            own.dedup();
            for number in members {
                let mut hash = seed(group);
                let mut at = 0;
                for length in own.iter().take_while(|l| **l as usize <= path_of(*number).len()) {
                    hash = advance(hash, path_of(*number).get(at..*length as usize));
                    at = *length as usize;
                }
                let class = routes.get(*number as usize).map_or(0, class);
                paths.insert(hash, small(entries.len()) << CLASS_BITS | class);
                entries.push(*number);
            }
            lengths.extend(own);
            bounds.push(Group { entries: small(entries.len()), lengths: small(lengths.len()) });
        }
        Index {
            hosts: hosts.into(),
            groups: bounds.into(),
            entries: entries.into(),
            lengths: lengths.into(),
            paths: paths.into(),
            fallback,
        }
    }

    /// The number of the route for a request. `routes` are those that the index was made of.
    ///
    /// Of the rules of the host (or, if it has none, those of `*`) that match, one with `proto`
    /// beats one without, then the longer `path_beg` wins, then one with `ssl` beats one without.
    /// In Pushpin an `ssl` rule also beats an earlier one with a longer `path_beg`, which makes the
    /// order of lines matter in that one case; here, as the specification recommends (routing 11),
    /// `ssl` decides only between equal paths, and the order never matters.
    #[must_use]
    pub fn lookup(&self, routes: &[Route], query: &Query<'_>) -> Option<usize> {
        let group = self.group(routes, query.host).or(self.fallback)? as usize;
        let (from, to) = (self.groups.get(group)?, self.groups.get(group + 1)?);
        let path = query.path.as_bytes();
        let mut best = None;
        let mut hash = seed(small(group));
        let mut at = 0;
        for length in self.lengths.get(from.lengths as usize..to.lengths as usize)? {
            let length = *length as usize;
            if length > path.len() {
                break;
            }
            hash = advance(hash, path.get(at..length));
            at = length;
            for found in probe(&self.paths, hash) {
                let entry = found >> CLASS_BITS;
                let rank = rank(found, query, length);
                // An entry of another group, for other requests, or not better than what we have.
                if entry < from.entries
                    || entry >= to.entries
                    || rank <= best.map_or(0, |b: (u64, u32)| b.0)
                {
                    continue;
                }
                let Some(number) = self.entries.get(entry as usize) else { continue };
                let beginning = routes.get(*number as usize).map(path_beg).map(str::as_bytes);
                if beginning == path.get(..length) {
                    best = Some((rank, *number));
                }
            }
        }
        best.map(|(_, number)| number as usize)
    }

    /// The group of a host that has rules of its own.
    fn group(&self, routes: &[Route], host: &str) -> Option<u32> {
        let text = HostText::new(host);
        let host = text.as_ref().map_or(host, HostText::as_str);
        probe(&self.hosts, hash_of_host(host)).find(|group| {
            let first = self.groups.get(*group as usize).map(|group| group.entries as usize);
            let number = first.and_then(|entry| self.entries.get(entry));
            let route = number.and_then(|number| routes.get(*number as usize));
            route.is_some_and(|route| route.condition.host.as_deref() == Some(host))
        })
    }
}

/// The routes by host, in order of appearance, and the number of the group of `*`.
fn gather(routes: &[Route]) -> (Vec<(Option<&str>, Members)>, Option<u32>) {
    let mut groups: Vec<(Option<&str>, Members)> = Vec::new();
    let mut known = HashMap::new();
    for (number, route) in (0_u32..).zip(routes) {
        if route.condition.by_id_only {
            continue;
        }
        let host = route.condition.host.as_deref();
        let group = *known.entry(host).or_insert(groups.len());
        if group == groups.len() {
            groups.push((host, Members::new()));
        }
        if let Some((_, members)) = groups.get_mut(group) {
            members.push(number);
        }
    }
    let fallback = known.get(&None).map(|group| small(*group));
    (groups, fallback)
}

fn path_beg(route: &Route) -> &str {
    route.condition.path_beg.as_deref().unwrap_or("")
}

fn hash_of_host(host: &str) -> u64 {
    advance(seed(HOSTS), Some(host.as_bytes()))
}

/// The four low bits of a path slot: whether `proto` is set and to `ws`, whether `ssl` is set and
/// to `yes`.
fn class(route: &Route) -> u32 {
    let two = |set: Option<bool>| u32::from(set.is_some()) << 1 | u32::from(set == Some(true));
    two(route.condition.websocket) << 2 | two(route.condition.secure)
}

/// How well a route of this class, with a `path_beg` of this length, suits the request; 0 if it is
/// not for such requests.
fn rank(slot: u32, query: &Query<'_>, length: usize) -> u64 {
    let suits = |two: u32, asked: bool| two & 2 == 0 || (two & 1 == 1) == asked;
    if !suits(slot >> 2, query.websocket) || !suits(slot, query.secure) {
        return 0;
    }
    let (proto, tls) = (u64::from(slot >> 3 & 1), u64::from(slot >> 1 & 1));
    proto << 63 | (length as u64) << 2 | tls << 1 | 1
}

/// Everything counted here is at most [`ROUTES_MAX`] or the length of a line.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
