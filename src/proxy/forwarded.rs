//! `X-Forwarded-*` towards a target (specification, routing 3.5, steps 7 to 9). Pure; for
//! `outgoing`.

use http::HeaderValue;
use http::header::HeaderName;

use super::fields::Fields;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const PROTOCOL: HeaderName = HeaderName::from_static("x-forwarded-protocol");

/// Says whether the client's connection is secure, as `set_x_forwarded_protocol=proto-only` does:
/// what the client itself says is removed in any case.
pub fn protocol(fields: &mut Fields<'_>, secure: bool, websocket: bool) {
    fields.keep(|name| *name != PROTO && *name != PROTOCOL);
    if secure {
        let scheme = if websocket { "wss" } else { "https" };
        fields.add(PROTO, HeaderValue::from_static(scheme));
    }
}

/// Applies the empty rule to `X-Forwarded-For`: nothing is added or cut, but all values are folded
/// into one field at the end.
pub fn folded_for(fields: &mut Fields<'_>) {
    let values = fields.take(&FOR);
    let mut folded: Vec<u8> = Vec::new();
    for part in values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b',')) {
        let part = part.trim_ascii();
        if !part.is_empty() {
            if !folded.is_empty() {
                folded.extend_from_slice(b", ");
            }
            folded.extend_from_slice(part);
        }
    }
    if !folded.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(&folded)
    {
        fields.add(FOR, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&'static str, &'static str)]) -> Fields<'static> {
        let mut fields = Fields::default();
        for (name, value) in list {
            fields.add(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        fields
    }

    fn shown(fields: &Fields<'_>) -> Vec<String> {
        fields.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect()
    }

    #[test]
    fn forwarded_for_is_folded_and_moved_to_the_end() {
        let mut given = fields(&[
            ("x-forwarded-for", "1.1.1.1 ,2.2.2.2"),
            ("a", "b"),
            ("x-forwarded-for", " ::1"),
        ]);
        folded_for(&mut given);
        assert_eq!(shown(&given), ["a: b", "x-forwarded-for: 1.1.1.1, 2.2.2.2, ::1"]);
        let mut empty = fields(&[("x-forwarded-for", " , ")]);
        folded_for(&mut empty);
        assert!(shown(&empty).is_empty());
    }

    #[test]
    fn only_we_say_the_protocol() {
        let claims = [("x-forwarded-proto", "https"), ("x-forwarded-protocol", "wss")];
        for (secure, websocket, expected) in [
            (false, false, vec![]),
            (true, false, vec!["x-forwarded-proto: https"]),
            (true, true, vec!["x-forwarded-proto: wss"]),
        ] {
            let mut given = fields(&claims);
            protocol(&mut given, secure, websocket);
            assert_eq!(shown(&given), expected);
        }
    }
}
