//! The shard's signing keys, each prepared once, and their tokens (specification, routing 3.7).
//!
//! `outgoing` asks for the value of `Grip-Sig`. A token is used again for a minute: it is valid for
//! an hour, and signing with RSA costs a millisecond.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use hashbrown::HashMap;
use http::HeaderValue;

use crate::grip::signature::{KeyError, SigningKey};

/// A token is signed anew after this, in seconds.
const TOKEN_REUSE_S: u64 = 60;

/// A key as an option's text gives it.
enum Prepared {
    /// The text or the file is empty, or the file cannot be read: as if none had been given.
    Missing(KeyError),
    /// There is something, but it is no key.
    Unusable(KeyError),
    /// Ready.
    Usable(SigningKey),
}

struct Token {
    signed_s: u64,
    value: HeaderValue,
}

struct Entry {
    key: Prepared,
    /// By issuer.
    tokens: RefCell<HashMap<String, Token>>,
}

/// All keys that were asked for, by the text that names them.
pub struct Keys {
    directory: PathBuf,
    entries: RefCell<HashMap<String, Rc<Entry>>>,
}

impl Keys {
    /// No keys yet. `file:` keys with a relative path are looked for in `directory`.
    #[must_use]
    pub fn new(directory: PathBuf) -> Keys {
        Keys { directory, entries: RefCell::new(HashMap::new()) }
    }

    /// A token that `issuer` signs with the first of `keys` that is there. `None` without issuer or
    /// key. A key that is there but cannot sign is an error, not a reason to take the next.
    pub fn token<'a>(
        &self,
        issuer: &str,
        keys: impl IntoIterator<Item = &'a str>,
        now_unix_s: u64,
    ) -> Result<Option<HeaderValue>, KeyError> {
        if issuer.is_empty() {
            return Ok(None);
        }
        for text in keys {
            let entry = self.entry(text);
            match &entry.key {
                Prepared::Missing(_) => {}
                Prepared::Unusable(error) => return Err(KeyError(error.0.clone())),
                Prepared::Usable(key) => {
                    return entry.token(key, issuer, now_unix_s).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Whether the key that `text` names can sign: for the start, so that a mistake is told then.
    pub fn check(&self, text: &str) -> Result<(), KeyError> {
        match self.prepare(text) {
            Prepared::Missing(error) | Prepared::Unusable(error) => Err(error),
            Prepared::Usable(_) => Ok(()),
        }
    }

    /// Reads the keys of files anew when they are needed next.
    pub fn reread(&self) {
        self.entries.borrow_mut().retain(|text, _| !text.starts_with("file:"));
    }

    fn entry(&self, text: &str) -> Rc<Entry> {
        if let Some(entry) = self.entries.borrow().get(text) {
            return Rc::clone(entry);
        }
        let key = self.prepare(text);
        // What the text itself says was told when it was read.
        if let Prepared::Missing(error) = &key
            && text.starts_with("file:")
        {
            tracing::warn!("{error}: going without this key");
        }
        let entry = Rc::new(Entry { key, tokens: RefCell::default() });
        self.entries.borrow_mut().insert(text.to_owned(), Rc::clone(&entry));
        entry
    }

    /// Reads a key file the first time that it is needed: it is small, and it happens once.
    fn prepare(&self, text: &str) -> Prepared {
        let key = match text.strip_prefix("file:") {
            _ if text.is_empty() => return Prepared::Missing(KeyError("it is empty".to_owned())),
            // Without a byte in it: everybody could sign with that.
            None => {
                return SigningKey::from_text(text)
                    .map_or_else(Prepared::Missing, Prepared::Usable);
            }
            Some(path) => match std::fs::read(self.directory.join(path)) {
                Ok(content) if content.trim_ascii().is_empty() => {
                    return Prepared::Missing(KeyError(format!("{path} is empty")));
                }
                Ok(content) => SigningKey::from_file_content(&content),
                Err(error) => {
                    return Prepared::Missing(KeyError(format!("cannot read {path}: {error}")));
                }
            },
        };
        key.map_or_else(Prepared::Unusable, Prepared::Usable)
    }
}

impl Entry {
    fn token(&self, key: &SigningKey, issuer: &str, now_s: u64) -> Result<HeaderValue, KeyError> {
        if let Some(token) = self.tokens.borrow().get(issuer)
            && token.signed_s <= now_s
            && now_s - token.signed_s < TOKEN_REUSE_S
        {
            return Ok(token.value.clone());
        }
        let value = HeaderValue::from_str(&key.sign(issuer, now_s)?)
            .map_err(|error| KeyError(error.to_string()))?;
        let token = Token { signed_s: now_s, value: value.clone() };
        self.tokens.borrow_mut().insert(issuer.to_owned(), token);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_issuer_or_key_there_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty.key"), " \n").unwrap();
        let keys = Keys::new(folder.path().to_owned());
        assert!(keys.token("", ["key"], 0).unwrap().is_none());
        assert!(keys.token("iss", [], 0).unwrap().is_none());
        let missing = ["", "base64:", "base64:!!", "file:nowhere.key", "file:empty.key"];
        assert!(keys.token("iss", missing, 0).unwrap().is_none());
        assert!(missing.iter().all(|key| keys.check(key).is_err()), "told when they are read");
    }

    #[test]
    fn tokens_are_used_again_for_a_minute() {
        let keys = Keys::new(PathBuf::new());
        let at = |issuer: &str, now| keys.token(issuer, ["secret"], now).unwrap().unwrap();
        let first = at("a", 1_000_000);
        assert_eq!(first, at("a", 1_000_059));
        assert_ne!(first, at("a", 1_000_060));
        assert_ne!(first, at("b", 1_000_000));
    }

    #[test]
    fn the_first_key_that_is_there_signs() {
        let keys = Keys::new(PathBuf::from("/nonexistent"));
        let token = |texts: &[&str]| keys.token("a", texts.iter().copied(), 1).unwrap();
        assert_eq!(token(&["file:gone", "two"]), token(&["two"]));
        assert_ne!(token(&["one", "two"]), token(&["two"]));
    }

    #[test]
    fn a_broken_key_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("bad.pem"), "-----BEGIN NOTHING-----\n").unwrap();
        let keys = Keys::new(folder.path().to_owned());
        assert!(keys.token("a", ["file:bad.pem", "good"], 1).is_err());
    }
}
