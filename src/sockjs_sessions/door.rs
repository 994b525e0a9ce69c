//! Where a SockJS request comes in: what it is for, and what is answered at once; the others go to
//! the home of their session, or become WebSockets (specification, SockJS 6.1 to 6.3, 6.6).
//!
//! Called by the roof for every request whose route speaks SockJS and whose path begins with its
//! base, before anything else. It is in the client's shard, and writes what the session answers.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_VERSION};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::BodyExt;
use tokio::sync::mpsc;

use super::hixie::Elder;
use super::home::Sessions;
use crate::asking::answer::Answer;
use crate::asking::body::Body;
use crate::clock;
use crate::forward::carried;
use crate::forward::context::{Context, RouteRef};
use crate::forward::visit::{Name, Opening, Purpose, Visit, as_handshake};
use crate::http::Incoming;
use crate::limits;
use crate::route::sockjs::SockJs;
use crate::session::socket::Form;
use crate::sockjs::answers;
use crate::sockjs::client::Client;
use crate::sockjs::iframe::Page;
use crate::sockjs::path::{Endpoint, Sending, endpoint};
use crate::sockjs::sending;
use crate::sockjs::transport::Receiver;
use crate::wire::sockjs::{Bounds, Malformed, parse};
use crate::ws::handshake;

/// What becomes of a SockJS request.
pub enum Entrance {
    /// It is answered.
    Answered(Response<Bytes>),
    /// It is for a session.
    Call(Box<Call>),
    /// It becomes a WebSocket of this handshake.
    Socket {
        /// As the backend is to be asked.
        context: Box<Context>,
        /// The client speaks SockJS frames.
        framed: bool,
        /// Its WebSocket is an old one.
        elder: Option<Elder>,
    },
}

/// A request for a session.
pub struct Call {
    sessions: Rc<Sessions>,
    context: Context,
    route: RouteRef,
    client: Client,
    name: Name,
    errand: Errand,
}

enum Errand {
    Receive(Receiver),
    Send(Sending),
}

/// Whether a request is of SockJS, and what its route says of it.
#[must_use]
pub fn of<'a>(context: &Context, route: &'a RouteRef) -> Option<&'a SockJs> {
    route.options.sockjs.as_ref().filter(|sockjs| context.path.starts_with(&*sockjs.base))
}

/// Looks at a SockJS request.
#[must_use]
pub fn enter(sessions: &Rc<Sessions>, page: &Page, context: Context, route: RouteRef) -> Entrance {
    let Some(sockjs) = of(&context, &route) else {
        return Entrance::Answered(answers::not_found(&Client::of(&context.headers, false)));
    };
    let path = Rc::clone(&context.path);
    let rest = path.get(sockjs.base.len()..).unwrap_or_default();
    let client = Client::of(&context.headers, sockjs.cookie);
    let asks_well = context.websocket && handshake::is_requested(&context.headers);
    let call = |session: &str, errand, context, client| {
        let (sessions, name) = (Rc::clone(sessions), Name::new(&route, session));
        let route = route.clone();
        Entrance::Call(Box::new(Call { sessions, context, route, client, name, errand }))
    };
    Entrance::Answered(match endpoint(&context.method, rest, asks_well) {
        Endpoint::Greeting => answers::greeting(&client),
        Endpoint::Info => {
            answers::info(&client, sockjs.websocket, sockjs.cookie, fastrand::u32(..))
        }
        Endpoint::Iframe => answers::iframe(&client, page, &context.headers, clock::unix_seconds()),
        Endpoint::Options { allowed } => {
            answers::options(&client, &context.headers, allowed, clock::unix_seconds())
        }
        Endpoint::WrongMethod { allowed } => answers::wrong_method(&client, allowed),
        Endpoint::NotFound => answers::not_found(&client),
        Endpoint::Receive { session, transport } => {
            match Receiver::new(transport, context.query.as_deref()) {
                Ok(receiver) => return call(session, Errand::Receive(receiver), context, client),
                Err(fault) => answers::no_callback(&client, fault),
            }
        }
        Endpoint::Send { session, form } => {
            return call(session, Errand::Send(form), context, client);
        }
        Endpoint::WebSocket { .. } | Endpoint::RawWebSocket if !sockjs.websocket => {
            answers::not_found(&client)
        }
        kind @ (Endpoint::WebSocket { .. } | Endpoint::RawWebSocket) => {
            match answers::not_a_websocket(&client, &context.headers) {
                Some(answer) => answer,
                None => return socket(sockjs, context, matches!(kind, Endpoint::WebSocket { .. })),
            }
        }
    })
}

fn socket(sockjs: &SockJs, context: Context, framed: bool) -> Entrance {
    let mut context = context;
    let elder = Elder::of(&mut context);
    if is_draft(&context.headers) {
        let mut headers = Rc::unwrap_or_clone(context.headers);
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        if let Some(origin) = headers.remove("sec-websocket-origin") {
            headers.entry(ORIGIN).or_insert(origin);
        }
        context.headers = Rc::new(headers);
    }
    context.path = sockjs.backend_path("/websocket").into();
    if framed {
        context.form = Form::Quoted;
        // What is compressed is between the client and its frames.
        let mut headers = Rc::unwrap_or_clone(context.headers);
        headers.remove(SEC_WEBSOCKET_EXTENSIONS);
        context.headers = Rc::new(headers);
    }
    Entrance::Socket { context: Box::new(context), framed, elder }
}

/// A handshake of the drafts 7 to 12, which differ from the RFC in the name of one header only.
fn is_draft(headers: &HeaderMap) -> bool {
    headers.get(SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "7" || version == "8")
}

impl Call {
    /// Carries it out: the answer, as it comes.
    pub async fn run(self, body: Incoming) -> Response<Body> {
        let whole = |response: Response<Bytes>| response.map(|bytes| Body::whole(bytes, None));
        let Some(body) = collect(body).await else {
            return whole(answers::malformed(&self.client, Malformed::TooLarge));
        };
        let (sessions, client) = (Rc::clone(&self.sessions), self.client.clone());
        let (reply, replies) = mpsc::channel(limits::SOCKJS_PIECES_MAX);
        let visit = match self.visit(&body, reply) {
            Ok(visit) => visit,
            Err(fault) => return whole(answers::malformed(&client, fault)),
        };
        sessions.send(Box::new(visit)).await;
        match carried::response(replies).await {
            Ok(response) => response.map(|body| Body::relayed(None, Answer::Carried(body), None)),
            Err(_) => whole(answers::terminated(&client)),
        }
    }

    fn visit(self, body: &Bytes, reply: mpsc::Sender<carried::Reply>) -> Result<Visit, Malformed> {
        let Call { context, route, client, name, errand, .. } = self;
        let purpose = match errand {
            Errand::Receive(receiver) => {
                let path = route.options.sockjs.as_ref().map(|sockjs| sockjs.backend_path(""));
                let opening = Opening {
                    peer: context.peer,
                    secure: context.secure,
                    host: Box::from(&*context.host),
                    path: path.unwrap_or_default().into(),
                    query: context.query.as_deref().map(Box::from),
                    headers: as_handshake(Rc::unwrap_or_clone(context.headers)),
                    trusted: context.trusted,
                    route,
                };
                Purpose::Receive(receiver, Box::new(opening))
            }
            Errand::Send(form) => {
                let kind = context.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
                let query = context.query.as_deref();
                let bounds = Bounds {
                    message_bytes_max: limits::SOCKJS_MESSAGE_BYTES_MAX,
                    text_bytes_max: limits::SOCKJS_BODY_BYTES_MAX,
                };
                let messages = parse(&sending::text(form, kind, query, body), bounds)?;
                let sent = match form {
                    Sending::Xhr => answers::xhr_sent(&client),
                    Sending::Jsonp => answers::jsonp_sent(&client, query),
                };
                Purpose::Send(messages, Box::new(sent))
            }
        };
        Ok(Visit { name, purpose, client, reply })
    }
}

/// A body, unless it is too large, or breaks off: then nobody waits for the answer.
async fn collect(mut body: Incoming) -> Option<Bytes> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        if all.len() + data.len() > limits::SOCKJS_BODY_BYTES_MAX {
            return None;
        }
        all.extend_from_slice(&data);
    }
    Some(all.freeze())
}
