//! One request's life: route, target, instruction or plain answer; or a WebSocket's handshake.
//!
//! The roof is [`Proxy`], one a shard. `shard` hands it every request that hyper has read; what
//! comes back is the response, and beside it, in the connection's hand-off, who takes the
//! connection over.

pub mod exchange;
mod interim;
pub mod question;
mod tunnel;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderValue, Request, Response, header};

use crate::asking::answer::Answer;
use crate::asking::body::Body;
use crate::asking::checks::Checks;
use crate::asking::failure::Failure;
use crate::asking::filters;
use crate::asking::onward::Onward;
use crate::forward::access::Access;
use crate::forward::context::{Context, RouteRef};
use crate::forward::cross_origin;
use crate::forward::request;
use crate::forward::request::{Client, HeadError};
use crate::forward::shared::Shared;
use crate::holding::holds::Holds;
use crate::http::Incoming;
use crate::http::park::Handoff;
use crate::hub::registry::Effect;
use crate::hub::slab::SessionId;
use crate::route::Table;
use crate::session::cross_origin::CrossOrigin;
use crate::sockjs::iframe::Page;
use crate::sockjs_sessions::door;
use crate::sockjs_sessions::door::{Call, Entrance};
use crate::sockjs_sessions::hixie::Elder;
use crate::sockjs_sessions::home::Sessions;
use crate::sockjs_sessions::socket;
use crate::websocket::accept;
use crate::websocket::sockets::Sockets;
use crate::websocket::upgrade;
use crate::websocket::upgrade::{Outcome, Rejection, log_answer};
use crate::wire::jsonp::query::QueryError;
use crate::wire::names::Spelling;
use exchange::{Exchange, failed};
use question::Question;

/// How a request goes on.
enum Begun {
    /// It is answered.
    Answered(Box<Response<Body>>),
    /// It asks for a WebSocket.
    Socket(Pin<Box<dyn Future<Output = Response<Body>>>>),
    /// It is for a SockJS session.
    SockJs(Box<Call>),
    /// Its route's targets are asked.
    Exchange(Box<Exchange>, Option<Access>),
}

impl Begun {
    fn answered(response: Response<Body>) -> Begun {
        Begun::Answered(Box::new(response))
    }
}

/// A shard's proxy.
pub struct Proxy {
    shared: Rc<Shared>,
    sockets: Rc<Sockets>,
    holds: Rc<Holds>,
    sessions: Rc<Sessions>,
    sockjs_page: Page,
    checks: RefCell<Option<Checks>>,
}

impl Proxy {
    /// A proxy for these routes.
    #[must_use]
    pub fn new(shared: Rc<Shared>, table: Arc<Table>) -> Proxy {
        let sockets = Sockets::new(shared.clone());
        let holds = Holds::new(shared.clone());
        let sessions = Sessions::new(Rc::clone(&sockets));
        let sockjs_page = Page::new(&shared.settings.sockjs.url);
        let checks = RefCell::new(Checks::begin(&shared, &table));
        shared.routing.set(table);
        Proxy { shared, sockets, holds, sessions, sockjs_page, checks }
    }

    /// From now on requests go by these routes; those under way keep theirs. Keys of files are read
    /// anew.
    pub fn set_table(&self, table: Arc<Table>) {
        self.shared.keys.reread();
        self.checks.replace(Checks::begin(&self.shared, &table));
        self.shared.routing.set(table);
        self.shared.turns.forget();
    }

    /// The WebSockets of this shard.
    #[must_use]
    pub fn sockets(&self) -> &Rc<Sockets> {
        &self.sockets
    }

    /// The holds of this shard whose backends may be asked again.
    #[must_use]
    pub fn holds(&self) -> &Rc<Holds> {
        &self.holds
    }

    /// The SockJS sessions of this shard.
    #[must_use]
    pub fn sessions(&self) -> &Rc<Sessions> {
        &self.sessions
    }

    /// The hub wants something.
    pub fn effect(&self, effect: &Effect) {
        match effect {
            Effect::Filter(id) => filters::begin(&self.shared, *id),
            Effect::Ended(id) => {
                self.shared.connections.left(*id);
                self.holds.effect(effect);
            }
            Effect::Update { .. } => self.holds.effect(effect),
            _ => self.sockets.effect(effect),
        }
    }

    /// Answers a question of the control thread, and does what it asks for.
    pub fn ask(&self, question: &Question) -> Vec<bool> {
        question::answer(&self.sockets, question)
    }

    /// What was queued for a parked client has been written.
    pub fn drained(&self, id: SessionId) {
        self.sockets.drained(id);
        self.holds.drained(id);
        self.shared.hub.with(|registry| registry.drained(id));
    }

    /// Answers one request. Waits for ever when the request is held: whoever takes the connection
    /// over drops this.
    pub fn respond(
        self: Rc<Self>,
        client: Client,
        request: Request<Incoming>,
        spelling: Option<Spelling>,
        handoff: Handoff<Onward>,
    ) -> impl Future<Output = Response<Body>> {
        let (parts, body) = request.into_parts();
        // Done before there is a future, and boxed: what a future holds is moved about.
        let unread = (!http_body::Body::is_end_stream(&body)).then(|| handoff.clone());
        let mut begun = self.begin(client, parts, spelling, handoff);
        if let (Begun::Answered(answer), Some(handoff)) = (&mut begun, unread) {
            exchange::come_early(answer, &handoff);
        }
        async move {
            match begun {
                Begun::Answered(response) => *response,
                Begun::Socket(answer) => answer.await,
                Begun::SockJs(call) => Box::pin(call.run(body)).await,
                Begun::Exchange(exchange, access) => match exchange.run(body, access).await {
                    Some(response) => response,
                    None => std::future::pending().await,
                },
            }
        }
    }

    /// Looks at a request's head, and says how it goes on.
    fn begin(
        self: Rc<Self>,
        client: Client,
        parts: Parts,
        mut spelling: Option<Spelling>,
        handoff: Handoff<Onward>,
    ) -> Begun {
        self.shared.stats.requests_received.inc();
        let version = parts.version;
        let read = request::context(client, &parts.method, &parts.uri, version, parts.headers);
        let mut context = match read {
            Ok(context) => context,
            Err(HeadError::Connect) => {
                let failure = Failure::NotImplemented(HeadError::Connect.to_string());
                return Begun::answered(failed(&failure, false, None, None));
            }
            Err(error) => {
                self.shared.stats.requests_malformed.inc();
                let failure = Failure::BadHead(error.to_string());
                return Begun::answered(failed(&failure, false, None, None));
            }
        };
        request::judge(&mut context, &self.shared.settings);
        let may_name = self.shared.settings.forwarding.accept_route;
        let mut route = self.shared.routing.of(&context, may_name);
        let mut manner = Manner::default();
        if let Some(of) = route.take_if(|route| door::of(&context, route).is_some()) {
            match door::enter(&self.sessions, &self.sockjs_page, context, of.clone()) {
                Entrance::Answered(response) => {
                    return Begun::answered(response.map(|bytes| Body::whole(bytes, None)));
                }
                Entrance::Call(call) => return Begun::SockJs(call),
                Entrance::Socket { context: mapped, framed, elder } => {
                    (context, route) = (*mapped, Some(of));
                    manner = Manner { framed, elder };
                }
            }
        }
        let (mut page, mut given) = (None, None);
        if let Some(mut active) =
            cross_origin::of(&context, &self.shared.settings, route.as_deref())
        {
            match cross_origin::rewrite(&mut active, &mut context, &mut spelling, route.as_deref())
            {
                Ok(body) => given = body,
                Err(error) => {
                    let access = Access::begin(&context, route.as_deref(), &self.shared.settings);
                    return self.refuse_script(&active, error, access);
                }
            }
            page = Some(Rc::new(active));
        }
        let access = Access::begin(&context, route.as_deref(), &self.shared.settings);
        if context.websocket && !is_handshake(&context) {
            self.shared.stats.requests_malformed.inc();
            return Begun::answered(self.refuse_socket(&Failure::BadHandshake, false, access));
        }
        let Some(route) = route else {
            let debug = self.shared.settings.debug;
            return Begun::answered(match context.websocket {
                true => self.refuse_socket(&Failure::NoRoute, debug, access),
                false => failed(&Failure::NoRoute, debug, access, page.as_deref()),
            });
        };
        if context.websocket {
            let opening =
                async move { self.open_socket(context, route, manner, handoff, access).await };
            return Begun::Socket(Box::pin(opening));
        }
        let shared = self.shared.clone();
        let held = Rc::clone(self.holds.held());
        let exchange = Exchange { shared, held, context, route, handoff, spelling, page, given };
        Begun::Exchange(Box::new(exchange), access)
    }

    fn refuse_script(
        &self,
        page: &CrossOrigin,
        error: QueryError,
        access: Option<Access>,
    ) -> Begun {
        self.shared.stats.requests_malformed.inc();
        Begun::answered(failed(&Failure::JsonP(error), false, access, Some(page)))
    }

    async fn open_socket(
        &self,
        mut context: Context,
        route: RouteRef,
        manner: Manner,
        handoff: Handoff<Onward>,
        mut access: Option<Access>,
    ) -> Response<Body> {
        let debug = self.shared.settings.debug || route.options.debug;
        context.compact();
        let version = context.version;
        let outcome = accept::open(&self.sockets, context, route).await;
        let failure = match outcome {
            Outcome::Accepted { mut response, mut onward } => {
                log_answer(&mut access, &response);
                if let Some(access) = access {
                    access.complete();
                }
                if manner.framed {
                    onward = socket::between(&self.sockets, onward);
                }
                if let Some(elder) = manner.elder {
                    elder.answer(response.headers_mut());
                    onward = elder.between(&self.sockets, onward);
                }
                handoff.upgrade(onward, upgrade::head(&response, version));
                // Whoever takes the connection over drops this.
                return std::future::pending().await;
            }
            Outcome::Rejected(mut response) => {
                log_answer(&mut access, &response);
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
                return response.map(|rejection| match rejection {
                    Rejection::Whole(bytes) => Body::whole(bytes, access),
                    Rejection::Streamed(body) => Body::relayed(None, Answer::Backend(body), access),
                });
            }
            Outcome::Failed(failed) => {
                if let (Some(access), Some(target)) = (&mut access, failed.target()) {
                    access.set_target(target.to_owned());
                }
                failed.told("a WebSocket")
            }
        };
        self.shared.stats.backend_failures.inc();
        self.refuse_socket(&failure, debug, access)
    }

    fn refuse_socket(
        &self,
        failure: &Failure,
        debug: bool,
        access: Option<Access>,
    ) -> Response<Body> {
        let response = failure.response(debug, true);
        if let Some(access) = &access {
            access.set_status(response.status().as_u16());
        }
        response.map(|bytes| Body::whole(bytes, access))
    }
}

/// How a client of SockJS speaks WebSocket.
#[derive(Default)]
struct Manner {
    framed: bool,
    elder: Option<Elder>,
}

/// Whether a request that asks for a WebSocket is a whole handshake.
fn is_handshake(context: &Context) -> bool {
    crate::ws::handshake::check_request(&context.method, &context.headers).is_ok()
}
