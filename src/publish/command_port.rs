//! The command port: a ZeroMQ REP socket, over TCP or a Unix socket (specification, WebSockets
//! 8.2).
//!
//! Started by the server on the control thread, where an operator has asked for it. Each connection
//! is served one request at a time, so what waits is bounded by the number of connections. What is
//! asked is `operator`'s affair.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::pin::pin;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::operator::Operator;
use crate::clock;
use crate::limits;
use crate::wire::zmtp::{self, Frame};

/// After an accept that failed, wait this long.
const ACCEPT_RETRY_MS: u64 = 100;
/// A peer that has connected introduces itself within this.
const HANDSHAKE_MS: u64 = 10_000;

/// Where commands come in.
#[derive(Debug)]
pub enum Listener {
    /// `tcp://HOST:PORT`
    Tcp(TcpListener),
    /// `ipc://PATH`
    Ipc(UnixListener, Path),
}

/// The file of a Unix socket; it goes with its listener.
#[derive(Debug)]
pub struct Path(PathBuf);

impl Drop for Path {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Listener {
    /// Listens at `tcp://HOST:PORT` (`*` is all addresses, port 0 any free one) or `ipc://PATH`. To
    /// be called in a runtime.
    ///
    /// # Errors
    /// The system's, and for what is neither.
    pub fn bind(spec: &str) -> io::Result<Listener> {
        let path = match place(spec)? {
            Place::Tcp(addresses) => {
                let listener = std::net::TcpListener::bind(&addresses[..])?;
                listener.set_nonblocking(true)?;
                return Ok(Listener::Tcp(TcpListener::from_std(listener)?));
            }
            Place::Ipc(path) => path,
        };
        // Nobody listens any more at a socket that an earlier process left behind.
        let is_left = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if std::os::unix::net::UnixStream::connect(&path).is_err_and(is_left) {
            std::fs::remove_file(&path)?;
        }
        Ok(Listener::Ipc(UnixListener::bind(&path)?, Path(path)))
    }

    /// Where it listens, as a client writes it.
    ///
    /// # Errors
    /// The system's.
    pub fn spec(&self) -> io::Result<String> {
        Ok(match self {
            Listener::Tcp(listener) => format!("tcp://{}", listener.local_addr()?),
            Listener::Ipc(_, Path(path)) => format!("ipc://{}", path.display()),
        })
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Box::new(stream)
            }
            Listener::Ipc(listener, _) => Box::new(listener.accept().await?.0),
        })
    }
}

/// What an address means.
#[derive(Debug)]
pub enum Place {
    /// `tcp://HOST:PORT`
    Tcp(Vec<SocketAddr>),
    /// `ipc://PATH`
    Ipc(PathBuf),
}

/// Reads an address. Looks names up, and blocks meanwhile.
///
/// # Errors
/// It is neither; the system does not know the name.
pub fn place(spec: &str) -> io::Result<Place> {
    if let Some(address) = spec.strip_prefix("tcp://") {
        let address = match address.strip_prefix("*:") {
            Some(port) => format!("0.0.0.0:{port}"),
            None => address.to_owned(),
        };
        return Ok(Place::Tcp(address.to_socket_addrs()?.collect()));
    }
    match spec.strip_prefix("ipc://").filter(|path| !path.is_empty()) {
        Some(path) => Ok(Place::Ipc(path.into())),
        None => {
            let text = "neither tcp://HOST:PORT nor ipc://PATH";
            Err(io::Error::new(io::ErrorKind::InvalidInput, text))
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// Serves commands until `shutdown` turns true. To be run in a `LocalSet`.
pub async fn serve(listener: Listener, operator: Operator, mut shutdown: watch::Receiver<bool>) {
    let mut stop = pin!(async move { drop(shutdown.wait_for(|&stop| stop).await) });
    let mut connections = JoinSet::new();
    loop {
        let room = connections.len() < limits::OPERATOR_CONNECTIONS_MAX;
        tokio::select! {
            biased;
            () = &mut stop => return,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if room => match accepted {
                Ok(stream) => drop(connections.spawn_local(connection(stream, operator.clone()))),
                Err(error) => {
                    tracing::error!("commands: accept failed: {error}");
                    clock::sleep_ms(ACCEPT_RETRY_MS).await;
                }
            },
        }
    }
}

async fn connection(stream: Box<dyn Stream>, operator: Operator) {
    match answer_all(stream, operator).await {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            tracing::error!("commands: connection closed: {error}");
        }
        Err(error) => tracing::debug!("commands: connection ended: {error}"),
    }
}

fn invalid(error: zmtp::ZmtpError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

async fn answer_all(mut stream: Box<dyn Stream>, operator: Operator) -> io::Result<()> {
    let mut input = BytesMut::new();
    tokio::select! {
        introduced = introduce(&mut *stream, &mut input) => introduced?,
        () = clock::sleep_ms(HANDSHAKE_MS) => return Err(io::ErrorKind::TimedOut.into()),
    }
    while let Some((envelope, request)) = message(&mut *stream, &mut input).await? {
        let reply = operator.reply(&request).await;
        let mut out = BytesMut::new();
        for payload in envelope {
            zmtp::put_frame(&Frame { is_command: false, more: true, payload }, &mut out);
        }
        zmtp::put_frame(&Frame { is_command: false, more: false, payload: reply }, &mut out);
        stream.write_all(&out).await?;
    }
    Ok(())
}

async fn introduce(stream: &mut dyn Stream, input: &mut BytesMut) -> io::Result<()> {
    stream.write_all(&zmtp::greeting()).await?;
    let mut greeting = [0; zmtp::GREETING_BYTES];
    stream.read_exact(&mut greeting).await?;
    zmtp::check_greeting(&greeting).map_err(invalid)?;
    stream.write_all(&zmtp::ready("REP")).await?;
    match frame(stream, input).await? {
        Some(ready) if ready.is_command && ready.payload.starts_with(b"\x05READY") => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the peer does not say READY")),
    }
}

async fn frame(stream: &mut dyn Stream, input: &mut BytesMut) -> io::Result<Option<Frame>> {
    loop {
        let frame = zmtp::take_frame(input, limits::OPERATOR_REQUEST_BYTES_MAX);
        if let Some(frame) = frame.map_err(invalid)? {
            return Ok(Some(frame));
        }
        if stream.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
}

/// The next request: the frames up to and with the empty one, which come back with the reply, and
/// what follows them. Messages of another form are passed over, as a REP socket does.
async fn message(
    stream: &mut dyn Stream,
    input: &mut BytesMut,
) -> io::Result<Option<(Vec<Bytes>, Bytes)>> {
    let (mut frames, mut bytes) = (Vec::new(), 0);
    while let Some(Frame { is_command, more, payload }) = frame(stream, input).await? {
        if is_command {
            continue;
        }
        // A frame has a cost of its own, so that empty ones are bounded too.
        bytes += payload.len() + 1;
        if bytes > limits::OPERATOR_REQUEST_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a request is too large"));
        }
        frames.push(payload);
        if more {
            continue;
        }
        let request = frames.pop().unwrap_or_default();
        if frames.last().is_some_and(Bytes::is_empty) {
            return Ok(Some((frames, request)));
        }
        (frames, bytes) = (Vec::new(), 0);
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
