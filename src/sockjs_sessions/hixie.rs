//! SockJS clients whose WebSocket is older than its RFC ("hixie 76"; specification, SockJS 6.9):
//! they are made ordinary ones. Used by `door` and the roof; nothing behind them knows.
//!
//! Such a connection is a task between its stream and a pipe within the process. There are hardly
//! any left, so it is simple rather than cheap.

use std::io;
use std::pin::pin;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::SEC_WEBSOCKET_EXTENSIONS;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::asking::onward::Onward;
use crate::clock;
use crate::forward::context::Context;
use crate::grip::message::MessageKind;
use crate::limits;
use crate::listen::pipe;
use crate::listen::stream::Stream;
use crate::sockjs::hixie as handshake;
use crate::websocket::porter::Accepted;
use crate::websocket::sockets::Sockets;
use crate::wire::frame::{Opcode, client_fragment, close_payload};
use crate::wire::hixie::{self, Frame, NONCE_BYTES};
use crate::ws::messages::{Incoming, Messages};
use crate::ws::random;
use crate::ws::reader::Sender;

/// Pongs that may wait until the backend's side takes them; more are not needed.
const PONGS_MAX: usize = 4;

/// A handshake of this kind.
pub struct Elder {
    keys: (u32, u32),
    asked: Rc<HeaderMap>,
    secure: bool,
    /// With the query.
    path: String,
}

impl Elder {
    /// If a request has one. Its context becomes that of an ordinary handshake.
    pub fn of(context: &mut Context) -> Option<Elder> {
        let keys = handshake::keys(&context.headers)?;
        let query = context.query.as_deref().map(|query| format!("?{query}"));
        let path = format!("{}{}", context.path, query.unwrap_or_default());
        let asked = Rc::clone(&context.headers);
        let mut headers = HeaderMap::clone(&asked);
        for name in ["sec-websocket-key1", "sec-websocket-key2"] {
            headers.remove(name);
        }
        headers.remove(SEC_WEBSOCKET_EXTENSIONS);
        crate::ws::handshake::ask(&mut headers, &crate::ws::handshake::new_key());
        context.headers = Rc::new(headers);
        Some(Elder { keys, asked, secure: context.secure, path })
    }

    /// Makes the head of a 101 one for this client.
    pub fn answer(&self, headers: &mut HeaderMap) {
        handshake::answer(headers, &self.asked, self.secure, &self.path);
    }

    /// Puts the old frames between the client and whoever was to take its connection over.
    #[must_use]
    pub fn between(self, sockets: &Rc<Sockets>, onward: Onward) -> Onward {
        let accepted = Accepted::new(Rc::clone(sockets), onward);
        let sockets = Rc::clone(sockets);
        Onward::Task(Box::new(move |stream, early| {
            let (ours, theirs) = pipe::pair(limits::SOCKJS_PIPE_BYTES);
            tokio::task::spawn_local(accepted.attend(Stream::Inside(theirs), Bytes::new()));
            Box::pin(async move {
                // Who has left, or says what is no frame, is dropped, and the pipe with it.
                if let Err(error) = talk(self.keys, stream, early, ours).await {
                    if error.kind() == io::ErrorKind::InvalidData {
                        sockets.shared().stats.socket_protocol_errors.inc();
                    }
                    tracing::debug!("a SockJS client of an old WebSocket is dropped: {error}");
                }
            })
        }))
    }
}

async fn talk<S, P>(keys: (u32, u32), stream: S, early: Bytes, pipe: P) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    P: AsyncRead + AsyncWrite + Unpin,
{
    let mut stream = stream;
    let mut bytes = BytesMut::from(&early[..]);
    tokio::select! {
        proved = prove(keys, &mut stream, &mut bytes) => proved?,
        () = clock::sleep_ms(limits::CLIENT_IDLE_MS) => return Err(io::ErrorKind::TimedOut.into()),
    }
    let (from_client, to_client) = tokio::io::split(stream);
    let (from_pipe, to_pipe) = tokio::io::split(pipe);
    let (pong, pongs) = mpsc::channel(PONGS_MAX);
    let mut down = pin!(carry_down(from_pipe, to_client, pong));
    tokio::select! {
        over = &mut down => over,
        over = carry_up(bytes, from_client, to_pipe, pongs) => {
            over?;
            // The client has closed; the backend's side answers.
            down.await
        }
    }
}

/// Waits for the nonce and answers it. What has come behind it stays in `bytes`.
async fn prove<S>((one, two): (u32, u32), stream: &mut S, bytes: &mut BytesMut) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        if let Some(nonce) = bytes.first_chunk::<NONCE_BYTES>().copied() {
            let _ = bytes.split_to(NONCE_BYTES);
            stream.write_all(&hixie::proof(one, two, nonce)).await?;
            return stream.flush().await;
        }
        read(stream, bytes).await?;
    }
}

async fn read<S: AsyncRead + Unpin>(from: &mut S, bytes: &mut BytesMut) -> io::Result<()> {
    match from.read_buf(bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// From the client to the backend's side, until the client closes.
async fn carry_up(
    mut bytes: BytesMut,
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut pongs: mpsc::Receiver<Bytes>,
) -> io::Result<()> {
    let invalid = |violation| io::Error::new(io::ErrorKind::InvalidData, violation);
    loop {
        while let Some(frame) =
            hixie::decode(&mut bytes, limits::SOCKJS_TEXT_BYTES_MAX).map_err(invalid)?
        {
            let (opcode, payload) = match frame {
                Frame::Text(text) => (Opcode::Text, text),
                Frame::Close => (Opcode::Close, close_payload(Some(1000), "").to_vec().into()),
            };
            to.write_all(&client_fragment(opcode, true, random::bytes(), &payload)).await?;
            if opcode == Opcode::Close {
                return Ok(());
            }
        }
        tokio::select! {
            more = read(&mut from, &mut bytes) => more?,
            Some(payload) = pongs.recv() => {
                let pong = client_fragment(Opcode::Pong, true, random::bytes(), &payload);
                to.write_all(&pong).await?;
            }
        }
    }
}

/// From the backend's side to the client, to the end.
async fn carry_down(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    pong: mpsc::Sender<Bytes>,
) -> io::Result<()> {
    let invalid = |violation| io::Error::new(io::ErrorKind::InvalidData, violation);
    let mut said = Messages::new(Sender::Server);
    let mut bytes = BytesMut::new();
    loop {
        while let Some(incoming) = said.next(usize::MAX).map_err(invalid)? {
            match incoming {
                Incoming::Message(message) => match message.kind {
                    MessageKind::Text | MessageKind::Binary => {
                        let text = String::from_utf8_lossy(&message.content);
                        to.write_all(&hixie::text(text.as_bytes())).await?;
                    }
                    // One that finds no room is one of many.
                    MessageKind::Ping => drop(pong.try_send(message.content)),
                    MessageKind::Pong => {}
                },
                Incoming::Close(_) => {
                    to.write_all(&hixie::CLOSE).await?;
                    return to.shutdown().await;
                }
            }
        }
        bytes.clear();
        read(&mut from, &mut bytes).await?;
        said.feed(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::server_frame;

    const KEYS: (u32, u32) = (155_712_099, 173_347_027);

    #[tokio::test]
    async fn frames_of_both_kinds() {
        let (ours, mut client) = tokio::io::duplex(4096);
        let (pipe, mut backend) = tokio::io::duplex(4096);
        let early = Bytes::from_static(b"Tm[K");
        let talk = talk(KEYS, ours, early, pipe);
        let play = async {
            client.write_all(b" T2u\x00h\xc3\xa9\xff").await.unwrap();
            let mut proof = [0; 16];
            client.read_exact(&mut proof).await.unwrap();
            assert_eq!(&proof, b"fQJ,fN/4F4!~K~MH");

            let mut heard = Messages::new(Sender::Client);
            let mut hear = async |backend: &mut tokio::io::DuplexStream| loop {
                if let Some(incoming) = heard.next(100).unwrap() {
                    return incoming;
                }
                let mut bytes = BytesMut::new();
                backend.read_buf(&mut bytes).await.unwrap();
                heard.feed(&bytes);
            };
            let Incoming::Message(message) = hear(&mut backend).await else { panic!() };
            assert_eq!((message.kind, &message.content[..]), (MessageKind::Text, "hé".as_bytes()));

            backend.write_all(&server_frame(Opcode::Ping, b"p")).await.unwrap();
            let Incoming::Message(message) = hear(&mut backend).await else { panic!() };
            assert_eq!((message.kind, &message.content[..]), (MessageKind::Pong, &b"p"[..]));

            backend.write_all(&server_frame(Opcode::Binary, b"x\xff")).await.unwrap();
            let mut text = [0; 6];
            client.read_exact(&mut text).await.unwrap();
            assert_eq!(&text, b"\x00x\xef\xbf\xbd\xff");

            client.write_all(b"\xff\x00").await.unwrap();
            assert!(matches!(hear(&mut backend).await, Incoming::Close(Some((1000, _)))));
            backend.write_all(&server_frame(Opcode::Close, &[3, 232])).await.unwrap();
            let mut end = Vec::new();
            client.read_to_end(&mut end).await.unwrap();
            assert_eq!(end, [0xff, 0x00]);
        };
        assert!(tokio::join!(talk, play).0.is_ok());
    }

    #[tokio::test]
    async fn who_says_no_frames_is_dropped() {
        let (ours, mut client) = tokio::io::duplex(4096);
        let (pipe, mut backend) = tokio::io::duplex(4096);
        client.write_all(b"Tm[K T2u\x81\x00").await.unwrap();
        let error = talk(KEYS, ours, Bytes::new(), pipe).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let mut nothing = Vec::new();
        assert_eq!(backend.read_to_end(&mut nothing).await.unwrap(), 0);
    }
}
