//! The parts of Pushpin, as the log knows them, and the levels of each (specification, routing
//! 8.1). Called by the roof, by `format` and by `writer`.

use std::fmt;

/// A part of Pushpin. Its users know log lines, levels and files by these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Component {
    /// What accepts clients and reads HTTP.
    Connmgr,
    /// What finds routes and asks backends.
    Proxy,
    /// What is published, and who gets it.
    Handler,
    /// The process itself.
    Runner,
}

impl Component {
    /// All.
    pub const ALL: [Component; 4] =
        [Component::Connmgr, Component::Proxy, Component::Handler, Component::Runner];

    /// Its name in lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Component::Connmgr => "connmgr",
            Component::Proxy => "proxy",
            Component::Handler => "handler",
            Component::Runner => "runner",
        }
    }

    /// The name of its file.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Component::Connmgr => "connmgr.log",
            Component::Proxy => "pushpin-proxy.log",
            Component::Handler => "pushpin-handler.log",
            Component::Runner => "linchpin.log",
        }
    }

    /// What belongs to it; to the runner all that belongs to no other.
    fn targets(self) -> &'static [&'static str] {
        match self {
            Component::Connmgr => {
                &["linchpin::listen", "linchpin::http", "linchpin::tls", "linchpin::shard"]
            }
            Component::Proxy => &[
                "linchpin::proxy",
                "linchpin::forward",
                "linchpin::asking",
                "linchpin::holding",
                "linchpin::websocket",
                "linchpin::sockjs_sessions",
                "linchpin::backend",
                "linchpin::route",
                "linchpin::server::reload",
                "linchpin::server::file_watch",
                "access",
            ],
            Component::Handler => &[
                "linchpin::publish",
                "linchpin::hub",
                "linchpin::grip",
                "linchpin::session",
                "linchpin::parking",
                "linchpin::asking::terms",
                "linchpin::holding::holds",
                "linchpin::holding::follow",
                "linchpin::asking::filters",
                "linchpin::asking::rules",
                "subscriptions",
            ],
            Component::Runner => &[],
        }
    }

    /// Whose line it is that has this target: who has the longest beginning of it.
    #[must_use]
    pub fn of(target: &str) -> Component {
        let all = Component::ALL.into_iter();
        let known = all.flat_map(|part| part.targets().iter().map(move |begins| (part, begins)));
        // A look at its last byte rules out most.
        let last = |begins: &str| target.as_bytes().get(begins.len().wrapping_sub(1));
        let known = known.filter(|(_, begins)| begins.as_bytes().last() == last(begins));
        let fitting = known.filter(|(_, begins)| target.starts_with(**begins));
        fitting.max_by_key(|(_, begins)| begins.len()).map_or(Component::Runner, |(part, _)| part)
    }
}

/// What is wrong with levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelError(String);

impl fmt::Display for LevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The level of a name, or of a number as Pushpin counts them.
fn level(text: &str) -> Option<&'static str> {
    Some(match text.to_ascii_lowercase().as_str() {
        "error" | "err" | "0" => "error",
        "warn" | "warning" | "1" => "warn",
        "info" | "2" => "info",
        "debug" | "3" => "debug",
        "trace" => "trace",
        "off" => "off",
        number => match number.parse::<u32>() {
            Ok(4..) => "trace",
            _ => return None,
        },
    })
}

/// From `N[,component:N...]` to the directives of a filter, and the components that nobody knows.
///
/// # Errors
/// What is wrong, in Pushpin's words where it has any.
pub fn directives(text: &str) -> Result<(String, Vec<String>), LevelError> {
    let (mut general, mut all) = ("info", Vec::new());
    let mut unknown = Vec::new();
    for part in text.split(',').map(str::trim) {
        let (name, given) = match part.split_once(':') {
            None if part.is_empty() => {
                return Err(LevelError("log level component cannot be empty".to_owned()));
            }
            None => (None, part),
            Some(("", _)) => {
                return Err(LevelError("log level component name cannot be empty".to_owned()));
            }
            Some((name, given)) => (Some(name), given),
        };
        if given.parse::<i64>().is_ok_and(|number| number < 0) {
            let of = name.map(|name| format!(" for service {name}")).unwrap_or_default();
            let text = format!("log level{of} must be greater than or equal to 0");
            return Err(LevelError(text));
        }
        let level = level(given).ok_or_else(|| {
            let text = "is none of error, warn, info, debug, trace, off (or 0 to 4)";
            LevelError(format!("'{given}' {text}"))
        })?;
        match name.map(|name| name.strip_prefix("pushpin-").unwrap_or(name)) {
            None => general = level,
            // All that has no level of its own is the runner's, if it is ours.
            Some("runner") => {
                for target in ["server", "cli", "config"] {
                    all.push(format!("linchpin::{target}={level}"));
                }
            }
            Some(name) => match Component::ALL.into_iter().find(|part| part.name() == name) {
                Some(part) => {
                    all.extend(part.targets().iter().map(|target| format!("{target}={level}")));
                }
                None => unknown.push(name.to_owned()),
            },
        }
    }
    all.insert(0, general.to_owned());
    Ok((all.join(","), unknown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_their_part() {
        for (target, part) in [
            ("linchpin::proxy::exchange", Component::Proxy),
            ("access", Component::Proxy),
            ("access_of_route", Component::Proxy),
            ("subscriptions", Component::Handler),
            ("subscriptions_of_route", Component::Handler),
            ("linchpin::asking::terms", Component::Handler),
            ("linchpin::publish::http", Component::Handler),
            ("linchpin::shard::accept", Component::Connmgr),
            ("linchpin::server", Component::Runner),
            ("linchpin::server::reload", Component::Proxy),
            ("rustls::conn", Component::Runner),
        ] {
            assert_eq!(Component::of(target), part, "{target}");
        }
    }

    #[test]
    fn levels_by_name_and_by_number() {
        let of = |text| directives(text).map(|(directives, _)| directives);
        assert_eq!(of("WARN").unwrap(), "warn");
        assert_eq!(of("3").unwrap(), "debug");
        assert_eq!(of("9").unwrap(), "trace");
        assert_eq!(of("info").unwrap(), "info");
        let (both, unknown) = directives("1,connmgr:3,zurl:2").unwrap();
        assert!(both.starts_with("warn,linchpin::listen=debug,"), "{both}");
        assert_eq!(unknown, ["zurl"]);
        let one = of("pushpin-handler:0").unwrap();
        assert!(one.starts_with("info,linchpin::publish=error,"), "{one}");
        assert!(of("2,runner:off").unwrap().ends_with("linchpin::config=off"));
    }

    #[test]
    fn mistakes() {
        for (text, reason) in [
            ("-1", "log level must be greater than or equal to 0"),
            ("2,proxy:-1", "log level for service proxy must be greater than or equal to 0"),
            ("2,", "log level component cannot be empty"),
            ("", "log level component cannot be empty"),
            (":2", "log level component name cannot be empty"),
        ] {
            assert_eq!(directives(text).unwrap_err().to_string(), reason, "{text}");
        }
        assert!(directives("loud").unwrap_err().to_string().starts_with("'loud' is none of"));
    }
}
