//! Authorities of certificates, and what they sign: for servers, clients and backends.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use rustls::pki_types::CertificateDer;

/// An authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM.
pub struct Signed {
    pub certificate: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Authority(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate for these names, good for servers and clients.
    pub fn sign(&self, names: &[&str]) -> Signed {
        self.sign_until(names, 2099)
    }

    /// One that is good until the beginning of a year.
    pub fn sign_until(&self, names: &[&str], year: i32) -> Signed {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let common = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, common);
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let made = params.signed_by(&key, &self.0).expect("signed");
        Signed { certificate: made.pem(), key: key.serialize_pem(), der: made.der().clone() }
    }
}

impl Signed {
    /// Writes `NAME.crt` and `NAME.key`; gives their paths.
    pub fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let at = |ending: &str| folder.join(format!("{name}.{ending}"));
        let (certificate, key) = (at("crt"), at("key"));
        replace(&key, &self.key);
        replace(&certificate, &self.certificate);
        (certificate, key)
    }
}

/// Puts another file in the place of one, as tools that renew certificates do.
pub fn replace(file: &Path, content: &str) {
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, content).expect("written");
    std::fs::rename(&fresh, file).expect("in its place");
}
