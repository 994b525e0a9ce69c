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
/// So many beginnings of a path are hashed before they are looked for.
const BLOCK: usize = 8;
/// In a rank: the route has `proto`.
const PROTO: u64 = 1 << 63;
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
    /// A route of it has `proto`, so one with a shorter `path_beg` may beat one with a longer.
    pub protos: bool,
}

impl Group {
    /// Short, for the printed source.
    #[must_use]
    pub const fn new(entries: u32, lengths: u32, protos: bool) -> Group {
        Group { entries, lengths, protos }
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
        let mut bounds = Vec::with_capacity(groups.len() + 1);
        let (mut entries, mut lengths) = (Vec::new(), Vec::new());
        let path_of = |number: u32| routes.get(number as usize).map_or("", path_beg).as_bytes();
        for (group, (host, members)) in (0_u32..).zip(&groups) {
            if let Some(host) = host {
                hosts.insert(hash_of_host(host), group);
            }
            let of = |number: &u32| routes.get(*number as usize);
            let has_proto = |route: &Route| route.condition.websocket.is_some();
            let protos = members.iter().filter_map(of).any(has_proto);
            bounds.push(Group::new(small(entries.len()), small(lengths.len()), protos));
            let mut own: Vec<u32> = members.iter().map(|n| small(path_of(*n).len())).collect();
            own.sort_unstable();
            own.dedup();
            for number in members {
                let path = path_of(*number);
                let fitting = own.partition_point(|length| *length as usize <= path.len());
                let hashes = hashes(group, path, own.get(..fitting).unwrap_or_default());
                let hash = hashes[fitting.wrapping_sub(1) % BLOCK];
                let class = of(number).map_or(0, class);
                paths.insert(hash, small(entries.len()) << CLASS_BITS | class);
                entries.push(*number);
            }
            lengths.extend(own);
        }
        bounds.push(Group::new(small(entries.len()), small(lengths.len()), false));
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
        let number = self.group(routes, query.host).or(self.fallback)?;
        let (group, end) = self.bounds(number)?;
        let lengths = self.lengths.get(group.lengths as usize..end.lengths as usize)?;
        let path = query.path.as_bytes();
        let mut left = lengths.partition_point(|length| *length as usize <= path.len());
        let mut best = None;
        // The longest first: mostly the first one found is the one.
        while left > 0 {
            let hashes = hashes(number, path, lengths.get(..left)?);
            let block = left.saturating_sub(BLOCK);
            for place in (block..left).rev() {
                let length = *lengths.get(place)? as usize;
                let found =
                    self.best_of(routes, query, (group, end), hashes[place % BLOCK], length);
                best = best.max(found);
                if best.is_some_and(|(rank, _)| !group.protos || rank & PROTO != 0) {
                    return best.map(|(_, number)| number as usize);
                }
            }
            left = block;
        }
        best.map(|(_, number)| number as usize)
    }

    /// The best of a group's routes whose `path_beg` has this length, and so is the path's
    /// beginning with this hash; with its rank.
    fn best_of(
        &self,
        routes: &[Route],
        query: &Query<'_>,
        (group, end): (Group, Group),
        hash: u64,
        length: usize,
    ) -> Option<(u64, u32)> {
        let mut best = None;
        for found in probe(&self.paths, hash) {
            let entry = found >> CLASS_BITS;
            let rank = rank(found, query, length);
            // An entry of another group, or one for other requests.
            if entry < group.entries || entry >= end.entries || rank == 0 {
                continue;
            }
            let Some(number) = self.entries.get(entry as usize) else { continue };
            let beginning = routes.get(*number as usize).map(path_beg).map(str::as_bytes);
            if beginning == query.path.as_bytes().get(..length) {
                best = best.max(Some((rank, *number)));
            }
        }
        best
    }

    /// A group, and where it ends.
    fn bounds(&self, number: u32) -> Option<(Group, Group)> {
        let place = number as usize;
        Some((*self.groups.get(place)?, *self.groups.get(place.checked_add(1)?)?))
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

/// The hashes of a path's beginnings of these lengths, which ascend and of which none is longer
/// than the path; of the last [`BLOCK`] ones, each at its place modulo [`BLOCK`].
fn hashes(group: u32, path: &[u8], lengths: &[u32]) -> [u64; BLOCK] {
    let mut hashes = [0; BLOCK];
    let mut hash = seed(group);
    let mut at = 0;
    for (place, length) in lengths.iter().enumerate() {
        hash = advance(hash, path.get(at..*length as usize));
        at = *length as usize;
        hashes[place % BLOCK] = hash;
    }
    hashes
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
    (proto * PROTO) | ((length as u64) << 2) | (tls << 1) | 1
}

/// Everything counted here is at most [`ROUTES_MAX`] or the length of a line.
fn small(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
