//! The routes file: grammar, table, lookup. std only: `build.rs` includes this folder as it is.

pub mod condition;
pub mod target;

use std::borrow::Cow;

use condition::{Condition, Options};
use target::Target;

/// One line of the routes file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What it matches.
    pub condition: Condition,
    /// How its requests are treated.
    pub options: Options,
    /// Where they go, in the order in which they are tried. Never empty.
    pub targets: Cow<'static, [Target]>,
    /// The line of the file, counted from 1.
    pub line: u32,
}

/// What a lookup goes by.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The request's host without its port, in lower case.
    pub host: &'a str,
    /// The path, still percent-encoded.
    pub path: &'a str,
    /// A WebSocket handshake.
    pub websocket: bool,
    /// The client's scheme is https or wss.
    pub secure: bool,
}

/// All routes, indexed.
#[derive(Clone, Debug, Default)]
pub struct Table {
    routes: Cow<'static, [Route]>,
}

impl Table {
    /// The number (place in `routes`) of the route for a request (specification, routing 2.7).
    #[must_use]
    pub fn lookup(&self, query: &Query<'_>) -> Option<usize> {
        let _ = query;
        todo!()
    }

    /// The routes in file order.
    #[must_use]
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }
}
