//! A route's targets asked in order, until one answers (specification, routing 2.8 and 3.9).
//!
//! Called by `exchange` for what clients ask, by `errand` and `repeat` for what is asked on behalf
//! of a hold. Knows nothing of what becomes of the answer.

use bytes::Bytes;
use http::Response;
use http_body::Body;

use super::answer::Answer;
use super::context::Context;
use super::failure::Failure;
use super::heading::Heading;
use super::outgoing::{self, Last};
use super::shared::Shared;
use super::upload::{Upload, UploadError};
use crate::backend::body::RequestBody;
use crate::backend::head::RequestHead;
use crate::backend::{Ready, builtin, error};
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
}

impl Inquiry<'_> {
    /// Asks the targets in order; the answer, and the number of the target that gave it. `trying`
    /// hears of each that is asked.
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
        let mut tried = Vec::new();
        for (index, target) in self.route.targets.iter().enumerate() {
            trying(target);
            let Some(body) = upload.request_body() else { return Err(Failure::Backend) };
            if target.address == Address::Test {
                return Ok((index, self.ask_builtin(&body)));
            }
            let asked = match self.connect(target, &body).await? {
                Ok((ready, head)) => ready.send(head, body).await,
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
                return Err(Failure::ClientBody);
            }
            self.report(target, &error);
            tried.push(target.to_string());
            if error.stage == error::Stage::Policy {
                return Err(Failure::AddressPolicy);
            }
            if !error.next_target() {
                return Err(Failure::Backend);
            }
        }
        Err(Failure::NoTarget(tried))
    }

    /// A connection to a target, and what is to be written first. It comes before the request: a
    /// body that streams is still untouched when it fails. The outer error ends the request, the
    /// inner one is of this target.
    async fn connect(
        &self,
        target: &Target,
        body: &RequestBody,
    ) -> Result<Result<(Ready, RequestHead), error::Error>, Failure> {
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
        let (head, to) = made.map_err(|error| {
            tracing::error!(target = %target, %error, "the request cannot be put to this target");
            Failure::Backend
        })?;
        if let Some(ready) = self.shared.backend.pooled(to) {
            return Ok(Ok((ready, head)));
        }
        // Boxed: what is rarer makes the future of every request no larger.
        let ready = Box::pin(self.shared.backend.fresh(to)).await;
        Ok(ready.map(|ready| (ready, head)))
    }

    fn ask_builtin(&self, body: &RequestBody) -> Response<Answer> {
        let limit = ACCEPT_REQUEST_BODY_BYTES_MAX as u64;
        let too_large = Body::size_hint(body).lower() > limit;
        let path = outgoing::path(self.context, self.route);
        let path_beg = self.route.condition.path_beg.as_deref();
        let query = self.context.query.as_deref();
        builtin::respond(&path, query, path_beg, too_large).map(Answer::whole)
    }

    fn report(&self, target: &Target, error: &error::Error) {
        self.shared.stats.backend_failures.inc();
        tracing::warn!(
            target = %target,
            path = %self.context.path,
            stage = ?error.stage,
            kind = ?error.kind,
            reused = error.reused,
            detail = %error.detail,
            "the backend did not answer"
        );
    }
}

/// What a client is told whose body cannot be had.
pub fn body_failure(shared: &Shared, error: &UploadError) -> Failure {
    match error {
        UploadError::Broken(_) => Failure::ClientBody,
        UploadError::TooLarge(limit) => {
            shared.stats.requests_too_large.inc();
            Failure::BodyTooLarge(*limit)
        }
    }
}
