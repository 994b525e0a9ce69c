//! The TLS handshake of one connection, what became of it, and what it says of the client. Called
//! by `connection`.

use std::rc::Rc;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{HandshakeKind, ServerConfig};

use super::lingering::linger;
use super::state::Shard;
use crate::forward::request::Certificate;
use crate::limits::REFUSAL_LINGER_MS;
use crate::listen::socket::Socket;
use crate::listen::stream::Stream;
use crate::tls::handshake::Reason;

/// What who speaks plain HTTP is told.
const NOT_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Connection: close\r\nContent-Length: 24\r\n\r\nThis port speaks HTTPS.\n";

/// Does the handshake; `None` when it came to nothing.
pub async fn begin(shard: &Rc<Shard>, socket: Socket, config: Arc<ServerConfig>) -> Option<Stream> {
    // Boxed: every connection's task would have room for it otherwise.
    let handshake = Box::pin(shake(shard, socket, config));
    tokio::select! {
        stream = handshake => stream,
        () = shard.stopped() => None,
    }
}

async fn shake(shard: &Rc<Shard>, socket: Socket, config: Arc<ServerConfig>) -> Option<Stream> {
    let stats = &shard.stats;
    let mut socket = socket;
    if speaks_http(&socket).await {
        stats.tls_failed_not_tls.inc();
        tracing::debug!("plain HTTP on a TLS port");
        if socket.write_all(NOT_TLS).await.is_ok() {
            linger(Stream::Plain(socket), REFUSAL_LINGER_MS).await;
        }
        return None;
    }
    match TlsAcceptor::from(config).accept(socket).await {
        Ok(stream) => {
            stats.tls_handshakes.inc();
            if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                stats.tls_resumed.inc();
            }
            Some(Stream::Tls(Box::new(stream)))
        }
        Err(error) => {
            let reason = Reason::of(&error);
            tracing::debug!(%error, ?reason, "TLS handshake failed");
            match reason {
                Reason::NotTls => &stats.tls_failed_not_tls,
                Reason::NoCertificate => &stats.tls_failed_no_certificate,
                Reason::Incompatible => &stats.tls_failed_incompatible,
                Reason::ClientCertificate => &stats.tls_failed_client_certificate,
                Reason::Refused => &stats.tls_failed_refused,
                Reason::Left => &stats.tls_failed_left,
                Reason::Other => &stats.tls_failed_other,
            }
            .inc();
            None
        }
    }
}

/// Whether the first byte is one of a method: a handshake begins with another.
async fn speaks_http(socket: &Socket) -> bool {
    let first = socket.first_byte().await;
    first.is_some_and(|byte| byte.is_ascii_uppercase())
}

/// What is known of the client's certificate, where backends are to be told of it.
pub fn certificate(shard: &Shard, stream: &Stream) -> Certificate {
    if !shard.settings.client_cert_header {
        return Certificate::Untold;
    }
    let Stream::Tls(tls) = stream else { return Certificate::None };
    let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    shown.map_or(Certificate::None, |der| Certificate::of(der))
}
