//! The side that backends see: a configuration that verifies, and one that does not.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    AlertDescription, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use super::problem::{Problem, read_certificates};

/// TLS towards backends. Cheap to clone; shared by all shards. Each configuration keeps sessions
/// that backends let resume, for itself.
#[derive(Clone)]
pub struct ClientTls {
    /// Certificates must be valid for the name, and signed by one of the roots.
    pub verifying: Arc<ClientConfig>,
    /// Any certificate will do (target option `insecure`).
    pub insecure: Arc<ClientConfig>,
    roots: Arc<RootCertStore>,
}

impl ClientTls {
    /// Verifying against the system's roots. That there are none, or that some cannot be read, is
    /// told but not fatal: only backends with TLS need them. `more` are trusted beside them. Blocks
    /// while it reads them.
    pub fn from_system(
        more: Vec<CertificateDer<'static>>,
    ) -> Result<(ClientTls, Vec<String>), Error> {
        let loaded = rustls_native_certs::load_native_certs();
        let mut problems: Vec<String> = loaded.errors.iter().map(ToString::to_string).collect();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(loaded.certs);
        let (_, ignored) = roots.add_parsable_certificates(more);
        if ignored > 0 {
            problems.push(format!("{ignored} further root certificates are of no use"));
        }
        if added == 0 {
            problems.push("the system has no root certificates".to_owned());
        }
        Ok((ClientTls::with_roots(roots)?, problems))
    }

    /// Verifying against these roots.
    pub fn with_roots(roots: RootCertStore) -> Result<ClientTls, Error> {
        let roots = Arc::new(roots);
        let verifying = config(&roots, false, None)?;
        let insecure = config(&roots, true, None)?;
        Ok(ClientTls { verifying, insecure, roots })
    }

    /// The same two, with a certificate of ours for backends that ask for one.
    pub(super) fn showing(
        &self,
        key: CertifiedKey,
    ) -> Result<(Arc<ClientConfig>, Arc<ClientConfig>), Error> {
        let shown = Arc::new(SingleCertAndKey::from(key));
        let verifying = config(&self.roots, false, Some(Arc::clone(&shown)))?;
        Ok((verifying, config(&self.roots, true, Some(shown))?))
    }
}

fn config(
    roots: &Arc<RootCertStore>,
    insecure: bool,
    shown: Option<Arc<SingleCertAndKey>>,
) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
    let builder = match insecure {
        false => builder.with_root_certificates(Arc::clone(roots)),
        true => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        }
    };
    let mut config = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => builder.with_client_cert_resolver(shown),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates of a file of PEM, as further roots.
///
/// # Errors
/// When it cannot be read, or has none.
pub fn further_roots(file: &Path) -> Result<Vec<CertificateDer<'static>>, Problem> {
    read_certificates(file)
}

/// Whether a backend broke a handshake off after we took it for done, as TLS 1.3 has it when it
/// does not like the certificate that it was shown. It has not seen a request then.
#[must_use]
pub fn is_refused_by_alert(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    let Some(Error::AlertReceived(alert)) = inner else { return false };
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::HandshakeFailure
    )
}

/// Whether a handshake failed because of a certificate: the backend's, or ours. What is refused
/// without a reason (`handshake_failure`) may have any.
#[must_use]
pub fn is_certificate_error(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(_) | Error::NoCertificatesPresented) => true,
        Some(Error::AlertReceived(AlertDescription::HandshakeFailure)) => false,
        _ => is_refused_by_alert(error),
    }
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
