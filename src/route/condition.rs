//! What a route matches, and its options.

use std::borrow::Cow;

/// What a route matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The host; `None` for `*` and for routes that are reachable only by id.
    pub host: Option<Cow<'static, str>>,
    /// The route is reachable only by its id (the condition's value is empty).
    pub by_id_only: bool,
    /// `proto=ws` is `Some(true)`, `proto=http` is `Some(false)`.
    pub websocket: Option<bool>,
    /// `ssl=yes` is `Some(true)`, `ssl=no` is `Some(false)`.
    pub secure: Option<bool>,
    /// The path must start with these bytes (still percent-encoded).
    pub path_beg: Option<Cow<'static, str>>,
}

/// How a route's requests are treated (specification, routing 2.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The explicit id: lookup by id, and a label in logs.
    pub id: Option<Cow<'static, str>>,
    /// `iss` of `Grip-Sig`.
    pub sig_iss: Option<Cow<'static, str>>,
    /// Signing key, as written (`text`, `base64:...`, `file:...`).
    pub sig_key: Option<Cow<'static, str>>,
    /// Prepended to every channel name of this route's connections.
    pub prefix: Cow<'static, str>,
    /// Mirror client headers with a marker prefix.
    pub orig_headers: bool,
    /// Replaces host and port of the request URL.
    pub as_host: Option<Cow<'static, str>>,
    /// Drop so many bytes from the front of the encoded path.
    pub path_rem: u32,
    /// Drop `path_beg` from the front and prepend this; overrides `path_rem`.
    pub replace_beg: Option<Cow<'static, str>>,
    /// Informative error bodies.
    pub debug: bool,
    /// Headers to set (or, with an empty value, to remove) before all else, in file order; they are
    /// applied last to first.
    pub headers: Cow<'static, [(Cow<'static, str>, Cow<'static, str>)]>,
    /// A plain reverse proxy: nothing of GRIP is added or carried out.
    pub no_grip: bool,
}
