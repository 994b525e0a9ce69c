//! The head of a plain request as it is written to its target.
//!
//! The same rules as `outgoing`'s, which knows them; but the fields go from the client's head
//! straight onto the wire, with their names as the client wrote them. Called by `exchange` for each
//! target that is tried. Pure.

use std::borrow::Cow;

use http::header::{CONTENT_LENGTH, HOST, HeaderName};

use super::context::Context;
use super::fields::Fields;
use super::outgoing::{self, GRIP_LAST, Kind, Last, OutgoingError};
use super::shared::Settings;
use super::signing::Keys;
use crate::backend::body::RequestBody;
use crate::backend::request::RequestHead;
use crate::route::Route;
use crate::wire::names::Spelling;

/// A request's own part in its head.
pub struct Heading<'a> {
    /// The client's request.
    pub context: &'a Context,
    /// How the client wrote the names of its fields, if not as usual.
    pub spelling: Option<&'a Spelling>,
    /// Its route.
    pub route: &'a Route,
    /// For `Grip-Last`.
    pub lasts: &'a [Last],
}

impl Heading<'_> {
    /// The head that goes to `host` (and `port`) with `body`.
    ///
    /// # Errors
    /// When the route's rewriting makes a path or a host that cannot stand in a head.
    pub fn write(
        &self,
        settings: &Settings,
        keys: &Keys,
        (host, port): (&str, Option<u16>),
        body: &RequestBody,
    ) -> Result<RequestHead, OutgoingError> {
        let Heading { context, route, .. } = *self;
        let method = context.method.clone();
        let mut head = match outgoing::path(context, route) {
            Cow::Borrowed(path) => RequestHead::new(method, path, context.query.as_deref()),
            // What was put together is looked at once more.
            Cow::Owned(_) => {
                let uri = outgoing::uri(context, route)?;
                RequestHead::new(method, uri.path(), uri.query())
            }
        };
        let authority = outgoing::authority(host, port)?;
        let mut names = self.spelling.map(Spelling::names);
        let mut spelled = |name: &HeaderName| names.as_mut()?.take(name.as_str());
        head.field(&HOST, &authority, spelled(&HOST));
        // Filled where it stands: it is larger than what would be worth moving.
        let mut fields = Fields::default();
        outgoing::pipeline(&mut fields, settings, keys, context, route, Kind::Http);
        let mut length = None;
        for (name, value) in fields.iter() {
            if **name == CONTENT_LENGTH {
                length = Some(&**value);
                continue;
            }
            // It may also be a field of this name that is ours.
            head.field(name, value.as_bytes(), spelled(name));
        }
        for last in self.lasts {
            if let Some(value) = outgoing::grip_last(last) {
                head.field(&GRIP_LAST, value.as_bytes(), None);
            }
        }
        head.frame(body, length, spelled(&CONTENT_LENGTH));
        Ok(head)
    }
}
