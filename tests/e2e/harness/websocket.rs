//! A WebSocket client: tokio-tungstenite over a socket of ours.

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role};
use tokio_tungstenite::tungstenite::{Error, http};

use super::backend::Exchange;
use super::server::Server;
use super::wait::within;

pub struct WebSocket<S = TcpStream> {
    pub inner: WebSocketStream<S>,
    pub response: Response,
}

impl WebSocket {
    pub async fn connect(server: &Server, path: &str) -> WebSocket {
        WebSocket::try_connect(server, path, &[]).await.expect("the WebSocket is accepted")
    }

    /// Connects with further headers; a rejection is an error that holds the response.
    pub async fn try_connect(
        server: &Server,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<WebSocket, Error> {
        let stream = TcpStream::connect(server.http).await.expect("the server accepts");
        WebSocket::over(stream, path, headers).await
    }

    /// Accepts as a backend, with further header lines (each with its line end).
    pub async fn accept(mut exchange: Exchange, lines: &str) -> WebSocket {
        let key = exchange.request.header("sec-websocket-key").expect("a handshake").to_owned();
        let accept = derive_accept_key(key.as_bytes());
        let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\n";
        exchange.write(format!("{head}Sec-WebSocket-Accept: {accept}\r\n{lines}\r\n")).await;
        let inner = WebSocketStream::from_raw_socket(exchange.stream, Role::Server, None).await;
        WebSocket { inner, response: Response::new(None) }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    pub async fn over(
        stream: S,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<WebSocket<S>, Error> {
        let mut request = format!("ws://a.example{path}").into_client_request()?;
        for (name, value) in headers {
            let value = http::HeaderValue::from_str(value).expect("a header value");
            request.headers_mut().append(*name, value);
        }
        let handshake = tokio_tungstenite::client_async(request, stream);
        let (inner, response) = within("the WebSocket handshake", handshake).await?;
        Ok(WebSocket { inner, response })
    }

    pub async fn send(&mut self, message: Message) {
        within("the server to read", self.inner.send(message)).await.expect("it is sent");
    }

    pub async fn text(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// The next message or control frame.
    pub async fn next(&mut self) -> Message {
        let next = within("a WebSocket message", self.inner.next()).await;
        next.expect("the connection is open").expect("a valid frame")
    }

    /// The next text message, which must be `expected`.
    pub async fn expect_text(&mut self, expected: &str) {
        assert_eq!(self.next().await, Message::text(expected));
    }

    /// A close frame comes with this code and reason.
    pub async fn expect_close(&mut self, code: u16, reason: &str) {
        match self.next().await {
            Message::Close(Some(CloseFrame { code: got, reason: why })) => {
                assert_eq!((u16::from(got), why.as_str()), (code, reason));
            }
            other => panic!("expected a close with {code}, got {other:?}"),
        }
    }

    /// The connection ends, with no close frame before.
    pub async fn expect_dropped(&mut self) {
        match within("the connection to end", self.inner.next()).await {
            None | Some(Err(_)) => {}
            Some(Ok(message)) => panic!("expected the end, got {message:?}"),
        }
    }

    /// Reads on until the connection ends, so that this side's answer to a close is sent.
    pub async fn expect_dropped_quietly(&mut self) {
        within("the connection to end", async {
            while let Some(Ok(_)) = self.inner.next().await {}
        })
        .await;
    }

    pub async fn close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame { code: code.into(), reason: reason.to_owned().into() };
        self.send(Message::Close(Some(frame))).await;
    }
}

/// The HTTP response with which a WebSocket was refused.
pub fn refusal(result: Result<WebSocket, Error>) -> http::Response<Option<Vec<u8>>> {
    match result {
        Err(Error::Http(response)) => *response,
        Err(other) => panic!("expected a response, got {other}"),
        Ok(_) => panic!("the WebSocket was accepted"),
    }
}
