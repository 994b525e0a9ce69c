//! The properties of a route that speaks SockJS (specification, SockJS 6 and 6.9). Called by
//! `condition`; the type is used by `proxy`.

use std::borrow::Cow;

use super::problem::Fault;
use super::token::Prop;

/// How a route speaks SockJS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SockJs {
    /// Requests whose path begins with it are of SockJS (`sockjs`). Never ends with a slash, so
    /// that what follows does: it is empty for `/`.
    pub base: Cow<'static, str>,
    /// The path that backends see (`sockjs_as_path`); `None` is the base, with `/websocket` behind
    /// it where the client has a WebSocket.
    pub as_path: Option<Cow<'static, str>>,
    /// WebSockets are offered and taken (`sockjs_websocket`).
    pub websocket: bool,
    /// The cookie `JSESSIONID` is set, for load balancers in front (`sockjs_cookie`).
    pub cookie: bool,
    /// A streaming answer ends after so many bytes of frames (`sockjs_limit`); `None` is the
    /// default. Never 0.
    pub response_bytes_max: Option<u32>,
}

impl SockJs {
    /// The path that a backend sees of a request with this behind the base.
    #[must_use]
    pub fn backend_path(&self, behind: &str) -> String {
        match &self.as_path {
            Some(path) => path.clone().into_owned(),
            None if self.base.is_empty() && behind.is_empty() => "/".to_owned(),
            None => format!("{}{behind}", self.base),
        }
    }
}

/// What a line has said so far.
#[derive(Default)]
pub(super) struct Draft<'a> {
    base: Option<Cow<'static, str>>,
    as_path: Option<Cow<'static, str>>,
    websocket: Option<bool>,
    cookie: Option<bool>,
    response_bytes_max: Option<u32>,
    /// The first property that is of no use without a base.
    idle: Option<&'a Prop>,
}

impl<'a> Draft<'a> {
    /// Reads a property whose name begins with `sockjs`; `false` if it is not known.
    pub(super) fn read(&mut self, prop: &'a Prop, faults: &mut Vec<Fault>) -> bool {
        match prop.name.as_str() {
            "sockjs" => {
                self.base =
                    path(prop, faults).map(|path| path.trim_end_matches('/').to_owned().into());
                return true;
            }
            "sockjs_as_path" => {
                self.as_path = path(prop, faults).map(|path| path.to_owned().into())
            }
            "sockjs_websocket" => self.websocket = Some(answer(prop, faults)),
            "sockjs_cookie" => self.cookie = Some(answer(prop, faults)),
            "sockjs_limit" => self.response_bytes_max = limit(prop, faults),
            _ => return false,
        }
        self.idle.get_or_insert(prop);
        true
    }

    /// What the line has said.
    pub(super) fn finish(self, faults: &mut Vec<Fault>) -> Option<SockJs> {
        let Some(base) = self.base else {
            if let Some(idle) = self.idle {
                let reason = format!("{} has no effect without sockjs", idle.name);
                faults.push(Fault::warning(idle.span, reason, "`sockjs=/...` too"));
            }
            return None;
        };
        Some(SockJs {
            base,
            as_path: self.as_path,
            websocket: self.websocket.unwrap_or(true),
            cookie: self.cookie.unwrap_or(false),
            response_bytes_max: self.response_bytes_max,
        })
    }
}

/// A path from the root. Pushpin takes others, which no request has.
fn path<'a>(prop: &'a Prop, faults: &mut Vec<Fault>) -> Option<&'a str> {
    if !prop.text.starts_with('/') {
        let reason = format!("{} must begin with '/'", prop.name);
        faults.push(Fault::error(prop.text_span, reason, format!("`{}=/...`", prop.name)));
    }
    Some(prop.text.as_str())
}

/// `true`, `false`; `true` if there is none.
fn answer(prop: &Prop, faults: &mut Vec<Fault>) -> bool {
    if !matches!(prop.text.as_str(), "" | "true" | "false") {
        let reason = format!("{} must be set to 'true' or 'false'", prop.name);
        faults.push(Fault::error(prop.text_span, reason, "`true` or `false`"));
    }
    prop.text != "false"
}

fn limit(prop: &Prop, faults: &mut Vec<Fault>) -> Option<u32> {
    let limit = prop.text.parse().ok().filter(|limit| *limit > 0);
    if limit.is_none() {
        let reason = format!("{} must be a number of bytes", prop.name);
        faults.push(Fault::error(prop.text_span, reason, "a number from 1 to 4294967295"));
    }
    limit
}

#[cfg(test)]
mod tests {
    use super::super::problem::Severity;
    use super::super::token::sections;
    use super::*;

    fn read(line: &str) -> (Option<SockJs>, Vec<Fault>) {
        let mut faults = Vec::new();
        let sections = sections(line).unwrap();
        let mut draft = Draft::default();
        assert!(sections[0].props.iter().all(|prop| draft.read(prop, &mut faults)));
        let sockjs = draft.finish(&mut faults);
        (sockjs, faults)
    }

    fn reasons(line: &str) -> Vec<String> {
        read(line).1.into_iter().map(|fault| fault.reason).collect()
    }

    #[test]
    fn values() {
        let (sockjs, faults) = read("a,sockjs=/sj");
        assert!(faults.is_empty());
        let plain = SockJs {
            base: "/sj".into(),
            as_path: None,
            websocket: true,
            cookie: false,
            response_bytes_max: None,
        };
        assert_eq!(sockjs, Some(plain.clone()));
        let line = "a,sockjs_limit=4096,sockjs_cookie,sockjs_websocket=false,sockjs_as_path=/b/,sockjs=/sj/";
        let expected = SockJs {
            as_path: Some("/b/".into()),
            websocket: false,
            cookie: true,
            response_bytes_max: Some(4096),
            ..plain
        };
        assert_eq!(read(line), (Some(expected), vec![]));
        assert_eq!(read("a,sockjs=/").0.unwrap().base, "");
        assert!(read("a,sockjs=/x,sockjs_websocket=true,sockjs_cookie=false").1.is_empty());
        assert_eq!(read("a"), (None, vec![]));
        assert!(!Draft::default().read(&sections("a,sockjs_x").unwrap()[0].props[0], &mut vec![]));
    }

    #[test]
    fn mistakes() {
        assert_eq!(reasons("a,sockjs"), ["sockjs must begin with '/'"]);
        assert_eq!(reasons("a,sockjs=x"), ["sockjs must begin with '/'"]);
        assert_eq!(reasons("a,sockjs=/,sockjs_as_path=x"), ["sockjs_as_path must begin with '/'"]);
        for bad in ["0", "", "x", "-1", "4294967296"] {
            let line = format!("a,sockjs=/,sockjs_limit={bad}");
            assert_eq!(reasons(&line), ["sockjs_limit must be a number of bytes"]);
        }
        let expected = ["sockjs_websocket must be set to 'true' or 'false'"];
        assert_eq!(reasons("a,sockjs=/,sockjs_websocket=no"), expected);
        assert!(read("a,sockjs=/,sockjs_limit=0").1[0].severity == Severity::Error);

        let (sockjs, faults) = read("a,sockjs_cookie,sockjs_limit=1");
        assert_eq!((sockjs, faults.len()), (None, 1));
        assert_eq!(faults[0].reason, "sockjs_cookie has no effect without sockjs");
        assert_eq!(faults[0].severity, Severity::Warning);
    }
}
