//! The extension `grip` of a backend's answer: is GRIP spoken, and with which prefix
//! (specification, WebSockets 3.1).
//!
//! Called by `proxy` when a backend has accepted. Pure.

use http::{HeaderMap, HeaderValue};

pub use super::list::ListError as ExtensionsError;
use super::list::extensions;

/// The prefix of ordinary messages when the backend names none.
const PREFIX_DEFAULT: &[u8] = b"m:";

/// The prefix of ordinary messages, if the answer has the extension `grip` (in exactly this case).
pub fn grip_prefix(headers: &HeaderMap) -> Result<Option<Box<[u8]>>, ExtensionsError> {
    let mut found = None;
    for extension in extensions(headers) {
        let extension = extension?;
        // The first one counts.
        if extension.name != b"grip" || found.is_some() {
            continue;
        }
        let named = |parameter: &&super::list::Parameter<'_>| parameter.name == b"message-prefix";
        let prefix = extension.parameters.iter().rfind(named);
        let prefix = prefix.map(|parameter| parameter.value.as_deref().unwrap_or_default());
        found = Some(prefix.unwrap_or(PREFIX_DEFAULT).into());
    }
    Ok(found)
}

/// The elements that an upstream GRIP proxy is to see, a line each: the extension `grip`.
pub fn grip_lines(headers: &HeaderMap) -> Vec<HeaderValue> {
    let elements = extensions(headers).map_while(Result::ok);
    let grips = elements.filter(|extension| extension.name == b"grip");
    // What is a part of a value is one.
    grips.filter_map(|extension| HeaderValue::from_bytes(extension.text).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::SEC_WEBSOCKET_EXTENSIONS;

    fn lines(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn prefix(values: &[&str]) -> Option<String> {
        let found = grip_prefix(&lines(values)).unwrap();
        found.map(|prefix| String::from_utf8(prefix.into_vec()).unwrap())
    }

    #[test]
    fn the_table_of_the_specification() {
        assert_eq!(prefix(&["grip"]).as_deref(), Some("m:"));
        assert_eq!(prefix(&["grip; message-prefix=\"\""]).as_deref(), Some(""));
        assert_eq!(prefix(&["grip; message-prefix=\"!\""]).as_deref(), Some("!"));
        assert_eq!(prefix(&["grip;message-prefix=!"]).as_deref(), Some("!"));
        assert_eq!(prefix(&["grip; message-prefix=\"a\\\"b\\\\\""]).as_deref(), Some("a\"b\\"));
        assert_eq!(prefix(&["grip; other=1; x"]).as_deref(), Some("m:"));
    }

    #[test]
    fn grip_is_one_of_several_and_exact() {
        assert_eq!(prefix(&["GRIP"]), None);
        assert_eq!(prefix(&["grip2, gri"]), None);
        assert_eq!(prefix(&[]), None);
        assert_eq!(prefix(&["foo; a=\"x, grip\" , grip; message-prefix=z"]).as_deref(), Some("z"));
        assert_eq!(prefix(&["permessage-deflate", "grip"]).as_deref(), Some("m:"));
    }

    #[test]
    fn only_grip_is_relayed() {
        let two = lines(&["permessage-deflate, grip; message-prefix=x", "grip"]);
        assert_eq!(grip_lines(&two), ["grip; message-prefix=x", "grip"]);
    }

    #[test]
    fn what_is_no_list_has_no_prefix() {
        let read = |value| grip_prefix(&lines(&[value]));
        assert_eq!(read("grip; message-prefix=\"x"), Err(ExtensionsError::UnterminatedQuote));
        assert_eq!(read("grip; a=\"x\"y"), Err(ExtensionsError::Malformed));
    }
}
