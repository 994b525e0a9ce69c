//! What a target is told of the way that a request has come: `X-Forwarded-*`, `CDN-Loop`
//! (specification, routing 3.3 and 3.5, steps 4 and 7 to 9). Pure; for `outgoing`, and for whoever
//! wants to know where a client is.

use std::net::IpAddr;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue};
use smallvec::SmallVec;

use super::fields::Fields;
use crate::wire::params::elements;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// `X-Forwarded-Proto`.
pub const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// `X-Forwarded-Protocol`.
pub const PROTOCOL: HeaderName = HeaderName::from_static("x-forwarded-protocol");
/// `CDN-Loop` (RFC 8586).
pub const CDN_LOOP: HeaderName = HeaderName::from_static("cdn-loop");

/// What is done with `X-Forwarded-For`; by default nothing is cut or added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForRule {
    /// Only the last so many values are kept (`truncate`).
    pub keep: Option<usize>,
    /// The peer's address is added (`append`).
    pub append: bool,
}

impl ForRule {
    /// A rule of its words `truncate:N` and `append`. A bad number ends it, as in Pushpin; every
    /// other word is passed over. The second part is what could not be read.
    #[must_use]
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> (ForRule, Vec<&'a str>) {
        let (mut rule, mut bad) = (ForRule::default(), Vec::new());
        for word in words.into_iter().map(str::trim).filter(|word| !word.is_empty()) {
            match (word, word.strip_prefix("truncate:")) {
                ("append", _) => rule.append = true,
                (_, Some(number)) => match number.trim().parse::<i64>() {
                    Ok(number) => rule.keep = usize::try_from(number).ok(),
                    Err(_) => {
                        bad.push(word);
                        break;
                    }
                },
                _ => bad.push(word),
            }
        }
        (rule, bad)
    }
}

/// Who says whether the client's connection is secure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetProtocol {
    /// Whoever is before us.
    Leave,
    /// We do, by `X-Forwarded-Proto`.
    #[default]
    ProtoOnly,
    /// We do, also by `X-Forwarded-Protocol`.
    Both,
}

impl SetProtocol {
    /// Of the option's text.
    #[must_use]
    pub fn parse(text: &str) -> SetProtocol {
        match text {
            "true" => SetProtocol::Both,
            "proto-only" => SetProtocol::ProtoOnly,
            _ => SetProtocol::Leave,
        }
    }
}

/// Whether a proxy in front says that its client's connection is secure.
#[must_use]
pub fn says_secure(headers: &HeaderMap) -> bool {
    let first = |name| headers.get(name).map(HeaderValue::as_bytes).filter(|v| !v.is_empty());
    let said = first(PROTO).or_else(|| first(PROTOCOL));
    said.is_some_and(|said| matches!(said, b"https" | b"wss"))
}

/// Says that the client's connection is secure. What was said before has been removed.
pub fn protocol(fields: &mut Fields<'_>, set: SetProtocol, websocket: bool) {
    let scheme = HeaderValue::from_static(if websocket { "wss" } else { "https" });
    if set != SetProtocol::Leave {
        fields.add(PROTO, scheme.clone());
    }
    if set == SetProtocol::Both {
        fields.add(PROTOCOL, scheme);
    }
}

/// Applies a rule to `X-Forwarded-For`: what is left is folded into one field at the end.
pub fn folded_for(fields: &mut Fields<'_>, rule: &ForRule, peer: Option<IpAddr>) {
    let values = fields.take(&FOR);
    let peer = peer.filter(|_| rule.append);
    if values.is_empty() && peer.is_none() {
        return;
    }
    let kept: SmallVec<[&[u8]; 8]> =
        values.iter().flat_map(|value| addresses(value.as_bytes())).collect();
    let skipped = rule.keep.map_or(0, |keep| kept.len().saturating_sub(keep));
    let mut folded = kept.get(skipped..).unwrap_or_default().join(&b", "[..]);
    if let Some(peer) = peer {
        let comma = if folded.is_empty() { "" } else { ", " };
        folded.extend_from_slice(format!("{comma}{}", peer.to_canonical()).as_bytes());
    }
    if !folded.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(&folded)
    {
        fields.add(FOR, value);
    }
}

fn addresses(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|part| !part.is_empty())
}

/// Where a client is as far as one knows: what it, or a proxy in front, says first, unless the rule
/// lets nothing of it stand; else the peer.
#[must_use]
pub fn logical_address(
    headers: &HeaderMap,
    rule: &ForRule,
    peer: Option<IpAddr>,
) -> Option<IpAddr> {
    let mut said = headers.get_all(FOR).iter().flat_map(|value| addresses(value.as_bytes()));
    let said = said.next().filter(|_| rule.keep != Some(0));
    let said = said.and_then(|said| std::str::from_utf8(said).ok()?.parse().ok());
    said.or(peer).map(|address: IpAddr| address.to_canonical())
}

/// Adds our token to `CDN-Loop`, and makes one field of all that there are.
pub fn cdn_loop(fields: &mut Fields<'_>, token: &HeaderValue) {
    let values = fields.take(&CDN_LOOP);
    if values.is_empty() {
        return fields.add(CDN_LOOP, token.clone());
    }
    let mut all: SmallVec<[&[u8]; 8]> =
        values.iter().flat_map(|value| elements(value.as_bytes())).collect();
    all.retain(|element| !element.is_empty());
    all.push(token.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&all.join(&b", "[..])) {
        fields.add(CDN_LOOP, value);
    }
}

#[cfg(test)]
mod tests;
