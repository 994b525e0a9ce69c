//! Which clients are GRIP proxies that we trust: those that sign as the operator's key says
//! (specification, routing 3.7).
//!
//! The key is read once, at start; the roof asks about every request. Whoever is trusted carries
//! out the backend's instructions itself, so they pass through here untouched.

use std::path::Path;

use http::{HeaderMap, HeaderName};

use crate::clock;
use crate::grip::signature::{KeyError, VerifyingKey};

const GRIP_SIG: HeaderName = HeaderName::from_static("grip-sig");

/// The key of the proxies that we trust.
#[derive(Clone, Debug)]
pub struct Upstream {
    key: VerifyingKey,
}

impl Upstream {
    /// The key that an option's text gives, in the forms of the signing key; a relative `file:` is
    /// looked for in `directory`.
    ///
    /// # Errors
    /// When there is no such file, or it is no key.
    pub fn read(text: &str, directory: &Path) -> Result<Upstream, KeyError> {
        let key = match text.strip_prefix("file:") {
            None => VerifyingKey::from_text(text)?,
            Some(path) => {
                let content = std::fs::read(directory.join(path))
                    .map_err(|error| KeyError(format!("cannot read {path}: {error}")))?;
                VerifyingKey::from_file_content(&content)?
            }
        };
        Ok(Upstream { key })
    }

    /// Whether a request with these fields comes from such a proxy. Which do not is told at debug
    /// level only: anybody may send anything.
    #[must_use]
    pub fn trusts(&self, headers: &HeaderMap) -> bool {
        let Some(token) = headers.get(GRIP_SIG) else { return false };
        let Ok(token) = token.to_str() else { return false };
        match self.key.verify(token, clock::unix_seconds()) {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!("not a trusted proxy: {error}");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grip::signature::SigningKey;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(GRIP_SIG, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn only_a_valid_signature_is_trusted() {
        let upstream = Upstream::read("secret", Path::new("")).unwrap();
        let sign = |key: &str, at| SigningKey::from_text(key).unwrap().sign("edge", at).unwrap();
        let now = clock::unix_seconds();
        let valid = sign("secret", now);
        assert!(upstream.trusts(&headers(&[&valid])));
        assert!(!upstream.trusts(&headers(&[])));
        assert!(!upstream.trusts(&headers(&["", &valid])), "the first counts");
        assert!(!upstream.trusts(&headers(&["\u{fc}"])));
        assert!(!upstream.trusts(&headers(&[&sign("other", now)])));
        assert!(!upstream.trusts(&headers(&[&sign("secret", now - 4000)])));
    }

    #[test]
    fn keys_of_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("up.key"), "736563726574\n").unwrap();
        let upstream = Upstream::read("file:up.key", folder.path()).unwrap();
        let key = SigningKey::from_text("secret").unwrap();
        let token = key.sign("edge", clock::unix_seconds()).unwrap();
        assert!(upstream.trusts(&headers(&[&token])));
        for bad in ["", "base64:", "file:none.key"] {
            assert!(Upstream::read(bad, folder.path()).is_err(), "{bad}");
        }
    }
}
