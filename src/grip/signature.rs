//! `Grip-Sig`: keys, signing, verifying (specification, routing 3.7).

/// A signing key, ready for use.
pub struct SigningKey;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

impl SigningKey {
    /// The key that an option's text gives: plain text, `base64:...`, or `file:...` (relative to
    /// `directory`; the caller reads files, see `from_file_content`).
    pub fn from_text(text: &str) -> Result<SigningKey, KeyError> {
        let _ = text;
        todo!()
    }

    /// The key in a file: PEM (EC P-256, RSA), or hexadecimal text of an HMAC secret.
    pub fn from_file_content(content: &[u8]) -> Result<SigningKey, KeyError> {
        let _ = content;
        todo!()
    }

    /// A fresh token: `exp` is `now_unix_s` + 3600.
    pub fn sign(&self, issuer: &str, now_unix_s: u64) -> Result<String, KeyError> {
        let _ = (issuer, now_unix_s);
        todo!()
    }
}
