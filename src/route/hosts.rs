//! From host and path to the number of a route (specification, routing 2.7): the index that makes a
//! lookup among a hundred thousand routes cost what it costs among ten. Called by the roof.
//!
//! Two open-addressed tables of plain numbers say where to look: one from a host to its record, one
//! from a host's record and a `path_beg` to the path's record. What the records hold decides (see
//! `records`); no route is touched. So a lookup goes to memory four times at most (slot and record,
//! twice), and twice if the host has few paths. Where a host has many, a lookup goes through the
//! lengths that they have, the longest first. The build script prints all as constants; hence no
//! `usize` and no random seed goes into a hash.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::HashMap;

use super::hash::{Beginnings, Slots, hash, probe, seed};
use super::host_text::HostText;
use super::line::Route;
use super::records::{CLASS_BITS, Host, Length, LengthRecord, Path, Paths};
use super::records::{has_proto, rule, small, write_owner};

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
/// So many paths of a host are compared one by one: that is less than to hash and to go to memory.
const FEW_MAX: usize = 4;
/// The seed of the hashes of hosts; those of paths are seeded by their host's place.
const HOSTS: u32 = u32::MAX;

/// The index over a table's routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Index {
    /// Slots by host: its record's place.
    pub hosts: Cow<'static, [u64]>,
    /// Slots by host and `path_beg`: the path's record's place.
    pub paths: Cow<'static, [u64]>,
    /// The records.
    pub records: Cow<'static, [u8]>,
    /// The place of the record of `*`.
    pub fallback: Option<u32>,
    /// Slots by id: see [`ids`](super::ids).
    pub ids: Cow<'static, [u64]>,
}

/// The routes of one host with their numbers.
type Members<'a> = Vec<(u32, &'a Route)>;
/// The rules of one host by `path_beg`, the longest first.
type Rules<'a> = Vec<(&'a str, Vec<u32>)>;

impl Index {
    /// The index of `routes`, of which there must be at most [`ROUTES_MAX`] and no two alike;
    /// without ids yet.
    #[must_use]
    pub fn new(routes: &[Route]) -> Index {
        let mut records = Vec::new();
        let (mut of_hosts, mut of_paths) = (Vec::new(), Vec::new());
        let mut fallback = None;
        for (name, members) in gather(routes) {
            let place = small(records.len());
            match name {
                Some(name) => of_hosts.push((hash_of_host(name), place)),
                None => fallback = Some(place),
            }
            write(&mut records, &mut of_paths, name.unwrap_or_default(), &rules(members));
        }
        let slots = |of: Vec<(u64, u32)>| {
            let mut slots = Slots::with_room_for(of.len());
            of.into_iter().for_each(|(hash, place)| slots.insert(hash, place));
            slots.into()
        };
        let (hosts, paths) = (slots(of_hosts), slots(of_paths));
        Index { hosts, paths, records: records.into(), fallback, ids: Cow::Borrowed(&[]) }
    }

    /// The number of the route for a request.
    ///
    /// Of the rules of the host (or, if it has none, those of `*`) that match, one with `proto`
    /// beats one without, then the longer `path_beg` wins, then one with `ssl` beats one without.
    /// In Pushpin an `ssl` rule also beats an earlier one with a longer `path_beg`, which makes the
    /// order of lines matter in that one case; here, as the specification recommends (routing 11),
    /// `ssl` decides only between equal paths, and the order never matters.
    #[must_use]
    pub fn lookup(&self, query: &Query<'_>) -> Option<usize> {
        let records = self.records.as_ref();
        let (place, host) = self.host(records, query.host)?;
        let mut best = Best { query, protos: host.protos, rule: None };
        match host.paths {
            Paths::Few(count, bytes) => few(count, bytes, &mut best),
            Paths::Many(lengths) => self.many((records, place), lengths, &mut best),
        }
        best.rule.map(|rule| (rule >> CLASS_BITS) as usize)
    }

    /// The host's record, or that of `*`, and its place.
    fn host<'a>(&self, records: &'a [u8], host: &str) -> Option<(u32, Host<'a>)> {
        let text = HostText::new(host);
        let host = text.as_ref().map_or(host, HostText::as_str);
        let read = |place| Some((place, Host::read(records, place)?));
        let mut found = probe(&self.hosts, hash_of_host(host)).filter_map(read);
        let own = found.find(|(_, record)| record.name == host.as_bytes());
        own.or_else(|| self.fallback.and_then(read))
    }

    fn many(&self, host: (&[u8], u32), lengths: &[LengthRecord], best: &mut Best<'_>) {
        let (records, place) = host;
        let path = best.query.path.as_bytes();
        let fits = |length: &LengthRecord| Length::read(length).bytes as usize <= path.len();
        let Some(fitting) = lengths.get(..lengths.partition_point(fits)) else { return };
        let mut beginnings = Beginnings::new(seed(place), path);
        for length in fitting.iter().rev() {
            let Length { bytes, mark } = Length::read(length);
            let Some(beginning) = path.get(..bytes as usize) else { continue };
            if !mark.may_have(beginning.last().copied()) {
                continue;
            }
            let hash = beginnings.hash(beginning.len());
            let mut found = probe(&self.paths, hash).filter_map(|at| Path::of(records, at, place));
            let found = found.find(|path| path.beginning == beginning);
            if found.is_some_and(|path| best.is_found_in(&path)) {
                return;
            }
        }
    }
}

/// Compares a host's paths one by one.
fn few(count: u32, mut bytes: &[u8], best: &mut Best<'_>) {
    for _ in 0..count {
        let Some((path, rest)) = Path::read(bytes) else { return };
        bytes = rest;
        if best.query.path.as_bytes().starts_with(path.beginning) && best.is_found_in(&path) {
            return;
        }
    }
}

/// The best rule so far, where paths are seen the longest first.
struct Best<'a> {
    query: &'a Query<'a>,
    /// Whether to wait for one with `proto`.
    protos: bool,
    rule: Option<u32>,
}

impl Best<'_> {
    /// Takes the path's rule, if it is better. Says whether none that follows can be.
    fn is_found_in(&mut self, path: &Path<'_>) -> bool {
        let Some(rule) = path.rule(self.query.websocket, self.query.secure) else { return false };
        let last = !self.protos || has_proto(rule);
        if last || self.rule.is_none() {
            self.rule = Some(rule);
        }
        last
    }
}

/// The routes by host, in order of appearance, each with its number; `None` is `*`.
fn gather(routes: &[Route]) -> Vec<(Option<&str>, Members<'_>)> {
    let mut groups: Vec<(Option<&str>, Members<'_>)> = Vec::new();
    let mut known = HashMap::new();
    for (number, route) in (0_u32..).zip(routes) {
        if route.condition.by_id_only {
            continue;
        }
        let host = route.condition.host.as_deref();
        let group = *known.entry(host).or_insert(groups.len());
        if group == groups.len() {
            groups.push((host, Vec::new()));
        }
        if let Some((_, members)) = groups.get_mut(group) {
            members.push((number, route));
        }
    }
    groups
}

/// The rules of one host: paths the longest first, for each those with `proto` first, then those
/// with `ssl`.
fn rules(mut members: Members<'_>) -> Rules<'_> {
    members.sort_by_cached_key(|(_, route)| {
        let condition = &route.condition;
        let beginning = condition.path_beg.as_deref().unwrap_or("");
        let has = (condition.websocket.is_some(), condition.secure.is_some());
        (Reverse(beginning.len()), beginning, Reverse(has))
    });
    let mut rules: Rules<'_> = Vec::new();
    for (number, route) in members {
        let condition = &route.condition;
        let beginning = condition.path_beg.as_deref().unwrap_or("");
        let rule = rule(number, condition.websocket, condition.secure);
        match rules.last_mut() {
            Some((last, rules)) if *last == beginning => rules.push(rule),
            _ => rules.push((beginning, vec![rule])),
        }
    }
    rules
}

/// Writes a host's records, and notes where those are that a hash is to find.
fn write(records: &mut Vec<u8>, found: &mut Vec<(u64, u32)>, name: &str, rules: &Rules<'_>) {
    let place = small(records.len());
    let protos = rules.iter().flat_map(|(_, rules)| rules).any(|rule| has_proto(*rule));
    if rules.len() <= FEW_MAX {
        Host::write(records, name, protos, true, rules.len());
        rules.iter().for_each(|(beginning, rules)| Path::write(records, beginning, rules));
        return;
    }
    let mut lengths: Vec<Length> = Vec::new();
    for (beginning, _) in rules.iter().rev() {
        let bytes = small(beginning.len());
        if lengths.last().is_none_or(|last| last.bytes != bytes) {
            lengths.push(Length { bytes, ..Length::default() });
        }
        if let (Some(length), Some(byte)) = (lengths.last_mut(), beginning.bytes().last()) {
            length.mark.add(byte);
        }
    }
    Host::write(records, name, protos, false, lengths.len());
    lengths.iter().for_each(|length| length.write(records));
    for (beginning, rules) in rules {
        found.push((hash(seed(place), beginning.as_bytes()), small(records.len())));
        write_owner(records, place);
        Path::write(records, beginning, rules);
    }
}

fn hash_of_host(host: &str) -> u64 {
    hash(seed(HOSTS), host.as_bytes())
}
