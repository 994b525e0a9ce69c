//! The side that backends see: a configuration that verifies, and one that does not.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

/// TLS towards backends. Cheap to clone; shared by all shards.
#[derive(Clone)]
pub struct ClientTls {
    /// Certificates must be valid for the name, and signed by one of the roots.
    pub verifying: Arc<ClientConfig>,
    /// Any certificate will do (target option `insecure`).
    pub insecure: Arc<ClientConfig>,
}

impl ClientTls {
    /// Verifying against the system's roots. That there are none, or that some cannot be read, is
    /// told but not fatal: only backends with TLS need them. Blocks while it reads them.
    pub fn from_system() -> Result<(ClientTls, Vec<String>), Error> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut problems: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(loaded.certs);
        if added == 0 {
            problems.push("the system has no root certificates".to_owned());
        }
        Ok((ClientTls::with_roots(roots)?, problems))
    }

    /// Verifying against these roots.
    pub fn with_roots(roots: RootCertStore) -> Result<ClientTls, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = || {
            ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        };
        let verifying = builder()?.with_root_certificates(roots).with_no_client_auth();
        let insecure = builder()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(Arc::clone(&provider))))
            .with_no_client_auth();
        Ok(ClientTls { verifying: Arc::new(verifying), insecure: Arc::new(insecure) })
    }
}

/// Whether a handshake failed because of the certificate.
#[must_use]
pub fn is_certificate_error(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(inner, Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented))
}

/// Accepts any certificate, but the peer must still own its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
