//! JSON values read leniently, as existing GRIP implementations do (specification, GRIP 4.4).
//!
//! Called by the parsers of items, documents and control messages. simd-json does the work; a text
//! that it refuses is repaired where GRIP is more lenient (lone surrogates, raw control characters
//! in strings, huge integers) and tried once more. Members are looked up in the flat list of nodes:
//! no map is built, and what parsing needs is kept for the next text.

mod member;
mod repair;
#[cfg(test)]
mod tests;
mod workspace;

use simd_json::{Node, StaticNode};

pub use member::Member;

/// Nesting allowed in a value that is handed on as a tree (the operations of a patch).
pub const TREE_DEPTH_MAX: usize = 128;

/// The text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not valid JSON")]
pub struct NotJson;

/// A member that is missing or not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The message, as the specification words it.
    pub message: String,
    /// The member at fault, for the log.
    pub field: &'static str,
}

impl Fault {
    /// A fault of a member.
    #[must_use]
    pub fn new(field: &'static str, message: impl Into<String>) -> Fault {
        Fault { message: message.into(), field }
    }

    /// `<owner> contains '<member>' with wrong type`.
    #[must_use]
    pub fn wrong_type(owner: &str, member: &'static str) -> Fault {
        Fault::new(member, format!("{owner} contains '{member}' with wrong type"))
    }

    /// `<owner> contains '<member>' with invalid value`.
    #[must_use]
    pub fn invalid_value(owner: &str, member: &'static str) -> Fault {
        Fault::new(member, format!("{owner} contains '{member}' with invalid value"))
    }
}

/// A value within a parsed text.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Null.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer of at most 64 bits.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A string.
    Text(&'a str),
    /// An array.
    Array(Array<'a>),
    /// An object.
    Object(Object<'a>),
}

/// The elements of an array; iterates over them.
#[derive(Clone, Copy, Debug)]
pub struct Array<'a> {
    nodes: &'a [Node<'a>],
    left: usize,
}

/// The members of an object; iterates over names and values, repeated names included.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a>(&'a [Node<'a>]);

/// Parses `text` and hands the value to `then`. A byte order mark is skipped.
pub fn read<R>(text: &[u8], then: impl FnOnce(Value<'_>) -> R) -> Result<R, NotJson> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    workspace::lent(|workspace| {
        let mut then = Some(then);
        let mut once = |nodes: &[Node<'_>]| {
            let (value, _) = split(nodes)?;
            then.take().map(|then| then(value))
        };
        let read = match workspace.parse(text, &mut once) {
            Some(read) => read,
            None => workspace.parse(&repair::repaired(text), &mut once).flatten(),
        };
        read.ok_or(NotJson)
    })
}

/// The first value of some nodes, and the nodes after it.
#[inline]
fn split<'a>(nodes: &'a [Node<'a>]) -> Option<(Value<'a>, &'a [Node<'a>])> {
    let (head, rest) = nodes.split_first()?;
    Some(match *head {
        Node::String(text) => (Value::Text(text), rest),
        Node::Static(StaticNode::Null) => (Value::Null, rest),
        Node::Static(StaticNode::Bool(flag)) => (Value::Bool(flag), rest),
        Node::Static(StaticNode::I64(int)) => (Value::Int(int), rest),
        Node::Static(StaticNode::U64(int)) => {
            let value = i64::try_from(int).map_or(Value::Float(int as f64), Value::Int);
            (value, rest)
        }
        Node::Static(StaticNode::F64(float)) => (Value::Float(float), rest),
        Node::Array { len, count } => {
            let (nodes, rest) = rest.split_at_checked(count)?;
            (Value::Array(Array { nodes, left: len }), rest)
        }
        Node::Object { count, .. } => {
            let (inside, rest) = rest.split_at_checked(count)?;
            (Value::Object(Object(inside)), rest)
        }
    })
}

impl<'a> Iterator for Array<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (value, rest) = split(self.nodes)?;
        self.nodes = rest;
        self.left = self.left.saturating_sub(1);
        Some(value)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl<'a> Iterator for Object<'a> {
    type Item = (&'a str, Value<'a>);

    #[inline]
    fn next(&mut self) -> Option<(&'a str, Value<'a>)> {
        let (Value::Text(name), rest) = split(self.0)? else { return None };
        let (value, rest) = split(rest)?;
        self.0 = rest;
        Some((name, value))
    }
}

impl<'a> Object<'a> {
    /// The member of this name; of several the last.
    #[must_use]
    pub fn member(self, name: &str) -> Option<Value<'a>> {
        self.filter(|(n, _)| *n == name).last().map(|(_, value)| value)
    }

    /// The member of this name, with its name.
    #[must_use]
    pub fn named(self, name: &'static str) -> Member<'a> {
        Member { name, value: self.member(name) }
    }

    /// The members of these names, each as [`Object::member`] finds it, in one pass over all.
    #[must_use]
    #[inline(always)] // the names are constants where it is called, and few
    pub fn members<const N: usize>(self, names: [&'static str; N]) -> [Member<'a>; N] {
        let mut found = [Member { name: "", value: None }; N];
        for (member, name) in found.iter_mut().zip(names) {
            member.name = name;
        }
        for (name, value) in self {
            if let Some(member) = found.iter_mut().find(|member| member.name == name) {
                member.value = Some(value);
            }
        }
        found
    }

    /// Whether there are no members at all.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The members ordered by name, of equal names the last.
    #[must_use]
    pub fn sorted(self) -> Vec<(&'a str, Value<'a>)> {
        let mut members: Vec<_> = self.enumerate().map(|(at, (n, v))| (n, at, v)).collect();
        members.sort_unstable_by_key(|(name, at, _)| (*name, std::cmp::Reverse(*at)));
        members.dedup_by_key(|(name, ..)| *name);
        members.into_iter().map(|(name, _, value)| (name, value)).collect()
    }

    /// See [`Member::text`].
    pub fn text(self, owner: &str, member: &'static str) -> Result<Option<&'a str>, Fault> {
        self.named(member).text(owner)
    }

    /// See [`Member::number`].
    pub fn number(self, owner: &str, member: &'static str) -> Result<Option<i64>, Fault> {
        self.named(member).number(owner)
    }

    /// See [`Member::unsigned`].
    pub fn unsigned(self, owner: &str, member: &'static str) -> Result<Option<u32>, Fault> {
        self.named(member).unsigned(owner)
    }
}

impl Value<'_> {
    /// A number, a boolean (1 or 0), or a string (a decimal integer, else 0), rounded half away
    /// from zero; `None` for everything else.
    #[must_use]
    pub fn number_like(self) -> Option<i64> {
        match self {
            Value::Int(int) => Some(int),
            Value::Float(float) => Some(float.round() as i64),
            Value::Bool(flag) => Some(i64::from(flag)),
            Value::Text(text) => {
                Some(crate::wire::params::integer(text.as_bytes()).map_or(0, i64::from))
            }
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The value as a tree of its own; `None` when it is nested deeper than [`TREE_DEPTH_MAX`].
    #[must_use]
    pub fn tree(self) -> Option<serde_json::Value> {
        self.tree_within(TREE_DEPTH_MAX)
    }

    fn tree_within(self, depth: usize) -> Option<serde_json::Value> {
        Some(match self {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => flag.into(),
            Value::Int(int) => int.into(),
            Value::Float(float) => float.into(),
            Value::Text(text) => text.into(),
            Value::Array(array) => {
                let depth = depth.checked_sub(1)?;
                let list = array.map(|element| element.tree_within(depth));
                serde_json::Value::Array(list.collect::<Option<_>>()?)
            }
            Value::Object(mut object) => {
                let depth = depth.checked_sub(1)?;
                let mut members = serde_json::Map::new();
                object.try_for_each(|(name, value)| {
                    members.insert(name.to_owned(), value.tree_within(depth)?);
                    Some(())
                })?;
                serde_json::Value::Object(members)
            }
        })
    }
}
