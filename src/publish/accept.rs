//! In which form a success is told, as the request's `Accept` fields ask (specification, GRIP 7.1).
//!
//! Pure; called by `head` with each of the fields.

/// In which form a success is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain`
    Text,
    /// `application/json`
    Json,
}

impl Format {
    /// The last element of an `Accept` field that is recognised, whatever its weight; `None` when
    /// there is none. Without any field it is text; of several fields the last that names one
    /// counts.
    #[must_use]
    pub fn last_of(accept: &[u8]) -> Option<Format> {
        accept.split(|&b| b == b',').rev().find_map(|element| {
            let media_type = element.split(|&b| b == b';').next().unwrap_or_default();
            match media_type.trim_ascii() {
                b"text/plain" | b"text/*" | b"*/*" | b"*" => Some(Format::Text),
                b"application/json" | b"application/*" => Some(Format::Json),
                _ => None,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_recognised_element_wins() {
        let of = |accept: &str| Format::last_of(accept.as_bytes());
        for text in ["text/plain", "text/*", "*/*", "*", "application/json, text/plain", "*;q=0"] {
            assert_eq!(of(text), Some(Format::Text), "{text}");
        }
        for json in [
            "application/json",
            "application/*",
            "text/plain, application/json",
            "application/json;q=0.5",
            "application/json, foo/bar",
            "application/json,",
        ] {
            assert_eq!(of(json), Some(Format::Json), "{json}");
        }
        for none in ["", "foo", "TEXT/plain", "application/json text/plain"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
