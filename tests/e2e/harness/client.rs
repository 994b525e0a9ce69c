//! A client of bare bytes over any stream, for what must be seen byte for byte.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::publisher::KNOCK;
use super::wait::{PATIENCE, soon, within, within_seconds};

/// One chunk of a chunked body.
pub fn chunk(content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    [format!("{:x}\r\n", content.len()).as_bytes(), content, b"\r\n"].concat()
}

/// The head of a response.
#[derive(Debug)]
pub struct Head {
    pub status: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(each, _): &&(String, String)| each == name;
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a header (lower case), if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "{name} came {} times: {all:?}", all.len());
        all.first().copied()
    }

    pub fn is_grip_free(&self) -> bool {
        !self.headers.iter().any(|(name, _)| name.starts_with("grip-"))
    }
}

/// A connection and what was read ahead on it.
pub struct Client<S = TcpStream> {
    pub stream: S,
    kept: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Client {
        let stream = within("the server to accept", TcpStream::connect(address)).await;
        let stream = stream.expect("the server accepts");
        stream.set_nodelay(true).expect("a socket");
        Client::over(stream)
    }

    /// Whether anything has come by now; nothing of it is taken.
    pub fn hears_now(&mut self) -> bool {
        if self.kept.is_empty() {
            // An error is heard by who reads.
            let _ = self.stream.try_read_buf(&mut self.kept);
        }
        !self.kept.is_empty()
    }

    /// Connects and sends a GET.
    pub async fn get(address: SocketAddr, target: &str) -> Client {
        let mut client = Client::connect(address).await;
        client.send(format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n")).await;
        client
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Client<S> {
        Client { stream, kept: Vec::new() }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        within("the server to read", self.stream.write_all(bytes.as_ref())).await.expect("write");
    }

    /// Reads once; false when the other side has closed.
    async fn more(&mut self) -> bool {
        self.stream.read_buf(&mut self.kept).await.is_ok_and(|count| count > 0)
    }

    /// All bytes up to and with `mark`.
    pub async fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        self.until_in(mark, PATIENCE.as_secs()).await
    }

    async fn until_in(&mut self, mark: &[u8], seconds: u64) -> Vec<u8> {
        let what = format!("{:?}", String::from_utf8_lossy(mark));
        within_seconds(&what, seconds, async {
            loop {
                if let Some(at) = self.kept.windows(mark.len()).position(|w| w == mark) {
                    let rest = self.kept.split_off(at + mark.len());
                    return std::mem::replace(&mut self.kept, rest);
                }
                let got = String::from_utf8_lossy(&self.kept).into_owned();
                assert!(self.more().await, "closed before {what}, after {got:?}");
            }
        })
        .await
    }

    pub async fn exactly(&mut self, count: usize) -> Vec<u8> {
        within(&format!("{count} bytes"), async {
            while self.kept.len() < count {
                let got = self.kept.len();
                assert!(self.more().await, "closed after {got} of {count} bytes");
            }
        })
        .await;
        let rest = self.kept.split_off(count);
        std::mem::replace(&mut self.kept, rest)
    }

    pub async fn head(&mut self) -> Head {
        self.head_in(PATIENCE.as_secs()).await
    }

    /// A response head that may take up to `seconds`.
    pub async fn head_in(&mut self, seconds: u64) -> Head {
        let text = self.until_in(b"\r\n\r\n", seconds).await;
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut lines = text.trim_end().split("\r\n");
        let status = lines.next().unwrap_or_default().to_owned();
        let field = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header line");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Head { status, headers: lines.map(field).collect() }
    }

    /// A response with a Content-Length.
    pub async fn response(&mut self) -> (Head, String) {
        self.response_in(PATIENCE.as_secs()).await
    }

    pub async fn response_in(&mut self, seconds: u64) -> (Head, String) {
        let head = self.head_in(seconds).await;
        let length = head.header("content-length").unwrap_or_else(|| panic!("no length: {head:?}"));
        let body = self.exactly(length.parse().expect("a length")).await;
        (head, String::from_utf8_lossy(&body).into_owned())
    }

    /// The next chunk, framing and all, that is no knock's. Its size is given in lower case: HTTP
    /// leaves the case open.
    pub async fn chunk(&mut self) -> Vec<u8> {
        loop {
            let line = self.until(b"\r\n").await;
            let size = String::from_utf8_lossy(&line).trim().to_owned();
            let size = usize::from_str_radix(&size, 16).expect("a chunk size");
            let content = self.exactly(size + 2).await;
            let text = String::from_utf8_lossy(&content[..size]).replace(KNOCK, "");
            if size == 0 || !text.is_empty() {
                return [line.to_ascii_lowercase(), content].concat();
            }
        }
    }

    /// The next chunks hold exactly this, however it is cut into chunks.
    pub async fn expect_content(&mut self, expected: &str) {
        let mut got = String::new();
        while got.len() < expected.len() {
            let piece = String::from_utf8(self.chunk().await).expect("text");
            assert_ne!(piece, "0\r\n\r\n", "the end came after {got:?}, before {expected:?}");
            let inside = piece.split_once("\r\n").expect("a chunk").1;
            got.push_str(inside.strip_suffix("\r\n").expect("a chunk"));
        }
        assert_eq!(got, expected);
    }

    /// The chunked body ends here.
    pub async fn expect_end(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.chunk().await), "0\r\n\r\n");
    }

    /// Whether anything comes soon; nothing of it is taken.
    pub async fn hears(&mut self) -> bool {
        !self.kept.is_empty()
            || soon(100, async {
                self.more().await;
            })
            .await
    }

    /// The next bytes, whatever they are; nothing when the other side has closed.
    pub async fn some(&mut self) -> Vec<u8> {
        if self.kept.is_empty() {
            within("the server to answer or close", self.more()).await;
        }
        std::mem::take(&mut self.kept)
    }

    /// All bytes until the other side closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        within("the server to close", async { while self.more().await {} }).await;
        std::mem::take(&mut self.kept)
    }

    /// The server closes, and sends nothing more before.
    pub async fn expect_closed(&mut self) {
        let rest = self.rest().await;
        assert!(rest.is_empty(), "sent before closing: {:?}", String::from_utf8_lossy(&rest));
    }
}
