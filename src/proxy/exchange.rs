//! One plain request: route, targets in order, then an instruction or a plain answer.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use crate::http::Incoming;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, header};

use super::interim;
use super::tunnel::{self, Tunnel};
use crate::asking::answer::Answer;
use crate::asking::body::Body;
use crate::asking::collected::{self, Collected};
use crate::asking::cross_origin_answer;
use crate::asking::failure::Failure;
use crate::asking::inquiry::{self, Inquiry, body_failure};
use crate::asking::onward::Onward;
use crate::asking::upload::{Rest, Upload};
use crate::backend::error::{Error, Kind};
use crate::backend::exchange::Heard;
use crate::forward::access::Access;
use crate::forward::context::{Context, RouteRef};
use crate::forward::fields;
use crate::forward::outgoing::Last;
use crate::forward::shared::Shared;
use crate::grip::headers;
use crate::holding::held::Held;
use crate::holding::hold::{Carried, Origin};
use crate::http::park::Handoff;
use crate::route::target::Target;
use crate::session::cross_origin::CrossOrigin;
use crate::websocket::upgrade;
use crate::wire::http1::Version;
use crate::wire::names::Spelling;

/// A plain request and all that its answer needs.
pub struct Exchange {
    /// The shard's company.
    pub shared: Rc<Shared>,
    /// What is kept of holds.
    pub held: Rc<Held>,
    /// The request without its body.
    pub context: Context,
    /// Its route.
    pub route: RouteRef,
    /// The client's connection.
    pub handoff: Handoff<Onward>,
    /// How the client wrote the names of its header fields, if not as usual.
    pub spelling: Option<Spelling>,
    /// What its answers need for a page of another origin.
    pub page: Option<Rc<CrossOrigin>>,
    /// The body that it has instead of the client's.
    pub given: Option<Bytes>,
}

impl Exchange {
    fn debug(&self) -> bool {
        self.shared.settings.debug || self.route.options.debug
    }

    /// Answers the request; `None` when it is held and its service is to wait for ever.
    pub async fn run(&self, body: Incoming, mut access: Option<Access>) -> Option<Response<Body>> {
        let debug = self.debug();
        let upload = match self.gather(body).await {
            Ok(upload) => upload,
            Err(failure) => {
                return Some(self.early(failed(&failure, debug, access, self.page.as_deref())));
            }
        };
        let answer = match self.attempt(&upload, &mut access).await {
            Ok(answer) => answer?,
            Err(failure) => failed(&failure, debug, access, self.page.as_deref()),
        };
        Some(if upload.is_read() { answer } else { self.early(answer) })
    }

    fn early(&self, mut answer: Response<Body>) -> Response<Body> {
        come_early(&mut answer, &self.handoff);
        answer
    }

    async fn gather(&self, body: Incoming) -> Result<Upload<Incoming>, Failure> {
        if http_body::Body::is_end_stream(&body) || self.given.is_some() {
            return Ok(Upload::Whole(self.given.clone().unwrap_or_default()));
        }
        self.forbid_events()?;
        let limit = self.shared.settings.request_body_bytes_max;
        // Boxed: a future holds room for all that it may ever wait for.
        let silence_ms = self.shared.settings.forwarding.upload_ms;
        let gathered = Box::pin(Upload::gather(body, limit, silence_ms)).await;
        gathered.map_err(|error| body_failure(&self.shared, &error))
    }

    async fn attempt(
        &self,
        upload: &Upload<Incoming>,
        access: &mut Option<Access>,
    ) -> Result<Option<Response<Body>>, Failure> {
        self.forbid_events()?;
        let (target, mut answer) = match self.offered(upload) {
            None => self.ask(upload, &[], access).await?,
            // Boxed: what is rarer makes the future of every request no larger.
            Some(offered) => match Box::pin(self.change(&offered, upload, access)).await? {
                Some(declined) => declined,
                None => return Ok(None),
            },
        };
        if self.is_instruction(&answer) {
            // Boxed: what is rarer makes the future of every request no larger.
            return Box::pin(self.instructed(target, answer, upload, access)).await;
        }
        // A body that is seen to break off at once is none: its client can still be told so
        // (specification, routing 3.11).
        let begun = poll_fn(|cx| Poll::Ready(answer.body_mut().look_ahead(cx))).await;
        begun.map_err(|error| self.broken(target, &error, upload))?;
        if self.page.is_some() {
            return Box::pin(self.relay(answer, access)).await.map(Some);
        }
        Ok(Some(self.shown(answer.status().as_u16(), answer, access)))
    }

    fn broken(&self, target: usize, error: &Error, upload: &Upload<Incoming>) -> Failure {
        if error.kind == Kind::Upload {
            return inquiry::broken_upload(upload);
        }
        collected::broken(&self.shared, &self.context, (&self.route, target), error)
    }

    /// The protocols that a client wants to change to, as they are offered to its backend.
    fn offered(&self, upload: &Upload<Incoming>) -> Option<HeaderValue> {
        let protocols = &self.shared.settings.forwarding.protocols;
        let may = !protocols.is_empty() && self.context.version == Version::Http11;
        let bodyless = matches!(upload, Upload::Whole(bytes) if bytes.is_empty());
        if may && bodyless { protocols.offered(&self.context.headers) } else { None }
    }

    /// Asks for another protocol; the ordinary answer of a target that does not want it, or `None`
    /// if the connection goes on as a tunnel.
    async fn change(
        &self,
        offered: &HeaderValue,
        upload: &Upload<Incoming>,
        access: &mut Option<Access>,
    ) -> Result<Option<(usize, Response<Answer>)>, Failure> {
        let trying = |target: &Target| {
            if let Some(access) = access {
                access.set_target(target.to_string());
            }
        };
        let Exchange { shared, context, route, handoff, .. } = self;
        let relay = |interim| interim::relay(shared, handoff, interim);
        let heard = self.heard(&relay);
        match tunnel::open(shared, context, route, offered, heard, trying).await? {
            Tunnel::BuiltIn => self.ask(upload, &[], access).await.map(Some),
            Tunnel::Declined(target, answer) => Ok(Some((target, *answer))),
            Tunnel::Open(response, onward) => {
                if let Some(access) = access.take() {
                    access.answered(response.status().as_u16(), 0);
                }
                self.handoff.upgrade(onward, upgrade::head(&response, context.version));
                Ok(None)
            }
        }
    }

    fn is_instruction<B>(&self, answer: &Response<B>) -> bool {
        let grip = !self.route.options.no_grip && !self.context.trusted;
        grip && headers::is_instruction(answer.headers())
    }

    async fn ask(
        &self,
        upload: &Upload<Incoming>,
        lasts: &[Last],
        access: &mut Option<Access>,
    ) -> Result<(usize, Response<Answer>), Failure> {
        let relay = |interim| interim::relay(&self.shared, &self.handoff, interim);
        let inquiry = Inquiry {
            shared: &self.shared,
            context: &self.context,
            spelling: self.spelling.as_ref(),
            route: &self.route,
            lasts,
            heard: self.heard(&relay),
            named: self.page.is_some(),
        };
        let trying = |target: &Target| {
            if let Some(access) = access {
                access.set_target(target.to_string());
            }
        };
        inquiry.ask(upload, trying).await
    }

    fn heard<'a>(&self, relay: &'a dyn Fn(Response<()>)) -> Heard<'a> {
        let fit = interim::is_fit_for(&self.context, self.page.as_deref());
        (fit && !self.shared.settings.forwarding.drop_interim).then_some(relay)
    }

    /// A client must not speak to a WebSocket-over-HTTP backend as if it were us.
    fn forbid_events(&self) -> Result<(), Failure> {
        if !self.route.targets.iter().any(|target| target.over_http) {
            return Ok(());
        }
        let events = self.context.headers.get(CONTENT_TYPE).is_some_and(|value| {
            let kind = value.as_bytes().split(|b| *b == b';').next().unwrap_or_default();
            kind.trim_ascii() == b"application/websocket-events"
        });
        if events && !self.context.trusted {
            return Err(Failure::EventsForbidden);
        }
        Ok(())
    }

    /// Carries an instruction out; its backend is asked again as long as it gives a long-poll less
    /// than there is.
    async fn instructed(
        &self,
        mut target: usize,
        mut answer: Response<Answer>,
        upload: &Upload<Incoming>,
        access: &mut Option<Access>,
    ) -> Result<Option<Response<Body>>, Failure> {
        match upload.drain().await {
            Ok(Rest::WithinLimit) => {}
            Ok(Rest::OverLimit) => return Err(Failure::RequestTooLarge),
            Err(_) => return Err(inquiry::broken_upload(upload)),
        }
        let Some(body) = upload.collected() else { return Err(Failure::RequestTooLarge) };
        let again = Upload::Whole(body.clone());
        let mut asked_with = None;
        for round in 0.. {
            let origin = Origin {
                shared: Rc::clone(&self.shared),
                held: Rc::clone(&self.held),
                context: self.context.clone(),
                spelling: self.spelling.clone(),
                route: self.route.clone(),
                target,
                handoff: self.handoff.clone(),
                body: body.clone(),
                round,
                asked_with: asked_with.take(),
                page: self.page.clone(),
            };
            let lasts = match Self::carry_out(origin, answer, access).await? {
                Carried::Answered(response) => return Ok(Some(*response)),
                Carried::Held => return Ok(None),
                Carried::Again(lasts) => lasts,
            };
            // Boxed: every hold's future would have room for it otherwise.
            (target, answer) = Box::pin(self.ask(&again, &lasts, access)).await?;
            if !self.is_instruction(&answer) {
                break;
            }
            asked_with = Some(lasts);
        }
        self.relay(answer, access).await.map(Some)
    }

    async fn carry_out(
        origin: Origin,
        answer: Response<Answer>,
        access: &mut Option<Access>,
    ) -> Result<Carried, Failure> {
        let reason = crate::http::reason(&answer);
        let (parts, body) = answer.into_parts();
        let read = |bytes: Bytes| {
            let fields = (&parts.headers, parts.extensions.get::<Spelling>());
            headers::spelled(parts.status.as_u16(), reason.as_deref(), fields, bytes)
                .map_err(|error| origin.refuse(&error))
        };
        let broken = |error: Error| {
            let Origin { shared, context, route, target, .. } = &origin;
            collected::broken(shared, context, (route, *target), &error)
        };
        match collected::collect(body).await.map_err(broken)? {
            Collected::Whole(bytes) => {
                let instruction = read(bytes)?;
                origin.carry_out(instruction, access).await
            }
            Collected::Larger(first, rest) if collected::may_stream_through(&parts.headers) => {
                let instruction = read(Bytes::new())?;
                origin.stream_through(instruction, first, rest, access).map(Carried::answered)
            }
            Collected::Larger(..) => {
                let target = origin.route.targets[origin.target].to_string();
                Err(Failure::InstructionTooLarge(target))
            }
        }
    }

    /// A plain answer, on its way to the client.
    async fn relay(
        &self,
        mut answer: Response<Answer>,
        access: &mut Option<Access>,
    ) -> Result<Response<Body>, Failure> {
        let status = answer.status().as_u16();
        if let Some(page) = &self.page {
            // Boxed: what is rarer makes the future of every request no larger.
            answer = Box::pin(cross_origin_answer::relayed(page, answer)).await?;
        }
        Ok(self.shown(status, answer, access))
    }

    /// The access line says `said`, whatever a page of another origin is told.
    fn shown(
        &self,
        said: u16,
        answer: Response<Answer>,
        access: &mut Option<Access>,
    ) -> Response<Body> {
        let access = access.take();
        if let Some(access) = &access {
            access.set_status(said);
        }
        let (mut parts, body) = answer.into_parts();
        parts.headers = fields::response_headers(parts.status, parts.headers);
        // The backend's version is that of its own hop.
        parts.version = http::Version::HTTP_11;
        let status = parts.status.as_u16();
        let empty = self.context.method == http::Method::HEAD || matches!(status, 204 | 304);
        let known = http_body::Body::size_hint(&body).exact().is_some()
            || parts.headers.contains_key(header::CONTENT_LENGTH);
        if !empty && !known && self.context.version == Version::Http11 {
            // As existing clients see it: the head names the framing that hyper will choose.
            let value = HeaderValue::from_static("Transfer-Encoding");
            parts.headers.append(header::CONNECTION, value);
        }
        Response::from_parts(parts, Body::relayed(None, body, access))
    }
}

/// Prepares an answer that comes before all of its request has: the client may go on sending, and
/// the rest must not be taken for a request. So the connection ends with it.
pub fn come_early(answer: &mut Response<Body>, handoff: &Handoff<Onward>) {
    answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    handoff.close();
}

/// An answer of ours.
pub fn failed(
    failure: &Failure,
    debug: bool,
    access: Option<Access>,
    page: Option<&CrossOrigin>,
) -> Response<Body> {
    let mut response = failure.response(debug, false);
    // What is written then is an answer to nobody: the line says how it ended.
    let access = access.filter(|_| *failure != Failure::ClientLeft);
    if let Some(access) = &access {
        access.set_status(response.status().as_u16());
    }
    if let Some(page) = page {
        response = cross_origin_answer::refused(page, response);
    }
    response.map(|bytes| Body::whole(bytes, access))
}
