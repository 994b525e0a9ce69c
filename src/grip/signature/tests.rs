//! Signing: tokens made elsewhere with the same secret, and tokens of key pairs verified.

use std::process::Command;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::{SigningKey, TokenError, VerifyingKey};

/// `{"exp":1700003600,"iss":"pushpin"}` signed with `changeme`, by another implementation.
const WITH_TEXT: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDM2MDAsImlzcyI6InB1c2hwaW4ifQ.kLqQZD5BP5GyM4rxs4s7hNTebsh6irVi0yu8Uk7hRKo";
/// The same, signed with the bytes ff 00 6b 65 79.
const WITH_BYTES: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9.eyJleHAiOjE3MDAwMDM2MDAsImlzcyI6InB1c2hwaW4ifQ.o5eCzQFd9u44DhrgSENXT7EYxWegAcoQhi0nPMuuKe4";

fn token(key: &SigningKey) -> String {
    key.sign("pushpin", 1_700_000_000).unwrap()
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("these tests make their keys with the openssl command");
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

/// Header and claims of a token that the public key verifies.
fn verified(token: &str, algorithm: Algorithm, key: &DecodingKey) -> (String, String) {
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    jsonwebtoken::decode::<serde_json::Value>(token, key, &validation).unwrap();
    let mut parts = token.split('.').map(|part| {
        let part = part.replace('-', "+").replace('_', "/");
        String::from_utf8_lossy(&crate::wire::text::base64_decode(part.as_bytes())).into_owned()
    });
    (parts.next().unwrap(), parts.next().unwrap())
}

#[test]
fn secrets() {
    assert_eq!(token(&SigningKey::from_text("changeme").unwrap()), WITH_TEXT);
    assert_eq!(token(&SigningKey::from_text("base64:/wBrZXk=").unwrap()), WITH_BYTES);
    assert_eq!(token(&SigningKey::from_text("base64:/wBrZXk").unwrap()), WITH_BYTES);
    assert_eq!(token(&SigningKey::from_file_content(b" ff006B6579\n").unwrap()), WITH_BYTES);
}

#[test]
fn a_key_pair_of_a_curve() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let key = SigningKey::from_file_content(pair.serialize_pem().as_bytes()).unwrap();
    let public = DecodingKey::from_ec_pem(pair.public_key_pem().as_bytes()).unwrap();
    let (header, claims) = verified(&token(&key), Algorithm::ES256, &public);
    assert_eq!(header, r#"{"typ":"JWT","alg":"ES256"}"#);
    assert_eq!(claims, r#"{"exp":1700003600,"iss":"pushpin"}"#);
}

#[test]
fn an_rsa_key_pair() {
    let private = openssl(&["genrsa", "2048"], b"");
    let public = openssl(&["rsa", "-pubout"], &private);
    let key = SigningKey::from_file_content(&private).unwrap();
    let public = DecodingKey::from_rsa_pem(&public).unwrap();
    let (header, claims) = verified(&token(&key), Algorithm::RS256, &public);
    assert_eq!(header, r#"{"typ":"JWT","alg":"RS256"}"#);
    assert_eq!(claims, r#"{"exp":1700003600,"iss":"pushpin"}"#);
}

/// An integer in DER, of its big-endian bytes.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len() - 1);
    let sign = if bytes[first] >= 0x80 { &[0][..] } else { &[] };
    let bytes = [sign, &bytes[first..]].concat();
    [&[2, bytes.len() as u8], &bytes[..]].concat()
}

#[test]
fn openssl_verifies_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let curve =
        openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"], b"");
    let rsa = openssl(&["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"], b"");
    for private in [curve, rsa] {
        let token = token(&SigningKey::from_file_content(&private).unwrap());
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let signature = signature.replace('-', "+").replace('_', "/");
        let mut signature = crate::wire::text::base64_decode(signature.as_bytes());
        if signature.len() == 64 {
            // A JWT has the two numbers side by side, openssl wants them in DER.
            let (r, s) = signature.split_at(32);
            let both = [integer(r), integer(s)].concat();
            signature = [&[0x30, both.len() as u8], &both[..]].concat();
        }
        std::fs::write(path("public"), openssl(&["pkey", "-pubout"], &private)).unwrap();
        std::fs::write(path("signature"), signature).unwrap();
        let (public, signature) = (path("public"), path("signature"));
        let verify = ["dgst", "-sha256", "-verify", &public, "-signature", &signature];
        assert_eq!(openssl(&verify, signed.as_bytes()), b"Verified OK\n");
    }
}

#[test]
fn what_is_no_key() {
    for text in ["", "base64:", "base64:!!!", "file:key.pem"] {
        assert!(SigningKey::from_text(text).is_err(), "{text}");
    }
    for content in [
        &b""[..],
        b"\n",
        b"abc",
        b"xy",
        b"-----BEGIN",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert!(SigningKey::from_file_content(content).is_err(), "{content:?}");
    }
    let pair = rcgen::KeyPair::generate().unwrap();
    assert!(SigningKey::from_file_content(pair.public_key_pem().as_bytes()).is_err());
}

#[test]
fn a_key_does_not_show_its_secret() {
    let shown = format!("{:?}", SigningKey::from_text("changeme").unwrap());
    assert_eq!(shown, "SigningKey { algorithm: HS256, .. }");
}

/// A token with these claims, signed with `changeme`.
fn claiming(claims: &serde_json::Value) -> String {
    let key = jsonwebtoken::EncodingKey::from_secret(b"changeme");
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
}

#[test]
fn a_token_is_valid_until_it_expires() {
    for key in ["changeme", "base64:Y2hhbmdlbWU="] {
        let key = VerifyingKey::from_text(key).unwrap();
        key.verify(WITH_TEXT, 1_700_003_599).unwrap();
        let expired = key.verify(WITH_TEXT, 1_700_003_600);
        assert!(matches!(expired, Err(TokenError::Expired(_))), "{expired:?}");
        assert!(matches!(key.verify(WITH_BYTES, 0), Err(TokenError::Token(_))));
    }
    let key = VerifyingKey::from_file_content(b" ff006B6579\n").unwrap();
    key.verify(WITH_BYTES, 1_700_000_000).unwrap();
    key.verify(WITH_TEXT, 1_700_000_000).unwrap_err();
}

#[test]
fn which_claims_a_token_may_have() {
    use serde_json::json;
    let key = VerifyingKey::from_text("changeme").unwrap();
    let verify = |claims: serde_json::Value| key.verify(&claiming(&claims), 1000);
    for good in [
        json!({"exp": 1001}),
        json!({"exp": 1000.5}),
        json!({"exp": "1001"}),
        json!({"exp": 1001, "iss": "anyone", "nbf": 5000, "sub": 1}),
    ] {
        verify(good.clone()).unwrap_or_else(|error| panic!("{good}: {error}"));
    }
    for bad in [json!({}), json!({"exp": null}), json!({"exp": "soon"})] {
        assert!(matches!(verify(bad.clone()), Err(TokenError::NoExpiry)), "{bad}");
    }
    verify(json!({"exp": [1001]})).unwrap_err();
    assert!(matches!(verify(json!({"exp": 1000})), Err(TokenError::Expired(_))));
    for bad in [json!({"exp": 1001, "aud": "x"}), json!({"exp": [1001]}), json!([1001]), json!("x")]
    {
        assert!(matches!(verify(bad.clone()), Err(TokenError::Token(_))), "{bad}");
    }
}

#[test]
fn a_token_needs_no_type_but_the_algorithm_of_the_key() {
    use jsonwebtoken::{EncodingKey, Header};
    let verifying = VerifyingKey::from_text("changeme").unwrap();
    let secret = EncodingKey::from_secret(b"changeme");
    let claims = serde_json::json!({"exp": 1001});
    let untyped = Header { typ: None, ..Header::default() };
    verifying.verify(&jsonwebtoken::encode(&untyped, &claims, &secret).unwrap(), 1000).unwrap();
    let longer = Header::new(Algorithm::HS384);
    let longer = jsonwebtoken::encode(&longer, &claims, &secret).unwrap();
    verifying.verify(&longer, 1000).unwrap_err();
    // Without a signature: `{"alg":"none"}`.
    let claims = WITH_TEXT.split('.').nth(1).unwrap();
    verifying.verify(&format!("eyJhbGciOiJub25lIn0.{claims}."), 1000).unwrap_err();
    for text in ["", ".", "..", "x.y.z", &WITH_TEXT[..WITH_TEXT.len() - 2]] {
        assert!(matches!(verifying.verify(text, 0), Err(TokenError::Token(_))), "{text}");
    }
}

#[test]
fn tokens_of_key_pairs() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let signing = SigningKey::from_file_content(pair.serialize_pem().as_bytes()).unwrap();
    let curve = VerifyingKey::from_file_content(pair.public_key_pem().as_bytes()).unwrap();
    curve.verify(&token(&signing), 1_700_000_000).unwrap();
    let private = openssl(&["genrsa", "2048"], b"");
    let signing = SigningKey::from_file_content(&private).unwrap();
    let rsa = openssl(&["rsa", "-pubout"], &private);
    let rsa = VerifyingKey::from_file_content(&rsa).unwrap();
    rsa.verify(&token(&signing), 1_700_000_000).unwrap();
    curve.verify(&token(&signing), 1_700_000_000).unwrap_err();
    rsa.verify(WITH_TEXT, 1_700_000_000).unwrap_err();
    // A public key is no secret: a token signed with its text as one is not valid.
    let forged = jsonwebtoken::EncodingKey::from_secret(pair.public_key_pem().as_bytes());
    let claims = serde_json::json!({"exp": 1_800_000_000});
    let forged = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &forged).unwrap();
    curve.verify(&forged, 1_700_000_000).unwrap_err();
}

#[test]
fn what_verifies_nothing() {
    for text in ["", "base64:", "file:key.pem"] {
        assert!(VerifyingKey::from_text(text).is_err(), "{text}");
    }
    for content in [&b""[..], b"abc", b"xy", b"-----BEGIN"] {
        assert!(VerifyingKey::from_file_content(content).is_err(), "{content:?}");
    }
    let shown = format!("{:?}", VerifyingKey::from_text("changeme").unwrap());
    assert_eq!(shown, "VerifyingKey { algorithms: [HS256], .. }");
}

proptest::proptest! {
    #[test]
    fn nothing_panics(bytes: Vec<u8>, text: String) {
        let _ = SigningKey::from_file_content(&bytes);
        let _ = SigningKey::from_text(&text);
        let _ = VerifyingKey::from_file_content(&bytes);
        let _ = VerifyingKey::from_text("k").unwrap().verify(&text, 0);
    }
}
