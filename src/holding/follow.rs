//! Next links: what a stream goes on with (specification, GRIP 3.4).
//!
//! Called by `holds` with a flight of streams whose link is the same. The head of the answer
//! carries the instruction, its body goes to the clients as it comes; then they are held anew, or
//! end.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::BodyExt;
use url::Url;

use super::flight::Flight;
use super::held::{Held, Kind, Link, NextLink};
use crate::asking::answer::Answer;
use crate::asking::errand::Home;
use crate::asking::terms;
use crate::clock;
use crate::forward::content;
use crate::forward::outgoing::Last;
use crate::grip::channel::ChannelName;
use crate::grip::filter::FilterError;
use crate::grip::headers;
use crate::grip::instruction::{Hold, Instruction};
use crate::hub::interest::Interest;
use crate::hub::slab::SessionId;
use crate::hub::updates::Resumed;
use crate::limits::SLICE_DELIVERIES_MAX;
use crate::session::http::stream_bytes;

/// What clients of debug routes are told when there is no more to be had.
const NOT_RETRIEVED: &str = "Failed to retrieve next link.";

/// What came of asking once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The streams go on, or have ended.
    Done,
    /// Nothing came that could be used: it may be asked once more.
    Failed,
}

/// Asks for a link once, and goes on with what it gives.
pub async fn ask(held: &Held, flight: &Flight, home: &Rc<Home>, link: &Link) -> Asked {
    let Ok(url) = Url::parse(&link.url) else {
        fail(held, flight, home, NOT_RETRIEVED).await;
        return Asked::Done;
    };
    let asked = held.ferries.ask(home, (&url, &link.group), &flight.wish.lasts, flight.fresh());
    let answer = match asked.await {
        Ok(answer) if answer.status().is_success() => answer,
        Ok(answer) => {
            log(flight, link, &format_args!("code={}", answer.status().as_u16()));
            return Asked::Failed;
        }
        Err(error) => {
            log(flight, link, &"error");
            tracing::warn!(url = %link.url, %error, "a next link cannot be followed");
            return Asked::Failed;
        }
    };
    match go_on(held, flight, home, (link, &url), answer).await {
        Ok(()) => {}
        Err(Trouble::Broken) if flight.is_untouched() => return Asked::Failed,
        Err(Trouble::Broken) => fail(held, flight, home, NOT_RETRIEVED).await,
        Err(Trouble::Wrong(message)) => {
            held.shared.stats.instructions_invalid.inc();
            tracing::error!(url = %link.url, message, "a next link cannot be gone on with");
            fail(held, flight, home, &message).await;
        }
    }
    Asked::Done
}

/// Why an answer cannot be gone on with.
enum Trouble {
    /// The backend broke off.
    Broken,
    /// What it says cannot be done.
    Wrong(String),
}

/// As existing operators know it.
fn log(flight: &Flight, link: &Link, outcome: &dyn std::fmt::Display) {
    let lasts: String =
        flight.wish.lasts.iter().map(|(channel, id)| format!(" #{channel}={id}")).collect();
    tracing::info!("GET {} {outcome}{lasts}", link.url);
}

/// Nothing more is to be had: the streams end.
pub async fn give_up(held: &Held, flight: &Flight, home: &Home) {
    fail(held, flight, home, NOT_RETRIEVED).await;
}

/// The instruction of an answer's head, and its next link.
fn read(
    held: &Held,
    url: &Url,
    headers: &HeaderMap,
    asked_with: &[Last],
) -> Result<(Instruction, Option<NextLink>), String> {
    // Its status means no more than that it is one of success, and its body is never a document.
    let read = headers::instruction(200, None, headers, Bytes::new());
    let mut instruction = read.map_err(|error| error.message)?;
    if instruction.hold == Some(Hold::Response) {
        return Err("Next link returned non-stream hold.".to_owned());
    }
    terms::settle_ids(&mut instruction.channels, None, Some(asked_with));
    let next = instruction.next.as_ref().map(|next| held.next(url, next)).transpose();
    let next = next.map_err(|_| "Grip-Link contains invalid link".to_owned())?;
    Ok((instruction, next))
}

/// Goes on with an answer.
async fn go_on(
    held: &Held,
    flight: &Flight,
    home: &Rc<Home>,
    (link, url): (&Link, &Url),
    answer: Response<Answer>,
) -> Result<(), Trouble> {
    let (parts, mut body) = answer.into_parts();
    let (instruction, next) =
        read(held, url, &parts.headers, &flight.wish.lasts).map_err(Trouble::Wrong)?;
    let wrong = |error: FilterError| Trouble::Wrong(error.to_string());
    let first = flight.ids().first().copied();
    let mut rewriter = content::rewriter(&instruction, |name| {
        held.shared.hub.with(|registry| registry.meta(first?, name).map(Box::from))
    });
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Trouble::Broken)?;
        let Ok(data) = frame.into_data() else { continue };
        bytes += data.len();
        let data = match &mut rewriter {
            Some(rewriter) => rewriter.push(&data).map_err(wrong)?,
            None => data,
        };
        if !flight.send(held, data).await {
            return Ok(());
        }
    }
    if let Some(rewriter) = rewriter {
        rewriter.end().map_err(wrong)?;
    }
    log(flight, link, &format_args!("code={} {bytes}", parts.status.as_u16()));
    flight.arrive(held).await;
    if instruction.hold.is_some()
        && let Some(message) = terms::missing_link(&instruction)
    {
        return Err(Trouble::Wrong(message));
    }
    let outcome = Outcome { home, url: Some(url.clone()), instruction: &instruction, next };
    outcome.apply(held, flight).await;
    Ok(())
}

/// Ends all of a flight's streams; those of debug routes are told why.
async fn fail(held: &Held, flight: &Flight, home: &Home, message: &str) {
    flight.close();
    held.shared.stats.update_failures.inc();
    let text = if home.debug(&held.shared) { format!("\n\n{message}\n") } else { String::new() };
    let text = Bytes::from(text);
    for (number, id) in flight.ids().into_iter().enumerate() {
        held.shared.hub.with_outlet(|registry, outlet| {
            if let Some(framing) = registry.framing(id) {
                let last = stream_bytes(framing, &text);
                if !last.is_empty() {
                    outlet.send(id, &last);
                }
                registry.end_stream(id, outlet);
            }
        });
        take_turns(number).await;
    }
}

/// Others have their turns between the sessions of a large flight.
pub async fn take_turns(number: usize) {
    if number % SLICE_DELIVERIES_MAX == SLICE_DELIVERIES_MAX - 1 {
        tokio::task::yield_now().await;
    }
}

/// With what streams go on.
pub struct Outcome<'a> {
    /// On whose behalf the backend was asked.
    pub home: &'a Rc<Home>,
    /// What it was asked.
    pub url: Option<Url>,
    /// What it says.
    pub instruction: &'a Instruction,
    /// Its next link.
    pub next: Option<NextLink>,
}

impl Outcome<'_> {
    /// Has all of a flight's streams go on, or end.
    async fn apply(&self, held: &Held, flight: &Flight) {
        let interests = self.interests(held);
        for (number, id) in flight.ids().into_iter().enumerate() {
            let hub = &held.shared.hub;
            if hub.with(|registry| registry.framing(id)).is_some() {
                if self.goes_on() && !held.is_stopping() {
                    self.resume(held, id, &interests);
                } else {
                    hub.with_outlet(|registry, outlet| registry.end_stream(id, outlet));
                }
            }
            take_turns(number).await;
        }
    }

    /// What the streams are subscribed to: nothing, if they are not held.
    #[must_use]
    pub fn interests(&self, held: &Held) -> Vec<Interest> {
        match self.instruction.hold {
            Some(_) => terms::interests(&held.shared, self.home, self.instruction),
            None => Vec::new(),
        }
    }

    fn goes_on(&self) -> bool {
        self.instruction.hold.is_some() || self.next.is_some()
    }

    /// Holds a stream (anew).
    pub fn resume(&self, held: &Held, id: SessionId, interests: &[Interest]) {
        let hub = &held.shared.hub;
        let (link, next) = self.next.clone().unzip();
        let gone = held.entry(id).and_then(|entry| entry.gone);
        held.change(id, Kind::Stream { home: Rc::clone(self.home), next: link }, gone);
        let holds = self.instruction.hold.is_some();
        let keep_alive = self.instruction.keep_alive.clone().filter(|_| holds);
        let named: Vec<ChannelName> = interests.iter().map(|i| i.channel.clone()).collect();
        let now = clock::now();
        hub.with(|registry| {
            registry.keep_only(id, &named);
            registry.resume_stream(id, Resumed { keep_alive, next }, now);
        });
        let request = format_args!("{}", self.home.host);
        terms::remember(&held.shared, id, self.instruction, self.home, || self.url.clone());
        terms::subscribe(
            &held.shared,
            id,
            self.instruction,
            interests,
            (&self.home.route, &request, ""),
        );
        hub.with_outlet(|registry, outlet| registry.settle(id, now, outlet));
        if !holds {
            // The next link's body follows at once.
            hub.with(|registry| registry.request_update(id, true));
        }
    }
}
