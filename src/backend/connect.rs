//! Resolve, connect, TLS; time bounds. Used by `exchange`; knows nothing of HTTP.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::{Error, Kind, Stage};
use super::policy;
use super::race::{self, Won};
use super::resolver::Resolver;
use crate::clock::{self, Tick};
use crate::limits::BACKEND_PROBES;
use crate::stats::Stats;
use crate::tls::identity::{Identities, Identity};

/// A unix socket whose queue is full is tried again so often, in milliseconds.
const CROWDED_MS: u64 = 5;

/// Where connections lead: requests with equal destinations share a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// A name or an address (IPv6 with or without brackets), or the path of a unix socket, which
    /// begins with `/` as no name does.
    pub host: String,
    /// The TCP port; 0 for a unix socket.
    pub port: u16,
    /// TLS, and for whom.
    pub tls: Option<ServerTls>,
    /// Refuse private and local addresses.
    pub untrusted: bool,
}

/// A [`Destination`] that is only looked for: with parts of somebody else's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct To<'a> {
    /// See [`Destination::host`].
    pub host: &'a str,
    /// The TCP port.
    pub port: u16,
    /// TLS, and for whom.
    pub tls: Option<ToTls<'a>>,
    /// Refuse private and local addresses.
    pub untrusted: bool,
}

/// A [`ServerTls`] that is only looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ToTls<'a> {
    /// See [`ServerTls::name`].
    pub name: &'a str,
    /// Accept any certificate.
    pub insecure: bool,
    /// The files of [`ServerTls::identity`].
    pub identity: Option<(&'a str, &'a str)>,
}

impl ToTls<'_> {
    fn to_server(self) -> ServerTls {
        let identity = self.identity.map(|(certificate, key)| Identity {
            certificate: certificate.into(),
            key: key.into(),
        });
        ServerTls { name: self.name.to_owned(), insecure: self.insecure, identity }
    }
}

impl To<'_> {
    /// The same, to be kept.
    #[must_use]
    pub fn to_destination(&self) -> Destination {
        Destination {
            host: self.host.to_owned(),
            port: self.port,
            tls: self.tls.map(ToTls::to_server),
            untrusted: self.untrusted,
        }
    }
}

impl Destination {
    /// The same, to be looked for.
    #[must_use]
    pub fn as_to(&self) -> To<'_> {
        let tls = self.tls.as_ref().map(|tls| ToTls {
            name: &tls.name,
            insecure: tls.insecure,
            identity: tls.identity.as_ref().map(|files| (&*files.certificate, &*files.key)),
        });
        To { host: &self.host, port: self.port, tls, untrusted: self.untrusted }
    }
}

impl std::fmt::Display for Destination {
    /// As the log shows it: `host:port`, `[v6]:port`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Destination { host, port, .. } = self;
        if host.contains(':') && !host.starts_with('[') {
            return write!(f, "[{host}]:{port}");
        }
        write!(f, "{host}:{port}")
    }
}

impl std::hash::Hash for Destination {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_to().hash(state);
    }
}

impl hashbrown::Equivalent<Rc<Destination>> for To<'_> {
    fn equivalent(&self, key: &Rc<Destination>) -> bool {
        *self == key.as_to()
    }
}

/// TLS towards a backend.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerTls {
    /// The name for SNI and for checking the certificate.
    pub name: String,
    /// Accept any certificate.
    pub insecure: bool,
    /// The certificate that we show. Connections of different ones are never shared.
    pub identity: Option<Identity>,
}

/// A connection to a backend.
#[derive(Debug)]
pub enum BackendStream {
    /// Without TLS.
    Plain(TcpStream),
    /// Over a unix socket, without TLS.
    Unix(UnixStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
    /// Of a test.
    #[cfg(test)]
    Memory(tokio::io::DuplexStream),
}

/// Connects, within `limit_ms` for all of it.
pub async fn connect(
    to: &Destination,
    resolver: &Rc<Resolver>,
    tls: &Identities,
    stats: &Stats,
    limit_ms: u64,
) -> Result<BackendStream, Error> {
    #[cfg(test)]
    if to.host == super::memory::HOST {
        let refused = || Error::new(Stage::Connect, Kind::Refused, super::memory::HOST);
        return super::memory::connect().map(BackendStream::Memory).ok_or_else(refused);
    }
    let deadline = clock::now().plus_ms(limit_ms);
    if to.host.starts_with('/') {
        return connect_unix(&to.host, deadline).await.map(BackendStream::Unix);
    }
    let addresses = within(deadline, resolver.resolve(&to.host, to.port))
        .await
        .unwrap_or_else(|| Err(timed_out(Stage::Resolve)))?;
    if to.untrusted
        && let Some(refused) = addresses.iter().find(|address| policy::forbidden(address.ip()))
    {
        return Err(Error::new(
            Stage::Policy,
            Kind::Forbidden,
            format!("{} is not allowed", refused.ip()),
        ));
    }
    let Won { stream: tcp, passed_over } =
        race::connect(&addresses, resolver.detours(), deadline).await?;
    stats.backend_addresses_passed_over.add(passed_over as u64);
    prepare(&tcp);
    match &to.tls {
        None => Ok(BackendStream::Plain(tcp)),
        Some(server) => within(deadline, handshake(tcp, server, tls))
            .await
            .unwrap_or_else(|| Err(timed_out(Stage::Tls))),
    }
}

/// Sets what can be set of a connection; a failure costs only that.
fn prepare(tcp: &TcpStream) {
    // Without it small requests would wait for acknowledgements.
    let _ = tcp.set_nodelay(true);
    let (idle_s, interval_s, retries) = BACKEND_PROBES;
    let probes = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(idle_s))
        .with_interval(Duration::from_secs(interval_s))
        .with_retries(retries);
    let _ = socket2::SockRef::from(tcp).set_tcp_keepalive(&probes);
}

/// `future`'s value, unless `deadline` comes first.
async fn within<F: Future>(deadline: Tick, future: F) -> Option<F::Output> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = clock::sleep_until(deadline) => None,
    }
}

fn timed_out(stage: Stage) -> Error {
    Error::new(stage, Kind::TimedOut, "no answer in time")
}

/// Connects to a unix socket. Who does not accept fast enough makes the system say so at once,
/// instead of letting it wait as with TCP: it is asked again until the time is up.
async fn connect_unix(path: &str, deadline: Tick) -> Result<UnixStream, Error> {
    loop {
        let error = match UnixStream::connect(path).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let now = clock::now();
        if error.kind() == io::ErrorKind::WouldBlock && now < deadline {
            clock::sleep_until(deadline.min(now.plus_ms(CROWDED_MS))).await;
            continue;
        }
        return Err(Error::from_connect(&error, &format_args!("unix:{path}")));
    }
}

async fn handshake(
    tcp: TcpStream,
    server: &ServerTls,
    tls: &Identities,
) -> Result<BackendStream, Error> {
    let bare =
        server.name.strip_prefix('[').and_then(|n| n.strip_suffix(']')).unwrap_or(&server.name);
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|error| Error::new(Stage::Tls, Kind::Certificate, format!("{bare}: {error}")))?;
    let config = tls
        .config(server.identity.as_ref(), server.insecure)
        .map_err(|problem| Error::new(Stage::Tls, Kind::Certificate, problem.to_string()))?;
    match TlsConnector::from(config).connect(name, tcp).await {
        Ok(stream) => Ok(BackendStream::Tls(Box::new(stream))),
        Err(error) => {
            let kind = match error.kind() {
                _ if crate::tls::client::is_certificate_error(&error) => Kind::Certificate,
                io::ErrorKind::InvalidData => Kind::Malformed,
                io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe => Kind::Closed,
                _ => Kind::Network,
            };
            Err(Error::new(Stage::Tls, kind, error.to_string()))
        }
    }
}

impl BackendStream {
    /// Whether the system knows that the peer has closed, or has said something: looked up at once,
    /// whether or not the runtime has heard of it.
    #[must_use]
    pub fn is_closed_now(&self) -> bool {
        let (socket, encrypted) = match self {
            BackendStream::Plain(tcp) => (socket2::SockRef::from(tcp), false),
            BackendStream::Unix(unix) => (socket2::SockRef::from(unix), false),
            BackendStream::Tls(tls) => (socket2::SockRef::from(tls.get_ref().0), true),
            #[cfg(test)]
            BackendStream::Memory(_) => return false,
        };
        let mut byte = [std::mem::MaybeUninit::uninit()];
        match socket.peek(&mut byte) {
            Ok(0) => true,
            // What TLS says of itself is no answer.
            Ok(_) => !encrypted,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

impl AsyncRead for BackendStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            BackendStream::Plain(s) => Pin::new(s).poll_read(cx, buf),
            BackendStream::Unix(s) => Pin::new(s).poll_read(cx, buf),
            BackendStream::Tls(s) => Pin::new(s).poll_read(cx, buf),
            #[cfg(test)]
            BackendStream::Memory(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for BackendStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            BackendStream::Plain(s) => Pin::new(s).poll_write(cx, buf),
            BackendStream::Unix(s) => Pin::new(s).poll_write(cx, buf),
            BackendStream::Tls(s) => Pin::new(s).poll_write(cx, buf),
            #[cfg(test)]
            BackendStream::Memory(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            BackendStream::Plain(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            BackendStream::Unix(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            BackendStream::Tls(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            #[cfg(test)]
            BackendStream::Memory(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            BackendStream::Plain(s) => Pin::new(s).poll_flush(cx),
            BackendStream::Unix(s) => Pin::new(s).poll_flush(cx),
            BackendStream::Tls(s) => Pin::new(s).poll_flush(cx),
            #[cfg(test)]
            BackendStream::Memory(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            BackendStream::Plain(s) => Pin::new(s).poll_shutdown(cx),
            BackendStream::Unix(s) => Pin::new(s).poll_shutdown(cx),
            BackendStream::Tls(s) => Pin::new(s).poll_shutdown(cx),
            #[cfg(test)]
            BackendStream::Memory(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
