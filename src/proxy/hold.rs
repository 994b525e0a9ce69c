//! A backend's instruction carried out: answered at once, or turned into a session in the hub.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::BodyExt;

use super::access::Access;
use super::answer::Answer;
use super::body::{BeginHold, Body};
use super::content;
use super::context::{Context, RouteRef};
use super::failure::Failure;
use super::onward::Onward;
use super::shared::Shared;
use crate::clock;
use crate::grip::channel::ChannelName;
use crate::grip::headers::InstructError;
use crate::grip::instruction::{Hold, Instruction, Response as HeldResponse};
use crate::http::park::{Handoff, When};
use crate::hub::Lease;
use crate::hub::registry::Subscribed;
use crate::limits::ACCEPT_RESPONSE_BODY_BYTES_MAX;
use crate::route::target::Target;
use crate::session::http::{ResponseHold, StreamFraming, StreamHold};
use crate::wire::http1::Version;

/// Filters of the protocol that are not built yet: a subscription that names one must not deliver
/// unfiltered.
const FILTERS_TO_COME: [&str; 7] = [
    "skip-self",
    "skip-users",
    "require-sub",
    "build-id",
    "var-subst",
    "http-check",
    "http-modify",
];

/// What a hold is made for.
pub struct Origin {
    /// The shard's company.
    pub shared: Rc<Shared>,
    /// The request.
    pub context: Context,
    /// Its route.
    pub route: RouteRef,
    /// Where the instruction came from: an index into the route's targets.
    pub target: usize,
    /// The client's connection.
    pub handoff: Handoff<Onward>,
}

/// The body of a response, collected up to the limit for instructions.
pub enum Collected {
    /// All of it.
    Whole(Bytes),
    /// The beginning, and the rest of a body that is larger.
    Larger(Bytes, Answer),
}

/// Collects a response's body.
///
/// # Errors
/// When the backend breaks off.
pub async fn collect(mut body: Answer) -> Result<Collected, Failure> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return Err(Failure::Backend) };
        let Ok(data) = frame.into_data() else { continue };
        all.extend_from_slice(&data);
        if all.len() > ACCEPT_RESPONSE_BODY_BYTES_MAX {
            return Ok(Collected::Larger(all.freeze(), body));
        }
    }
    Ok(Collected::Whole(all.freeze()))
}

/// Whether an instruction with a body over the limit may stream it through: it is a stream, and no
/// filter wants the body (specification, GRIP 1.1).
#[must_use]
pub fn may_stream_through(headers: &HeaderMap) -> bool {
    let has = |name: &str, text: &str| {
        headers.get_all(name).iter().any(|v| v.to_str().is_ok_and(|v| v.contains(text)))
    };
    let hold = headers.get("grip-hold").map(HeaderValue::as_bytes);
    let stream = match hold {
        Some(hold) => hold == b"stream",
        None => has("grip-link", "rel=next"),
    };
    stream && !has("grip-channel", "build-id")
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

    fn check(&self, instruction: &Instruction) -> Result<(), Failure> {
        let filters = instruction.channels.iter().flat_map(|channel| channel.filters.iter());
        for filter in filters {
            if FILTERS_TO_COME.contains(&&**filter) {
                let message = format!("filter '{filter}' is not built yet");
                return Err(self.refuse(&InstructError { message, field: "Grip-Channel" }));
            }
        }
        if let Some(link) = &instruction.next {
            tracing::warn!(
                target = %self.target(),
                uri = %link.uri,
                "Grip-Link rel=next is not followed yet"
            );
        }
        if let Some(link) = &instruction.gone {
            tracing::warn!(
                target = %self.target(),
                uri = %link.uri,
                "Grip-Link rel=gone is not followed yet"
            );
        }
        Ok(())
    }

    fn subscribe(&self, lease: &Lease, instruction: &Instruction) {
        for (name, value) in &instruction.meta {
            let value = value.as_deref();
            lease.hub().with(|registry| registry.set_meta(lease.id(), name, value));
        }
        let prefix = &self.route.options.prefix;
        let named = instruction.channels.iter().map(|channel| (&*channel.name, false));
        let implicit = self.target().subs.iter().map(|name| (&**name, true));
        for (name, implicit) in implicit.chain(named) {
            let name = ChannelName::prefixed(prefix, name);
            let subscribed =
                lease.hub().with(|registry| registry.subscribe(lease.id(), &name, implicit));
            if subscribed == Subscribed::TooMany {
                self.shared.stats.subscriptions_refused.inc();
                tracing::debug!(channel = name.as_str(), "too many subscriptions");
                continue;
            }
            tracing::info!(
                "subscribe {}://{}{} channel={}",
                if self.context.secure { "https" } else { "http" },
                self.context.host,
                self.context.path,
                name.as_str()
            );
        }
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

    fn head(&self, held: &HeldResponse) -> Result<Response<()>, Failure> {
        head(held).map_err(|error| self.refuse(&error))
    }

    /// The whole answer of an instruction that holds nothing.
    fn answer(
        &self,
        held: HeldResponse,
        access: &mut Option<Access>,
    ) -> Result<Response<Body>, Failure> {
        let head = self.head(&held)?;
        let access = access.take();
        if let Some(access) = &access {
            access.set_status(held.code);
        }
        Ok(head.map(|()| Body::whole(held.body, access)))
    }

    fn is_head(&self) -> bool {
        self.context.method == http::Method::HEAD
    }

    /// Carries out an instruction whose body was collected. `None` when the request is held without
    /// an answer: its service waits for ever, the connection leaves.
    ///
    /// # Errors
    /// When it asks for what cannot be done.
    pub fn carry_out(
        self,
        instruction: Instruction,
        access: &mut Option<Access>,
    ) -> Result<Option<Response<Body>>, Failure> {
        self.check(&instruction)?;
        let (instruction, ended) =
            content::filtered(instruction, self.debug()).map_err(|error| self.refuse(&error))?;
        if let Some(error) = ended {
            self.refuse(&error);
        }
        match instruction.hold {
            None => self.answer(instruction.response, access).map(Some),
            Some(Hold::Response) => {
                if let Some(access) = access {
                    access.accepted();
                }
                self.hold_response(instruction);
                Ok(None)
            }
            Some(Hold::Stream) => self.hold_stream(instruction, access),
        }
    }

    fn hold_response(self, mut instruction: Instruction) {
        let empty = HeldResponse {
            code: 200,
            reason: Bytes::new(),
            headers: Vec::new(),
            body: Bytes::new(),
        };
        let hold = ResponseHold {
            held: Rc::new(std::mem::replace(&mut instruction.response, empty)),
            version: self.context.version,
            persistent: self.persistent(),
            head_only: self.is_head(),
            timeout_s: instruction.timeout_s,
        };
        let lease = self.shared.hub.open_response(hold, clock::now());
        self.shared.stats.holds_response.inc();
        self.subscribe(&lease, &instruction);
        leave(&self.handoff, lease, When::Unanswered);
    }

    fn hold_stream(
        self,
        mut instruction: Instruction,
        access: &mut Option<Access>,
    ) -> Result<Option<Response<Body>>, Failure> {
        // These end with their head, whatever is published: there is nothing to hold.
        let ends = self.is_head() || matches!(instruction.response.code, 204 | 304);
        if ends {
            return self.answer(instruction.response, access).map(Some);
        }
        if let Some(last) = self.missing_link(&instruction) {
            let body = &instruction.response.body;
            instruction.response.body = [&body[..], &last[..]].concat().into();
            return self.answer(instruction.response, access).map(Some);
        }
        let mut head = self.head(&instruction.response)?;
        if let Some(access) = access {
            access.accepted();
        }
        self.mark_chunked(&mut head);
        let first = instruction.response.body.clone();
        self.open_stream(&instruction);
        Ok(Some(head.map(|()| Body::held(first, self.handoff.clone()))))
    }

    /// A stream that says what its client has needs to say where the rest is; the bytes that end it
    /// otherwise (specification, GRIP 3.1).
    fn missing_link(&self, instruction: &Instruction) -> Option<Bytes> {
        let channel = instruction.channels.iter().find(|channel| channel.prev_id.is_some())?;
        if instruction.next.is_some() {
            return None;
        }
        let message =
            format!("channel '{}' specifies prev-id, but no next link found", channel.name);
        tracing::error!(target = %self.target(), field = "Grip-Channel", error = %message);
        self.shared.stats.instructions_invalid.inc();
        Some(if self.debug() { format!("\n\n{message}\n").into() } else { Bytes::new() })
    }

    fn open_stream(&self, instruction: &Instruction) {
        let chunked = self.context.version == Version::Http11;
        let hold = StreamHold {
            framing: if chunked { StreamFraming::Chunked } else { StreamFraming::Raw },
            keep_alive: instruction.keep_alive.clone(),
            persistent: chunked && self.persistent(),
            next: None,
        };
        let lease = self.shared.hub.open_stream(hold, clock::now());
        self.shared.set_slow(&lease, &self.route);
        self.shared.stats.holds_stream.inc();
        self.subscribe(&lease, instruction);
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
        instruction: Instruction,
        first: Bytes,
        rest: Answer,
        access: &mut Option<Access>,
    ) -> Result<Response<Body>, Failure> {
        self.check(&instruction)?;
        let mut head = self.head(&instruction.response)?;
        self.mark_chunked(&mut head);
        let (handoff, access) = (self.handoff.clone(), access.take());
        let begin: BeginHold = Box::new(move || {
            if instruction.hold.is_none() {
                return Err(Bytes::new());
            }
            if let Some(last) = self.missing_link(&instruction) {
                return Err(last);
            }
            self.open_stream(&instruction);
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

/// The head of what an instruction shows the client.
fn head(held: &HeldResponse) -> Result<Response<()>, InstructError> {
    let status = StatusCode::from_u16(held.code).map_err(|_| InstructError {
        message: format!("status code {} can only answer a held long-poll", held.code),
        field: "Grip-Status",
    })?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    crate::http::set_reason(&mut response, &held.reason);
    for field in &held.headers {
        let name = HeaderName::from_bytes(&field.name);
        let value = HeaderValue::from_bytes(&field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            let shown = String::from_utf8_lossy(&field.name);
            let message = format!("header '{shown}' cannot be sent");
            return Err(InstructError { message, field: "headers" });
        };
        response.headers_mut().append(name, value);
    }
    Ok(response)
}
