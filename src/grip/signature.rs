//! `Grip-Sig`: keys and signing (specification, routing 3.7).
//!
//! Called by `proxy` for every request to a backend; keys are made when routes are loaded.
//! Verifying the tokens of trusted proxies is not built yet.

#[cfg(test)]
mod tests;

use jsonwebtoken::{Algorithm, EncodingKey, Header};

/// For how many seconds a token is valid.
const VALID_S: u64 = 3600;

/// A signing key, ready for use.
#[derive(Clone)]
pub struct SigningKey {
    algorithm: Algorithm,
    key: EncodingKey,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the secret.
        f.debug_struct("SigningKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub String);

/// The claims of a token, in this order.
#[derive(serde::Serialize)]
struct Claims<'a> {
    exp: u64,
    iss: &'a str,
}

impl SigningKey {
    /// The key that an option's text gives: plain text or `base64:...`. For `file:...` the caller
    /// reads the file (relative to its own directory) and uses [`SigningKey::from_file_content`];
    /// here it is an error, as is a text that gives no key.
    pub fn from_text(text: &str) -> Result<SigningKey, KeyError> {
        if text.starts_with("file:") {
            return Err(KeyError("the key is in a file, which has to be read first".into()));
        }
        match text.strip_prefix("base64:") {
            Some(encoded) => secret(&crate::wire::text::base64_decode(encoded.as_bytes())),
            None => secret(text.as_bytes()),
        }
    }

    /// The key in a file: PEM (EC P-256 in PKCS#8, RSA), or hexadecimal text of an HMAC secret.
    pub fn from_file_content(content: &[u8]) -> Result<SigningKey, KeyError> {
        if content.starts_with(b"-----BEGIN") {
            return from_pem(content);
        }
        let mut bytes = Vec::with_capacity(content.len() / 2);
        let (pairs, odd) = content.trim_ascii().as_chunks::<2>();
        for pair in pairs {
            let byte = crate::wire::text::hex_pair(*pair);
            bytes.push(
                byte.ok_or_else(|| KeyError("the key is neither PEM nor hexadecimal".into()))?,
            );
        }
        if !odd.is_empty() {
            return Err(KeyError("the key has an odd number of hexadecimal digits".into()));
        }
        secret(&bytes)
    }

    /// A fresh token: `exp` is `now_unix_s` + 3600.
    pub fn sign(&self, issuer: &str, now_unix_s: u64) -> Result<String, KeyError> {
        let claims = Claims { exp: now_unix_s.saturating_add(VALID_S), iss: issuer };
        jsonwebtoken::encode(&Header::new(self.algorithm), &claims, &self.key)
            .map_err(|error| KeyError(format!("cannot sign: {error}")))
    }
}

fn secret(bytes: &[u8]) -> Result<SigningKey, KeyError> {
    if bytes.is_empty() {
        return Err(KeyError("the key is empty".into()));
    }
    Ok(SigningKey { algorithm: Algorithm::HS256, key: EncodingKey::from_secret(bytes) })
}

/// A private key; whether it signs at all is tried at once, so that a bad one is noticed when it is
/// loaded and not at the first request.
fn from_pem(content: &[u8]) -> Result<SigningKey, KeyError> {
    let key = if let Ok(key) = EncodingKey::from_ec_pem(content) {
        SigningKey { algorithm: Algorithm::ES256, key }
    } else {
        let key = EncodingKey::from_rsa_pem(content).map_err(|error| {
            KeyError(format!("the PEM holds no EC or RSA private key: {error}"))
        })?;
        SigningKey { algorithm: Algorithm::RS256, key }
    };
    key.sign("", 0).map(|_| ())?;
    Ok(key)
}
