//! Filters: what a subscription keeps from its client, and what it rewrites (specification, GRIP
//! 6).
//!
//! Called by `hub` for every item that reaches a subscription with filters, and by `proxy` for the
//! bodies of responses. `http-check` and `http-modify` ask the network: here they only say so.

mod build_id;
mod directive;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use crate::limits::FILTERS_PER_SUBSCRIPTION_MAX;
use directive::{DirectiveError, Output, Problem};

pub use build_id::ResponseRewriter;

/// A filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Keeps back what the client sent itself.
    SkipSelf,
    /// Keeps back what is not for some users.
    SkipUsers,
    /// Lets through only to who is subscribed to another channel too.
    RequireSub,
    /// Puts an id of our making into the content.
    BuildId,
    /// Puts variables of the subscription into the content.
    VarSubst,
    /// Asks a backend whether to deliver.
    HttpCheck,
    /// Asks a backend whether to deliver, and what.
    HttpModify,
}

impl Filter {
    /// All filters.
    pub const ALL: [Filter; 7] = [
        Filter::SkipSelf,
        Filter::SkipUsers,
        Filter::RequireSub,
        Filter::BuildId,
        Filter::VarSubst,
        Filter::HttpCheck,
        Filter::HttpModify,
    ];

    /// The filter of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Filter> {
        Filter::ALL.into_iter().find(|filter| filter.name() == name)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Filter::SkipSelf => "skip-self",
            Filter::SkipUsers => "skip-users",
            Filter::RequireSub => "require-sub",
            Filter::BuildId => "build-id",
            Filter::VarSubst => "var-subst",
            Filter::HttpCheck => "http-check",
            Filter::HttpModify => "http-modify",
        }
    }

    /// Whether it may change the content, so that `content-filters` may name it.
    #[must_use]
    pub const fn changes_content(self) -> bool {
        matches!(self, Filter::BuildId | Filter::VarSubst | Filter::HttpModify)
    }

    /// Whether it makes a request for each item.
    #[must_use]
    pub const fn asks_network(self) -> bool {
        matches!(self, Filter::HttpCheck | Filter::HttpModify)
    }
}

/// More filters than one subscription may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many filters")]
pub struct TooManyFilters;

impl TooManyFilters {
    /// The message, as the specification words it.
    #[must_use]
    pub fn for_channel(self, name: &str) -> String {
        format!("{self} for channel '{name}'")
    }
}

/// The filters of one subscription, in order.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Filters([Option<Filter>; FILTERS_PER_SUBSCRIPTION_MAX]);

impl Filters {
    /// The filters of these names. Names that nobody knows are ignored, but count.
    ///
    /// # Errors
    /// When there are too many.
    pub fn parse<'a>(names: impl Iterator<Item = &'a str>) -> Result<Filters, TooManyFilters> {
        let mut filters = Filters::default();
        let mut free = filters.0.iter_mut();
        for (count, name) in names.enumerate() {
            if count >= FILTERS_PER_SUBSCRIPTION_MAX {
                return Err(TooManyFilters);
            }
            if let Some(filter) = Filter::from_name(name)
                && let Some(place) = free.next()
            {
                *place = Some(filter);
            }
        }
        Ok(filters)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The filters in order.
    pub fn iter(&self) -> impl Iterator<Item = Filter> {
        self.0.into_iter().flatten()
    }

    /// Whether content that was written for these content filters is for this subscription: absent
    /// ones say nothing, else they must be exactly its own that change content (specification, GRIP
    /// 4.2).
    #[must_use]
    pub fn takes(&self, content_filters: Option<&[Box<str>]>) -> bool {
        let Some(names) = content_filters else { return true };
        self.of_content().map(Filter::name).eq(names.iter().map(|name| &**name))
    }

    /// What there is to say when [`Filters::takes`] is false.
    #[must_use]
    pub fn mismatch(&self, content_filters: &[Box<str>]) -> String {
        let own: Vec<_> = self.of_content().map(Filter::name).collect();
        let (own, message) = (own.join(","), content_filters.join(","));
        format!("content filter mismatch: subscription={own} message={message}")
    }

    fn of_content(&self) -> impl Iterator<Item = Filter> {
        self.iter().filter(|filter| filter.changes_content())
    }
}

impl std::fmt::Debug for Filters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter().map(Filter::name)).finish()
    }
}

/// What a filter may look at of a connection and its subscriptions. Names of channels are without
/// the route's prefix.
pub trait Subject {
    /// A variable of the connection, if it is set and not null.
    fn meta(&self, name: &str) -> Option<&str>;

    /// Whether the connection is subscribed to this channel.
    fn is_subscribed(&self, channel: &str) -> bool;

    /// The id of the last item that the client has of this channel, where that is known.
    fn prev_id(&self, channel: &str) -> Option<&str>;
}

/// What a filter makes of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It goes on as it is.
    Keep,
    /// It is not delivered, and no further filter is asked.
    Drop,
    /// It goes on with this content.
    Content(Bytes),
    /// A request has to be made: the caller's business.
    Ask,
}

/// A filter cannot do its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("filter error: {}: {fault}", filter.name())]
pub struct FilterError {
    /// Which.
    pub filter: Filter,
    fault: Fault,
}

/// Why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("no sub meta 'id_format'")]
    NoFormat,
    #[error("failed to render ID: {0}")]
    Id(DirectiveError),
    #[error("unsupported encoding: {0}")]
    Encoding(Box<str>),
    #[error(transparent)]
    Content(#[from] DirectiveError),
}

/// What `filter` makes of an item with this metadata and this content. Content that cannot be
/// rewritten becomes empty, and goes on.
#[must_use]
pub fn apply(
    filter: Filter,
    subject: &dyn Subject,
    pub_meta: &[(Box<str>, Box<str>)],
    content: &Bytes,
) -> Outcome {
    try_apply(filter, subject, pub_meta, content).unwrap_or_else(|_| Outcome::Content(Bytes::new()))
}

/// As [`apply`], for who wants to know why content cannot be rewritten.
///
/// # Errors
/// When it cannot.
pub fn try_apply(
    filter: Filter,
    subject: &dyn Subject,
    pub_meta: &[(Box<str>, Box<str>)],
    content: &Bytes,
) -> Result<Outcome, FilterError> {
    let user = || subject.meta("user").filter(|user| !user.is_empty());
    let dropped = match filter {
        Filter::SkipSelf => user().is_some_and(|user| published(pub_meta, "sender") == Some(user)),
        Filter::SkipUsers => user().is_some_and(|user| {
            let skipped = published(pub_meta, "skip_users").unwrap_or_default();
            skipped.split(',').any(|name| name.trim() == user)
        }),
        Filter::RequireSub => published(pub_meta, "require_sub")
            .is_some_and(|channel| !channel.is_empty() && !subject.is_subscribed(channel)),
        Filter::BuildId => return rewritten(filter, build_id::message(subject, content)),
        Filter::VarSubst => return rewritten(filter, substituted(subject, content)),
        Filter::HttpCheck | Filter::HttpModify => return Ok(Outcome::Ask),
    };
    Ok(if dropped { Outcome::Drop } else { Outcome::Keep })
}

/// The variable of this name that came with an item. Of several the last one counts.
fn published<'a>(pub_meta: &'a [(Box<str>, Box<str>)], name: &str) -> Option<&'a str> {
    pub_meta.iter().rev().find(|(known, _)| **known == *name).map(|(_, value)| &**value)
}

fn rewritten(
    filter: Filter,
    content: Result<Option<Bytes>, Fault>,
) -> Result<Outcome, FilterError> {
    match content {
        Ok(Some(content)) => Ok(Outcome::Content(content)),
        Ok(None) => Ok(Outcome::Keep),
        Err(fault) => Err(FilterError { filter, fault }),
    }
}

/// `var-subst`: content with the variables of the subscription in it; `None` when it stays as it
/// is.
fn substituted(subject: &dyn Subject, content: &Bytes) -> Result<Option<Bytes>, Fault> {
    if memchr::memchr(b'%', content).is_none() {
        return Ok(None);
    }
    let value = |name: &str| subject.meta(name);
    let rewritten = directive::rewrite(content, &|letter, argument, out: &mut Output| {
        variable(letter, argument, &value, out)
    })?;
    Ok(Some(rewritten.into()))
}

/// Writes what `%(name)s` stands for.
fn variable<'a>(
    letter: u8,
    argument: &[u8],
    value: &dyn Fn(&str) -> Option<&'a str>,
    out: &mut Output,
) -> Result<(), Problem> {
    if letter != b's' {
        return Err(Problem::Unknown(directive::shown(letter)));
    }
    if argument.is_empty() {
        return Err(Problem::NeedsArgument('s'));
    }
    let name = String::from_utf8_lossy(argument);
    match value(&name) {
        Some(value) => out.put(value.as_bytes()),
        None => Err(Problem::NoVariable(name.into_owned())),
    }
}
