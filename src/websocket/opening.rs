//! The first request of a WebSocket-over-HTTP connection and what its answers mean (specification,
//! WebSockets 5.4).
//!
//! Called by `sockets` for each `over_http` target in turn, in a task that outlives the client: if
//! the client leaves while OPEN is in flight and the backend accepts, the backend is told so.

use std::future::Future;
use std::rc::Rc;

use bytes::Bytes;

use super::conversation::Request;
use super::over_http::{CollectError, Origin, PostError, collect, is_events, undress};
use super::retries::{RANDOM_MS_MAX, Retries};
use crate::asking::rules::{self, Negotiated};
use crate::backend::body::AnswerBody;
use crate::backend::error::Error;
use crate::backend::journal::Deed;
use crate::clock;
use crate::forward::shared::Shared;
use crate::grip::events::Event;
use crate::limits;

/// How an opening ended.
pub enum Opening {
    /// The backend accepted.
    Accepted(Box<Accepted>),
    /// The backend answered something else: that is for the client.
    Rejected(http::Response<Bytes>),
    /// The backend did not answer.
    Broken(Box<Error>),
    /// All else, in words for the log.
    Failed(String),
    /// The client left while the backend let it wait.
    Left,
}

/// An accepted opening.
pub struct Accepted {
    /// The backend's head, without what the client is not to see.
    pub response: http::Response<()>,
    /// What was agreed on.
    pub negotiated: Negotiated,
    /// The events after OPEN.
    pub events: Vec<Event>,
    /// The keep-alive interval, in seconds.
    pub interval_s: Option<u32>,
}

/// What one answer to OPEN means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    /// OPEN is sent again after so many seconds.
    Wait(u32),
    Failed(&'static str),
}

fn judge(events: &[Event], interval_s: Option<u32>) -> Verdict {
    match (events.first(), interval_s) {
        (Some(Event::Open), _) => Verdict::Accepted,
        (Some(_), _) => Verdict::Failed("the first event of the first response is not OPEN"),
        (None, Some(seconds)) => Verdict::Wait(seconds),
        (None, None) => Verdict::Failed("the first response has no event"),
    }
}

/// Asks the backend until it decides, or until `left` is ready while it lets the client wait.
/// The first connection is made within `connect_ms`.
pub async fn open(
    shared: &Shared,
    origin: &Rc<Origin>,
    connect_ms: u64,
    left: impl Future<Output = ()>,
) -> Opening {
    let Some(target) = origin.target() else { return Opening::Failed("no such target".into()) };
    let open = Request { body: Bytes::from_static(b"OPEN\r\n"), replayed_bytes: 0 };
    let mut left = std::pin::pin!(left);
    let mut first = true;
    let mut interval_s = None;
    loop {
        let response = match origin.post(shared, target, &open, first.then_some(connect_ms)).await {
            Ok(response) => response,
            Err(PostError::Backend(error)) if first => return Opening::Broken(Box::new(error)),
            Err(error) => {
                origin.tell(shared, &error, 1, Deed::GivenUp);
                return Opening::Failed(error.to_string());
            }
        };
        first = false;
        if !is_events(&response) {
            return reject(response).await;
        }
        let (mut head, body) = response.into_parts();
        let body = match collect(body, limits::EVENTS_RESPONSE_BYTES_MAX).await {
            Ok(body) => body,
            Err(error) => return Opening::Failed(error.to_string()),
        };
        let mut answer = match origin.read(&head.headers, &body) {
            Ok(answer) => answer,
            Err(error) => return Opening::Failed(error.to_string()),
        };
        // Where an answer does not say, it stays as it was.
        interval_s = answer.interval_s.unwrap_or(interval_s);
        match judge(&answer.events, interval_s) {
            Verdict::Failed(why) => return Opening::Failed(why.into()),
            Verdict::Wait(seconds) => tokio::select! {
                () = &mut left => return Opening::Left,
                () = clock::sleep_ms(u64::from(seconds) * 1000) => {}
            },
            Verdict::Accepted => {
                let negotiated =
                    match rules::negotiate(&origin.context(), &origin.route, &head.headers) {
                        Ok(negotiated) => negotiated,
                        Err(error) => return Opening::Failed(error.to_string()),
                    };
                undress(&mut head.headers);
                let events = answer.events.split_off(1);
                let response = http::Response::from_parts(head, ());
                return Opening::Accepted(Box::new(Accepted {
                    response,
                    negotiated,
                    events,
                    interval_s,
                }));
            }
        }
    }
}

/// A rejection is collected: it is short, and what is too long of it is cut.
async fn reject(response: http::Response<AnswerBody>) -> Opening {
    let (head, body) = response.into_parts();
    match collect(body, limits::REJECTION_BODY_BYTES_MAX).await {
        Ok(body) | Err(CollectError::TooLarge(body)) => {
            Opening::Rejected(http::Response::from_parts(head, body))
        }
        Err(error) => Opening::Failed(error.to_string()),
    }
}

/// Tells a backend that the client which it has just accepted is gone.
pub async fn withdraw(shared: &Shared, origin: &Origin) {
    let Some(target) = origin.target() else { return };
    let gone = Request { body: Bytes::from_static(b"DISCONNECT\r\n"), replayed_bytes: 0 };
    let mut retries = Retries::default();
    for attempt in 1.. {
        let Err(error) = origin.post(shared, target, &gone, None).await else { return };
        let random_ms = fastrand::u64(0..=RANDOM_MS_MAX);
        let again = error.backend().and_then(|error| retries.next_ms(error, random_ms));
        origin.tell(shared, &error, attempt, Deed::of_retry(again.is_some()));
        let Some(delay_ms) = again else { return };
        shared.stats.events_retries.inc();
        clock::sleep_ms(delay_ms).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_first_answers() {
        assert_eq!(judge(&[Event::Open, Event::Disconnect], None), Verdict::Accepted);
        assert_eq!(judge(&[Event::Open], Some(20)), Verdict::Accepted);
        assert_eq!(judge(&[], Some(20)), Verdict::Wait(20));
        assert!(matches!(judge(&[], None), Verdict::Failed(_)));
        let text = Event::Text(Bytes::new());
        assert!(matches!(judge(&[text, Event::Open], Some(20)), Verdict::Failed(_)));
    }
}
