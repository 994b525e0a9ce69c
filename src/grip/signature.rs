//! `Grip-Sig`: keys, signing and verifying (specification, routing 3.7).
//!
//! Called by `proxy` for every request to a backend, and for every request of a client that says to
//! be a GRIP proxy; keys are made at start. It reads no file and no clock.

#[cfg(test)]
mod tests;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};

/// For how many seconds a token is valid.
const VALID_S: u64 = 3600;
/// How a file begins that is PEM.
const PEM: &[u8] = b"-----BEGIN";

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
        secret_of_text(text).map(|bytes| SigningKey::of_secret(&bytes))
    }

    /// The key in a file: PEM (EC P-256 in PKCS#8, RSA), or hexadecimal text of an HMAC secret.
    pub fn from_file_content(content: &[u8]) -> Result<SigningKey, KeyError> {
        if content.starts_with(PEM) {
            return from_pem(content);
        }
        secret_of_hexadecimal(content).map(|bytes| SigningKey::of_secret(&bytes))
    }

    fn of_secret(bytes: &[u8]) -> SigningKey {
        SigningKey { algorithm: Algorithm::HS256, key: EncodingKey::from_secret(bytes) }
    }

    /// A fresh token: `exp` is `now_unix_s` + 3600.
    pub fn sign(&self, issuer: &str, now_unix_s: u64) -> Result<String, KeyError> {
        let claims = Claims { exp: now_unix_s.saturating_add(VALID_S), iss: issuer };
        jsonwebtoken::encode(&Header::new(self.algorithm), &claims, &self.key)
            .map_err(|error| KeyError(format!("cannot sign: {error}")))
    }
}

/// A key that tokens of others are verified with, ready for use.
#[derive(Clone)]
pub struct VerifyingKey {
    validation: Validation,
    key: DecodingKey,
}

impl std::fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Never the secret.
        let algorithms = &self.validation.algorithms;
        f.debug_struct("VerifyingKey").field("algorithms", algorithms).finish_non_exhaustive()
    }
}

/// Why a token does not make its bearer trusted.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No JWT, made with another key or by another algorithm, or with an `aud`.
    #[error("{0}")]
    Token(#[from] jsonwebtoken::errors::Error),
    /// `exp` is missing or no number.
    #[error("the token has no time of expiry")]
    NoExpiry,
    /// It is over.
    #[error("the token expired at {0}")]
    Expired(f64),
}

impl VerifyingKey {
    /// As [`SigningKey::from_text`].
    pub fn from_text(text: &str) -> Result<VerifyingKey, KeyError> {
        let secret = secret_of_text(text)?;
        Ok(VerifyingKey::new(Algorithm::HS256, DecodingKey::from_secret(&secret)))
    }

    /// The key in a file: PEM of a public key (EC P-256, RSA), or hexadecimal text of an HMAC
    /// secret.
    pub fn from_file_content(content: &[u8]) -> Result<VerifyingKey, KeyError> {
        if !content.starts_with(PEM) {
            let secret = secret_of_hexadecimal(content)?;
            return Ok(VerifyingKey::new(Algorithm::HS256, DecodingKey::from_secret(&secret)));
        }
        if let Ok(key) = DecodingKey::from_ec_pem(content) {
            return Ok(VerifyingKey::new(Algorithm::ES256, key));
        }
        let key = DecodingKey::from_rsa_pem(content)
            .map_err(|error| KeyError(format!("the PEM holds no EC or RSA public key: {error}")))?;
        Ok(VerifyingKey::new(Algorithm::RS256, key))
    }

    fn new(algorithm: Algorithm, key: DecodingKey) -> VerifyingKey {
        let mut validation = Validation::new(algorithm);
        // Looked at here: the crate knows no text and allows for clocks that differ.
        validation.validate_exp = false;
        validation.required_spec_claims.clear();
        VerifyingKey { validation, key }
    }

    /// Whether `token` was made with the counterpart of this key and is not over. Who made it
    /// (`iss`) and from when on it is valid (`nbf`) is not looked at, as in existing servers.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn verify(&self, token: &str, now_unix_s: u64) -> Result<(), TokenError> {
        type Object = serde_json::Map<String, serde_json::Value>;
        let claims = jsonwebtoken::decode::<Object>(token, &self.key, &self.validation)?.claims;
        let expires = match claims.get("exp") {
            Some(serde_json::Value::Number(number)) => number.as_f64(),
            Some(serde_json::Value::String(text)) => text.trim().parse().ok(),
            _ => None,
        };
        match expires {
            None => Err(TokenError::NoExpiry),
            Some(expires) if expires > now_unix_s as f64 => Ok(()),
            Some(expires) => Err(TokenError::Expired(expires)),
        }
    }
}

/// The secret that an option's text gives.
fn secret_of_text(text: &str) -> Result<Vec<u8>, KeyError> {
    if text.starts_with("file:") {
        return Err(KeyError("the key is in a file, which has to be read first".into()));
    }
    not_empty(match text.strip_prefix("base64:") {
        Some(encoded) => crate::wire::text::base64_decode(encoded.as_bytes()),
        None => text.as_bytes().to_vec(),
    })
}

/// The secret in a file.
fn secret_of_hexadecimal(content: &[u8]) -> Result<Vec<u8>, KeyError> {
    let mut bytes = Vec::with_capacity(content.len() / 2);
    let (pairs, odd) = content.trim_ascii().as_chunks::<2>();
    for pair in pairs {
        let byte = crate::wire::text::hex_pair(*pair);
        bytes.push(byte.ok_or_else(|| KeyError("the key is neither PEM nor hexadecimal".into()))?);
    }
    if !odd.is_empty() {
        return Err(KeyError("the key has an odd number of hexadecimal digits".into()));
    }
    not_empty(bytes)
}

fn not_empty(bytes: Vec<u8>) -> Result<Vec<u8>, KeyError> {
    if bytes.is_empty() { Err(KeyError("the key is empty".into())) } else { Ok(bytes) }
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
