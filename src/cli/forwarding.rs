//! The options of what is told to backends of clients, of pages of other origins, and of what the
//! access lines say; part of the command line.

use clap::{ArgAction, Args};
use http::{HeaderName, HeaderValue};

use crate::config::forwarding::{ForRule, Forwarding, Protocols, SetProtocol};
use crate::config::problem::Findings;
use crate::limits;

/// See the module.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "[proxy]")]
pub struct ForwardingArgs {
    /// Serve pages of other origins on every route, by CORS and JSON-P; a route does it with `aco`.
    #[arg(long, env = "LINCHPIN_AUTO_CROSS_ORIGIN")]
    pub auto_cross_origin: bool,

    /// Take a client's connection for a secure one if its `X-Forwarded-Proto` (or, without that,
    /// `X-Forwarded-Protocol`) is `https` or `wss`: for the choice of the route, in the log, and in
    /// what backends are told. For linchpin behind a proxy that ends TLS and sets this field:
    /// anybody else can set it too.
    #[arg(long, env = "LINCHPIN_ACCEPT_X_FORWARDED_PROTOCOL")]
    pub accept_x_forwarded_protocol: bool,

    /// Tell backends of secure connections: `proto-only` by `X-Forwarded-Proto`, `true` by
    /// `X-Forwarded-Protocol` too. What clients say of it is then removed. Anything else leaves
    /// these fields as they come.
    #[arg(
        long,
        env = "LINCHPIN_SET_X_FORWARDED_PROTOCOL",
        default_value = "proto-only",
        value_name = "WHAT"
    )]
    pub set_x_forwarded_protocol: String,

    /// What is done with `X-Forwarded-For`: `truncate:N` keeps the last N addresses of those that
    /// came, `append` adds the client's own (a client of a unix socket has none). Without either
    /// they pass as they come, in one field.
    #[arg(
        long,
        env = "LINCHPIN_X_FORWARDED_FOR",
        value_delimiter = ',',
        value_name = "RULES",
        action = ArgAction::Append
    )]
    pub x_forwarded_for: Vec<String>,

    /// The same for clients whose requests are signed with the counterpart of `upstream_key`.
    #[arg(
        long,
        env = "LINCHPIN_X_FORWARDED_FOR_TRUSTED",
        value_delimiter = ',',
        value_name = "RULES",
        action = ArgAction::Append
    )]
    pub x_forwarded_for_trusted: Vec<String>,

    /// Header fields that the route option `orig_headers` does not mirror.
    #[arg(
        long,
        env = "LINCHPIN_ORIG_HEADERS_NEED_MARK",
        value_delimiter = ',',
        value_name = "NAMES",
        action = ArgAction::Append
    )]
    pub orig_headers_need_mark: Vec<String>,

    /// Name that is added to `CDN-Loop` (RFC 8586) towards backends, so that a request that goes in
    /// circles can be told. A request that has passed here already is not refused.
    #[arg(long, env = "LINCHPIN_CDN_LOOP", value_name = "NAME")]
    pub cdn_loop: Option<String>,

    /// Let clients choose their route by its id, with the header field `Pushpin-Route`; backends do
    /// not see it.
    #[arg(long, env = "LINCHPIN_ACCEPT_PUSHPIN_ROUTE")]
    pub accept_pushpin_route: bool,

    /// Protocols that clients may change to with `Upgrade`, if their backend agrees: bytes are then
    /// carried both ways, unseen. Names, or `any`; never HTTP in another form (h2c), TLS, or
    /// WebSockets, which have their own way. Without it `Upgrade` is passed on as any other field,
    /// and nothing comes of it, as with Pushpin.
    #[arg(
        long,
        env = "LINCHPIN_UPGRADE_PROTOCOLS",
        value_delimiter = ',',
        value_name = "NAMES",
        action = ArgAction::Append
    )]
    pub upgrade_protocols: Vec<String>,

    /// A client of whose request's body nothing has come for so many seconds has left; 0 is no
    /// bound.
    #[arg(
        long,
        env = "LINCHPIN_UPLOAD_TIMEOUT",
        default_value_t = limits::UPLOAD_SILENCE_S,
        value_name = "SECONDS"
    )]
    pub upload_timeout: u64,

    /// A client that takes nothing of an answer for so many seconds has left; 0 is no bound. Held
    /// streams and WebSockets have bounds of their own.
    #[arg(
        long,
        env = "LINCHPIN_DOWNLOAD_TIMEOUT",
        default_value_t = limits::DOWNLOAD_SILENCE_S,
        value_name = "SECONDS"
    )]
    pub download_timeout: u64,

    /// Leave out what backends say before their answers (1xx, as `103 Early Hints`): for clients
    /// that take it for the answer.
    #[arg(long, env = "LINCHPIN_DROP_INTERIM_ANSWERS")]
    pub drop_interim_answers: bool,

    /// Say in access lines where clients are: `from=`.
    #[arg(long, env = "LINCHPIN_LOG_FROM")]
    pub log_from: bool,

    /// Say in access lines what clients call themselves: `ua=`.
    #[arg(long, env = "LINCHPIN_LOG_USER_AGENT")]
    pub log_user_agent: bool,
}

impl ForwardingArgs {
    /// The same, as meant. What cannot be read of a rule is passed over, as in Pushpin, but told.
    #[must_use]
    pub fn forwarding(&self, found: &mut Findings) -> Forwarding {
        Forwarding {
            cross_origin: self.auto_cross_origin,
            accept_protocol: self.accept_x_forwarded_protocol,
            set_protocol: SetProtocol::parse(&self.set_x_forwarded_protocol),
            for_rule: rule("--x-forwarded-for", &self.x_forwarded_for, found),
            for_rule_trusted: rule(
                "--x-forwarded-for-trusted",
                &self.x_forwarded_for_trusted,
                found,
            ),
            need_mark: names(&self.orig_headers_need_mark, found),
            cdn_loop: self.cdn_loop.as_deref().and_then(|text| token(text, found)),
            accept_route: self.accept_pushpin_route,
            protocols: protocols(&self.upgrade_protocols, found),
            upload_ms: self.upload_timeout.saturating_mul(1000),
            download_ms: self.download_timeout.saturating_mul(1000),
            drop_interim: self.drop_interim_answers,
            log_from: self.log_from,
            log_user_agent: self.log_user_agent,
        }
    }
}

fn rule(flag: &str, words: &[String], found: &mut Findings) -> ForRule {
    let (rule, bad) = ForRule::parse(words.iter().map(String::as_str));
    for word in bad {
        found.doubt(flag, format!("`{word}` is neither `truncate:N` nor `append`"));
    }
    rule
}

fn names(words: &[String], found: &mut Findings) -> Vec<HeaderName> {
    let words = words.iter().map(|word| word.trim()).filter(|word| !word.is_empty());
    let name = |word: &str| {
        let name = word.parse().ok();
        if name.is_none() {
            found.doubt("--orig-headers-need-mark", format!("{word:?} is no header's name"));
        }
        name
    };
    words.filter_map(name).collect()
}

fn protocols(words: &[String], found: &mut Findings) -> Protocols {
    let (protocols, barred) = Protocols::parse(words.iter().map(String::as_str));
    for word in barred {
        found.doubt("--upgrade-protocols", format!("nobody may change to `{word}`"));
    }
    protocols
}

fn token(text: &str, found: &mut Findings) -> Option<HeaderValue> {
    let text = text.trim();
    let value = HeaderValue::from_str(text).ok().filter(|_| !text.is_empty());
    if value.is_none() && !text.is_empty() {
        found.doubt("--cdn-loop", format!("{text:?} cannot stand in a header field"));
    }
    value
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        forwarding: ForwardingArgs,
    }

    fn told(words: &[&str]) -> (Forwarding, Vec<String>) {
        let mut found = Findings::default();
        let line = Line::parse_from([&["linchpin"], words].concat());
        let forwarding = line.forwarding.forwarding(&mut found);
        assert_eq!(found.problems, []);
        (forwarding, found.warnings.iter().map(ToString::to_string).collect())
    }

    fn meant(words: &[&str]) -> Forwarding {
        told(words).0
    }

    #[test]
    fn what_is_passed_over_is_told() {
        let (_, said) = told(&[
            "--x-forwarded-for=append,trunc:1",
            "--x-forwarded-for-trusted=x",
            "--orig-headers-need-mark=Accept,,no name",
            "--upgrade-protocols=h2c",
            "--cdn-loop=a\nb",
        ]);
        let expected = [
            "--x-forwarded-for: `trunc:1` is neither `truncate:N` nor `append`",
            "--x-forwarded-for-trusted: `x` is neither `truncate:N` nor `append`",
            "--orig-headers-need-mark: \"no name\" is no header's name",
            "--cdn-loop: \"a\\nb\" cannot stand in a header field",
            "--upgrade-protocols: nobody may change to `h2c`",
        ];
        assert_eq!(said, expected);
        assert!(told(&["--x-forwarded-for=", "--orig-headers-need-mark="]).1.is_empty());
    }

    #[test]
    fn by_default_nothing_is_believed_or_added() {
        let forwarding = meant(&[]);
        assert!(!forwarding.accept_protocol && !forwarding.accept_route);
        assert_eq!(forwarding.set_protocol, SetProtocol::ProtoOnly);
        assert_eq!(forwarding.for_rule, ForRule::default());
        assert_eq!(forwarding.cdn_loop, None);
    }

    #[test]
    fn rules_and_names_are_lists() {
        let forwarding = meant(&[
            "--x-forwarded-for",
            "truncate:1,append",
            "--x-forwarded-for-trusted=append",
            "--orig-headers-need-mark",
            "Accept, X-One,no name",
            "--cdn-loop= us ",
        ]);
        assert_eq!(forwarding.for_rule, ForRule { keep: Some(1), append: true });
        assert_eq!(forwarding.for_rule_trusted, ForRule { keep: None, append: true });
        assert_eq!(forwarding.need_mark, ["accept", "x-one"]);
        assert_eq!(forwarding.cdn_loop, Some(HeaderValue::from_static("us")));
    }
}
