//! A long-poll's request made once more, and what its backend says to it (specification, GRIP 5.5).
//!
//! Called by `holds` with a flight of long-polls whose requests are equal, or of one. The answer
//! takes the place of the hold: a new hold, a stream, or a response.

use std::rc::Rc;

use bytes::Bytes;
use http::header::SET_COOKIE;

use super::flight::Flight;
use super::follow::{Outcome, take_turns};
use super::gone;
use super::held::{Held, Kind, Link, Repeat};
use super::parked;
use crate::asking::answer::Answer;
use crate::asking::collected::{self, Collected};
use crate::asking::cross_origin_answer;
use crate::asking::errand::{self, Home};
use crate::asking::failure::Failure;
use crate::asking::inquiry::Inquiry;
use crate::asking::terms;
use crate::asking::upload::Upload;
use crate::backend::error::Error;
use crate::clock;
use crate::forward::access::Access;
use crate::forward::content;
use crate::forward::context::{Context, RouteRef};
use crate::forward::outgoing::Last;
use crate::grip::headers::{self, InstructError};
use crate::grip::instruction::{Hold, Instruction, Response};
use crate::http::Incoming;
use crate::hub::slab::SessionId;
use crate::limits::CONFLICT_ROUNDS_MAX;
use crate::route::target::Target;
use crate::session::http::{HeldResponse, Next, Reply, ResponseHold};
use crate::wire::names::Spelling;

/// What became of an answer.
enum Concluded {
    Done,
    /// It is less than there is: the backend is to be asked again with these.
    Again(Vec<Last>),
}

/// Where an instruction's links lead.
#[derive(Default)]
struct Links {
    next: Option<(Rc<Link>, Next)>,
    gone: Option<Rc<str>>,
}

/// One round of asking.
struct Round<'a> {
    held: &'a Held,
    flight: &'a Flight,
    request: &'a Rc<Repeat>,
    context: &'a Context,
    /// By which it is made.
    route: &'a RouteRef,
    asked_with: &'a [Last],
    /// It is held now, whatever else is known.
    last: bool,
    access: Option<&'a Access>,
}

/// Makes a request once more. Those are left for whom it is to be made by itself.
pub async fn run(held: &Held, flight: &Flight, request: &Rc<Repeat>) -> Vec<SessionId> {
    let context = request.context();
    let upload: Upload<Incoming> = Upload::Whole(request.body.clone());
    let debug = request.home.debug(&held.shared);
    let mut lasts = flight.wish.lasts.clone();
    let mut others = Vec::new();
    for round in 0.. {
        tell_gone(held, flight, request).await;
        // The routes may have changed since the hold began.
        let route = held.shared.routing.again(&request.home.route, &context);
        let settings = &held.shared.settings;
        let mut access = Access::begin(&context, route.as_deref(), settings).map(Access::again);
        let trying = |target: &Target| {
            if let Some(access) = &mut access {
                access.set_target(target.to_string());
            }
        };
        let asked = match &route {
            Some(route) => {
                let (shared, lasts) = (&*held.shared, &lasts[..]);
                let (spelling, heard, named) = (request.spelling.as_ref(), None, true);
                let context = &context;
                let inquiry = Inquiry { shared, context, spelling, route, lasts, heard, named };
                inquiry.ask(&upload, trying).await
            }
            None => Err(Failure::NoRoute),
        };
        flight.close();
        flight.keep(|id| parked::reply(held, id).is_some());
        if flight.is_empty() {
            break;
        }
        if asked.as_ref().is_ok_and(|(_, answer)| answer.headers().contains_key(SET_COOKIE)) {
            // Meant for one client.
            others.extend(flight.leave_first());
        }
        let round = Round {
            held,
            flight,
            request,
            context: &context,
            route: route.as_ref().unwrap_or(&request.home.route),
            asked_with: &lasts,
            last: round >= CONFLICT_ROUNDS_MAX,
            access: access.as_ref(),
        };
        let concluded = match asked {
            Ok((target, answer)) => round.conclude(target, answer).await,
            Err(failure) => Err(failure),
        };
        match concluded {
            Ok(Concluded::Done) => break,
            Ok(Concluded::Again(more)) => lasts = more,
            Err(failure) => {
                let shown = parked::shown(&failure, debug, request.page.as_deref());
                if let Some(access) = &access {
                    let status = failure.response(debug, false).status();
                    access.answered(status.as_u16(), shown.body.len());
                }
                parked::refuse(held, flight, &shown).await;
                break;
            }
        }
    }
    others
}

/// The hold that was has ended: its gone link is told, and the request waits for that.
async fn tell_gone(held: &Held, flight: &Flight, request: &Rc<Repeat>) {
    for id in flight.ids() {
        let Some(url) = held.entry(id).and_then(|entry| entry.gone) else { continue };
        held.change(id, Kind::Poll(Rc::clone(request)), None);
        let _ = gone::tell(&held.shared, &request.home, &url).await;
    }
}

impl Round<'_> {
    async fn conclude(
        &self,
        target: usize,
        answer: http::Response<Answer>,
    ) -> Result<Concluded, Failure> {
        let home = self.held.home(self.context, self.route, target);
        if home.route.options.no_grip || !headers::is_instruction(answer.headers()) {
            let code = answer.status().as_u16();
            let answer = match &self.request.page {
                Some(page) => cross_origin_answer::relayed(page, answer).await?,
                None => answer,
            };
            let bytes = http_body::Body::size_hint(answer.body()).lower();
            self.answered(code, usize::try_from(bytes).unwrap_or(usize::MAX));
            parked::relay(self.held, self.flight, answer).await;
            return Ok(Concluded::Done);
        }
        let reason = crate::http::reason(&answer);
        let (parts, body) = answer.into_parts();
        let code = parts.status.as_u16();
        let fields = (&parts.headers, parts.extensions.get::<Spelling>());
        let broken = |error: Error| {
            collected::broken(&self.held.shared, self.context, (self.route, target), &error)
        };
        let read = |bytes| headers::spelled(code, reason.as_deref(), fields, bytes);
        let (read, rest) = match collected::collect(body).await.map_err(broken)? {
            Collected::Whole(bytes) => (read(bytes), None),
            Collected::Larger(first, rest) if collected::may_stream_through(&parts.headers) => {
                (read(Bytes::new()), Some((first, rest)))
            }
            Collected::Larger(..) => {
                let target = home.target().map(ToString::to_string).unwrap_or_default();
                return Err(Failure::InstructionTooLarge(target));
            }
        };
        let mut instruction = read.map_err(|error| self.refused(error.message, error.field))?;
        let header = self.context.headers.get("last-event-id");
        let header = header.and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        terms::settle_ids(&mut instruction.channels, header, Some(self.asked_with));
        let links = self.links(&instruction)?;
        if rest.is_none() {
            let debug = home.debug(&self.held.shared);
            let refused = |error: InstructError| self.refused(error.message, error.field);
            let (filtered, ended) = content::filtered(instruction, debug).map_err(refused)?;
            ended.map(refused);
            instruction = filtered;
        }
        match instruction.hold {
            None if instruction.next.is_none() => {
                self.answer(&instruction.response).await;
                Ok(Concluded::Done)
            }
            // What its client gets when nothing comes, comes now.
            Some(Hold::Response) if self.held.is_stopping() => {
                self.answer(&instruction.response).await;
                Ok(Concluded::Done)
            }
            Some(Hold::Response) => {
                self.accepted();
                Ok(self.hold(&home, instruction, links.gone).await)
            }
            None | Some(Hold::Stream) => {
                self.accepted();
                self.begin_stream(&home, instruction, links, rest).await;
                Ok(Concluded::Done)
            }
        }
    }

    /// Answers all with what an instruction shows.
    async fn answer(&self, response: &Response) {
        let relayed = self.request.page.as_ref().map(|page| page.relayed(response));
        let shown = relayed.as_ref().unwrap_or(response);
        self.answered(response.code, shown.body.len());
        parked::whole(self.held, self.flight, shown).await;
    }

    fn answered(&self, status: u16, bytes: usize) {
        if let Some(access) = self.access {
            access.answered(status, bytes);
        }
    }

    fn accepted(&self) {
        if let Some(access) = self.access {
            access.accepted();
        }
    }

    fn refused(&self, message: String, field: &str) -> Failure {
        self.held.shared.stats.instructions_invalid.inc();
        tracing::error!(
            path = %self.context.path,
            field,
            error = %message,
            "invalid instruction from the backend"
        );
        Failure::Instruction(message)
    }

    fn links(&self, instruction: &Instruction) -> Result<Links, Failure> {
        let refused = |_| self.refused("Grip-Link contains invalid link".to_owned(), "Grip-Link");
        let mut links = Links::default();
        if instruction.next.is_some() || instruction.gone.is_some() {
            let base = errand::url(self.context).map_err(refused)?;
            let (next, gone) = (&instruction.next, &instruction.gone);
            links.next =
                next.as_ref().map(|l| self.held.next(&base, l)).transpose().map_err(refused)?;
            links.gone =
                gone.as_ref().map(|l| self.held.gone(&base, l)).transpose().map_err(refused)?;
        }
        Ok(links)
    }

    /// Holds the long-polls anew.
    async fn hold(
        &self,
        home: &Rc<Home>,
        mut instruction: Instruction,
        gone: Option<Rc<str>>,
    ) -> Concluded {
        let Round { held, flight, request, .. } = *self;
        let hub = &held.shared.hub;
        let interests = terms::interests(&held.shared, home, &instruction);
        let conflict = hub.with(|registry| terms::forget_conflicts(registry, &interests));
        if conflict && !self.last {
            held.shared.stats.polls_asked_again.inc();
            return Concluded::Again(terms::lasts(&instruction));
        }
        let nothing =
            Response { code: 200, reason: Bytes::new(), headers: Vec::new(), body: Bytes::new() };
        let response = std::mem::replace(&mut instruction.response, nothing);
        let cross_origin = request.page.clone();
        let response = Rc::new(HeldResponse { response, cross_origin });
        let shown = self.context.url();
        for (number, id) in flight.ids().into_iter().enumerate() {
            let Some(reply) = parked::reply(held, id) else { continue };
            let Reply { version, persistent, head_only } = reply;
            let timeout_s = instruction.timeout_s;
            let hold = ResponseHold {
                held: Rc::clone(&response),
                version,
                persistent,
                head_only,
                timeout_s,
            };
            let now = clock::now();
            held.change(id, Kind::Poll(Rc::clone(request)), gone.clone());
            hub.with(|registry| registry.resume_response(id, hold, now));
            let url = || errand::url(self.context).ok();
            terms::remember(&held.shared, id, &instruction, home, url);
            let (shared, route) = (&held.shared, &home.route);
            terms::subscribe(shared, id, &instruction, &interests, (route, &shown, " retry"));
            hub.with_outlet(|registry, outlet| registry.settle(id, now, outlet));
            if conflict {
                hub.with(|registry| registry.request_update(id, false));
            }
            take_turns(number).await;
        }
        Concluded::Done
    }

    /// The long-polls become streams.
    async fn begin_stream(
        &self,
        home: &Rc<Home>,
        instruction: Instruction,
        links: Links,
        rest: Option<(Bytes, Answer)>,
    ) {
        let Round { held, flight, request, .. } = *self;
        let mut instruction = instruction;
        if let Some(page) = &request.page {
            // Who asked for a script gets a stream as it is.
            instruction.response = page.shared(&instruction.response);
        }
        if matches!(instruction.response.code, 204 | 304) {
            return parked::whole(held, flight, &instruction.response).await;
        }
        parked::open(held, flight, &instruction.response, None).await;
        let first = match &rest {
            Some((first, _)) => first.clone(),
            None => instruction.response.body.clone(),
        };
        if !flight.send(held, first).await && flight.is_empty() {
            return;
        }
        if let Some((_, rest)) = rest
            && !parked::stream(held, flight, rest).await
        {
            return;
        }
        let missing = instruction.hold.and_then(|_| terms::missing_link(&instruction));
        if let Some(message) = missing {
            let Failure::Instruction(message) = self.refused(message, "Grip-Channel") else {
                return;
            };
            if home.debug(&held.shared) {
                flight.send(held, format!("\n\n{message}\n").into()).await;
            }
            return parked::end(held, flight, None).await;
        }
        if held.is_stopping() {
            return parked::end(held, flight, None).await;
        }
        let url = errand::url(self.context).ok();
        let outcome = Outcome { home, url, instruction: &instruction, next: links.next };
        let interests = outcome.interests(held);
        for (number, id) in flight.ids().into_iter().enumerate() {
            if parked::reply(held, id).is_some() {
                held.change(id, Kind::Poll(Rc::clone(request)), links.gone.clone());
                outcome.resume(held, id, &interests);
            }
            take_turns(number).await;
        }
    }
}
