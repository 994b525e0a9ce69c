//! One check of a target: a request of its own, over a connection of its own.
//!
//! Called by the roof. It waits for no room and tells nothing against the target itself: whoever
//! asked does.

use std::rc::Rc;

use http::{Method, StatusCode, header};

use super::connect;
use super::connection::Connection;
use super::error::Error;
use super::exchange::{self, Talk};
use super::outbound::Outbound;
use super::pool::Pool;
use super::request::RequestHead;
use super::resolver::Resolver;
use super::unwell::Check;
use super::upload::RequestBody;
use crate::limits::RESPONSE_HEAD_BYTES_MAX;
use crate::tls::identity::Identities;

/// The status that a target answers with.
///
/// # Errors
/// When it does not answer.
pub async fn status(
    check: &Check,
    resolver: &Rc<Resolver>,
    tls: &Identities,
    pool: &Rc<Pool>,
    within_ms: u64,
) -> Result<StatusCode, Error> {
    let io = connect::connect(&check.to, resolver, tls, pool.stats(), within_ms).await?;
    let connection = Connection::new(io, Rc::clone(&check.to), None, within_ms);
    pool.watch(connection.link());
    let mut head = RequestHead::new(Method::GET, &check.path, None);
    head.field(&header::HOST, &check.authority, None);
    head.field(&header::USER_AGENT, b"linchpin", None);
    head.field(&header::CONNECTION, b"close", None);
    let body = RequestBody::empty();
    head.frame(&body, None, None);
    let talk = Talk::new(connection, Outbound::new(head, body), RESPONSE_HEAD_BYTES_MAX);
    let response = exchange::exchange(talk, pool, None).await.map_err(|error| *error)?;
    Ok(response.status())
}
