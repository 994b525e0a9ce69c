//! A route's targets asked one after another, until one answers (specification, routing 2.8 and
//! 3.9).
//!
//! Called by `exchange` for what clients ask, by `errand` and `repeat` for what is asked on behalf
//! of a hold. Knows nothing of what becomes of the answer.

use bytes::Bytes;
use http::Response;
use http_body::Body;

use super::answer::Answer;
use super::choice::{Choice, Seeker, Step};
use super::failure::Failure;
use super::upload::{Upload, UploadError};
use crate::backend::body::RequestBody;
use crate::backend::exchange::Heard;
use crate::backend::request::RequestHead;
use crate::backend::{Ready, builtin, error};
use crate::forward::context::Context;
use crate::forward::heading::Heading;
use crate::forward::outgoing::{self, Last};
use crate::forward::shared::Shared;
use crate::http::BodyError;
use crate::limits::ACCEPT_REQUEST_BODY_BYTES_MAX;
use crate::route::Route;
use crate::route::target::{Address, Target};
use crate::wire::names::Spelling;

/// A request for a route's targets, without its body.
pub struct Inquiry<'a> {
    /// The shard's company.
    pub shared: &'a Shared,
    /// The request.
    pub context: &'a Context,
    /// How the client wrote the names of its header fields, if not as usual.
    pub spelling: Option<&'a Spelling>,
    /// Whose targets are asked.
    pub route: &'a Route,
    /// For `Grip-Last`.
    pub lasts: &'a [Last],
    /// Hears of interim answers.
    pub heard: Heard<'a>,
    /// Whether the answer is shown by others than hyper, as who held requests and pages get it.
    pub named: bool,
}

impl Inquiry<'_> {
    /// Asks the targets, until one answers; the answer, and the number of the target that gave it.
    /// `trying` hears of each that is asked.
    ///
    /// # Errors
    /// What the client is to be told when none has answered.
    pub async fn ask<B>(
        &self,
        upload: &Upload<B>,
        mut trying: impl FnMut(&Target),
    ) -> Result<(usize, Response<Answer>), Failure>
    where
        B: Body<Data = Bytes> + Unpin + 'static,
        B::Error: Into<BodyError>,
    {
        let seeker = Seeker { shared: self.shared, context: self.context, route: self.route };
        let mut choice = Choice::default();
        while let Some(index) = choice.next(&seeker) {
            let target = &self.route.targets[index];
            trying(target);
            let Some(body) = upload.request_body() else { return Err(Failure::Backend) };
            if target.address == Address::Test {
                return Ok((index, self.ask_builtin(&body)));
            }
            let asked = match self.connect(&mut choice, index, &body).await? {
                Ok((ready, head)) => ready.send(head, body, self.heard).await,
                Err(error) => Err(error),
            };
            let error = match asked {
                Ok(answer) => return Ok((index, answer.map(Answer::Backend))),
                Err(error) => error,
            };
            if upload.is_too_large() {
                let limit = self.shared.settings.request_body_bytes_max;
                return Err(body_failure(self.shared, &UploadError::TooLarge(limit)));
            }
            if error.kind == error::Kind::Upload {
                return Err(broken_upload(upload));
            }
            let twice = self.may_be_made_twice();
            let step = choice.failed(&seeker, index, &error, twice, upload.is_at_hand());
            if step != Step::GoOn {
                return Err(self.gave_up(&choice, &error, step));
            }
        }
        Err(Failure::NoTarget(choice.tried(self.route)))
    }

    /// Whether a backend that sees the request twice comes to no harm (RFC 9110, 9.2.2). Who sends
    /// a key for it says so.
    fn may_be_made_twice(&self) -> bool {
        let Context { method, headers, .. } = self.context;
        method.is_idempotent() || headers.contains_key("idempotency-key")
    }

    fn gave_up(&self, choice: &Choice, error: &error::Error, step: Step) -> Failure {
        self.shared.stats.backend_failures.inc();
        match step {
            Step::Exhausted => Failure::NoTarget(choice.tried(self.route)),
            _ if error.is_ours() => Failure::NoRoom,
            _ if error.stage == error::Stage::Policy => Failure::AddressPolicy,
            _ => Failure::Backend,
        }
    }

    /// A connection to a target, and what is to be written first. It comes before the request: a
    /// body that streams is still untouched when it fails. The outer error ends the request, the
    /// inner one is of this target.
    async fn connect(
        &self,
        choice: &mut Choice,
        index: usize,
        body: &RequestBody,
    ) -> Result<Result<(Ready, RequestHead), error::Error>, Failure> {
        let target = &self.route.targets[index];
        let (host, port) = outgoing::url_host(self.context, self.route, target);
        let heading = Heading {
            context: self.context,
            spelling: self.spelling,
            route: self.route,
            lasts: self.lasts,
        };
        let Shared { settings, keys, .. } = self.shared;
        let head = heading.write(settings, keys, (&host, port), body);
        let made = head.and_then(|head| Ok((head, outgoing::destination(target, &host)?)));
        let (mut head, to) = made.map_err(|error| {
            tracing::error!(target = %target, %error, "the request cannot be put to this target");
            Failure::Backend
        })?;
        // A body that is gone when the connection turns out closed is as good as a POST.
        let lost = body.may_be_lost(ACCEPT_REQUEST_BODY_BYTES_MAX);
        let once = lost || !self.context.method.is_idempotent();
        let reuse = choice.may_reuse();
        let pooled = reuse.then(|| self.shared.backend.pooled(to, once)).flatten();
        let ready = match pooled {
            Some(ready) => Ok(ready),
            None => {
                let seeker =
                    Seeker { shared: self.shared, context: self.context, route: self.route };
                let connect_ms = choice.connect_ms(&seeker);
                let pooled = reuse.then_some(once);
                // Boxed: what is rarer makes the future of every request no larger.
                Box::pin(self.shared.backend.reach(to, pooled, connect_ms)).await
            }
        };
        Ok(ready.map(|mut ready| {
            if self.named {
                head.ask_for_names();
            }
            ready.carry(choice.load(index));
            (ready, head)
        }))
    }

    fn ask_builtin(&self, body: &RequestBody) -> Response<Answer> {
        let limit = ACCEPT_REQUEST_BODY_BYTES_MAX as u64;
        let too_large = Body::size_hint(body).lower() > limit;
        let path = outgoing::path(self.context, self.route);
        let path_beg = self.route.condition.path_beg.as_deref();
        let query = self.context.query.as_deref();
        builtin::respond(&path, query, path_beg, too_large).map(Answer::whole)
    }
}

/// What a client is told whose body broke off while it was read.
pub fn broken_upload<B>(upload: &Upload<B>) -> Failure
where
    B: Body<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BodyError>,
{
    if upload.is_silent() { Failure::ClientBody } else { Failure::ClientLeft }
}

/// What a client is told whose body cannot be had.
pub fn body_failure(shared: &Shared, error: &UploadError) -> Failure {
    match error {
        UploadError::Broken(_) => Failure::ClientLeft,
        UploadError::Silent => Failure::ClientBody,
        UploadError::TooLarge(limit) => {
            shared.stats.requests_too_large.inc();
            Failure::BodyTooLarge(*limit)
        }
    }
}
