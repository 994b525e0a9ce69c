//! One line of the routes file: a condition and its targets. Called by the roof, which adds what
//! takes more than one line to see (duplicates). Knows no file.

use std::borrow::Cow;
use std::fmt::{self, Write};

use super::balance::Balance;
use super::condition::{self, Condition, Options, Slow};
use super::cross_origin::JsonP;
use super::problem::{Fault, Severity, Span};
use super::sockjs::SockJs;
use super::target::{self, Target};
use super::token::{self, Section};

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

/// Reads a line (without its line feed). `None` if it is blank, a comment, or has an error; all
/// that is wrong with it is added to `faults`.
pub fn parse(text: &str, number: u32, faults: &mut Vec<Fault>) -> Option<Route> {
    let sections = match token::sections(text) {
        Ok(sections) => sections,
        Err(fault) => {
            faults.push(fault);
            return None;
        }
    };
    let (first, rest) = sections.split_first()?;
    let before = faults.len();
    let (condition, options) = condition::parse(first, faults);
    let targets: Vec<Target> =
        rest.iter().filter_map(|section| target::parse(section, faults)).collect();
    if rest.is_empty() {
        faults.push(lonely(text, first));
    }
    let fatal = |fault: &Fault| fault.severity == Severity::Error;
    if faults.iter().skip(before).any(fatal) {
        return None;
    }
    Some(Route { condition, options, targets: targets.into(), line: number })
}

/// The fault of a line with a condition only.
fn lonely(text: &str, section: &Section) -> Fault {
    let span = Span { start: section.span.start, end: section.span.end };
    let expected = if text.contains('\t') {
        "a target after a space: a tab separates nothing"
    } else {
        "a target after the condition, as in `* localhost:8000`"
    };
    Fault::error(span, "must specify condition and at least one target", expected)
}

impl fmt::Display for Route {
    /// A line that reads as this route.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Condition { host, by_id_only, websocket, secure, path_beg } = &self.condition;
        let mut line = Line(f);
        match host {
            Some(host) => line.text(host)?,
            // The section begins with the property. Without one it is quotes with nothing between.
            None if *by_id_only && self.options.id.is_some() => {}
            None if *by_id_only => line.0.write_str("\"\"")?,
            None => line.text("*")?,
        }
        let options = &self.options;
        line.prop("proto", websocket.map(|ws| if ws { "ws" } else { "http" }))?;
        line.prop("ssl", secure.map(|tls| if tls { "yes" } else { "no" }))?;
        line.prop("path_beg", path_beg.as_deref())?;
        line.prop("id", options.id.as_deref())?;
        line.prop("sig_iss", options.sig_iss.as_deref())?;
        line.prop("sig_key", options.sig_key.as_deref())?;
        line.prop("prefix", (!options.prefix.is_empty()).then_some(options.prefix.as_ref()))?;
        line.flag("orig_headers", options.orig_headers)?;
        line.prop("as_host", options.as_host.as_deref())?;
        if options.path_rem > 0 {
            line.prop("path_rem", Some(&options.path_rem.to_string()))?;
        }
        line.prop("replace_beg", options.replace_beg.as_deref())?;
        line.flag("debug", options.debug)?;
        for (name, value) in options.headers.iter() {
            line.prop("header", Some(&format!("{name}:{value}")))?;
        }
        line.flag("no_grip", options.no_grip)?;
        line.prop("slow", options.slow.map(Slow::word))?;
        options.sockjs.iter().try_for_each(|sockjs| line.sockjs(sockjs))?;
        line.flag("aco", options.aco)?;
        line.jsonp(&options.jsonp)?;
        line.flag("session", options.session)?;
        line.prop("log_level", options.log_level.map(|level| level.to_string()).as_deref())?;
        let balance = Some(options.balance).filter(|balance| *balance != Balance::First);
        line.prop("balance", balance.map(Balance::word))?;
        self.targets.iter().try_for_each(|target| line.target(target))
    }
}

/// Writes sections and properties, quoted where they must be.
struct Line<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Line<'_, '_> {
    fn text(&mut self, text: &str) -> fmt::Result {
        if !text.contains([' ', ',', '#', '"']) {
            return self.0.write_str(text);
        }
        self.0.write_char('"')?;
        for c in text.chars() {
            if matches!(c, '"' | '\\') {
                self.0.write_char('\\')?;
            }
            self.0.write_char(c)?;
        }
        self.0.write_char('"')
    }

    fn prop(&mut self, name: &str, text: Option<&str>) -> fmt::Result {
        let Some(text) = text else { return Ok(()) };
        write!(self.0, ",{name}=")?;
        self.text(text)
    }

    fn flag(&mut self, name: &str, set: bool) -> fmt::Result {
        if set { write!(self.0, ",{name}") } else { Ok(()) }
    }

    fn sockjs(&mut self, sockjs: &SockJs) -> fmt::Result {
        let base = if sockjs.base.is_empty() { "/" } else { &sockjs.base };
        self.prop("sockjs", Some(base))?;
        self.prop("sockjs_as_path", sockjs.as_path.as_deref())?;
        self.prop("sockjs_websocket", (!sockjs.websocket).then_some("false"))?;
        self.flag("sockjs_cookie", sockjs.cookie)?;
        let limit = sockjs.response_bytes_max.map(|limit| limit.to_string());
        self.prop("sockjs_limit", limit.as_deref())
    }

    fn jsonp(&mut self, jsonp: &JsonP) -> fmt::Result {
        self.prop("jsonp_mode", (!jsonp.extended).then_some("basic"))?;
        let callback = Some(&*jsonp.callback).filter(|name| *name != JsonP::DEFAULT.callback);
        self.prop("jsonp_cb", callback)?;
        self.prop("jsonp_body", jsonp.body.as_deref())?;
        self.prop("jsonp_defcb", jsonp.default_callback.as_deref())?;
        self.prop("jsonp_defmethod", jsonp.default_method.as_deref())
    }

    fn target(&mut self, target: &Target) -> fmt::Result {
        self.0.write_char(' ')?;
        self.text(&target.to_string())?;
        self.flag("ssl", target.tls)?;
        self.flag("untrusted", target.untrusted)?;
        self.flag("trust_connect_host", target.trust_connect_host)?;
        self.flag("insecure", target.insecure)?;
        self.prop("host", target.host.as_deref())?;
        target.subs.iter().try_for_each(|sub| self.prop("sub", Some(sub)))?;
        self.flag("over_http", target.over_http)?;
        self.flag("one_event", target.one_event)?;
        self.prop("client_cert", target.client_cert.as_deref())?;
        self.prop("client_key", target.client_key.as_deref())?;
        self.prop("check", target.check.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Route>, Vec<String>) {
        let mut faults = Vec::new();
        let route = parse(text, 1, &mut faults);
        (route, faults.into_iter().map(|fault| fault.reason).collect())
    }

    #[test]
    fn examples_of_the_specification_read_as_printed() {
        for line in [
            "* localhost:8000",
            "api.example.com,path_beg=/v1/ 10.0.0.5:8080 10.0.0.6:8080",
            "api.example.com,proto=ws,path_beg=/v1/ 10.0.0.5:8080,over_http",
            "shop.example.com,sig_key=file:shop.key,prefix=shop-,debug [2001:db8::1]:443,ssl,host=origin.example.com",
            ",id=internal 127.0.0.1:9000",
            "static.example.com,header=\"X-Edge:1 2\",no_grip cdn-origin:80",
            "*,aco,jsonp_mode=basic,jsonp_cb=cb,jsonp_body=b,jsonp_defcb=d,jsonp_defmethod=PUT b:1",
            "*,log_level=0,balance=round-robin b:1,ssl,client_cert=c,client_key=k,check=/up",
            "\"\" b:1",
            "\"\",debug b:1",
            "*,sockjs=/sj,sockjs_as_path=/ws b:1",
            "*,sockjs=/,sockjs_websocket=false,sockjs_cookie,sockjs_limit=4096 b:1",
        ] {
            let (route, reasons) = read(line);
            assert!(reasons.is_empty(), "{line}: {reasons:?}");
            assert_eq!(route.unwrap().to_string(), line);
        }
    }

    #[test]
    fn a_line_needs_a_target() {
        for line in ["*", "a.com,id=x", "a.com\t1.2.3.4:80"] {
            let (route, reasons) = read(line);
            assert!(route.is_none());
            assert_eq!(reasons.last().unwrap(), "must specify condition and at least one target");
        }
        assert_eq!(read(" # x"), (None, vec![]));
    }

    #[test]
    fn one_bad_target_rejects_the_line_and_all_mistakes_are_told() {
        let (route, reasons) = read("*,proto=x a:1 b c:0");
        assert!(route.is_none());
        let expected =
            ["proto must be set to 'http' or 'ws'", "target bad format", "target invalid port"];
        assert_eq!(reasons, expected);
        assert!(read("*,zzz a:1").0.is_some());
    }
}
