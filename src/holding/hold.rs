//! A backend's instruction carried out: answered at once, or turned into a session in the hub.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderValue, Response, header};

use super::gone;
use super::held::{Held, Link};
use crate::asking::answer::Answer;
use crate::asking::body::{BeginHold, Body};
use crate::asking::cross_origin_answer;
use crate::asking::errand::{self, ErrandError, Home};
use crate::asking::failure::Failure;
use crate::asking::onward::Onward;
use crate::asking::shown;
use crate::asking::terms;
use crate::clock;
use crate::forward::access::Access;
use crate::forward::content;
use crate::forward::context::{Context, RouteRef};
use crate::forward::outgoing::Last;
use crate::forward::shared::Shared;
use crate::grip::headers::InstructError;
use crate::grip::instruction::{Hold, Instruction, Response as Shown};
use crate::http::park::{Handoff, When};
use crate::hub::Lease;
use crate::hub::interest::Interest;
use crate::limits::CONFLICT_ROUNDS_MAX;
use crate::route::target::Target;
use crate::session::cross_origin::CrossOrigin;
use crate::session::http::{HeldResponse, Next, ResponseHold, StreamFraming, StreamHold};
use crate::wire::http1::Version;
use crate::wire::names::Spelling;

/// What a hold is made for.
pub struct Origin {
    /// The shard's company.
    pub shared: Rc<Shared>,
    /// What is kept of holds.
    pub held: Rc<Held>,
    /// The request.
    pub context: Context,
    /// How the client wrote the names of its header fields, if not as usual.
    pub spelling: Option<Spelling>,
    /// Its route.
    pub route: RouteRef,
    /// Where the instruction came from: an index into the route's targets.
    pub target: usize,
    /// The client's connection.
    pub handoff: Handoff<Onward>,
    /// The request's body.
    pub body: Bytes,
    /// How often its backend has been asked before.
    pub round: u32,
    /// What it was asked with, if it was.
    pub asked_with: Option<Vec<Last>>,
    /// What its answers need for a page of another origin.
    pub page: Option<Rc<CrossOrigin>>,
}

/// What became of an instruction.
pub enum Carried {
    /// The client is answered.
    Answered(Box<Response<Body>>),
    /// The request is held without an answer: its service waits for ever, the connection leaves.
    Held,
    /// The backend has given less than there is: it is to be asked again with these.
    Again(Vec<Last>),
}

impl Carried {
    /// The client is answered.
    #[must_use]
    pub fn answered(response: Response<Body>) -> Carried {
        Carried::Answered(Box::new(response))
    }
}

/// Where an instruction's links lead.
#[derive(Default)]
struct Links {
    next: Option<(Rc<Link>, Next)>,
    gone: Option<Rc<str>>,
}

impl Origin {
    fn debug(&self) -> bool {
        self.shared.settings.debug || self.route.options.debug
    }

    fn target(&self) -> &Target {
        &self.route.targets[self.target]
    }

    /// The failure that an instruction's error is, logged with the header at fault.
    pub fn refuse(&self, error: &InstructError) -> Failure {
        self.shared.stats.instructions_invalid.inc();
        tracing::error!(
            target = %self.target(),
            path = %self.context.path,
            field = error.field,
            error = %error.message,
            "invalid instruction from the backend"
        );
        Failure::Instruction(error.message.clone())
    }

    fn home(&self) -> Rc<Home> {
        self.held.home(&self.context, &self.route, self.target)
    }

    /// Where the instruction's links lead, seen from the request.
    fn links(&self, instruction: &Instruction) -> Result<Links, Failure> {
        let mut links = Links::default();
        if instruction.hold.is_none() && instruction.next.is_none() {
            return Ok(links);
        }
        let refused = |error: ErrandError| {
            tracing::warn!(%error, "a link leads nowhere");
            let message = "Grip-Link contains invalid link".to_owned();
            self.refuse(&InstructError { message, field: "Grip-Link" })
        };
        if let Some(next) = &instruction.next {
            let base = errand::url(&self.context).map_err(refused)?;
            links.next = Some(self.held.next(&base, next).map_err(refused)?);
        }
        if let Some(gone) = &instruction.gone {
            let base = errand::url(&self.context).map_err(refused)?;
            links.gone = Some(self.held.gone(&base, gone).map_err(refused)?);
        }
        Ok(links)
    }

    fn subscribe(&self, lease: &Lease, instruction: &Instruction, interests: &[Interest]) {
        let request = self.context.url();
        if instruction.channels.iter().any(|channel| !channel.filters.is_empty()) {
            let url = || errand::url(&self.context).ok();
            terms::remember(&self.shared, lease.id(), instruction, &self.home(), url);
        }
        let (shared, route) = (&self.shared, &self.route);
        terms::subscribe(shared, lease.id(), instruction, interests, (route, &request, ""));
        let now = clock::now();
        lease.hub().with_outlet(|registry, outlet| registry.settle(lease.id(), now, outlet));
    }

    fn persistent(&self) -> bool {
        let connection = self.context.headers.get_all(header::CONNECTION);
        let says = |token: &str| {
            connection
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(','))
                .any(|value| value.trim().eq_ignore_ascii_case(token))
        };
        match self.context.version {
            Version::Http10 => says("keep-alive"),
            Version::Http11 => !says("close"),
        }
    }

    fn head(&self, shown: &Shown) -> Result<Response<()>, Failure> {
        shown::head(shown).map_err(|error| self.refuse(&error))
    }

    /// The head of a stream: who asked for a script gets it as it is.
    fn stream_head(&self, shown: &Shown) -> Result<Response<()>, Failure> {
        let mut head = self.head(shown)?;
        if let Some(page) = &self.page {
            let spelling = head.extensions().get::<Spelling>().cloned();
            cross_origin_answer::share(page, head.headers_mut(), spelling.as_ref());
        }
        Ok(head)
    }

    /// The whole answer of an instruction that holds nothing.
    fn answer(&self, shown: Shown, access: &mut Option<Access>) -> Result<Response<Body>, Failure> {
        let mut response = self.head(&shown)?.map(|()| shown.body);
        if let Some(page) = &self.page {
            response = cross_origin_answer::whole(page, response);
        }
        Ok(shown::whole(response, shown.code, access))
    }

    /// A stream that is over at once.
    fn ended_stream(
        &self,
        shown: Shown,
        access: &mut Option<Access>,
    ) -> Result<Response<Body>, Failure> {
        Ok(shown::whole(self.stream_head(&shown)?.map(|()| shown.body), shown.code, access))
    }

    fn is_head(&self) -> bool {
        // A script's own request is none, whatever it stands for.
        let script = self.page.as_ref().is_some_and(|page| page.jsonp.is_some());
        self.context.method == http::Method::HEAD && !script
    }

    /// Carries out an instruction whose body was collected.
    ///
    /// # Errors
    /// When it asks for what cannot be done.
    pub async fn carry_out(
        self,
        mut instruction: Instruction,
        access: &mut Option<Access>,
    ) -> Result<Carried, Failure> {
        self.settle_ids(&mut instruction);
        let links = self.links(&instruction)?;
        let (instruction, ended) =
            content::filtered(instruction, self.debug()).map_err(|error| self.refuse(&error))?;
        if let Some(error) = ended {
            self.refuse(&error);
        }
        match instruction.hold {
            None if instruction.next.is_none() => {
                self.answer(instruction.response, access).map(Carried::answered)
            }
            Some(Hold::Response) => self.hold_response(instruction, links, access).await,
            None | Some(Hold::Stream) => {
                self.hold_stream(instruction, links, access).map(Carried::answered)
            }
        }
    }

    fn settle_ids(&self, instruction: &mut Instruction) {
        let header = self.context.headers.get("last-event-id");
        let header = header.and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
        let asked_with = self.asked_with.as_deref();
        terms::settle_ids(&mut instruction.channels, header, asked_with);
    }

    async fn hold_response(
        self,
        mut instruction: Instruction,
        links: Links,
        access: &mut Option<Access>,
    ) -> Result<Carried, Failure> {
        let home = self.home();
        let interests = terms::interests(&self.shared, &home, &instruction);
        let hub = &self.shared.hub;
        // A backend that was asked, and insists, is believed.
        let conflict = hub.with(|registry| match self.round {
            0 => terms::is_behind(registry, &interests),
            _ => terms::forget_conflicts(registry, &interests),
        });
        if conflict && self.round < CONFLICT_ROUNDS_MAX {
            self.shared.stats.polls_asked_again.inc();
            if let Some(gone) = &links.gone {
                // As before every other retry. Boxed: every hold's future would have room for it.
                let _ = Box::pin(gone::tell(&self.shared, &home, gone)).await;
            }
            return Ok(Carried::Again(terms::lasts(&instruction)));
        }
        if let Some(access) = access {
            access.accepted();
        }
        let empty =
            Shown { code: 200, reason: Bytes::new(), headers: Vec::new(), body: Bytes::new() };
        let response = std::mem::replace(&mut instruction.response, empty);
        let cross_origin = self.page.as_ref().map(|page| self.held.page(page));
        let hold = ResponseHold {
            held: Rc::new(HeldResponse { response, cross_origin: cross_origin.clone() }),
            version: self.context.version,
            persistent: self.persistent(),
            head_only: self.is_head(),
            timeout_s: instruction.timeout_s,
        };
        let lease = hub.open_response(hold, clock::now());
        self.shared.stats.holds_response.inc();
        let request = (&self.context, self.spelling.clone(), &self.body, cross_origin);
        self.held.keep_poll(lease.id(), request, home, links.gone);
        self.subscribe(&lease, &instruction, &interests);
        if conflict {
            hub.with(|registry| registry.request_update(lease.id(), false));
        }
        leave(&self.handoff, lease, When::Unanswered);
        Ok(Carried::Held)
    }

    /// Begins a stream; or only its body, if it goes on with a link.
    fn hold_stream(
        self,
        mut instruction: Instruction,
        links: Links,
        access: &mut Option<Access>,
    ) -> Result<Response<Body>, Failure> {
        // These end with their head, whatever is published: there is nothing to hold.
        let ends = self.is_head() || matches!(instruction.response.code, 204 | 304);
        if ends {
            return self.ended_stream(instruction.response, access);
        }
        if let Some(last) = self.missing_link(&instruction) {
            let body = &instruction.response.body;
            instruction.response.body = [&body[..], &last[..]].concat().into();
            return self.ended_stream(instruction.response, access);
        }
        let mut head = self.stream_head(&instruction.response)?;
        if let Some(access) = access {
            access.accepted();
        }
        self.mark_chunked(&mut head);
        let first = instruction.response.body.clone();
        self.open_stream(&instruction, links);
        Ok(head.map(|()| Body::held(first, self.handoff.clone())))
    }

    /// A stream that says what its client has needs to say where the rest is; the bytes that end it
    /// otherwise (specification, GRIP 3.1).
    fn missing_link(&self, instruction: &Instruction) -> Option<Bytes> {
        instruction.hold?;
        let message = terms::missing_link(instruction)?;
        tracing::error!(target = %self.target(), field = "Grip-Channel", error = %message);
        self.shared.stats.instructions_invalid.inc();
        Some(if self.debug() { format!("\n\n{message}\n").into() } else { Bytes::new() })
    }

    fn open_stream(&self, instruction: &Instruction, links: Links) {
        let chunked = self.context.version == Version::Http11;
        let (link, next) = links.next.unzip();
        let holds = instruction.hold.is_some();
        let hold = StreamHold {
            framing: if chunked { StreamFraming::Chunked } else { StreamFraming::Raw },
            keep_alive: instruction.keep_alive.clone().filter(|_| holds),
            persistent: chunked && self.persistent(),
            next,
        };
        let hub = &self.shared.hub;
        let lease = hub.open_stream(hold, clock::now());
        self.shared.set_slow(&lease, &self.route);
        let home = self.home();
        if holds {
            self.shared.stats.holds_stream.inc();
            let interests = terms::interests(&self.shared, &home, instruction);
            let conflict = hub.with(|registry| terms::is_behind(registry, &interests));
            self.held.keep_stream(lease.id(), home, link, links.gone);
            self.subscribe(&lease, instruction, &interests);
            if conflict {
                hub.with(|registry| registry.request_update(lease.id(), false));
            }
        } else {
            // It goes on with the link's body at once.
            terms::set_meta(&self.shared, lease.id(), instruction);
            self.held.keep_stream(lease.id(), home, link, links.gone);
            hub.with(|registry| registry.request_update(lease.id(), true));
        }
        leave(&self.handoff, lease, When::Idle);
    }

    /// As existing clients see it: the head names the framing that hyper will choose.
    fn mark_chunked<T>(&self, head: &mut Response<T>) {
        if self.context.version == Version::Http11 {
            let value = HeaderValue::from_static("Transfer-Encoding");
            head.headers_mut().append(header::CONNECTION, value);
        }
    }

    /// A stream whose initial body is over the limit: it goes to the client as it comes, and the
    /// hold begins when it has ended (specification, GRIP 3.2).
    ///
    /// # Errors
    /// When the instruction is invalid.
    pub fn stream_through(
        self,
        mut instruction: Instruction,
        first: Bytes,
        rest: Answer,
        access: &mut Option<Access>,
    ) -> Result<Response<Body>, Failure> {
        self.settle_ids(&mut instruction);
        let links = self.links(&instruction)?;
        let mut head = self.stream_head(&instruction.response)?;
        self.mark_chunked(&mut head);
        let (handoff, access) = (self.handoff.clone(), access.take());
        let begin: BeginHold = Box::new(move || {
            if instruction.hold.is_none() && links.next.is_none() {
                return Err(Bytes::new());
            }
            if let Some(last) = self.missing_link(&instruction) {
                return Err(last);
            }
            self.open_stream(&instruction, links);
            Ok(())
        });
        Ok(head.map(|()| Body::through(first, rest, begin, handoff, access)))
    }
}

/// The connection leaves hyper for the lot. Meanwhile the session may end (its client does not
/// read): then it leaves at once, to be dropped.
fn leave(handoff: &Handoff<Onward>, lease: Lease, when: When) {
    let (hub, id) = (lease.hub().clone(), lease.id());
    handoff.wish(Onward::Park(lease), when, move |cx| hub.poll_closed(id, cx));
}
