//! One publisher's connection: requests in, answers out, in their order.
//!
//! Run by `http`, a task each. Requests that were sent ahead are answered together, with one write;
//! a client that does not read its answers is not read from. Knows no endpoint.

use std::io;
use std::pin::pin;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::answer::{Answer, Form};
use super::api::{Api, Outcome};
use super::head::{HeadLimits, Refusal};
use super::requests::{Next, Requests};

/// Answers are written when so many bytes of them are waiting, or when there is nothing to answer.
const ANSWERS_BYTES_MAX: usize = 16 * 1024;
/// After the last answer, input is read and dropped for this long, so that the answer is not lost
/// to a reset while the client still sends.
const LINGER_MS: u64 = 1_000;
/// See [`LINGER_MS`]: at most this much.
const LINGER_BYTES_MAX: usize = 4_000_000;

/// A connection while it is served.
struct Connection<'a, S> {
    stream: S,
    api: &'a Api,
    requests: Requests,
    /// Answers that are not written yet.
    answers: BytesMut,
    /// The server stops: what is begun is finished, nothing else is.
    stopping: bool,
}

/// What becomes of a connection when nothing more can be answered.
enum Step {
    /// Its client may send more.
    Read,
    /// It ends; the client may still be sending.
    Linger,
    /// It ends, and nothing is on its way here.
    Close,
}

/// Serves one connection to its end, or until `stopped` is ready and what it had begun to send is
/// answered.
///
/// # Errors
/// Those of the stream.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    api: &Api,
    limits: HeadLimits,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    let mut stopped = pin!(stopped);
    let mut connection = Connection {
        stream,
        api,
        requests: Requests::new(limits),
        answers: BytesMut::new(),
        stopping: false,
    };
    loop {
        let step = connection.answer().await?;
        connection.flush().await?;
        match step {
            Step::Close => return connection.stream.shutdown().await,
            Step::Linger => return connection.linger().await,
            Step::Read => {}
        }
        let room = connection.requests.room();
        let asked = room.len();
        let read = tokio::select! {
            biased;
            () = &mut stopped, if !connection.stopping => {
                connection.stopping = true;
                continue;
            }
            read = connection.stream.read(room) => read?,
        };
        if read == 0 {
            return connection.stream.shutdown().await;
        }
        connection.requests.filled(read);
        if read == asked {
            // Whoever sends faster than it is answered does not keep the others waiting.
            tokio::task::yield_now().await;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<'_, S> {
    /// Answers all that is complete.
    async fn answer(&mut self) -> io::Result<Step> {
        loop {
            let (form, outcome, last) = match self.requests.take() {
                Next::More => {
                    let idle = self.stopping && self.requests.is_empty();
                    return Ok(if idle { Step::Close } else { Step::Read });
                }
                Next::Continue => {
                    self.answers.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                    continue;
                }
                Next::Refused(refused) => {
                    tracing::debug!("control request refused: {}", refused.refusal);
                    self.api.stats.requests_malformed.inc();
                    let answer = Answer::Refused(refused.refusal);
                    answer.write(&mut self.answers, Form::of_refused(refused));
                    return Ok(Step::Linger);
                }
                Next::Request(request) => {
                    let close = request.head.closes || self.stopping || self.api.is_full();
                    let outcome = if request.exceeded {
                        Outcome::Answer(Answer::Refused(Refusal::BodyExceeded))
                    } else {
                        self.api.answer(&request.head, request.body)
                    };
                    (Form::of(&request.head, close), outcome, request.head.closes)
                }
            };
            let answer = match outcome {
                Outcome::Answer(answer) => answer,
                Outcome::Wait(wait) => {
                    // What was accepted before is not told later for it.
                    self.flush().await?;
                    self.api.wait(wait).await
                }
            };
            answer.write(&mut self.answers, form);
            if form.close {
                let quiet = !last && self.requests.is_empty();
                return Ok(if quiet { Step::Close } else { Step::Linger });
            }
            if self.answers.len() >= ANSWERS_BYTES_MAX {
                self.flush().await?;
            }
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        if !self.answers.is_empty() {
            self.api.given().await;
            self.stream.write_all(&self.answers).await?;
            self.answers.clear();
        }
        Ok(())
    }

    /// Ends the answers, then drops input until the client closes too, within bounds.
    async fn linger(&mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let drained = async {
            let (mut scrap, mut dropped) = ([0; 4096], 0);
            while dropped <= LINGER_BYTES_MAX {
                match self.stream.read(&mut scrap).await {
                    Ok(0) | Err(_) => break,
                    Ok(read) => dropped += read,
                }
            }
        };
        tokio::select! {
            () = drained => {}
            () = crate::clock::sleep_ms(LINGER_MS) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
