//! One TLS connection of the client side, over a socket that does not block, and the certificate
//! that all servers of a run show. Driven by `tls.rs`.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConnection, Resumption};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, HandshakeKind, SignatureScheme};

use crate::failure::{Context, Failure, Fault};
use crate::head::protocol;
use crate::messages::Inbox;
use crate::nginx::CHANNEL;
use crate::readiness::connect;
use crate::responses::{Part, Responses};
use crate::stream::Stream;
use crate::subscriber::TEST_GREETING;

const NAME: &str = "localhost";

/// Makes a certificate, writes it and its key into `folder` where linchpin and nginx look for
/// them, and returns what a client needs that takes no other.
pub fn certificate(folder: &Path) -> Result<Arc<ClientConfig>, Failure> {
    let made = rcgen::generate_simple_self_signed([NAME.to_owned()])
        .map_err(|error| Failure::Setup(format!("making a certificate: {error}")))?;
    let files =
        [("default.crt", made.cert.pem()), ("default.key", made.signing_key.serialize_pem())];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).during(|| format!("writing {}", path.display()))?;
    }
    let provider = Arc::new(ring::default_provider());
    let only = Arc::new(Only { certificate: made.cert.der().clone(), provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Failure::Setup(format!("setting up TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(only)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Takes this certificate and no other. What the server signs is not verified: it is the server's
/// work that is measured, and verifying would be most of the client's.
#[derive(Debug)]
struct Only {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Only {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if shown.as_ref() == self.certificate.as_ref() {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General("another certificate than the one of this run".to_owned()))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 was not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// One whole response.
    Once,
    /// A stream of messages.
    ToBeHeld,
}

/// What came, decrypted.
enum Reading {
    Responses(Responses, u64),
    Stream(Stream, Inbox),
}

/// A connection.
pub struct TlsClient {
    socket: TcpStream,
    tls: ClientConnection,
    reading: Reading,
}

impl TlsClient {
    /// Connects and begins the handshake; the request follows it.
    pub fn connect(
        address: SocketAddr,
        config: &Arc<ClientConfig>,
        asks: Asks,
    ) -> Result<TlsClient, Failure> {
        let socket = connect(address)?;
        let name = ServerName::try_from(NAME)
            .map_err(|error| Failure::Setup(format!("the server's name: {error}")))?;
        let mut tls = ClientConnection::new(config.clone(), name)
            .map_err(|error| Failure::Setup(format!("beginning TLS: {error}")))?;
        let (path, reading) = match asks {
            Asks::Once => ("/".to_owned(), Reading::Responses(Responses::default(), 0)),
            Asks::ToBeHeld => (
                format!("/stream?channel={CHANNEL}"),
                Reading::Stream(Stream::default(), Inbox::new(1, TEST_GREETING)),
            ),
        };
        let request = format!("GET {path} HTTP/1.1\r\nHost: {NAME}\r\n\r\n");
        // Kept by the session until the handshake is done.
        tls.writer().write_all(request.as_bytes()).during(|| "asking".to_owned())?;
        let mut client = TlsClient { socket, tls, reading };
        client.flush().during(|| "beginning a handshake".to_owned())?;
        Ok(client)
    }

    /// To be watched.
    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    /// How far it is: 0 until it is answered or held, then one more for each answer or message.
    pub fn steps(&self) -> u64 {
        match &self.reading {
            Reading::Responses(_, answers) => *answers,
            Reading::Stream(stream, inbox) => {
                u64::from(stream.opened() && inbox.greeted()) + inbox.received
            }
        }
    }

    /// Reads and answers what is there.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<(), Fault> {
        loop {
            match self.tls.read_tls(&mut self.socket) {
                Ok(0) => return Err(Fault::Closed { expected: self.steps() }),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err(Fault::Closed { expected: self.steps() }),
            }
            self.tls.process_new_packets().map_err(|error| Fault::Protocol {
                what: "not the TLS that is due",
                got: error.to_string(),
            })?;
            while let Some(count) = self.plain(buffer) {
                self.take(buffer.get(..count).unwrap_or_default())?;
            }
        }
        if !self.tls.is_handshaking() && self.tls.handshake_kind() != Some(HandshakeKind::Full) {
            return Err(protocol("not a full handshake", b""));
        }
        self.flush().map_err(|_| Fault::Closed { expected: self.steps() })
    }

    fn plain(&mut self, buffer: &mut [u8]) -> Option<usize> {
        self.tls.reader().read(buffer).ok().filter(|count| *count > 0)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match &mut self.reading {
            Reading::Stream(stream, inbox) => stream.feed(bytes, |content| inbox.feed(content)),
            Reading::Responses(responses, answers) => responses.feed(bytes, |part| match part {
                Part::Head(head) if head.status != 200 => Err(protocol("not 200", bytes)),
                Part::Head(_) | Part::Body { .. } => Ok(()),
                Part::End => {
                    *answers += 1;
                    Ok(())
                }
            }),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        while self.tls.wants_write() {
            // A few kilobytes at most, which fit the socket's buffer.
            self.tls.write_tls(&mut self.socket)?;
        }
        Ok(())
    }

    /// Ends the session as TLS wants it.
    pub fn leave(mut self) {
        self.tls.send_close_notify();
        // Whether it arrives is of no concern any more.
        let _ = self.flush();
    }
}
